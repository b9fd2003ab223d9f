//! The OpenAPI document: what is written about the routes, served and kept in `docs/openapi.json`.

pub(super) mod hub;
mod parts;
mod schemas;
pub(super) mod snapshots;
pub(super) mod taskchampion;
pub(super) mod tasks;
pub(super) mod v0;
pub(super) mod v1;

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tolstoy_proto::{media, paths};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Paths, SecurityRequirement, tag::TagBuilder};

use super::App;
use super::error::ApiError;
use super::table::{Described, Routes};

const ABOUT: &str = "Logs of transactions and their chunks, over two surfaces: `/1`, and `/0.1`, which is the API of the \
    Mentat sync prototype; and `/v1/client`, which is TaskChampion's sync protocol. Tasks are on `/1`, and on `/hashes` and `/task`. What the requests mean is in `docs/protocol.md`, how HTTP carries them in `docs/http.md`.";

pub(super) fn routes() -> Routes {
    Routes::default().get(paths::OPENAPI, document, hub::openapi)
}

async fn document(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let text = app
        .openapi
        .get()
        .and_then(Document::text)
        .ok_or_else(|| ApiError::internal(&"the OpenAPI document cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, media::JSON)], text).into_response())
}

/// The document about all routes. It is written when it is first asked for.
pub(crate) struct Document {
    described: Vec<Described>,
    text: OnceLock<Option<Bytes>>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document")
    }
}

impl Document {
    pub(super) fn of(described: Vec<Described>) -> Self {
        Self { described, text: OnceLock::new() }
    }

    fn text(&self) -> Option<Bytes> {
        let Self { described, text } = self;
        text.get_or_init(|| write(described).to_pretty_json().ok().map(|text| (text + "\n").into())).clone()
    }
}

fn write(described: &[Described]) -> OpenApi {
    let mut paths = Paths::new();
    for Described { path, method, describe } in described {
        paths.add_path_operation(path, vec![method.clone()], describe());
    }
    let info = InfoBuilder::new()
        .title("Tolstoy hub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(utoipa::openapi::License::new("MIT OR Apache-2.0")))
        .build();
    let tag = |name: &str, about: &str| TagBuilder::new().name(name).description(Some(about)).build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(parts::responses(schemas::components())))
        // Either: a hub that has no tokens, or one of them.
        .security(Some([SecurityRequirement::default(), SecurityRequirement::new(parts::BEARER, [""; 0])]))
        .tags(Some([
            tag("hub", "The hub itself."),
            tag("1", "The surface of Tolstoy's own clients."),
            tag("0.1", "The surface of the Mentat sync prototype's clients."),
            tag("tasks", "The network interchange format of tasks, for who has a token for one log."),
            tag("taskchampion", "The surface of TaskChampion's clients, such as Taskwarrior."),
        ]))
        .build()
}
