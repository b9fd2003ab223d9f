//! The tasks of a log on a hub, as a driver.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tolstoy_proto::paths;
use tolstoy_tasks::driver::{Answer, Differences, Driver, DriverError, Exchanged, Hashes, Offer, plan};
use tolstoy_tasks::interchange::{
    Below, FULL_ANSWER_BYTES, MAX_BATCH_BYTES, MAX_OFFERS, MAX_PREFIXES, Told, read_answers, read_hashes, read_nodes,
    write_item,
};
use tolstoy_tasks::{Digest, Hash, Node, Prefix, Refusal, TaskId};

use crate::blocking::{Blocking, failed};
use crate::error::Result;
use crate::remote::Remote;
use crate::transport::{Access, HttpTransport, TransportError};

/// Bytes of all hashes.
const MAX_HASHES: usize = 256 << 20;
/// Bytes of an answer about nodes: 64 of them list 64 tasks each, at most.
const MAX_NODES: usize = 1 << 20;
/// Where more nodes than this differ, all hashes are asked for.
const MANY: usize = 4 * MAX_PREFIXES;
/// How long the hub is let wait at once.
const WATCH: Duration = Duration::from_secs(50);
/// A hub that answers at once, whatever it is asked, is not asked at once again.
const LOOK: Duration = Duration::from_millis(250);

/// The tasks of a log on a hub. It keeps its connection between requests, on a thread of its own; who calls is blocked as long as
/// the hub takes.
#[derive(Debug)]
pub struct HubDriver {
    hub: Blocking,
}

impl HubDriver {
    /// The tasks of this log. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the TLS settings, or the system's network, cannot be used.
    pub fn new(remote: Remote, access: &Access) -> Result<Self, DriverError> {
        Ok(Self { hub: Blocking::new(remote, access)? })
    }

    /// Returns when the hub's tasks are others than those with this digest, or after so long: whether they are others.
    ///
    /// # Errors
    /// Where the hub cannot be reached, or refuses.
    pub fn wait(&mut self, known: Digest, patience: Duration) -> Result<bool, DriverError> {
        let mut hub = self.hub.hub();
        self.hub.run(async move {
            let changed = timeout(patience, tasks_change(&mut hub, known, || {})).await;
            (hub, changed.map_or(Ok(false), |changed| changed.map(|()| true)))
        })
    }

    /// What is at the path, where its tag is another than the one given.
    fn get(&mut self, path: String, known: Option<String>, limit: usize) -> Result<Option<String>, DriverError> {
        let mut hub = self.hub.hub();
        let found = self.hub.run(async move {
            let found = hub.get_unless(&path, known.as_deref(), Duration::ZERO, limit).await;
            (hub, found)
        })?;
        found.map(|bytes| self.text(bytes)).transpose()
    }

    /// The answers to the first of these offers, at least one.
    fn post(&mut self, offers: &[Offer]) -> Result<Vec<Answer>, DriverError> {
        let (mut body, mut count) = (String::from("["), 0);
        for offer in offers.iter().take(MAX_OFFERS) {
            let item = write_item(offer);
            if count > 0 && body.len() + item.len() > FULL_ANSWER_BYTES {
                break;
            }
            body.push_str(if count == 0 { "" } else { "," });
            body.push_str(&item);
            count += 1;
        }
        body.push(']');
        let (mut hub, path) = (self.hub.hub(), paths::tasks(self.hub.remote().log));
        let answer = self.hub.run(async move {
            let answer = hub.post(&path, body, MAX_BATCH_BYTES).await;
            (hub, answer)
        })?;
        let answer = self.text(answer)?;
        read_answers(&answer, offers.get(..count).unwrap_or(offers)).map_err(|why| self.no_answer(why))
    }

    fn text(&self, bytes: Vec<u8>) -> Result<String, DriverError> {
        String::from_utf8(bytes).map_err(|_| self.no_answer(Refusal("it is no text".to_owned())))
    }

    fn no_answer(&self, Refusal(why): Refusal) -> DriverError {
        let why = format!("its answer about tasks cannot be read: {why}");
        failed(self.hub.remote(), TransportError::Protocol(why).into())
    }

    /// What is told of these nodes, in few requests.
    fn nodes(&mut self, mut prefixes: Vec<Prefix>) -> Result<BTreeMap<Prefix, Told>, DriverError> {
        let mut nodes = BTreeMap::new();
        while !prefixes.is_empty() {
            let asked = prefixes.get(..MAX_PREFIXES).unwrap_or(&prefixes);
            let names: Vec<&str> = asked.iter().map(Prefix::as_str).collect();
            let path = paths::hashes_below(self.hub.remote().log, &names.join(","));
            let answer = self.get(path, None, MAX_NODES)?.unwrap_or_default();
            let told = told_of(asked, &answer).map_err(|why| self.no_answer(why))?;
            prefixes.retain(|prefix| !told.contains_key(prefix));
            nodes.extend(told);
        }
        Ok(nodes)
    }
}

/// What an answer tells of some of the nodes that were asked for. Of another one it must not tell: the way down might not end.
fn told_of(asked: &[Prefix], answer: &str) -> Result<BTreeMap<Prefix, Told>, Refusal> {
    let told = read_nodes(answer)?;
    if told.is_empty() {
        return Err(Refusal("it tells nothing of the nodes that it is asked about".to_owned()));
    }
    match told.keys().find(|prefix| !asked.contains(prefix)) {
        Some(other) => Err(Refusal(format!("it tells of the node {other:?}, which it was not asked about"))),
        None => Ok(told),
    }
}

