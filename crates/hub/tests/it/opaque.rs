//! What the hub is built of.

use std::process::Command;

/// Chunks are opaque to it: so it has no store, and what it has of others' has none either.
#[test]
fn the_hub_does_not_depend_on_the_store() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none", "-p", "tolstoy-hub"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // By itself, and not with what others in the workspace ask for.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(listed.contains("tolstoy-tasks v"), "{listed}");
    assert!(!listed.contains("tolstoy-store") && !listed.contains("tolstoy-sync"), "{listed}");
}
