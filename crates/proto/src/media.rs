//! Media types.

/// Frames in MessagePack, each preceded by its length.
pub const MSGPACK: &str = "application/vnd.tolstoy+msgpack";

/// JSON: states, errors, and streams where asked for.
pub const JSON: &str = "application/json";

/// Bytes that mean nothing to the hub: a chunk.
pub const OCTETS: &str = "application/octet-stream";

/// The header field that carries a log's state where the body of an answer does not.
pub const STATE: &str = "tolstoy-state";

/// The header field that carries a snapshot's digest (RFC 9530).
pub const REPR_DIGEST: &str = "repr-digest";
