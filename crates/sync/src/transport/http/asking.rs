//! Requests whose answers are short enough to be held, and are no streams.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::sleep;
use tolstoy_proto::coding::ZSTD;
use tolstoy_proto::{LogState, media, paths};

use super::{HttpBody, HttpTransport, failed, held, refusal, small};
use crate::remote::Remote;
use crate::transport::{Answer, TransportError};

/// How often the hub is let ask for a pause, and for how long, before it is given up.
pub(super) const MAX_PAUSES: u32 = 5;
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(60);

impl HttpTransport {
    /// The log it leads to.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The log's state and its tag, where that is another than the one given; where it is the same the hub waits so long for
    /// it to change before it says so.
    ///
    /// # Errors
    /// Where the hub cannot be reached, refuses, or answers with no state.
    pub async fn watch(&mut self, known: Option<&str>, wait: Duration) -> crate::Result<Option<(LogState, String)>> {
        let path = format!("{}?wait={}", paths::log(self.remote.log), wait.as_secs());
        let Some(response) = self.unless(&path, known, wait).await? else { return Ok(None) };
        let tag = response.headers().get(ETAG).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        // Who watches has pauses of its own.
        let body = self.good_or_pause(response, &mut { MAX_PAUSES }).await?;
        let Some(mut body) = body else { return Ok(None) };
        let state = serde_json::from_slice(&small(&mut body).await?);
        let state = state.map_err(|_| TransportError::Protocol("it answers with no state of a log".to_owned()))?;
        Ok(Some((state, tag)))
    }

    /// What is at the path, of at most so many bytes, where its tag is another than the one given; where it is the same the
    /// hub waits so long, as the path asks it to, before it says so.
    pub(crate) async fn get_unless(
        &mut self,
        path: &str,
        known: Option<&str>,
        wait: Duration,
        limit: usize,
    ) -> crate::Result<Option<Vec<u8>>> {
        let mut pauses = 0;
        loop {
            let Some(response) = self.unless(path, known, wait).await? else { return Ok(None) };
            if let Some(mut body) = self.good_or_pause(response, &mut pauses).await? {
                return Ok(Some(held(&mut body, limit).await?));
            }
        }
    }

    /// The answer to a body in JSON, of at most so many bytes. The body must be one that may be sent again.
    pub(crate) async fn post(&mut self, path: &str, body: String, limit: usize) -> crate::Result<Vec<u8>> {
        let (body, mut pauses) = (Bytes::from(body), 0);
        loop {
            let request = self.client.post(self.url(path)).header(CONTENT_TYPE, media::JSON);
            let response = self.upload(request.header(ACCEPT_ENCODING, ZSTD), body.clone()).await?;
            if let Some(mut body) = self.good_or_pause(response, &mut pauses).await? {
                return Ok(held(&mut body, limit).await?);
            }
        }
    }

    /// The answer, but for one that says that nothing changed.
    async fn unless(
        &mut self,
        path: &str,
        known: Option<&str>,
        wait: Duration,
    ) -> Result<Option<Response>, TransportError> {
        let request = self.client.get(self.url(path)).header(ACCEPT_ENCODING, ZSTD).timeout(wait + self.silence);
        let request = match known {
            Some(tag) => request.header(IF_NONE_MATCH, tag),
            None => request,
        };
        let response = RequestBuilder::send(request).await.map_err(|e| failed(&self.remote, &e))?;
        self.learn(&response);
        Ok((response.status() != StatusCode::NOT_MODIFIED).then_some(response))
    }

    /// The body of an answer that is no error; none after the pause that the hub asked for, of which there may be a few.
    async fn good_or_pause(&self, response: Response, pauses: &mut u32) -> crate::Result<Option<HttpBody>> {
        let is_good = response.status() == StatusCode::OK;
        let body = HttpBody::new(response, self.silence)?;
        if is_good {
            return Ok(Some(body));
        }
        match refusal::<HttpBody>(&self.remote, body).await? {
            Answer::Later { after, .. } if *pauses < MAX_PAUSES && after <= MAX_PAUSE => {
                *pauses += 1;
                sleep(after).await;
                Ok(None)
            }
            Answer::Refused(body) | Answer::Later { body, .. } => Err(crate::Error::Refused(Box::new(body))),
            _ => Err(TransportError::Protocol("its answer is to another question".to_owned()).into()),
        }
    }
}
