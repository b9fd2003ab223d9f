//! Logs in the original client's format: the one that two unmodified clients were recorded with, and what stores of ours
//! make of such logs.

mod clone;
mod foreign;
mod own;
pub(crate) mod reader;

use std::collections::HashMap;

use crate::lab::Hub;
use bytes::Bytes;
use serde_json::Value as Json;
use tolstoy_hub::service::{HeadOutcome, PutOutcome};
use tolstoy_proto::v0::NewTransaction;
use tolstoy_proto::{ChunkId, LogId, TrnId};
use tolstoy_store::Entid;

use crate::lab::{LOG, Lab};

const TRANSCRIPT: &str = include_str!("../../../../hub/tests/fixtures/mentat-transcript.jsonl");

/// The recorded transactions, in order.
fn recorded() -> Vec<(TrnId, Vec<(ChunkId, Bytes)>)> {
    let mut chunks: HashMap<String, Bytes> = HashMap::new();
    let mut transactions = Vec::new();
    for line in TRANSCRIPT.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        let (method, path) = (line["method"].as_str().unwrap(), line["path"].as_str().unwrap());
        let Some(body) = line["body"].as_str().filter(|_| method == "PUT") else { continue };
        if let Some((_, id)) = path.split_once("/chunks/") {
            chunks.insert(id.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
        } else if let Some((_, id)) = path.split_once("/transactions/") {
            let body: Json = serde_json::from_str(body).unwrap();
            let names = body["chunks"].as_array().unwrap().iter().map(|c| c.as_str().unwrap());
            let chunks = names.map(|name| (name.parse().unwrap(), chunks[name].clone())).collect();
            transactions.push((id.parse().unwrap(), chunks));
        }
    }
    transactions
}

/// Puts a transaction on the hub as the original does.
fn put(hub: &Hub, id: TrnId, chunks: &[(ChunkId, Bytes)]) {
    let (log, service): (LogId, _) = (LOG.parse().unwrap(), hub.service());
    let parent = hub.state().unwrap().head;
    for (id, bytes) in chunks {
        assert_eq!(service.v0_put_chunk(log, *id, bytes.clone()).wait().unwrap(), PutOutcome::Done);
    }
    let new = NewTransaction { parent, chunks: chunks.iter().map(|(id, _)| *id).collect() };
    assert_eq!(service.v0_put_transaction(log, id, new).wait().unwrap(), PutOutcome::Done);
    assert_eq!(service.v0_put_head(log, id).wait().unwrap(), HeadOutcome::Done);
}

/// Stores, and a hub that has the first so many of the recorded transactions.
fn lab(devices: u64, transactions: usize) -> Lab {
    let mut lab = Lab::new(devices);
    lab.judged = false;
    for (id, chunks) in recorded().iter().take(transactions) {
        put(&lab.hub, *id, chunks);
    }
    lab
}

/// An original client writes: `datoms` as it has them in JSON without the transaction, as
/// `"e":65544,"a":65537,"v":{"Long":1}` with `+` or `-` before. What it says of the user partition is too low.
fn write(hub: &Hub, tx: Entid, instant: &str, datoms: &[&str]) -> TrnId {
    let seq = hub.state().unwrap().seq.0 + 1;
    let partitions = format!(
        "{{\":db.part/db\":{{\"start\":0,\"end\":65535,\"allow_excision\":false,\"next_entid_to_allocate\":41}},\
          \":db.part/tx\":{{\"start\":268435456,\"end\":9223372036854775807,\"allow_excision\":false,\"next_entid_to_allocate\":{}}},\
          \":db.part/user\":{{\"start\":65536,\"end\":268435455,\"allow_excision\":true,\"next_entid_to_allocate\":65537}}}}",
        tx.plus(1)
    );
    let own = format!("+\"e\":{tx},\"a\":3,\"v\":{{\"Instant\":\"{instant}\"}}");
    let chunks: Vec<(ChunkId, Bytes)> = std::iter::once(own.as_str())
        .chain(datoms.iter().copied())
        .enumerate()
        .map(|(n, datom)| {
            let (sign, datom) = datom.split_at(1);
            let partitions = if n == 0 { &partitions } else { "null" };
            let bytes = format!("{{\"partitions\":{partitions},{datom},\"tx\":{tx},\"added\":{}}}", sign == "+");
            (format!("0000aaaa-0000-4000-8000-{seq:06x}{n:06x}").parse().unwrap(), Bytes::from(bytes))
        })
        .collect();
    let id = format!("0000bbbb-0000-4000-8000-{seq:012x}").parse().unwrap();
    put(hub, id, &chunks);
    id
}

fn tx(n: i64) -> Entid {
    Entid::TX0.plus(n)
}
