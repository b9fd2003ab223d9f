//! What operations are put together from: parameters, bodies, answers.

use serde_json::Value;
use tolstoy_proto::limits::{MAX_CANDIDATES, MAX_WAIT};
use tolstoy_proto::media;
use tolstoy_proto::v0::{DEFAULT_LIMIT, MAX_LIMIT};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Components, ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Required, ResponseBuilder, Schema};

use super::schemas::{self, named};

/// The name of the one scheme of authorization.
pub(super) const BEARER: &str = "bearer";

/// Each kind of error, and when it is answered.
pub(super) const KINDS: [(&str, &str); 21] = [
    ("bad-request", "The request is malformed. The same again will be refused again."),
    ("unauthorized", "The hub answers only who shows a token, and there was none, or none that is valid."),
    ("forbidden", "The asker is not answered: wrong Host or Origin, or the token lacks a right."),
    ("not-found", "There is no such thing, or none that can be seen."),
    ("method-not-allowed", "The path knows other methods."),
    ("not-acceptable", "The request takes no content coding that the hub knows."),
    ("timeout", "The body stalled."),
    ("conflict", "The state of the log forbids it. Look again, then decide."),
    ("id-taken", "The id names something else already. What is stored stays."),
    ("foreign-log", "The log belongs to clients of TaskChampion's, who have a surface of their own."),
    ("gone", "The version is not here, and others are: there is no way from it to them."),
    ("generation", "The log is in another generation than the client's."),
    ("too-large", "The body is over the limit, with nothing coded any more."),
    ("unsupported-media-type", "The body's media type, or its content coding, is not known here."),
    ("missing-chunks", "Chunks are neither in the push nor on the hub."),
    ("chain-mismatch", "The client's chain digest is not the hub's, though HEAD is the same."),
    ("rate-limited", "More requests than this token or address may send. Try again later."),
    ("busy", "The hub has more to do than it can. Try again later."),
    ("full", "The hub's disk is full: nothing was changed."),
    ("quota", "The log holds as much as the hub's owner allows: nothing was changed. Reading and deleting still work."),
    ("internal", "The hub failed. Its own log says why."),
];

/// Answers that several operations give, by their names: the status, and the kind of error.
const SHARED: [(&str, u16, &[&str]); 13] = [
    ("BadRequest", 400, &["bad-request"]),
    ("Unauthorized", 401, &["unauthorized"]),
    ("Forbidden", 403, &["forbidden"]),
    ("NotFound", 404, &["not-found"]),
    ("NotAcceptable", 406, &["not-acceptable"]),
    ("Timeout", 408, &["timeout"]),
    ("Conflict", 409, &["conflict", "foreign-log"]),
    ("TooLarge", 413, &["too-large"]),
    ("UnsupportedMediaType", 415, &["unsupported-media-type"]),
    ("RateLimited", 429, &["rate-limited"]),
    ("Internal", 500, &["internal"]),
    ("Busy", 503, &["busy"]),
    ("Full", 507, &["full", "quota"]),
];

const REQUEST_ID: &str = "X-Request-Id";
const STATE: &str = "Tolstoy-State";

fn header_named(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

/// With what every answer has.
fn general(response: ResponseBuilder) -> ResponseBuilder {
    response.header_ref(REQUEST_ID, header_named(REQUEST_ID))
}

fn about(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("", |(_, about)| about)
}

/// An answer that is an error of one of these kinds.
pub(super) fn error(kinds: &[&str], carries: Option<&str>) -> ResponseBuilder {
    let description: Vec<&str> = kinds.iter().map(|kind| about(kind)).collect();
    let example = serde_json::json!({"error": kinds.first(), "message": "what and why"});
    let content = ContentBuilder::new().schema(Some(schemas::error_of(kinds, carries)));
    // One that carries more would have to show it.
    let content = if carries.is_none() { content.example(Some(example)) } else { content };
    ResponseBuilder::new().description(description.join(" ")).content(media::JSON, content.build())
}

/// With the answers that several operations give, and the scheme of authorization.
pub(super) fn responses(components: ComponentsBuilder) -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token, where the hub has tokens: `tolstoy token create`."))
        .build();
    let components = components.security_scheme(BEARER, SecurityScheme::Http(bearer));
    let components = components
        .header(REQUEST_ID, header(text(), "The request's id: the asker's own, or one that the hub made."))
        .header(STATE, header(text(), "The log's state, where the body does not carry it: `generation=UUID/NUMBER; head=UUID; seq=N; chain=HEX`, or \
             `generation=none`."));
    let with_all = SHARED.iter().fold(components, |components, (name, status, kinds)| {
        let response = general(error(kinds, None)).header_ref(STATE, header_named(STATE));
        let response = match status {
            401 => response.header("WWW-Authenticate", header(text(), "`Bearer`, and what is wrong with the token.")),
            429 | 503 => response.header("Retry-After", whole_seconds()),
            415 => response.header("Accept-Encoding", takes()),
            _ => response,
        };
        components.response(*name, response.build())
    });
    with_all.build()
}

