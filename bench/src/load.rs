//! A load generator that costs as little as it can: HTTP/1.1 over kept connections, requests made beforehand.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A POST as it goes over the wire.
pub(crate) fn post(path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A GET as it goes over the wire.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1 << 18] }
    }

    /// Sends a request and reads the answer to its end; gives the status and the bytes of the body, framing included.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        self.stream.write_all(request).await.unwrap();
        let mut have = 0;
        let head_end = loop {
            have += self.read(have).await;
            if let Some(at) = self.buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).unwrap().to_ascii_lowercase();
        let status = head[9..12].parse().unwrap();
        let length = head.split("content-length: ").nth(1).map(|l| l.split("\r\n").next().unwrap().parse().unwrap());
        match length {
            Some(length) => (status, self.read_length(have - head_end, length).await),
            None => (status, self.read_chunked(head_end, have).await),
        }
    }

    async fn read(&mut self, at: usize) -> usize {
        let n = self.stream.read(&mut self.buffer[at..]).await.unwrap();
        assert!(n > 0, "the server closed the connection");
        n
    }

    async fn read_length(&mut self, mut have: usize, length: usize) -> usize {
        while have < length {
            have += self.read(0).await;
        }
        length
    }

    /// Reads until the last chunk, which is `0\r\n\r\n`; the bytes between are not looked at.
    async fn read_chunked(&mut self, head_end: usize, have: usize) -> usize {
        let mut tail: Vec<u8> = self.buffer[head_end..have].iter().rev().take(5).rev().copied().collect();
        let mut total = have - head_end;
        while !tail.ends_with(b"\r\n0\r\n\r\n") && tail != b"0\r\n\r\n" {
            let n = self.read(0).await;
            total += n;
            tail.extend_from_slice(&self.buffer[n.saturating_sub(7)..n]);
            tail = tail.split_off(tail.len().saturating_sub(7));
        }
        total
    }
}
