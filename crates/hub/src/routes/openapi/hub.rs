//! Operations on the hub itself.

use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::Op;
use super::schemas;

pub(crate) fn root() -> Operation {
    let text = || ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
    let both = ResponseBuilder::new()
        .description("A line of text; for who accepts `text/html`, the status page.")
        .content("text/plain", text())
        .content("text/html", text());
    Op::new("hub", "root", "Says what this is").answer(200, both).build()
}

pub(crate) fn readyz() -> Operation {
    let ready = ObjectBuilder::new().property("status", schemas::kinds(&["ready"])).required("status");
    Op::new("hub", "readyz", "Whether the hub can do its work")
        .about("A commit reaches the disk, the disk has room, and the hub is not stopping. Otherwise 503 says what is wrong.")
        .json(200, "The hub is ready.", ready, json!({"status": "ready"}))
        .build()
}

pub(crate) fn metrics() -> Operation {
    let text = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
    let exposition = ResponseBuilder::new().description("The metrics, in the text format of OpenMetrics 1.0.");
    Op::new("hub", "metrics", "What the hub counts of its work")
        .about("For who may see all logs. `docs/hosting.md` lists the metrics.")
        .answer(200, exposition.content("application/openmetrics-text", text))
        .build()
}

pub(crate) fn status() -> Operation {
    let object =
        ["version", "now", "uptime_seconds", "ready", "problems", "writer", "storage", "activity", "logs", "next"]
            .iter()
            .fold(ObjectBuilder::new().schema_type(Type::Object), |object, field| object.required(*field));
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64));
    Op::new("hub", "status", "What the status page shows")
        .about("For who may see all logs. What it holds may grow and change: it is for people, by way of the page.")
        .may_ask("prefix", text(), "Lists only logs whose ids begin so.")
        .may_ask("limit", limit, "How many logs at most; 50 where it is not said, 200 where it is more.")
        .may_ask("after", text(), "The `next` of the page before.")
        .json(200, "The hub as it is.", object, json!({"version": "0.1.0"}))
        .build()
}

pub(crate) fn healthz() -> Operation {
    let ok = ObjectBuilder::new().property("status", schemas::kinds(&["ok"])).required("status");
    Op::new("hub", "healthz", "Whether the hub answers writes")
        .json(200, "The writer answers.", ok, json!({"status": "ok"}))
        .writes()
        .build()
}

pub(crate) fn openapi() -> Operation {
    let object = ObjectBuilder::new().schema_type(Type::Object).required("openapi").required("paths");
    Op::new("hub", "openapi", "This document")
        .json(200, "OpenAPI 3.1.", object, json!({"openapi": "3.1.0", "paths": {}}))
        .build()
}