/// A header of an answer.
pub(super) fn header(schema: impl Into<RefOr<Schema>>, about: &str) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
}

/// A text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn whole_seconds() -> Header {
    header(text().pattern(Some("^[0-9]{1,9}$")), "Seconds after which to try again.")
}

/// `Accept-Encoding` in an answer.
pub(super) fn takes() -> Header {
    header(schemas::kinds(&["zstd"]), "The content codings that bodies may be sent in.")
}

/// `Content-Encoding` in an answer.
pub(super) fn coded() -> Header {
    header(schemas::kinds(&["zstd"]), "How the body is coded, where it is.")
}

/// `Vary`.
pub(super) fn vary() -> Header {
    header(text(), "What of the request the answer depends on.")
}

/// `ETag`.
pub(super) fn tag() -> Header {
    header(text(), "Names the log's state; for `If-None-Match`.")
}

/// The digest of `hello`, as a field.
pub(super) const DIGEST: &str = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";

/// `ETag` of something else than a state.
pub(super) fn tag_of(about: &str) -> Header {
    header(text(), about)
}

/// `Repr-Digest` in an answer.
pub(super) fn digest() -> Header {
    header(text(), "The SHA-256 of the bytes (RFC 9530).")
}

/// `Cache-Control` of a state.
pub(super) fn fresh() -> Header {
    header(schemas::kinds(&["no-cache"]), "Ask again each time.")
}

/// An operation that is described.
pub(super) struct Op {
    operation: OperationBuilder,
    of_log: bool,
}

