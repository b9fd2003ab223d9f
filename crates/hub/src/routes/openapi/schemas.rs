//! The document's schemas.

use serde_json::json;
use tolstoy_proto::limits::{MAX_CANDIDATES, MAX_MISSING};
use tolstoy_proto::v0::MAX_LIMIT;
use utoipa::openapi::schema::{
    AllOfBuilder, ArrayBuilder, ComponentsBuilder, Object, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};

pub(super) const LOG: &str = "3a1f0b52-6c1d-4a57-9f0e-5d1c2b7a9e10";
pub(super) const TRN: &str = "5528ebc5-6bb6-433b-87d9-5ea00ec78bf9";
const GENERATION: &str = "0198c9a0-7b1e-7d5a-8c3e-2f4a6b8c0d1e";
/// The SHA-256 of `hello`.
pub(super) const CHUNK: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
/// A task's id.
pub(super) const TASK: &str = "pb67wndxge8293xd";
pub(super) const ROOT: &str = "00000000-0000-0000-0000-000000000000";
const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A schema by its name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// All schemas that have a name.
pub(super) fn components() -> ComponentsBuilder {
    ids(tasks(frames(snapshots(states(ComponentsBuilder::new())))))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn number(least: u64) -> ObjectBuilder {
    let format = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
    ObjectBuilder::new().schema_type(Type::Integer).format(format).minimum(Some(least))
}

/// An object that has all of these, and may have more in a later version.
fn object<const N: usize>(about: &str, fields: [(&str, RefOr<Schema>); N]) -> Object {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(about));
    fields.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name)).build()
}

fn list(of: &str, most: Option<usize>) -> RefOr<Schema> {
    ArrayBuilder::new().items(named(of)).max_items(most).build().into()
}

fn or_null(name: &str) -> RefOr<Schema> {
    let null = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null));
    OneOfBuilder::new().item(null).item(named(name)).into()
}

fn ids(components: ComponentsBuilder) -> ComponentsBuilder {
    let uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
    components
        .schema(
            "Uuid",
            text().pattern(Some(uuid)).description(Some("A UUID of 36 lowercase characters.")).examples([TRN]),
        )
        .schema(
            "ChunkId",
            text()
                .pattern(Some("^[a-z0-9-]{1,64}$"))
                .description(Some("A chunk's id. One of exactly 64 hex digits is the SHA-256 of the chunk's bytes."))
                .examples([CHUNK]),
        )
        .schema("Digest", text().pattern(Some("^[0-9a-f]{64}$")).description(Some("32 bytes in hex.")).examples([ZERO]))
        .schema("Seq", number(0).description(Some("A transaction's place in its log: the root has 0.")))
}

fn states(components: ComponentsBuilder) -> ComponentsBuilder {
    let generation = object(
        "A log's life. A delete ends it; the next write begins the next one.",
        [("id", named("Uuid")), ("number", number(1).into())],
    );
    let state = object(
        "A log's state. Without a generation it was never written, or was deleted.",
        [
            ("generation", or_null("Generation")),
            ("head", named("Uuid")),
            ("seq", named("Seq")),
            ("chain", named("Digest")),
        ],
    );
    let head =
        object("HEAD: the newest committed transaction; the root where there is none.", [("head", named("Uuid"))]);
    let new = object(
        "A transaction: HEAD or a pending one is its parent, its chunks are here.",
        [("parent", named("Uuid")), ("chunks", list("ChunkId", None))],
    );
    let committed = object(
        "A committed transaction.",
        [("id", named("Uuid")), ("seq", named("Seq")), ("parent", named("Uuid")), ("chunks", list("ChunkId", None))],
    );
    let listing = object(
        "Committed transactions after `from`, ascending.",
        [
            ("from", named("Uuid")),
            ("limit", number(0).maximum(Some(MAX_LIMIT)).into()),
            ("transactions", list("Uuid", usize::try_from(MAX_LIMIT).ok())),
        ],
    );
    let error = object(
        "What is wrong, for programs and for people.",
        [
            ("error", kinds(&super::parts::KINDS.map(|(kind, _)| kind))),
            ("message", text().description(Some("What and why.")).into()),
        ],
    );
    let error = ObjectBuilder::from(error)
        .property("state", named("State"))
        .property("chunks", list("ChunkId", Some(MAX_MISSING)))
        .property("request", text().description(Some("The request's id, by which the hub's log knows it.")))
        .property("quota", named("Quota"));
    let quota = object(
        "A limit of what a log may hold.",
        [("of", kinds(&["bytes", "transactions"])), ("limit", number(0).into()), ("used", number(0).into())],
    );
    components
        .schema("Quota", quota)
        .schema("Generation", generation)
        .schema("State", state)
        .schema("Head", head)
        .schema("NewTransaction", new)
        .schema("CommittedTransaction", committed)
        .schema("Listing", listing)
        .schema("Error", error)
}

