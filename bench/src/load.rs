//! The load: the HTTP client that stores sync with, over kept connections, bodies made beforehand.

use std::net::SocketAddr;

use axum::body::Bytes;
use tolstoy_proto::{TrnId, taskchampion};

/// A client with a connection of its own.
#[derive(Clone)]
pub(crate) struct Connection {
    client: reqwest::Client,
    base: String,
}

/// What is asked.
#[derive(Clone)]
pub(crate) enum Request {
    Get(String),
    Post { path: String, media_type: &'static str, body: Bytes },
}

impl Connection {
    /// Connects, so that no measurement has to.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().tcp_nodelay(true).build().unwrap();
        let connection = Self { client, base: format!("http://{address}") };
        connection.ask(&Request::Get("/".to_owned())).await;
        connection
    }

    /// Adds a version of TaskChampion's; gives the answer's version.
    pub(crate) async fn add_version(&self, client: &str, parent: TrnId, body: Bytes) -> TrnId {
        let request = self.client.post(format!("{}{}", self.base, taskchampion::add_version(parent)));
        let request = request.header(taskchampion::CLIENT_ID, client);
        let request = request.header("content-type", taskchampion::HISTORY_SEGMENT);
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.headers()[taskchampion::VERSION_ID].to_str().unwrap().parse().unwrap()
    }

    /// Sends a request and reads the answer to its end; gives the status and the bytes of the body.
    pub(crate) async fn ask(&self, request: &Request) -> (u16, usize) {
        let request = match request {
            Request::Get(path) => self.client.get(format!("{}{path}", self.base)),
            Request::Post { path, media_type, body } => {
                self.client.post(format!("{}{path}", self.base)).header("content-type", *media_type).body(body.clone())
            }
        };
        let mut response = request.send().await.unwrap();
        let mut bytes = 0;
        while let Some(piece) = response.chunk().await.unwrap() {
            bytes += piece.len();
        }
        (response.status().as_u16(), bytes)
    }
}
