//! A connection that ends when the other side does not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What a connection in HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose writes fail when the other side takes nothing for so long. So an answer that nobody reads does not
/// hold its memory for ever.
#[derive(Debug)]
pub(crate) struct Stalled<S> {
    stream: S,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    opening: Option<Opening>,
}

/// The beginning of a connection, as long as what came could become either version of HTTP. Nothing else measures this
/// time: each version measures its own from here on.
#[derive(Debug)]
struct Opening {
    /// Bytes of the preface that have come.
    seen: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Stalled<S> {
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None, opening: None }
    }

    /// The same, whose reads fail too where it takes longer than this to tell which version of HTTP the other side speaks.
    pub(crate) fn opening_within(self, patience: Duration) -> Self {
        Self { opening: Some(Opening { seen: 0, until: Box::pin(sleep(patience)) }), ..self }
    }

    /// What a write that gave `result` gives; an error where it has waited too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let this = &mut *self;
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(opening) = &mut this.opening else { return result };
        if result.is_pending() {
            ready!(opening.until.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no request began")));
        }
        let new = buf.filled().get(filled..).unwrap_or_default();
        let expected = PREFACE.get(opening.seen..).unwrap_or_default();
        opening.seen += new.len();
        if new.len() >= expected.len() || !expected.starts_with(new) {
            this.opening = None;
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, result)
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
        self.judge(cx, result)
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
            let mut near = Stalled::new(near, Duration::MAX).opening_within(Duration::from_millis(1));
            far.write_all(begun.as_bytes()).await.unwrap();
            let error = near.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{begun}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_version_is_told_others_measure_the_time() {
        for begun in ["G", "PUT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and more"] {
            let (near, mut far) = tokio::io::duplex(64);
            let mut near = Stalled::new(near, Duration::MAX).opening_within(Duration::from_secs(1));
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

    #[tokio::test]
    async fn a_write_that_nobody_reads_fails() {
        let (near, far) = tokio::io::duplex(8);
        let mut near = Stalled::new(near, Duration::from_millis(1));
        near.write_all(b"12345678").await.unwrap();
        assert_eq!(near.write_all(b"9").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(far);
    }
}
