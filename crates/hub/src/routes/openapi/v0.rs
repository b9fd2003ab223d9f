//! Operations of `/0.1`.

use serde_json::json;
use tolstoy_proto::media;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::{self, Op};
use super::schemas::{self, CHUNK, LOG, ROOT, TRN, named};

fn op(id: &str, summary: &str) -> Op {
    Op::new("0.1", id, summary).segment("user", "Uuid", LOG, "The log, which this surface calls the user.")
}

pub(crate) fn base() -> Operation {
    op("v0_base", "Says that the hub is there").answer(200, parts::empty("It is.")).build()
}

pub(crate) fn base_slash() -> Operation {
    op("v0_base_slash", "Says that the hub is there").answer(200, parts::empty("It is.")).build()
}

pub(crate) fn delete() -> Operation {
    op("v0_delete", "Deletes the log").answer(204, parts::empty("It is as if it never was.")).writes().build()
}

pub(crate) fn delete_slash() -> Operation {
    op("v0_delete_slash", "Deletes the log").answer(204, parts::empty("It is as if it never was.")).writes().build()
}

pub(crate) fn get_head() -> Operation {
    op("v0_get_head", "HEAD")
        .conditional()
        .answer(
            200,
            parts::json("HEAD; the root where the log is empty.", named("Head"), json!({"head": TRN}))
                .header("ETag", parts::tag())
                .header("Cache-Control", parts::fresh()),
        )
        .build()
}

pub(crate) fn put_head() -> Operation {
    op("v0_put_head", "Moves HEAD")
        .about("To a pending transaction that grows from it and has no descendants.")
        .body(
            "The new HEAD, whatever the content type says.",
            &[(media::JSON, named("Head"), Some(json!({"head": TRN})))],
        )
        .answer(204, parts::empty("HEAD is there."))
        .shared(&[409])
        .writes()
        .build()
}

pub(crate) fn list() -> Operation {
    op("v0_list", "Lists committed transactions")
        .page()
        .json(200, "The list.", named("Listing"), json!({"from": ROOT, "limit": 100, "transactions": [TRN]}))
        .shared(&[404])
        .build()
}

fn transaction(id: &str, summary: &str) -> Op {
    op(id, summary).segment("trn", "Uuid", TRN, "The transaction.")
}

pub(crate) fn get_transaction() -> Operation {
    transaction("v0_get_transaction", "A committed transaction")
        .json(
            200,
            "The transaction.",
            named("CommittedTransaction"),
            json!({"id": TRN, "seq": 1, "parent": ROOT, "chunks": [CHUNK]}),
        )
        .shared(&[404])
        .build()
}

pub(crate) fn put_transaction() -> Operation {
    let example = json!({"parent": ROOT, "chunks": [CHUNK]});
    transaction("v0_put_transaction", "Uploads a transaction")
        .about("It is pending, and nobody can see it, until HEAD moves to it or past it.")
        .body(
            "The transaction, whatever the content type says.",
            &[(media::JSON, named("NewTransaction"), Some(example))],
        )
        .answer(201, parts::empty("It is here."))
        .shared(&[404, 409])
        .writes()
        .build()
}

fn chunk(id: &str, summary: &str) -> Op {
    op(id, summary).segment("chunk", "ChunkId", CHUNK, "The chunk.")
}

pub(crate) fn get_chunk() -> Operation {
    let bytes = ResponseBuilder::new()
        .description("The bytes.")
        .content(media::OCTETS, ContentBuilder::new().schema(Some(schemas::octets())).build())
        .header("Content-Encoding", parts::coded())
        .header("Accept-Encoding", parts::takes())
        .header("Vary", parts::vary());
    chunk("v0_get_chunk", "A chunk's bytes").coded().answer(200, bytes).shared(&[404]).build()
}

pub(crate) fn put_chunk() -> Operation {
    chunk("v0_put_chunk", "Uploads a chunk")
        .body("The bytes, whatever the content type says.", &[(media::OCTETS, schemas::octets(), Some(json!("hello")))])
        .answer(201, parts::empty("It is here."))
        .shared(&[409])
        .writes()
        .build()
}
