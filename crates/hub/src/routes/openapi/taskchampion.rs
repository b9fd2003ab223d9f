//! Operations of `/v1/client`.

use serde_json::json;
use tolstoy_proto::taskchampion::{
    CLIENT_ID, HISTORY_SEGMENT, PARENT_VERSION_ID, SNAPSHOT, SNAPSHOT_REQUEST, VERSION_ID,
};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Header, ResponseBuilder};

use super::parts::{self, Op};
use super::schemas::{self, LOG, ROOT, TRN, named};

fn op(id: &str, summary: &str) -> Op {
    let about =
        "The id of the client, a UUID of 36 lowercase characters: all replicas that share their tasks have one.";
    Op::new("taskchampion", id, summary).must_say(CLIENT_ID, LOG, about).shared(&[400])
}

fn version(about: &str) -> Header {
    parts::header(named("Uuid"), about)
}

pub(crate) fn add_version() -> Operation {
    let added = parts::empty("It is the newest version.").header(VERSION_ID, version("Its id.")).header(
        SNAPSHOT_REQUEST,
        parts::header(schemas::kinds(&["urgency=low", "urgency=high"]), "Whether a snapshot is wanted, and how much."),
    );
    let conflict = parts::error(&["conflict"], None).header(PARENT_VERSION_ID, version("The newest version."));
    op("add-version", "Adds a version")
        .about("After the newest one; where there are no versions, after any.")
        .segment("parent", "Uuid", ROOT, "The version that it comes after.")
        .bytes(HISTORY_SEGMENT, "What the version holds: not empty, at most 100 MiB.", json!("hello"))
        .answer(200, added)
        .answer(409, conflict)
        .writes()
        .build()
}

pub(crate) fn get_child_version() -> Operation {
    let content = ContentBuilder::new().schema(Some(schemas::octets())).build();
    let found = ResponseBuilder::new()
        .description("What the version holds.")
        .content(HISTORY_SEGMENT, content)
        .header(VERSION_ID, version("Its id."))
        .header(PARENT_VERSION_ID, version("The version that it comes after."));
    op("get-child-version", "The version after another")
        .segment("parent", "Uuid", ROOT, "The version that it comes after.")
        .answer(200, found)
        .answer(410, parts::error(&["gone"], None))
        .build()
}

pub(crate) fn add_snapshot() -> Operation {
    op("add-snapshot", "Keeps a snapshot")
        .about("It stands for all versions up to this one. The newest is kept, and the one before it.")
        .segment("version", "Uuid", TRN, "The version.")
        .bytes(SNAPSHOT, "The snapshot: not empty, at most 100 MiB.", json!("hello"))
        .answer(200, parts::empty("It is kept, or a newer one is."))
        .writes()
        .build()
}

pub(crate) fn get_snapshot() -> Operation {
    let content = ContentBuilder::new().schema(Some(schemas::octets())).build();
    let found = ResponseBuilder::new()
        .description("The snapshot.")
        .content(SNAPSHOT, content)
        .header(VERSION_ID, version("The newest version that it stands for."));
    op("get-snapshot-of-client", "The newest snapshot").answer(200, found).shared(&[404]).build()
}
