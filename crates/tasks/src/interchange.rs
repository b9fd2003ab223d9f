//! The network interchange format 1.0: what a client and a hub say to each other about tasks. `docs/tasks.md` has it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::driver::{Answer, Offer};
use crate::json::{self, Json, Limits};
use crate::{Document, Hash, MAX_DEPTH, MAX_TEXT, Node, Prefix, Refusal, TaskId};

/// The most bytes of an offer of one task: the document as it is written, and what stands around it.
pub const MAX_OFFER_BYTES: usize = MAX_TEXT + (64 << 10);
/// The most offers of a batch.
pub const MAX_OFFERS: usize = 1000;
/// The most bytes of a batch of offers.
pub const MAX_BATCH_BYTES: usize = 8 << 20;
/// Once the answers to a batch are over so many bytes, the offers that are left are not looked at.
pub const FULL_ANSWER_BYTES: usize = 4 << 20;
/// The most prefixes that are asked for at once.
pub const MAX_PREFIXES: usize = 64;
/// A node of at most so many tasks lists their hashes.
pub const MAX_LISTED: usize = 64;

/// What is said of a node of the tree of hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub node: Node,
    /// What is below it.
    pub below: Below,
}

/// What is below a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Below {
    /// The nodes with tasks whose prefixes are one character longer.
    Nodes(BTreeMap<Prefix, Node>),
    /// Its tasks, where they are few.
    Hashes(BTreeMap<TaskId, Hash>),
}

type Members = BTreeMap<String, Json>;

fn read(text: &str, bytes: usize, around: u32) -> Result<Json, Refusal> {
    let limits = Limits { bytes, depth: MAX_DEPTH + around };
    Ok(json::read(text, limits)?)
}

fn object(what: &str, value: Json) -> Result<Members, Refusal> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(Refusal(format!("{what} is an object, not {}", other.describe()))),
    }
}

fn array(what: &str, value: Json) -> Result<Vec<Json>, Refusal> {
    match value {
        Json::Array(values) => Ok(values),
        other => Err(Refusal(format!("{what} is an array, not {}", other.describe()))),
    }
}

fn text<'a>(what: &str, value: Option<&'a Json>) -> Result<&'a str, Refusal> {
    let found = || Refusal(format!("{what} is {}, not a text", value.map_or("missing", Json::describe)));
    value.and_then(Json::as_str).ok_or_else(found)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal(error.to_string()))
}

/// The offer in the body of `POST task/{id}`.
///
/// # Errors
/// Where it is refused, and why.
pub fn read_offer(body: &str, id: TaskId) -> Result<Offer, Refusal> {
    offer(id, object("the body", read(body, MAX_OFFER_BYTES, 1)?)?)
}

fn offer(id: TaskId, mut members: Members) -> Result<Offer, Refusal> {
    match members.remove("client_state") {
        None => Err(Refusal("`client_state` is missing; null asks what stands".to_owned())),
        Some(Json::Null) => Ok(Offer::nothing(id)),
        Some(state) => match Document::from_json(state)? {
            document if document.id() == id => Ok(Offer::of(document)),
            other => Err(Refusal(format!("this is a document of {}, under the name of {id}", other.id()))),
        },
    }
}

/// An offer; where it is refused, its task and why.
pub type Offered = Result<Offer, (TaskId, Refusal)>;

/// The offers in the body of `POST tasks`, in their order.
///
/// # Errors
/// Where the body as a whole is refused.
pub fn read_offers(body: &str) -> Result<Vec<Offered>, Refusal> {
    let items = array("the body", read(body, MAX_BATCH_BYTES, 2)?)?;
    if items.len() > MAX_OFFERS {
        return Err(Refusal(format!("these are {} tasks; at most {MAX_OFFERS} are taken at once", items.len())));
    }
    let read = |item: Json| {
        let members = object("an item of the body", item)?;
        let id = parsed(text("`id`", members.get("id"))?)?;
        Ok(offer(id, members).map_err(|refusal| (id, refusal)))
    };
    items.into_iter().map(read).collect()
}

/// The body of `POST task/{id}`.
pub fn write_offer(offer: &Offer) -> String {
    format!("{{\"client_state\":{}}}", state_of(offer))
}

/// An offer, as an item of the array that is the body of `POST tasks`.
pub fn write_item(offer: &Offer) -> String {
    format!("{{\"id\":\"{}\",\"client_state\":{}}}", offer.id(), state_of(offer))
}

fn state_of(offer: &Offer) -> String {
    offer.state().map_or_else(|| "null".to_owned(), Document::text)
}

/// The answer to an offer, from the text of the document that stands.
pub fn write_state(stands: Option<&str>) -> String {
    format!("{{\"server_state\":{}}}", stands.unwrap_or("null"))
}

/// The same, as an item of the answer to a batch.
pub fn write_answer(id: TaskId, answer: Result<Option<&str>, &Refusal>) -> String {
    match answer {
        Ok(stands) => format!("{{\"id\":\"{id}\",\"server_state\":{}}}", stands.unwrap_or("null")),
        Err(Refusal(why)) => format!("{{\"id\":\"{id}\",\"refused\":{}}}", Json::from(why.as_str()).canonical()),
    }
}