fn snapshots(components: ComponentsBuilder) -> ComponentsBuilder {
    let snapshot = object(
        "A snapshot: the committed transaction that it stands for, and its bytes' SHA-256 and number.",
        [
            ("id", named("Uuid")),
            ("seq", named("Seq")),
            ("chain", named("Digest")),
            ("digest", named("Digest")),
            ("bytes", number(0).into()),
        ],
    );
    let wanted = object(
        "A snapshot is wanted: how much, and what came since the newest.",
        [("urgency", kinds(&["low", "high"])), ("bytes", number(0).into()), ("transactions", number(0).into())],
    );
    let pushed = ObjectBuilder::new().schema_type(Type::Object).property("snapshot", named("SnapshotWanted"));
    let listed = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("snapshots", list("Snapshot", None))
        .required("snapshots");
    components
        .schema("Snapshot", snapshot)
        .schema("SnapshotWanted", wanted)
        .schema("Pushed", AllOfBuilder::new().item(named("State")).item(pushed))
        .schema("Snapshots", AllOfBuilder::new().item(named("State")).item(listed))
}

/// An object, whatever is in it.
pub(super) fn any_object() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Object).build().into()
}

fn tasks(components: ComponentsBuilder) -> ComponentsBuilder {
    let id = "^[23456789abcdefghkmnpqrstwxyz]{16}$";
    let prefix = "^[23456789abcdefghkmnpqrstwxyz]{0,16}$";
    let document = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A task's document: `docs/tasks.md`. All properties but the id are the client's own."))
        .property("id", named("TaskId"))
        .required("id");
    let answer = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What stands now of a task: null where nobody has it. Or why what was offered is refused."))
        .property("id", named("TaskId"))
        .required("id")
        .property("server_state", or_null("TaskDocument"))
        .property("refused", text());
    components
        .schema("TaskId", text().pattern(Some(id)).description(Some("A task's id.")).examples([TASK]))
        .schema("Prefix", text().pattern(Some(prefix)).description(Some("What ids of tasks begin with.")))
        .schema("TaskDocument", document)
        .schema("ClientState", object("What a client has of a task.", [("client_state", or_null("TaskDocument"))]))
        .schema("ServerState", object("What stands now of a task.", [("server_state", or_null("TaskDocument"))]))
        .schema(
            "TaskOffer",
            object(
                "What a client has of a task.",
                [("id", named("TaskId")), ("client_state", or_null("TaskDocument"))],
            ),
        )
        .schema("TaskAnswer", answer)
        .schema("TaskOffers", ArrayBuilder::new().items(named("TaskOffer")).build())
        .schema("TaskAnswers", ArrayBuilder::new().items(named("TaskAnswer")).build())
}

/// Bytes.
pub(super) fn octets() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).content_media_type(tolstoy_proto::media::OCTETS).into()
}

/// A log's snapshots, as an example.
pub(super) fn snapshots_example() -> serde_json::Value {
    let mut example = state_example();
    example["snapshots"] = json!([{"id": TRN, "seq": 1, "chain": ZERO, "digest": CHUNK, "bytes": 5}]);
    example
}

