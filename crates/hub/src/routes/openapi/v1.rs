//! Operations of `/1`.

use serde_json::{Value, json};
use tolstoy_proto::{ChainDigest, ChunkId, TrnId, derive_trn, media};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::OneOfBuilder;
use utoipa::openapi::{ContentBuilder, RefOr, ResponseBuilder, Schema};

use super::parts::{self, Op};
use super::schemas::{self, LOG, ROOT, named};

fn op(id: &str, summary: &str) -> Op {
    Op::new("1", id, summary).segment("log", "Uuid", LOG, "The log.")
}

pub(crate) fn info() -> Operation {
    op("info", "The log's state")
        .about("A log that was never written has generation null, and HEAD at the root.")
        .conditional()
        .answer(
            200,
            parts::json("The state.", named("State"), schemas::state_example())
                .header("ETag", parts::tag())
                .header("Cache-Control", parts::fresh()),
        )
        .build()
}

pub(crate) fn delete() -> Operation {
    op("delete", "Ends the log's generation")
        .about("It is as if the log never was, but that its next generation has the next number.")
        .answer(204, parts::empty("It has none now."))
        .writes()
        .build()
}

/// A stream in both forms.
fn stream(about: &str, json: RefOr<Schema>) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(about)
        .content(media::MSGPACK, ContentBuilder::new().schema(Some(named("FrameBytes"))).build())
        .content(media::JSON, ContentBuilder::new().schema(Some(json)).build())
        .header("Content-Encoding", parts::coded())
        .header("Accept-Encoding", parts::takes())
        .header("Vary", parts::vary())
}

pub(crate) fn pull() -> Operation {
    let about = "The transactions, with their chunks. In JSON where `Accept` prefers that to MessagePack. A stream without its \
        `end` was cut.";
    op("pull", "Streams committed transactions")
        .candidates()
        .may_begin_at_snapshot()
        .coded()
        .answer(200, stream(about, named("PullStream")))
        .shared(&[409])
        .build()
}

/// A push of one transaction with one chunk to a log that was never written.
fn push_example() -> Value {
    let chunk = ChunkId::of(b"hello");
    let id = derive_trn(TrnId::ROOT, &[chunk]);
    let chain = ChainDigest::ZERO.extend(id, &[chunk]);
    json!([
        {"push": {"generation": null, "expect": [ROOT]}},
        {"transaction": {"id": id, "seq": 1, "parent": ROOT, "chunks": [chunk]}},
        {"chunk": {"id": chunk, "bytes": "aGVsbG8="}},
        {"end": {"count": 1, "chain": chain.to_string()}},
    ])
}

pub(crate) fn push() -> Operation {
    let taken = schemas::error_of(&["id-taken", "conflict", "foreign-log"], None);
    let conflict = OneOfBuilder::new().item(named("PullStream")).item(taken).into();
    let unprocessable = OneOfBuilder::new()
        .item(schemas::error_of(&["missing-chunks"], Some("chunks")))
        .item(schemas::error_of(&["chain-mismatch"], Some("state")));
    let unprocessable_about = "Chunks are neither in the push nor here (the first of them are listed), or the push continues a \
        chain that is not the hub's.";
    let unprocessable = ResponseBuilder::new()
        .description(unprocessable_about)
        .content(media::JSON, ContentBuilder::new().schema(Some(unprocessable)).build());
    op("push", "Commits transactions")
        .about("All of them or none. The same push again is answered as the first was.")
        .body(
            "One push.",
            &[
                (media::MSGPACK, named("FrameBytes"), None),
                (media::JSON, named("PushStream"), Some(push_example())),
            ],
        )
        .coded()
        .answer(
            200,
            parts::json(
                "It is committed: the state, and whether a snapshot is wanted.",
                named("Pushed"),
                schemas::state_example(),
            )
                .header("Accept-Encoding", parts::takes()),
        )
        .answer(
            409,
            stream(
                "HEAD is not what the push expects: what the client lacks, as `pull` would stream it. Or one of its ids names \
                 something else here: an error, which is an object.",
                conflict,
            ),
        )
        .answer(412, parts::error(&["generation"], Some("state")))
        .answer(422, unprocessable)
        .writes()
        .build()
}
