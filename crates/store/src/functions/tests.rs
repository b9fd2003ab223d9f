#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn named(name: &str) -> Result<Function> {
    Function::new(name, [Parameter::Entity, Parameter::Value], |_, _| Ok(Vec::new()))
}

#[test]
fn a_function_has_a_name_of_its_own() {
    assert_eq!(named("my/f").unwrap().form(), "[:my/f entity value]");
    assert!(named("dbx/f").is_ok());
    for name in ["f", "", ":my/f", "db/f", "db.fn/call", "my/", "a b/c"] {
        let error = named(name).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Input, "{name}");
        assert!(error.to_string().contains("with a namespace outside db"), "{error}");
    }
}

#[test]
fn refs_are_for_entities_and_attributes_and_literals_for_values() {
    let function = named("my/f").unwrap();
    let (entity, value) = (Value::Ref(Entid::USER0), Value::Long(1));
    assert!(function.takes(&[entity.clone(), value.clone()]));
    assert!(!function.takes(&[value.clone(), entity.clone()]));
    assert!(!function.takes(&[entity.clone(), entity.clone()]));
    assert!(!function.takes(&[entity]));
    assert!(!function.takes(&[]));
}

#[test]
fn a_name_is_registered_once() {
    let mut store = Store::in_memory(tolstoy_env::Env::system()).unwrap();
    store.register(named("my/f").unwrap()).unwrap();
    store.register(named("my/g").unwrap()).unwrap();
    let error = store.register(named("my/f").unwrap()).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Refused, "a function :my/f is registered already")
    );
}
