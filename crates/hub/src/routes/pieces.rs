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
    /// The bytes that are still to come, where that is known.
    left: Option<u64>,
    _places: [Place; 2],
}

/// What is read was replaced, or its log deleted meanwhile, or the storage failed.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut")]
pub(super) struct Cut;

/// A piece that is read.
pub(super) enum Piece {
    /// More follow.
    More(Bytes),
    /// It ends with this one.
    Last(Bytes),
    /// It cannot go on: what is read is not there any more.
    Gone,
}

impl Pieces {
    /// So many bytes in all, which `read` gives piece by piece; none where a piece is not there any more. Its places are those
    /// of a stream and of [`HELD`] bytes.
    pub(super) fn read(
        app: Arc<App>,
        bytes: u64,
        places: [Place; 2],
        read: impl Fn(&Service, u64) -> Result<Option<Bytes>, StorageError> + Send + 'static,
    ) -> Self {
        let (mut at, mut given) = (0, 0);
        let next = move |service: &Service| {
            let Some(piece) = read(service, at)? else { return Ok(Piece::Gone) };
            at += 1;
            given += piece.len() as u64;
            Ok(if given < bytes { Piece::More(piece) } else { Piece::Last(piece) })
        };
        Self::stream(app, Some(bytes), places, next)
    }

    /// The same, of a length that is not known before.
    pub(super) fn stream(
        app: Arc<App>,
        bytes: Option<u64>,
        places: [Place; 2],
        mut next: impl FnMut(&Service) -> Result<Piece, StorageError> + Send + 'static,
    ) -> Self {
        let (room, queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while bytes != Some(0) {
                let Ok(room) = room.reserve().await else { return };
                // It goes to the thread that reads, and comes back.
                let reading = super::read(&app, move |service: &Service| {
                    let piece = next(service);
                    (piece, next)
                });
                let Ok((piece, back)) = reading.await else { return room.send(Err(Cut)) };
                next = back;
                match piece {
                    Ok(Piece::More(piece)) => room.send(Ok(piece)),
                    Ok(Piece::Last(piece)) => return room.send(Ok(piece)),
                    Ok(Piece::Gone) => return room.send(Err(Cut)),
                    Err(error) => {
                        tracing::error!(%error, "a piece of a long answer could not be read");
                        return room.send(Err(Cut));
                    }
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
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
            }
            Some(piece.map(Frame::data))
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.left.map_or_else(http_body::SizeHint::new, http_body::SizeHint::with_exact)
    }
}
