//! What is under way on a connection: its requests, and how fast the client takes their answers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::Version;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::pace::{Holds, LeastRate, Pace};
use crate::stalled::Wire;

/// Bytes of an answer that HTTP/2 takes at once. A client must take so many within the patience, again and again.
const PIECE: usize = 16 << 10;

/// The requests of a connection, and its wire.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) wire: Arc<Wire>,
    /// Requests that have begun.
    begun: AtomicU64,
    /// Requests that have not ended: their answers are still being sent.
    under_way: AtomicUsize,
    /// Answers that are watched.
    answers: Mutex<HashMap<u64, Answer>>,
}

impl Watched {
    pub(crate) fn new() -> Self {
        let (begun, under_way, answers) = Default::default();
        Self { wire: Arc::new(Wire::new()), begun, under_way, answers }
    }

    /// How many requests have begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether a request or its head is on the way, or the other side has something to take.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0 || self.wire.head.is_coming() || self.wire.is_full()
    }

    /// Why the connection is to be cut: the client has not taken a piece of some answer for so long, or is too slow while
    /// others wait for what an answer holds. HTTP/2 has no other sign of the former: the connection moves on while one
    /// answer on it stands still.
    pub(crate) fn lingers(&self, patience: Duration) -> Option<&'static str> {
        let written = self.wire.written();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.values_mut().find_map(|answer| answer.lingers(patience, written))
    }
}

/// An answer that is watched.
#[derive(Debug)]
struct Answer {
    /// A piece that the client is to take: only meanwhile does its time count.
    given: Option<Given>,
    counts: Counts,
    pace: Option<(Holds, Pace)>,
}

#[derive(Debug)]
struct Given {
    bytes: usize,
    since: Instant,
    /// Until when its pace knows how long the client has taken.
    counted: Instant,
}

/// What tells how much the client has taken of an answer.
#[derive(Debug)]
enum Counts {
    /// Over HTTP/2, where answers share the wire: pieces, which are short, each once it is taken.
    Pieces,
    /// Over HTTP/1.1, where the wire is one answer's: what is written, beyond so much.
    Written(u64),
}

impl Answer {
    fn new(counts: Counts, pace: Option<(Holds, Pace)>) -> Self {
        Self { given: None, counts, pace }
    }

    fn lingers(&mut self, patience: Duration, written: u64) -> Option<&'static str> {
        let now = Instant::now();
        let Self { given, counts, pace } = self;
        let is_in_pieces = matches!(counts, Counts::Pieces);
        if is_in_pieces && given.as_ref().is_some_and(|given| now - given.since >= patience) {
            return Some("the other side does not read an answer");
        }
        let (holds, pace) = pace.as_mut()?;
        if let Some(given) = given {
            pace.moved(counts.moved(0, written), now - std::mem::replace(&mut given.counted, now));
        }
        let is_too_slow = pace.is_too_slow(holds.wanted());
        is_too_slow.then_some("the other side reads an answer too slowly while others wait for its place")
    }

    /// What of these bytes the client is given next.
    fn gives(&mut self, rest: &mut Bytes) -> Bytes {
        let most = match self.counts {
            Counts::Pieces => PIECE,
            Counts::Written(_) => rest.len(),
        };
        let piece = rest.split_to(rest.len().min(most));
        let now = Instant::now();
        self.given = Some(Given { bytes: piece.len(), since: now, counted: now });
        piece
    }

    /// The client took what was given, or so much of it that it is asked for more.
    fn took(&mut self, written: u64) {
        let Some(given) = self.given.take() else { return };
        if let Some((_, pace)) = &mut self.pace {
            pace.moved(self.counts.moved(given.bytes, written), given.counted.elapsed());
        }
    }
}

impl Counts {
    /// Bytes that moved since this was asked last: `taken` pieces, or what was written.
    fn moved(&mut self, taken: usize, written: u64) -> usize {
        match self {
            Self::Pieces => taken,
            Self::Written(known) => {
                let moved = written.saturating_sub(std::mem::replace(known, written));
                usize::try_from(moved).unwrap_or(usize::MAX)
            }
        }
    }
}

/// A request until its answer has been sent, or dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    watched: Arc<Watched>,
    nr: u64,
    is_http2: bool,
    /// Whether its answer is watched. Over HTTP/1.1 one that is not taken stalls the connection, which
    /// [`Stalled`](crate::stalled::Stalled) sees.
    is_watched: bool,
}

impl UnderWay {
    pub(crate) fn new(watched: &Arc<Watched>, version: Version) -> Self {
        let nr = watched.begun.fetch_add(1, Ordering::Relaxed);
        watched.under_way.fetch_add(1, Ordering::Relaxed);
        watched.wire.head.is_whole();
        Self { watched: watched.clone(), nr, is_http2: version == Version::HTTP_2, is_watched: false }
    }

    /// Its answer begins, and holds this.
    pub(crate) fn answers(&mut self, holds: Option<Holds>, least_rate: LeastRate) {
        self.is_watched = self.is_http2 || holds.is_some();
        if self.is_watched {
            let pace = holds.map(|holds| (holds, Pace::new(least_rate)));
            let counts = if self.is_http2 { Counts::Pieces } else { Counts::Written(self.watched.wire.written()) };
            let answer = Answer::new(counts, pace);
            self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(self.nr, answer);
        }
    }

    /// What `note` makes of its answer, where that is watched.
    fn note<R>(&self, note: impl FnOnce(&mut Answer) -> R) -> Option<R> {
        let mut answers = self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get_mut(&self.nr).map(note)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_watched {
            self.watched.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.nr);
        }
        self.watched.under_way.fetch_sub(1, Ordering::Relaxed);
        // Where another has begun, its head is whole already.
        if !self.is_http2 && self.watched.begun() == self.nr + 1 {
            self.watched.wire.head.is_next();
        }
    }
}

/// An answer's body, which tells when the client has taken a piece of it.
#[derive(Debug)]
pub(crate) struct WatchedBody {
    body: Body,
    /// What the body gave and was not handed on yet.
    rest: Bytes,
    /// Whether a piece was handed on, and no more asked for since.
    is_given: bool,
    under_way: UnderWay,
}

impl WatchedBody {
    pub(crate) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, rest: Bytes::new(), is_given: false, under_way }
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if !this.under_way.is_watched {
            return Pin::new(&mut this.body).poll_frame(cx);
        }
        // It is asked again once the client has taken what it gave. Over HTTP/1.1 less than 64 KiB may be written later.
        if std::mem::take(&mut this.is_given) {
            let written = this.under_way.watched.wire.written();
            this.under_way.note(|answer| answer.took(written));
        }
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        this.is_given = true;
        let piece = this.under_way.note(|answer| answer.gives(&mut this.rest));
        Poll::Ready(Some(Ok(Frame::data(piece.unwrap_or_else(|| std::mem::take(&mut this.rest))))))
    }

    /// Over HTTP/1.1 not before more is asked for, which is when less than 64 KiB are left to write: what has ended is dropped
    /// there, and watched no more, before anything of its last piece is written.
    fn is_end_stream(&self) -> bool {
        let is_still_watched = self.is_given && !self.under_way.is_http2;
        !is_still_watched && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests;
