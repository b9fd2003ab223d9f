//! The deliberate bugs that `.ci/mutants` plays can still be made in this tree.

use std::path::Path;
use std::process::Command;

#[test]
fn the_deliberate_bugs_apply_to_the_tree() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let root = crates.parent().unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(crates.join("testkit/mutants")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().any(|line| line.starts_with("Seeds: 0..")), "{name} does not say which seeds catch it");
        let checked = Command::new("git").args(["apply", "--check"]).arg(&path).current_dir(root).output().unwrap();
        assert!(
            checked.status.success(),
            "{name} does not apply any more; make the same bug in the code as it is now, and keep its `git diff -U2`: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        names.push(name);
    }
    assert!(names.len() >= 10, "{names:?}");
    let documented = std::fs::read_to_string(root.join("docs/testing.md")).unwrap();
    let missing: Vec<_> = names.iter().filter(|name| !documented.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/testing.md does not tell of {missing:?}");
}
