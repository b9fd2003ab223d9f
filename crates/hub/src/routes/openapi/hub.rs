//! Operations on the hub itself.

use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, ResponseBuilder};

use super::parts::Op;
use super::schemas;

pub(crate) fn root() -> Operation {
    let text = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
    let line = ResponseBuilder::new().description("A line of text.").content("text/plain", text);
    Op::new("hub", "root", "Says what this is").answer(200, line).build()
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
