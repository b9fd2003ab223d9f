//! A connection that ends when the other side does not read, and what others may see of it meanwhile.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a connection in HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Since when the head of a request has been arriving over HTTP/1.1. It is looked at now and then, which costs a request less than
/// a timer of its own; and it begins with the head, where that of the HTTP library begins with the end of the last answer.
#[derive(Debug)]
pub(crate) struct Head {
    opened: Instant,
    /// [`BETWEEN`], [`WHOLE`], or the milliseconds from `opened` to the head's first bytes, and one.
    since: AtomicU64,
}

/// No head has begun.
const BETWEEN: u64 = 0;

/// The head has arrived, and its request is being answered; or heads are not measured here.
const WHOLE: u64 = u64::MAX;

impl Head {
    pub(crate) fn new() -> Self {
        Self { opened: Instant::now(), since: AtomicU64::new(BETWEEN) }
    }

    /// A request's head is whole.
    pub(crate) fn is_whole(&self) {
        self.since.store(WHOLE, Ordering::Relaxed);
    }

    /// The request was answered: what comes next is a head.
    pub(crate) fn is_next(&self) {
        self.since.store(BETWEEN, Ordering::Relaxed);
    }

    /// Whether a head has been arriving for so long.
    pub(crate) fn takes(&self, patience: Duration) -> bool {
        match self.since.load(Ordering::Relaxed) {
            BETWEEN | WHOLE => false,
            since => self.opened.elapsed().saturating_sub(Duration::from_millis(since - 1)) >= patience,
        }
    }

    /// Whether a head has begun and is not whole.
    pub(crate) fn is_coming(&self) -> bool {
        !matches!(self.since.load(Ordering::Relaxed), BETWEEN | WHOLE)
    }

    /// Its first bytes came.
    fn comes(&self) {
        if self.since.load(Ordering::Relaxed) == BETWEEN {
            self.begin();
        }
    }

    /// The last answer is still being taken: nobody reads the head that came behind its request.
    fn waits(&self) {
        if self.is_coming() {
            self.begin();
        }
    }

    fn begin(&self) {
        let passed = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(WHOLE - 2);
        self.since.store(passed.saturating_add(1), Ordering::Relaxed);
    }
}

/// What passes on a connection, for those who have not its stream.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) head: Head,
    /// Bytes written so far.
    written: AtomicU64,
    /// Whether a write waits for the other side.
    is_full: AtomicBool,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self { head: Head::new(), written: AtomicU64::new(0), is_full: AtomicBool::new(false) }
    }

    /// Bytes written so far, with nothing encrypted.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether a write waits for the other side.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}

/// A stream whose writes fail when the other side takes nothing for so long. So an answer that nobody reads does not
/// hold its memory for ever.
#[derive(Debug)]
pub(crate) struct Stalled<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    opening: Option<Opening>,
    wire: Arc<Wire>,
}

/// The beginning of a connection, as long as what came could become either version of HTTP. Nothing else measures this
/// time: each version has its own from here on.
#[derive(Debug)]
struct Opening {
    /// Bytes of the preface that have come.
    seen: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Stalled<S> {
    /// What passes is told to `wire`; of heads, unless the other side speaks HTTP/2.
    pub(crate) fn new(stream: S, patience: Duration, wire: Arc<Wire>) -> Self {
        Self { stream, patience, waiting: None, opening: None, wire }
    }

    /// The same, whose reads fail too where it takes longer than this to tell which version of HTTP the other side speaks.
    pub(crate) fn opening_within(self, patience: Duration) -> Self {
        Self { opening: Some(Opening { seen: 0, until: Box::pin(sleep(patience)) }), ..self }
    }

    /// The same as [`Stalled::judge`], for a write of bytes.
    fn writes(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes @ 1..)) = result {
            self.wire.head.waits();
            self.wire.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.judge(cx, result)
    }

