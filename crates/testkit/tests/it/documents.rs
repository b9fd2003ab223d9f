//! What the documents say of the tests.

use std::path::Path;

/// `docs/model.md` names the tests of each promise as `CRATE/MODULE::TEST`.
#[test]
fn the_tests_that_the_model_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let model = std::fs::read_to_string(root.join("docs/model.md")).unwrap();
    let (_, table) = model.split_once("| promise | tests |").unwrap();
    let named: Vec<_> = table.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(named.len() > 20, "the table names {} tests", named.len());
    for (module, test) in named {
        let (krate, module) = module.split_once('/').unwrap();
        let tests = root.join(format!("crates/{krate}/tests/it"));
        let file = Some(tests.join(format!("{module}.rs"))).filter(|file| file.exists());
        let file = file.unwrap_or_else(|| tests.join(module).join("mod.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(text.contains(&format!("fn {test}(")), "{} has no test {test}", file.display());
    }
}
