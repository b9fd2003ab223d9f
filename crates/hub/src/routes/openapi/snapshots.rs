//! Operations on snapshots.

use tolstoy_proto::media;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::{self, Op};
use super::schemas::{self, LOG, TRN, named};

fn op(id: &str, summary: &str) -> Op {
    Op::new("1", id, summary).segment("log", "Uuid", LOG, "The log.")
}

fn of_transaction(id: &str, summary: &str) -> Op {
    op(id, summary)
        .segment("trn", "Uuid", TRN, "The committed transaction that the snapshot stands for.")
        .shared(&[404])
}

pub(crate) fn list() -> Operation {
    op("snapshots", "The snapshots that the hub has of the log")
        .json(200, "The newest first, and the log's state.", named("Snapshots"), schemas::snapshots_example())
        .build()
}

pub(crate) fn upload() -> Operation {
    let stored = "It is kept, or newer ones are: those, and the log's state.";
    of_transaction("put-snapshot", "Keeps a snapshot")
        .about(
            "The bytes mean nothing to the hub. The newest is kept, and the one before it. The same again is answered as \
             before; another one of the same transaction takes its place; one that is older than all that are kept is let go.",
        )
        .must_say("Repr-Digest", parts::DIGEST, "The SHA-256 of the bytes (RFC 9530).")
        .octets("The snapshot.")
        .json(201, stored, named("Snapshots"), schemas::snapshots_example())
        .writes()
        .build()
}

pub(crate) fn download() -> Operation {
    let content = ContentBuilder::new().schema(Some(schemas::octets())).build();
    let same = ResponseBuilder::new().description("The snapshot is the one that the request knows.");
    let with = |response: ResponseBuilder| {
        response
            .header("ETag", parts::tag_of("The SHA-256 of the snapshot, in hex."))
            .header("Repr-Digest", parts::digest())
    };
    of_transaction("get-snapshot", "A snapshot's bytes")
        .may_say("If-None-Match", "\"none\"", "The `ETag` of the snapshot that the client has.")
        .answer(200, with(ResponseBuilder::new().description("The bytes.").content(media::OCTETS, content)))
        .answer(304, with(same))
        .build()
}