    /// What a write that gave `result` gives; an error where it has waited too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.waiting.take().is_some() {
                self.wire.is_full.store(false, Ordering::Relaxed);
            }
            return result;
        }
        let Self { patience, wire, .. } = self;
        let waiting = self.waiting.get_or_insert_with(|| {
            wire.is_full.store(true, Ordering::Relaxed);
            Box::pin(sleep(*patience))
        });
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(opening) = &mut this.opening else {
            if buf.filled().len() > filled {
                this.wire.head.comes();
            }
            return result;
        };
        if result.is_pending() {
            ready!(opening.until.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request began")));
        }
        let new = buf.filled().get(filled..).unwrap_or_default();
        let expected = PREFACE.get(opening.seen..).unwrap_or_default();
        opening.seen += new.len();
        if !expected.starts_with(new.get(..expected.len()).unwrap_or(new)) {
            this.opening = None;
            this.wire.head.comes();
        } else if new.len() >= expected.len() {
            this.opening = None;
            this.wire.head.is_whole();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.writes(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.writes(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_beginning_that_tells_no_version_fails() {
        for begun in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM"] {
            let (near, mut far) = tokio::io::duplex(64);
            let mut near =
                Stalled::new(near, Duration::MAX, Arc::new(Wire::new())).opening_within(Duration::from_millis(1));
            far.write_all(begun.as_bytes()).await.unwrap();
            let error = near.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{begun}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_version_is_told_others_measure_the_time() {
        for begun in ["G", "PUT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and more"] {
            let (near, mut far) = tokio::io::duplex(64);
            let mut near =
                Stalled::new(near, Duration::MAX, Arc::new(Wire::new())).opening_within(Duration::from_secs(1));
            let read = tokio::spawn(async move {
                let mut all = String::new();
                near.read_to_string(&mut all).await.map(|_| all)
            });
            for byte in begun.as_bytes() {
                far.write_all(&[*byte]).await.unwrap();
            }
            sleep(Duration::from_secs(60)).await;
            far.write_all(b".").await.unwrap();
            drop(far);
            assert_eq!(read.await.unwrap().unwrap(), format!("{begun}."));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_measured_from_its_first_byte_to_its_end() {
        let (near, mut far) = tokio::io::duplex(64);
        let wire = Arc::new(Wire::new());
        let head = &wire.head;
        let second = Duration::from_secs(1);
        let mut near = Stalled::new(near, Duration::MAX, wire.clone()).opening_within(second);
        let mut read = async |bytes: &[u8]| {
            far.write_all(bytes).await.unwrap();
            near.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
        };
        read(b"GET").await;
        sleep(second / 2).await;
        read(b" / ").await;
        assert!(!head.takes(second));
        sleep(second / 2).await;
        assert!(head.takes(second));
        head.is_whole();
        read(b"body").await;
        assert!(!head.takes(Duration::ZERO));
        head.is_next();
        sleep(second).await;
        assert!(!head.takes(Duration::ZERO), "nothing has begun");
        read(b"P").await;
        sleep(second).await;
        assert!(head.takes(second));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_behind_an_answer_that_is_taken_slowly_waits_for_it() {
        let (near, mut far) = tokio::io::duplex(8);
        let wire = Arc::new(Wire::new());
        let head = &wire.head;
        let mut near = Stalled::new(near, Duration::MAX, wire.clone());
        far.write_all(b"GET").await.unwrap();
        near.read_exact(&mut [0; 3]).await.unwrap();
        for _ in 0..3 {
            sleep(Duration::from_secs(1)).await;
            near.write_all(b"12345678").await.unwrap();
            far.read_exact(&mut [0; 8]).await.unwrap();
            assert!(head.is_coming() && !head.takes(Duration::from_secs(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_http2_has_no_head() {
        let (near, mut far) = tokio::io::duplex(64);
        let wire = Arc::new(Wire::new());
        let head = &wire.head;
        let mut near = Stalled::new(near, Duration::MAX, wire.clone()).opening_within(Duration::from_secs(1));
        for bytes in [&PREFACE[..5], &PREFACE[5..], b"frames"] {
            far.write_all(bytes).await.unwrap();
            near.read_exact(&mut vec![0; bytes.len()]).await.unwrap();
            assert!(!head.takes(Duration::ZERO));
        }
    }

    #[tokio::test]
    async fn a_write_that_nobody_reads_fails() {
        let (near, far) = tokio::io::duplex(8);
        let mut near = Stalled::new(near, Duration::from_millis(1), Arc::new(Wire::new()));
        near.write_all(b"12345678").await.unwrap();
        assert_eq!(near.write_all(b"9").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test]
    async fn others_see_what_was_written_and_whether_more_waits() {
        let (near, mut far) = tokio::io::duplex(8);
        let wire = Arc::new(Wire::new());
        let mut near = Stalled::new(near, Duration::MAX, wire.clone());
        near.write_all(b"12345678").await.unwrap();
        assert!(wire.written() == 8 && !wire.is_full());
        let write = near.write_all(b"9");
        tokio::pin!(write);
        assert!(once(write.as_mut()).is_pending());
        assert!(wire.written() == 8 && wire.is_full());
        far.read_exact(&mut [0; 8]).await.unwrap();
        write.await.unwrap();
        assert!(wire.written() == 9 && !wire.is_full());
    }

    fn once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
