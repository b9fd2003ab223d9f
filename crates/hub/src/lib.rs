//! The server: logs, their chains and chunks, over HTTP.