/// Returns when the hub's tasks are others than those with this digest. `heard` is called each time that the hub said they still
/// are the same.
///
/// # Errors
/// Where the hub cannot be reached, or refuses: then a reconciliation is the way to find out.
pub async fn tasks_change(hub: &mut HttpTransport, known: Digest, mut heard: impl FnMut()) -> Result<()> {
    let path = format!("{}&wait={}", paths::hashes_below(hub.remote().log, ""), WATCH.as_secs());
    while hub.get_unless(&path, Some(&tag(known)), WATCH, MAX_NODES).await?.is_none() {
        heard();
        sleep(LOOK).await;
    }
    Ok(())
}

impl Driver for HubDriver {
    fn hashes(&mut self) -> Result<Hashes, DriverError> {
        let path = paths::hashes(self.hub.remote().log);
        let hashes = self.get(path, None, MAX_HASHES)?.unwrap_or_default();
        let tasks = read_hashes(&hashes).map_err(|why| self.no_answer(why))?;
        Ok(Hashes { tasks, troubles: Vec::new() })
    }

    fn exchange(&mut self, offers: &[Offer]) -> Result<Exchanged, DriverError> {
        // What no hub would take is not sent.
        let checked = offers.iter().map(|offer| offer.state().map_or(Ok(()), tolstoy_tasks::Document::check));
        let checked: Vec<Result<(), Refusal>> = checked.collect();
        let good = offers.iter().zip(&checked).filter(|(_, checked)| checked.is_ok());
        let good: Vec<Offer> = good.map(|(offer, _)| offer.clone()).collect();
        let mut answers = Vec::with_capacity(good.len());
        while let Some(rest) = good.get(answers.len()..).filter(|rest| !rest.is_empty()) {
            answers.extend(self.post(rest)?);
        }
        let mut answers = answers.into_iter();
        let answer = |checked: Result<(), Refusal>| match checked {
            Err(refusal) => Some(Answer::Refused(refusal)),
            Ok(()) => answers.next(),
        };
        Ok(Exchanged { answers: checked.into_iter().filter_map(answer).collect(), troubles: Vec::new() })
    }

    /// Where nothing differs this is one request; where little does, it goes down the tree.
    fn differences(&mut self, theirs: &BTreeMap<TaskId, Hash>) -> Result<Differences, DriverError> {
        let path = paths::hashes_below(self.hub.remote().log, "");
        let digest = Digest::of(theirs);
        let mut found = Differences { digest, ..Differences::default() };
        let Some(root) = self.get(path, Some(tag(digest)), MAX_NODES)? else { return Ok(found) };
        let mut level = told_of(&[Prefix::ROOT], &root).map_err(|why| self.no_answer(why))?;
        found.digest = level.get(&Prefix::ROOT).map_or(digest, |told| told.node.digest);
        while !level.is_empty() {
            let mut below = Vec::new();
            for (prefix, told) in level {
                let compared = compare(prefix, told, theirs, &mut found.tasks, &mut below);
                compared.map_err(|why| self.no_answer(why))?;
            }
            if below.len() > MANY || below.iter().any(|(prefix, node)| is_mostly_other(*prefix, node, theirs)) {
                let Hashes { tasks, troubles } = self.hashes()?;
                return Ok(Differences { tasks: plan(theirs, &tasks), troubles, ..found });
            }
            level = self.nodes(below.into_iter().map(|(prefix, _)| prefix).collect())?;
        }
        Ok(found)
    }
}

/// Compares a node with the tasks of the other side: adds the tasks that differ, and the nodes below it that do.
fn compare(
    prefix: Prefix,
    told: Told,
    theirs: &BTreeMap<TaskId, Hash>,
    tasks: &mut BTreeMap<TaskId, Option<Hash>>,
    below: &mut Vec<(Prefix, Node)>,
) -> Result<(), Refusal> {
    let nodes = match told.below {
        Below::Hashes(listed) => {
            if let Some(id) = listed.keys().find(|id| !prefix.covers(**id)) {
                return Err(Refusal(format!("{id}, listed below {:?}, does not begin with it", prefix.as_str())));
            }
            tasks.extend(plan(&prefix.within(theirs).map(|(id, hash)| (*id, *hash)).collect(), &listed));
            return Ok(());
        }
        Below::Nodes(nodes) => nodes,
    };
    let length = prefix.len() + 1;
    if nodes.keys().any(|child| child.len() != length || !child.as_str().starts_with(prefix.as_str())) {
        return Err(Refusal(format!("the nodes below {:?} are not below it", prefix.as_str())));
    }
    let only_there = prefix.within(theirs).filter(|(id, _)| !nodes.contains_key(&Prefix::of(**id, length)));
    tasks.extend(only_there.map(|(id, _)| (*id, None)));
    below.extend(nodes.into_iter().filter(|(child, node)| Node::of(child.within(theirs)) != *node));
    Ok(())
}

/// Whether a large part of a node's tasks is only on one side: then its hashes cost less than the way down to them.
fn is_mostly_other(prefix: Prefix, node: &Node, theirs: &BTreeMap<TaskId, Hash>) -> bool {
    let there = prefix.within(theirs).count() as u64;
    there.abs_diff(node.tasks) > 64 + there.max(node.tasks) / 4
}

/// What names the tasks with this digest.
fn tag(digest: Digest) -> String {
    format!("\"{digest}\"")
}