impl Op {
    /// An operation. Every one may be refused, and fail.
    pub(super) fn new(tag: &str, id: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary));
        Self { operation, of_log: tag == "1" }.shared(&[401, 403, 429, 500, 503])
    }

    fn with(self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        Self { operation: change(self.operation), ..self }
    }

    pub(super) fn about(self, text: &str) -> Self {
        self.with(|operation| operation.description(Some(text)))
    }

    /// A part of the path.
    pub(super) fn segment(self, name: &str, schema: &str, example: &str, about: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(about))
            .schema(Some(named(schema)))
            .example(Some(Value::from(example)));
        // A log that the token does not cover looks as if it was not there. One of others' clients is refused.
        self.with(|operation| operation.parameter(parameter)).shared(&[400, 404, 409])
    }

    /// A header that the request may have.
    pub(super) fn may_say(self, name: &str, example: &str, about: &str) -> Self {
        self.says(name, Required::False, example, about)
    }

    /// A header that the request must have.
    pub(super) fn must_say(self, name: &str, example: &str, about: &str) -> Self {
        self.says(name, Required::True, example, about)
    }

    fn says(self, name: &str, required: Required, example: &str, about: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(required)
            .description(Some(about))
            .schema(Some(text()))
            .example(Some(Value::from(example)));
        self.with(|operation| operation.parameter(parameter))
    }

    /// A part of the query.
    pub(super) fn may_ask(self, name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .description(Some(about))
            .style(Some(ParameterStyle::Form))
            .explode(Some(false))
            .schema(Some(schema));
        self.with(|operation| operation.parameter(parameter)).shared(&[400])
    }

    /// `?wait=` and `If-None-Match`.
    pub(super) fn conditional(self) -> Self {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64));
        let about = format!(
            "With `If-None-Match`: how many seconds to wait for a change before the answer is 304; more than {MAX_WAIT} are \
             taken as {MAX_WAIT}."
        );
        let same = ResponseBuilder::new().description("The state is the one that the request knows.");
        self.may_ask("wait", seconds, &about)
            .may_say("If-None-Match", "\"none\"", "The `ETag` of the state that the client knows.")
            .answer(304, same.header("ETag", tag()).header("Cache-Control", fresh()))
    }

    /// `?from=` of `/1`.
    pub(super) fn candidates(self) -> Self {
        let ids = ArrayBuilder::new().items(named("Uuid")).max_items(Some(MAX_CANDIDATES));
        let about = "Transactions that the client has, newest first. The stream starts after the first that is committed, or \
            after the root.";
        self.may_ask("from", ids, about)
    }

    /// `?from=` and `?limit=` of `/0.1`.
    pub(super) fn page(self) -> Self {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64));
        let about = format!("How many at most; {DEFAULT_LIMIT} where it is not said, {MAX_LIMIT} where it is more.");
        self.may_ask(
            "from",
            named("Uuid"),
            "The transaction after which the list begins; the root where it is not said.",
        )
        .may_ask("limit", limit, &about)
    }

    /// A body that may be coded.
    pub(super) fn body(self, about: &str, contents: &[(&str, RefOr<Schema>, Option<Value>)]) -> Self {
        let body = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
        let body = contents.iter().fold(body, |body, (media, schema, example)| {
            body.content(*media, ContentBuilder::new().schema(Some(schema.clone())).example(example.clone()).build())
        });
        self.with(|operation| operation.request_body(Some(body.build())))
            .may_say(
                "Content-Encoding",
                "identity",
                "`zstd`: one frame, without a dictionary, its window at most 8 MiB.",
            )
            .shared(&[400, 408, 413, 415])
    }

    /// A body of bytes that must not be coded.
    pub(super) fn octets(self, about: &str) -> Self {
        self.bytes(media::OCTETS, about, Value::from("hello"))
    }

    /// The same, of another media type.
    pub(super) fn bytes(self, media: &str, about: &str, example: Value) -> Self {
        let bytes = ContentBuilder::new().schema(Some(schemas::octets())).example(Some(example)).build();
        let body = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
        let body = body.content(media, bytes).build();
        self.with(|operation| operation.request_body(Some(body))).shared(&[400, 408, 413, 415])
    }

    /// `?snapshot=1`.
    pub(super) fn may_begin_at_snapshot(self) -> Self {
        let flag = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_u64)).maximum(Some(1_u64));
        let about = "1: where the stream begins at the root and the hub has a snapshot, it begins with the newest one, and the \
            transactions after it follow.";
        self.may_ask("snapshot", flag, about)
    }

    /// Answers may be coded.
    pub(super) fn coded(self) -> Self {
        self.may_say("Accept-Encoding", "identity", "`zstd`, where the answer may be coded.").shared(&[406])
    }

    /// It writes: the disk may be full.
    pub(super) fn writes(self) -> Self {
        self.shared(&[507])
    }

    /// Answers that other operations give too.
    pub(super) fn shared(self, statuses: &[u16]) -> Self {
        statuses.iter().fold(self, |op, status| match SHARED.iter().find(|(_, known, _)| known == status) {
            Some((name, ..)) => {
                op.with(|operation| operation.response(status.to_string(), Ref::from_response_name(*name)))
            }
            None => op,
        })
    }

    pub(super) fn answer(self, status: u16, response: ResponseBuilder) -> Self {
        // Answers about a log carry its state.
        let response = if self.of_log { response.header_ref(STATE, header_named(STATE)) } else { response };
        self.with(|operation| operation.response(status.to_string(), general(response).build()))
    }

    /// An answer with a body in JSON.
    pub(super) fn json(self, status: u16, about: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> Self {
        self.answer(status, json(about, schema, example))
    }

    pub(super) fn build(self) -> Operation {
        self.operation.build()
    }
}

/// An answer with a body in JSON.
pub(super) fn json(about: &str, schema: impl Into<RefOr<Schema>>, example: Value) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    ResponseBuilder::new().description(about).content(media::JSON, content)
}

/// An answer that is only a status.
pub(super) fn empty(about: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(about)
}