fn frames(components: ComponentsBuilder) -> ComponentsBuilder {
    let frame = |kind: &str, about: &str, content: Object| object(about, [(kind, content.into())]);
    let start = object(
        "",
        [
            ("state", named("State")),
            ("from", named("Uuid")),
            ("from_seq", named("Seq")),
            ("from_chain", named("Digest")),
        ],
    );
    let push = object("", [("expect", list("Uuid", Some(MAX_CANDIDATES)))]);
    let push = ObjectBuilder::from(push).property("generation", or_null("Generation")).build();
    let transaction = object(
        "",
        [("id", named("Uuid")), ("seq", named("Seq")), ("parent", named("Uuid")), ("chunks", list("ChunkId", None))],
    );
    let bytes = text().content_encoding("base64");
    let chunk = object("", [("id", named("ChunkId")), ("bytes", bytes.into())]);
    let piece = object("", [("bytes", text().content_encoding("base64").into())]);
    let end = object("", [("count", number(0).into()), ("chain", named("Digest"))]);
    let stream = |about: &str, first: &str| {
        let items = OneOfBuilder::new()
            .item(named(first))
            .item(named("TransactionFrame"))
            .item(named("ChunkFrame"))
            .item(named("EndFrame"));
        let items =
            if first == "StartFrame" { items.item(named("SnapshotFrame")).item(named("PieceFrame")) } else { items };
        ArrayBuilder::new().items(items).min_items(Some(2)).description(Some(about)).build()
    };
    components
        .schema("StartFrame", frame("start", "Opens a stream: the state it was read at, and where it starts.", start))
        .schema("PushFrame", frame("push", "Opens a push: what the client knows, newest first.", push))
        .schema("TransactionFrame", frame("transaction", "A transaction; its chunks follow.", transaction))
        .schema("ChunkFrame", frame("chunk", "A chunk's bytes.", chunk))
        .schema("SnapshotFrame", object("A snapshot; its pieces follow.", [("snapshot", named("Snapshot"))]))
        .schema("PieceFrame", frame("piece", "The next bytes of a snapshot.", piece))
        .schema("EndFrame", frame("end", "Closes a stream. One without it was cut.", end))
        .schema("PullStream", stream("Committed transactions, with a `start` first and an `end` last.", "StartFrame"))
        .schema("PushStream", stream("Transactions to commit, with a `push` first and an `end` last.", "PushFrame"))
        .schema(
            "FrameBytes",
            text().description(Some(
                "The same frames in MessagePack, one after the other: each is preceded by its length, a u32 in big-endian \
                 order, and is a map with one entry, as its JSON form. UUIDs are `bin` of 16, digests `bin` of 32, chunk ids \
                 `str`, bytes `bin`.",
            )),
        )
}

/// A text that is one of these.
pub(super) fn kinds(kinds: &[&str]) -> RefOr<Schema> {
    text().enum_values(Some(kinds.iter().copied())).build().into()
}

/// An error of these kinds, with what they carry.
pub(super) fn error_of(kinds_: &[&str], carries: Option<&str>) -> Schema {
    let narrow = ObjectBuilder::new().schema_type(Type::Object).property("error", kinds(kinds_));
    let narrow = carries.into_iter().fold(narrow, |narrow, field| narrow.required(field));
    AllOfBuilder::new().item(named("Error")).item(narrow).build().into()
}

/// The fields of `/1/status`.
pub(super) fn status() -> Object {
    let field = |kind: Type| ObjectBuilder::new().schema_type(kind).into();
    let all_of = |kind: Type| ArrayBuilder::new().items(ObjectBuilder::new().schema_type(kind)).into();
    object(
        "What the status page shows.",
        [
            ("version", field(Type::String)),
            ("now", field(Type::String)),
            ("uptime_seconds", number(0).into()),
            ("ready", field(Type::Boolean)),
            ("problems", all_of(Type::String)),
            ("writer", field(Type::Object)),
            ("storage", field(Type::Object)),
            ("connections", number(0).into()),
            ("streams", number(0).into()),
            ("activity", all_of(Type::Object)),
            ("logs", all_of(Type::Object)),
            (
                "next",
                OneOfBuilder::new()
                    .item(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)))
                    .item(text())
                    .into(),
            ),
        ],
    )
}

/// A state, as an example.
pub(super) fn state_example() -> serde_json::Value {
    json!({"generation": {"id": GENERATION, "number": 1}, "head": TRN, "seq": 1, "chain": ZERO})
}
