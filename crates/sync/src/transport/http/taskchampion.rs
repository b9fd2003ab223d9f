//! TaskChampion's sync protocol, as a client speaks it: to a hub of ours, or to any other server of it.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::sleep;
use tolstoy_proto::taskchampion::{
    CLIENT_ID, ClientId, GET_SNAPSHOT, HISTORY_SEGMENT, MAX_BODY, PARENT_VERSION_ID, SNAPSHOT, SNAPSHOT_REQUEST,
    VERSION_ID, add_snapshot, add_version, get_child_version,
};
use tolstoy_proto::{ErrorBody, TrnId};

use super::asking::{MAX_PAUSE, MAX_PAUSES};
use super::{HttpBody, HttpTransport, held, small};
use crate::error::{Error, Result};
use crate::transport::TransportError;

/// What follows a version.
pub(crate) enum Child {
    Version {
        id: TrnId,
        segment: Vec<u8>,
    },
    /// Nothing yet.
    None,
    /// The server does not know the version that was asked about, and has others.
    Gone,
}

/// What became of a version.
pub(crate) enum Added {
    Version {
        id: TrnId,
        wants_snapshot: bool,
    },
    /// This is the newest; the version was to follow another.
    Conflict {
        newest: TrnId,
    },
}

impl HttpTransport {
    pub(crate) async fn child_version(&mut self, client: ClientId, parent: TrnId) -> Result<Child> {
        let response = self.ask(client, &get_child_version(parent)).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(Child::None),
            StatusCode::GONE => Ok(Child::Gone),
            _ => {
                let (id, segment) = self.body_of(response, HISTORY_SEGMENT).await?;
                Ok(Child::Version { id, segment })
            }
        }
    }

    pub(crate) async fn add_version(&mut self, client: ClientId, parent: TrnId, segment: Vec<u8>) -> Result<Added> {
        let response = self.give(client, &add_version(parent), HISTORY_SEGMENT, segment).await?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(Added::Conflict { newest: id_in(response.headers(), PARENT_VERSION_ID)? });
        }
        let response = self.accepted(response).await?;
        let wants_snapshot = response.headers().contains_key(SNAPSHOT_REQUEST);
        Ok(Added::Version { id: id_in(response.headers(), VERSION_ID)?, wants_snapshot })
    }

    pub(crate) async fn newest_snapshot(&mut self, client: ClientId) -> Result<Option<(TrnId, Vec<u8>)>> {
        let response = self.ask(client, GET_SNAPSHOT).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.body_of(response, SNAPSHOT).await.map(Some)
    }

    pub(crate) async fn add_snapshot(&mut self, client: ClientId, version: TrnId, snapshot: Vec<u8>) -> Result<()> {
        let response = self.give(client, &add_snapshot(version), SNAPSHOT, snapshot).await?;
        self.accepted(response).await.map(drop)
    }

    async fn ask(&mut self, client: ClientId, path: &str) -> Result<Response> {
        let request = self.client.get(self.url(path)).header(CLIENT_ID, client.expose());
        self.patiently(request, Bytes::new()).await
    }

    async fn give(&mut self, client: ClientId, path: &str, media_type: &str, body: Vec<u8>) -> Result<Response> {
        let request = self.client.post(self.url(path)).header(CLIENT_ID, client.expose());
        self.patiently(request.header(CONTENT_TYPE, media_type), body.into()).await
    }

    /// Sends it, again after each pause that the server asks for, of which there may be a few.
    async fn patiently(&mut self, request: RequestBuilder, body: Bytes) -> Result<Response> {
        let mut pauses = 0;
        loop {
            let again = request.try_clone();
            let Some(once) = again else { return Ok(self.send(request, body).await?) };
            let response = self.send(once, body.clone()).await?;
            let is_for_now =
                matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
            match after.map(Duration::from_secs).filter(|after| is_for_now && *after <= MAX_PAUSE) {
                Some(after) if pauses < MAX_PAUSES => {
                    pauses += 1;
                    sleep(after).await;
                }
                _ => return Ok(response),
            }
        }
    }

    async fn body_of(&self, response: Response, media_type: &str) -> Result<(TrnId, Vec<u8>)> {
        let response = self.accepted(response).await?;
        let sent = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if sent != media_type {
            return Err(protocol(format!("it answered with {sent:?} where {media_type} is expected")));
        }
        let id = id_in(response.headers(), VERSION_ID)?;
        let bytes = held(&mut HttpBody::new(response, self.silence)?, MAX_BODY).await?;
        Ok((id, bytes))
    }

    /// The answer, where it is no refusal.
    async fn accepted(&self, response: Response) -> Result<Response> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let refusal = small(&mut HttpBody::new(response, self.silence)?).await?;
        if let Ok(body) = serde_json::from_slice::<ErrorBody>(&refusal) {
            return Err(Error::Refused(Box::new(body)));
        }
        // What stands between does not reach the server at the moment.
        if matches!(status.as_u16(), 502..=504) {
            return Err(TransportError::Broken(format!("{}: {status}", self.remote.url)).into());
        }
        Err(protocol(format!("it answered {status}, and not as a server of TaskChampion's protocol does")))
    }
}

fn id_in(headers: &HeaderMap, name: &str) -> Result<TrnId> {
    let id = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    id.ok_or_else(|| protocol(format!("its answer has no {name}")))
}

fn protocol(why: String) -> Error {
    TransportError::Protocol(why).into()
}