/// The answers to these offers, or to the first of them.
///
/// # Errors
/// Where the text is no such answer.
pub fn read_answers(body: &str, offers: &[Offer]) -> Result<Vec<Answer>, Refusal> {
    let items = array("the answer", read(body, usize::MAX, 2)?)?;
    if items.len() > offers.len() || (items.is_empty() && !offers.is_empty()) {
        return Err(Refusal(format!("these are {} answers to {} offers", items.len(), offers.len())));
    }
    let read = |(item, offer): (Json, &Offer)| {
        let mut members = object("an answer", item)?;
        let id: TaskId = parsed(text("`id`", members.get("id"))?)?;
        if id != offer.id() {
            return Err(Refusal(format!("this is an answer about {id}, where {} was asked for", offer.id())));
        }
        if let Some(refused) = members.get("refused") {
            return Ok(Answer::Refused(Refusal(text("`refused`", Some(refused))?.to_owned())));
        }
        match members.remove("server_state") {
            None => Err(Refusal("`server_state` is missing".to_owned())),
            Some(Json::Null) => Ok(Answer::Stands(None)),
            Some(state) => match Document::from_json(state)? {
                document if document.id() == id => Ok(Answer::Stands(Some(document))),
                other => Err(Refusal(format!("this is a document of {}, in an answer about {id}", other.id()))),
            },
        }
    };
    items.into_iter().zip(offers).map(read).collect()
}

/// Adds a task to an object of hashes, which `out` holds from its brace on.
pub fn write_hash(out: &mut String, id: TaskId, hash: Hash) {
    let comma = if out.is_empty() || out.ends_with('{') { "" } else { "," };
    // Writing to a text does not fail.
    let _ = write!(out, "{comma}\"{id}\":\"{hash}\"");
}

/// An object of hashes.
///
/// # Errors
/// Where the text is none.
pub fn read_hashes(body: &str) -> Result<BTreeMap<TaskId, Hash>, Refusal> {
    // There may be many: what is none takes no memory.
    let (mut hashes, limits) = (BTreeMap::new(), Limits { bytes: usize::MAX, depth: 1 });
    let is_object = json::each_member(body, limits, |id, hash| {
        match hashes.insert(parsed(id)?, parsed(text("a hash", Some(&hash))?)?) {
            None => Ok(()),
            Some(_) => Err(Refusal(format!("the key {id:?} stands twice in one object"))),
        }
    })?;
    if is_object { Ok(hashes) } else { Err(Refusal("what says the hashes is no object".to_owned())) }
}

fn hashes(value: Json) -> Result<BTreeMap<TaskId, Hash>, Refusal> {
    let read = |(id, hash): (String, Json)| Ok((parsed(&id)?, parsed(text("a hash", Some(&hash))?)?));
    object("what says the hashes", value)?.into_iter().map(read).collect()
}

/// The nodes of a tree, as an object by their prefixes.
pub fn write_nodes(nodes: &[(Prefix, Told)]) -> String {
    let mut out = String::from("{");
    for (at, (prefix, Told { node, below })) in nodes.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\"{prefix}\":{{{}", members_of(node));
        match below {
            Below::Nodes(nodes) => {
                let member = |(prefix, node): (&Prefix, &Node)| format!("\"{prefix}\":{{{}}}", members_of(node));
                let members: Vec<String> = nodes.iter().map(member).collect();
                let _ = write!(out, ",\"nodes\":{{{}}}", members.join(","));
            }
            Below::Hashes(hashes) => {
                out.push_str(",\"hashes\":{");
                hashes.iter().for_each(|(id, hash)| write_hash(&mut out, *id, *hash));
                out.push('}');
            }
        }
        out.push('}');
    }
    out.push('}');
    out
}

fn members_of(node: &Node) -> String {
    format!("\"digest\":\"{}\",\"tasks\":{}", node.digest, node.tasks)
}

/// The nodes that an answer tells of.
///
/// # Errors
/// Where the text is no such answer.
pub fn read_nodes(body: &str) -> Result<BTreeMap<Prefix, Told>, Refusal> {
    let told = |(prefix, told): (String, Json)| {
        let mut members = object("what is told of a node", told)?;
        let below = match (members.remove("nodes"), members.remove("hashes")) {
            (Some(nodes), None) => {
                let below = |(prefix, node): (String, Json)| Ok((parsed(&prefix)?, node_of(&object("a node", node)?)?));
                let nodes = object("`nodes`", nodes)?.into_iter().map(below);
                Below::Nodes(nodes.collect::<Result<_, Refusal>>()?)
            }
            (None, Some(listed)) => Below::Hashes(hashes(listed)?),
            _ => return Err(Refusal("of a node either `nodes` or `hashes` are told".to_owned())),
        };
        Ok((parsed(&prefix)?, Told { node: node_of(&members)?, below }))
    };
    object("the answer", read(body, usize::MAX, 0)?)?.into_iter().map(told).collect()
}

fn node_of(members: &Members) -> Result<Node, Refusal> {
    let digest = parsed(text("`digest`", members.get("digest"))?)?;
    match members.get("tasks") {
        Some(Json::Number(tasks)) => Ok(Node { digest, tasks: parsed(tasks.text())? }),
        other => Err(Refusal(format!("`tasks` is {}, not a number", other.map_or("missing", Json::describe)))),
    }
}
