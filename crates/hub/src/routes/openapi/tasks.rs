//! Operations on tasks.

use serde_json::{Value, json};
use tolstoy_proto::media;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::{self, Op};
use super::schemas::{self, LOG, TASK, named};

fn op(id: &str, summary: &str) -> Op {
    Op::new("1", id, summary).segment("log", "Uuid", LOG, "The log.")
}

/// About the log of the asker's token.
fn own(id: &str, summary: &str) -> Op {
    let about = "With a token that is for exactly one log; that one is meant.";
    Op::new("tasks", id, summary).about(about).shared(&[400, 409])
}

fn compared(op: Op) -> Op {
    let prefixes = ArrayBuilder::new().items(named("Prefix")).max_items(Some(tolstoy_tasks::interchange::MAX_PREFIXES));
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64));
    let same = ResponseBuilder::new().description("The digest is the one that the request names.");
    let content = ContentBuilder::new().schema(Some(schemas::any_object())).example(Some(json!({}))).build();
    let found = coded(
        ResponseBuilder::new()
            .description("The hash of each task by its id; or the nodes that were asked for, by their prefixes.")
            .content(media::JSON, content),
    );
    let tagged = |response: ResponseBuilder| {
        let tag = parts::tag_of("The digest of the tasks, which a client can work out from its own hashes.");
        response.header("ETag", tag).header("Cache-Control", parts::fresh())
    };
    op.may_ask(
        "prefix",
        prefixes,
        "The nodes of the tree of hashes that are to be told instead of all hashes; empty: the root.",
    )
    .may_ask(
        "wait",
        seconds,
        "With `If-None-Match`: how many seconds to wait for a difference before the answer is 304.",
    )
    .may_say("If-None-Match", "\"none\"", "The digest, in quotation marks, of the tasks that the client has.")
    .coded()
    .answer(200, tagged(found))
    .answer(304, tagged(same))
}

fn coded(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header("Content-Encoding", parts::coded())
        .header("Accept-Encoding", parts::takes())
        .header("Vary", parts::vary())
}

pub(crate) fn hashes() -> Operation {
    compared(op("hashes", "The hashes of the log's tasks")).build()
}

pub(crate) fn own_hashes() -> Operation {
    compared(own("own-hashes", "The hashes of the tasks")).build()
}

fn document() -> Value {
    json!({"id": TASK, "description": "example description", "tags": ["test"]})
}

fn exchanged(op: Op) -> Op {
    let answer = parts::json("What stands now.", named("ServerState"), json!({"server_state": document()}));
    op.segment("id", "TaskId", TASK, "The task.")
        .body(
            "What the client has of it, whatever the content type says.",
            &[(media::JSON, named("ClientState"), Some(json!({"client_state": document()})))],
        )
        .coded()
        .answer(200, coded(answer))
        .shared(&[409])
        .writes()
}

pub(crate) fn task() -> Operation {
    exchanged(op("task", "Exchanges a task")).build()
}

pub(crate) fn own_task() -> Operation {
    exchanged(own("own-task", "Exchanges a task")).build()
}

pub(crate) fn tasks() -> Operation {
    let offers = json!([{"id": TASK, "client_state": document()}]);
    let answers = json!([{"id": TASK, "server_state": document()}]);
    op("tasks", "Exchanges tasks")
        .about("The answer may be shorter than the offers: the client sends the rest again.")
        .body(
            "What the client has of them, whatever the content type says.",
            &[(media::JSON, named("TaskOffers"), Some(offers))],
        )
        .coded()
        .answer(200, coded(parts::json("What stands now.", named("TaskAnswers"), answers)))
        .writes()
        .build()
}
