//! The transport over HTTP, as `docs/http.md` has it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, StatusCode};
use tolstoy_proto::{ChunkId, ErrorBody, ErrorKind, LogState, TrnId, media, paths};

use crate::remote::Remote;
use crate::transport::{Answer, Body, Transport, TransportError};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the hub may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer that is not a stream.
const MAX_SMALL: usize = 1 << 20;

/// Speaks to a hub over HTTP. Keeps its connection between requests.
#[derive(Debug)]
pub struct HttpTransport {
    client: Client,
    remote: Remote,
}

impl HttpTransport {
    /// A transport to a log on a hub.
    ///
    /// # Errors
    /// Where the system's TLS settings cannot be used.
    pub fn new(remote: Remote) -> Result<Self, TransportError> {
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tolstoy/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| TransportError::Unreachable(deepest(&e)))?;
        Ok(Self { client, remote })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.remote.url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, TransportError> {
        request.send().await.map_err(|e| failed(&self.remote, &e))
    }
}

/// A streamed answer.
#[derive(Debug)]
pub struct HttpBody(Response);

impl Body for HttpBody {
    async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        self.0.chunk().await.map_err(|e| TransportError::Broken(deepest(&e)))
    }
}

impl Transport for HttpTransport {
    type Body = HttpBody;

    async fn pull(&mut self, from: &[TrnId]) -> Result<Answer<HttpBody>, TransportError> {
        let url = self.url(&paths::pull(self.remote.log, from));
        let response = self.send(self.client.get(url).header(ACCEPT, media::MSGPACK)).await?;
        if response.status() == StatusCode::OK && is_stream(&response) {
            return Ok(Answer::Stream(HttpBody(response)));
        }
        refusal(response).await
    }

    async fn push(&mut self, body: Bytes) -> Result<Answer<HttpBody>, TransportError> {
        let url = self.url(&paths::push(self.remote.log));
        let request =
            self.client.post(url).header(ACCEPT, media::MSGPACK).header(CONTENT_TYPE, media::MSGPACK).body(body);
        let response = self.send(request).await?;
        match response.status() {
            StatusCode::OK => {
                let bytes = small(response).await?;
                let state: LogState =
                    serde_json::from_slice(&bytes).map_err(|e| TransportError::Protocol(e.to_string()))?;
                Ok(Answer::Accepted(state))
            }
            StatusCode::CONFLICT if is_stream(&response) => Ok(Answer::Conflict(HttpBody(response))),
            _ => refusal(response).await,
        }
    }

    async fn put_chunk(&mut self, id: &ChunkId, bytes: Bytes) -> Result<Answer<HttpBody>, TransportError> {
        let url = self.url(&paths::v0_chunk(self.remote.log, id));
        let response = self.send(self.client.put(url).header(CONTENT_TYPE, media::OCTETS).body(bytes)).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Answer::Stored);
        }
        refusal(response).await
    }
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(media::MSGPACK))
}

/// An answer that is an error, or no answer of a hub at all.
async fn refusal<B>(response: Response) -> Result<Answer<B>, TransportError> {
    let status = response.status();
    let bytes = small(response).await?;
    let Ok(body) = serde_json::from_slice::<ErrorBody>(&bytes) else {
        return Err(TransportError::Protocol(format!("it answered {status} and no error of a hub")));
    };
    Ok(match body {
        ErrorBody { error: ErrorKind::Generation, state: Some(state), .. } => Answer::Generation(state),
        ErrorBody { error: ErrorKind::MissingChunks, chunks: Some(chunks), .. } => Answer::Missing(chunks),
        body => Answer::Refused(body),
    })
}

async fn small(mut response: Response) -> Result<Vec<u8>, TransportError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| TransportError::Broken(deepest(&e)))? {
        if bytes.len() + piece.len() > MAX_SMALL {
            return Err(TransportError::Protocol("its answer is too long".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn failed(remote: &Remote, e: &reqwest::Error) -> TransportError {
    let why = format!("{}: {}", remote.url, deepest(e));
    if e.is_connect() || e.is_builder() { TransportError::Unreachable(why) } else { TransportError::Broken(why) }
}

/// The innermost cause, which says what happened; the outer ones say that something did.
fn deepest(e: &dyn std::error::Error) -> String {
    let mut innermost = e;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
