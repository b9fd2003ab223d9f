//! What the documents say of the tests.

use std::path::Path;

/// The tests that a document's table names as `CRATE/MODULE::TEST` are there. Gives how many it names.
fn exist(document: &str, heading: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(document)).unwrap();
    let (_, table) = text.split_once(heading).unwrap();
    let named: Vec<_> = table.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    for (module, test) in &named {
        let (krate, module) = module.split_once('/').unwrap();
        let tests = root.join(format!("crates/{krate}/tests/it"));
        let file = Some(tests.join(format!("{module}.rs"))).filter(|file| file.exists());
        let file = file.unwrap_or_else(|| tests.join(module).join("mod.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(text.contains(&format!("fn {test}(")), "{} has no test {test}", file.display());
    }
    named.len()
}

#[test]
fn the_tests_that_the_model_names_exist() {
    assert!(exist("docs/model.md", "| promise | tests |") > 20);
}

#[test]
fn the_nastiest_cases_are_tests() {
    assert!(exist("docs/sync.md", "## The nastiest cases") >= 20);
}
