//! Operations on the hub itself.

use serde_json::json;
use tolstoy_proto::media;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::{self, Op};
use super::schemas;

fn text(about: &str, kinds: &[&str]) -> ResponseBuilder {
    let text = || ContentBuilder::new().schema(Some(parts::text())).build();
    kinds.iter().fold(ResponseBuilder::new().description(about), |response, kind| response.content(*kind, text()))
}

pub(crate) fn root() -> Operation {
    let line = text(
        "The status page where `Accept` names `text/html`; a line of text otherwise.",
        &["text/plain", "text/html"],
    );
    // What keeps the page to itself.
    let headers = [
        "Content-Security-Policy",
        "X-Content-Type-Options",
        "X-Frame-Options",
        "Referrer-Policy",
        "Cache-Control",
        "Vary",
        "Cross-Origin-Opener-Policy",
        "Permissions-Policy",
    ];
    let about = "With the page: what a browser lets it do.";
    let line = headers.iter().fold(line, |line, name| line.header(*name, parts::header(parts::text(), about)));
    Op::new("hub", "root", "Says what this is").answer(200, line).build()
}

pub(crate) fn status() -> Operation {
    let about = "The hub's health, its activity, and a page of its logs. With tokens it takes one with the right admin on all logs.";
    let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64));
    let status = ContentBuilder::new().schema(Some(schemas::status())).build();
    let status = ResponseBuilder::new().description("What the status page shows.").content(media::JSON, status);
    let fresh = parts::header(schemas::kinds(&["no-store"]), "It is not to be kept.");
    Op::new("hub", "status", "What the status page shows")
        .about(about)
        .may_ask("prefix", parts::text(), "Lists only logs whose ids begin so.")
        .may_ask("limit", limit, "Lists at most so many.")
        .may_ask("after", parts::text(), "The `next` of the page before.")
        .answer(200, status.header("Cache-Control", fresh))
        .build()
}

pub(crate) fn readyz() -> Operation {
    let ready = ObjectBuilder::new().property("status", schemas::kinds(&["ready"])).required("status");
    Op::new("hub", "readyz", "Whether the hub can do its work")
        .json(200, "It can. Where it cannot, 503 says why.", ready, json!({"status": "ready"}))
        .build()
}

pub(crate) fn metrics() -> Operation {
    let about = "With tokens it takes one with the right admin on all logs.";
    Op::new("hub", "metrics", "What the hub counts")
        .about(about)
        .answer(200, text("OpenMetrics.", &["application/openmetrics-text"]))
        .build()
}

pub(crate) fn healthz() -> Operation {
    let ok = ObjectBuilder::new().property("status", schemas::kinds(&["ok"])).required("status");
    Op::new("hub", "healthz", "Whether the hub answers writes")
        .json(200, "Writes get anywhere, or there are none.", ok, json!({"status": "ok"}))
        .writes()
        .build()
}

pub(crate) fn openapi() -> Operation {
    let object = ObjectBuilder::new().schema_type(Type::Object).required("openapi").required("paths");
    Op::new("hub", "openapi", "This document")
        .json(200, "OpenAPI 3.1.", object, json!({"openapi": "3.1.0", "paths": {}}))
        .build()
}
