//! Long bodies that are read piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc;

use super::App;
use crate::gate::Place;
use crate::service::Service;
use crate::storage::{PIECE, StorageError};

/// Pieces that wait to be sent.
const QUEUE: usize = 2;

/// What such a body holds: those, the one that is read and the one that is sent.
pub(super) const HELD: usize = (QUEUE + 2) * PIECE;

/// Pieces as a body, none of them longer than [`PIECE`]. A task reads them while there is room for them, one at a time.
pub(super) struct Pieces {
    queue: mpsc::Receiver<Result<Bytes, Cut>>,
    left: u64,
    _places: [Place; 2],
}

/// What is read was replaced, or its log deleted meanwhile, or the storage failed.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut")]
pub(super) struct Cut;

impl Pieces {
    /// So many bytes in all, which `read` gives piece by piece; none where a piece is not there any more. Its places are those
    /// of a stream and of [`HELD`] bytes.
    pub(super) fn read(
        app: Arc<App>,
        bytes: u64,
        places: [Place; 2],
        read: impl Fn(&Service, u64) -> Result<Option<Bytes>, StorageError> + Send + Sync + 'static,
    ) -> Self {
        let (room, queue) = mpsc::channel(QUEUE);
        let read = Arc::new(read);
        tokio::spawn(async move {
            let mut at = 0;
            let mut given = 0;
            while given < bytes {
                let Ok(room) = room.reserve().await else { return };
                let read = read.clone();
                let piece = super::read(&app, move |service: &Service| read(service, at)).await;
                match piece {
                    Ok(Ok(Some(piece))) => {
                        given += piece.len() as u64;
                        at += 1;
                        room.send(Ok(piece));
                    }
                    Ok(Ok(None)) => return room.send(Err(Cut)),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a piece of a long answer could not be read");
                        return room.send(Err(Cut));
                    }
                    Err(_) => return room.send(Err(Cut)),
                }
            }
        });
        Self { queue, left: bytes, _places: places }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.queue.poll_recv(cx).map(|piece| {
            let piece = piece?;
            if let Ok(bytes) = &piece {
                self.left = self.left.saturating_sub(bytes.len() as u64);
            }
            Some(piece.map(Frame::data))
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.left)
    }
}
