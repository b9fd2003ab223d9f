//! The network interchange format.

use std::collections::BTreeMap;

use tolstoy_tasks::driver::{Answer, Offer};
use tolstoy_tasks::interchange::{
    Below, MAX_OFFERS, Told, read_answers, read_hashes, read_nodes, read_offer, read_offers, write_answer, write_hash,
    write_item, write_nodes, write_offer, write_state,
};
use tolstoy_tasks::{Hash, Node, Prefix, Refusal, TaskId};

use crate::common::{author, doc, set};

const ID: &str = "pb67wndxge8293xd";
const OTHER: &str = "px6zrs3z46b8e5pg";

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

/// The request and the answer of the format's own example.
const REQUEST: &str = r#"{
   "client_state": {
      "id": "pb67wndxge8293xd",
      "description": "example description",
      "tags": [ "test" ]
   }
}"#;
const ANSWER: &str =
    r#"{"server_state":{"id":"pb67wndxge8293xd","description":"example description","tags":["test"]}}"#;

#[test]
fn the_example_is_read_and_written_as_it_stands() {
    let offer = read_offer(REQUEST, id(ID)).unwrap();
    let state = offer.state().unwrap();
    assert_eq!(write_state(Some(&state.text())), ANSWER);
    assert_eq!(write_offer(&offer), ANSWER.replace("server", "client"));
    assert_eq!(read_offer(r#"{"client_state":null}"#, id(ID)), Ok(Offer::nothing(id(ID))));
    assert_eq!(write_offer(&Offer::nothing(id(ID))), r#"{"client_state":null}"#);
    assert_eq!(write_state(None), r#"{"server_state":null}"#);
}

#[test]
fn a_document_travels_exactly() {
    let mut document = doc(
        r#"{"id":"pb67wndxge8293xd","z":1.50,"description":"é \u0000","a":123456789012345678901234567890,"due":"9999-12-31T23:59:59Z"}"#,
    );
    set(&mut document, &author("laptop", "2026-11-25T10:00:00Z"), "description", "milk");
    let offer = Offer::of(document.clone());
    let body = write_offer(&offer);
    let back = read_offer(&body, id(ID)).unwrap();
    assert_eq!((write_offer(&back), &back), (body, &offer));
    assert!(
        document.text().starts_with(r#"{"id":"pb67wndxge8293xd","description":"milk","due":"#),
        "{}",
        document.text()
    );
    let batch = format!("[{},{}]", write_item(&offer), write_item(&Offer::nothing(id(OTHER))));
    assert_eq!(read_offers(&batch).unwrap(), [Ok(offer.clone()), Ok(Offer::nothing(id(OTHER)))]);
    let refusal = Refusal("no \"good\"".to_owned());
    let answers = [write_answer(id(ID), Ok(Some(&document.text()))), write_answer(id(OTHER), Err(&refusal))];
    let offers = [offer, Offer::nothing(id(OTHER))];
    let expected = [Answer::Stands(Some(document)), Answer::Refused(refusal)];
    assert_eq!(read_answers(&format!("[{}]", answers.join(",")), &offers).unwrap(), expected);
    // A hub may answer the first of them alone.
    assert_eq!(read_answers(&format!("[{}]", answers[0]), &offers).unwrap(), expected[..1]);
}

#[test]
fn what_is_no_offer_is_refused_in_words() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let huge = format!(r#"{{"client_state":{{"id":"{ID}","description":"{}"}}}}"#, "a".repeat(10 << 20));
    let long = format!(r#"{{"client_state":{{"id":"{ID}","description":"{}"}}}}"#, "a".repeat(1 << 20));
    for (body, why) in [
        ("", "the text ends where a value is expected"),
        ("[]", "the body is an object, not an array"),
        ("{}", "`client_state` is missing"),
        (r#"{"client_state":[]}"#, "a task is a JSON object"),
        (r#"{"client_state":{}}"#, "`id` is missing"),
        (r#"{"client_state":{"id":"../x"}}"#, r#""../x" is no id of a task"#),
        (r#"{"client_state":{"id":7}}"#, "`id` is a number"),
        (r#"{"client_state":{"id":"px6zrs3z46b8e5pg"}}"#, "this is a document of px6zrs3z46b8e5pg, under the name of"),
        (r#"{"client_state":null,"client_state":null}"#, "stands twice in one object"),
        (r#"{"client_state":{"id":"pb67wndxge8293xd","a":1,"a":2}}"#, "stands twice in one object"),
        (r#"{"client_state":{"id":"pb67wndxge8293xd","tags":[1]}}"#, "tags are texts"),
        (r#"{"client_state":{"id":"pb67wndxge8293xd","a":1e999999}}"#, "is no number of JSON"),
        (&format!(r#"{{"client_state":{{"id":"{ID}","a":{}}}}}"#, deep(32)), "nested more than"),
        (&huge, "bytes long; at most"),
        (&long, "bytes; at most 1048576 can be kept"),
    ] {
        let refusal = read_offer(body, id(ID)).unwrap_err().to_string();
        assert!(refusal.contains(why), "{}: {refusal}", &body[..body.len().min(80)]);
    }
    let kept = format!(r#"{{"client_state":{{"id":"{ID}","due":7,"a":{}}}}}"#, deep(31));
    assert!(read_offer(&kept, id(ID)).is_ok());
    for (body, why) in [
        ("{}", "the body is an array, not an object"),
        ("[7]", "an item of the body is an object, not a number"),
        (r#"[{"client_state":null}]"#, "`id` is missing, not a text"),
        (r#"[{"id":"../x","client_state":null}]"#, "is no id of a task"),
    ] {
        let refusal = read_offers(body).unwrap_err().to_string();
        assert!(refusal.contains(why), "{body}: {refusal}");
    }
    let item = format!(r#"{{"id":"{ID}","client_state":null}}"#);
    let many = |count: usize| format!("[{}]", vec![item.as_str(); count].join(","));
    assert_eq!(read_offers(&many(MAX_OFFERS)).unwrap().len(), MAX_OFFERS);
    assert_eq!(
        read_offers(&many(MAX_OFFERS + 1)).unwrap_err().to_string(),
        "these are 1001 tasks; at most 1000 are taken at once"
    );
    // Of a batch, a document that is refused keeps nothing back.
    let batch = format!(r#"[{item},{{"id":"{ID}","client_state":{{"id":"{ID}","tags":7}}}}]"#);
    let offers = read_offers(&batch).unwrap();
    assert!(
        matches!(&offers[..], [Ok(_), Err((of, Refusal(why)))] if *of == id(ID) && why.contains("`tags` is a number"))
    );
}

#[test]
fn what_is_no_answer_is_refused_in_words() {
    let offers = [Offer::nothing(id(ID))];
    for (body, why) in [
        ("{}", "the answer is an array, not an object"),
        ("[]", "these are 0 answers to 1 offers"),
        (r#"[{"id":"px6zrs3z46b8e5pg","server_state":null}]"#, "this is an answer about px6zrs3z46b8e5pg"),
        (r#"[{"id":"pb67wndxge8293xd"}]"#, "`server_state` is missing"),
        (
            r#"[{"id":"pb67wndxge8293xd","server_state":{"id":"px6zrs3z46b8e5pg"}}]"#,
            "this is a document of px6zrs3z46b8e5pg",
        ),
    ] {
        let refusal = read_answers(body, &offers).unwrap_err().to_string();
        assert!(refusal.contains(why), "{body}: {refusal}");
    }
}

#[test]
fn hashes_and_nodes_come_back_as_they_went() {
    let (one, two) = (id(ID), id(OTHER));
    let hash = doc(r#"{"id":"pb67wndxge8293xd"}"#).hash();
    let mut text = String::from("{");
    write_hash(&mut text, one, hash);
    write_hash(&mut text, two, Hash([0; 32]));
    text.push('}');
    assert_eq!(text, format!(r#"{{"{ID}":"{hash}","{OTHER}":"{}"}}"#, "0".repeat(64)));
    let tasks = BTreeMap::from([(one, hash), (two, Hash([0; 32]))]);
    assert_eq!(read_hashes(&text), Ok(tasks.clone()));
    assert_eq!(read_hashes("{}"), Ok(BTreeMap::new()));
    assert!(read_hashes(r#"{"../x":"0"}"#).is_err() && read_hashes(r#"{"pb67wndxge8293xd":"0"}"#).is_err());

    let twice = format!(r#"{{"{ID}":"{hash}","{ID}":"{hash}"}}"#);
    assert!(read_hashes(&twice).unwrap_err().to_string().contains("stands twice"));
    assert!(read_hashes(&format!(r#"{{"{ID}":[0,0]}}"#)).unwrap_err().to_string().contains("more than 1 levels"));
    assert!(read_hashes("[]").is_err() && read_hashes("{").is_err() && read_hashes("{}x").is_err());

    let node = Node::of(&tasks);
    let prefix: Prefix = "p".parse().unwrap();
    let nodes = [
        (Prefix::ROOT, Told { node, below: Below::Nodes(BTreeMap::from([(prefix, node)])) }),
        (prefix, Told { node, below: Below::Hashes(tasks) }),
        ("z".parse().unwrap(), Told { node: Node::default(), below: Below::Hashes(BTreeMap::new()) }),
    ];
    let text = write_nodes(&nodes);
    let start =
        format!(r#"{{"":{{"digest":"{0}","tasks":2,"nodes":{{"p":{{"digest":"{0}","tasks":2}}}}}},"#, node.digest);
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(read_nodes(&text), Ok(BTreeMap::from(nodes)));
    for bad in [r#"{"i":{}}"#, r#"{"":{"digest":"0","tasks":0,"nodes":{}}}"#, r#"{"":{}}"#, "[]"] {
        assert!(read_nodes(bad).is_err(), "{bad}");
    }
    let half = text.replace(r#""tasks":2"#, r#""tasks":1.5"#);
    assert!(read_nodes(&half).is_err());
}
