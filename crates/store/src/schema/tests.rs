#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

const A: Entid = Entid::new(70_000);

fn keyword(text: &str) -> Value {
    Value::Keyword(Keyword::parse(text).unwrap())
}

/// A schema with one attribute of which this is stated.
fn schema(stated: &[(Entid, Value)]) -> Schema {
    let mut schema = Schema::default();
    for (a, v) in stated {
        schema.apply(&Change::add(A, *a, v.clone()));
    }
    schema
}

fn long_one() -> Vec<(Entid, Value)> {
    vec![
        (entids::VALUE_TYPE, Value::Ref(ValueType::Long.entid())),
        (entids::CARDINALITY, Value::Ref(entids::CARDINALITY_ONE)),
    ]
}

fn with(more: (Entid, Value)) -> Schema {
    schema(&[long_one(), vec![more]].concat())
}

#[test]
fn an_attribute_needs_type_and_cardinality() {
    let stated = long_one();
    assert!(schema(&stated[..1]).attribute(A).is_none());
    assert!(schema(&stated[1..]).attribute(A).is_none());
    assert!(schema(&stated[..1]).definition(A).is_some());
    let schema = schema(&stated);
    let attribute = schema.attribute(A).unwrap();
    assert_eq!((attribute.value_type(), attribute.cardinality()), (ValueType::Long, Cardinality::One));
    assert_eq!(schema.attributes().len(), 1);
}

#[test]
fn what_is_retracted_leaves_no_trace() {
    let mut all = long_one();
    all.push((entids::UNIQUE, Value::Ref(entids::UNIQUE_IDENTITY)));
    all.push((entids::NO_HISTORY, Value::Boolean(true)));
    all.push((entids::IDENT, keyword("a/b")));
    let mut schema = schema(&all);
    for (a, v) in all {
        schema.apply(&Change::retract(A, a, v));
    }
    assert_eq!(schema, Schema::default());
}

#[test]
fn uniqueness_and_full_text_imply_an_index() {
    assert!(!with((entids::NO_HISTORY, Value::Boolean(true))).attribute(A).unwrap().indexed());
    for implied in [(entids::UNIQUE, Value::Ref(entids::UNIQUE_VALUE)), (entids::FULLTEXT, Value::Boolean(true))] {
        let schema = with(implied);
        assert!(schema.attribute(A).unwrap().indexed() && !schema.attribute(A).unwrap().states_index());
    }
    assert!(with((entids::INDEX, Value::Boolean(true))).attribute(A).unwrap().states_index());
    assert!(!with((entids::INDEX, Value::Boolean(false))).attribute(A).unwrap().indexed());
}

#[test]
fn definitions_contradict_in_what_facts_mean() {
    let plain = schema(&long_one());
    let contradicts = |other: &Schema| plain.attribute(A).unwrap().contradicts(other.attribute(A).unwrap());
    assert!(!contradicts(&plain));
    assert!(!contradicts(&with((entids::INDEX, Value::Boolean(true)))));
    assert!(!contradicts(&with((entids::NO_HISTORY, Value::Boolean(true)))));
    assert!(contradicts(&with((entids::VALUE_TYPE, Value::Ref(ValueType::String.entid())))));
    assert!(contradicts(&with((entids::CARDINALITY, Value::Ref(entids::CARDINALITY_MANY)))));
    assert!(contradicts(&with((entids::UNIQUE, Value::Ref(entids::UNIQUE_VALUE)))));
    assert!(contradicts(&with((entids::IS_COMPONENT, Value::Boolean(true)))));
    assert!(contradicts(&with((entids::FULLTEXT, Value::Boolean(true)))));
}

#[test]
fn an_ident_that_went_to_another_entity_stays_there() {
    let mut schema = schema(&[(entids::IDENT, keyword("a/b"))]);
    let other = A.plus(1);
    schema.apply(&Change::add(other, entids::IDENT, keyword("a/b")));
    schema.apply(&Change::retract(A, entids::IDENT, keyword("a/b")));
    assert_eq!(schema.entid(&Keyword::parse("a/b").unwrap()), Some(other));
    assert_eq!((schema.name(other), schema.name(A)), (":a/b".to_owned(), "70000".to_owned()));
    assert_eq!(schema.idents().len(), 1);
}
