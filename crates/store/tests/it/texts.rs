//! All texts of an attribute, one after the other.

use crate::common::{must, store_with};

#[test]
fn each_text_is_shown_once_with_its_entity_as_it_stands() {
    let mut store = store_with(&[
        "[{:db/ident :note/text :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
          {:db/ident :note/title :db/valueType :db.type/string :db/cardinality :db.cardinality/one :db/index true}
          {:db/ident :note/size :db/valueType :db.type/long :db/cardinality :db.cardinality/one}]",
        "[{:db/id \"a\" :note/text [\"one\" \"two\"] :note/title \"A\" :note/size 1} {:db/id \"b\" :note/text \"one\" :note/title \"B\"}]",
    ]);
    let texts = |store: &tolstoy_store::Store, attribute: &str| {
        let mut seen = Vec::new();
        store.each_text(attribute, |e, text| seen.push((e.get() - 65536, text.to_owned()))).unwrap();
        seen
    };
    let of = |list: &[(i64, &str)]| list.iter().map(|(e, text)| (*e, (*text).to_owned())).collect::<Vec<_>>();
    // The attributes took the first three entities.
    let (a, b) = (3, 4);
    assert_eq!(texts(&store, ":note/text"), of(&[(a, "one"), (a, "two"), (b, "one")]));
    assert_eq!(texts(&store, ":note/title"), of(&[(a, "A"), (b, "B")]), "of an indexed attribute too");
    assert_eq!(texts(&store, ":note/size"), [], "a number is no text");
    assert_eq!(texts(&store, ":note/nothing"), []);
    must(&mut store, &format!("[[:db/retract {} :note/text \"one\"]]", a + 65536));
    assert_eq!(texts(&store, ":note/text"), of(&[(a, "two"), (b, "one")]));
}
