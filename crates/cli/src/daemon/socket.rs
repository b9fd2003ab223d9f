//! How a daemon is spoken to: one line in, one line of JSON back, on a Unix socket that only its owner may use.

use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Failure, Kind};

/// What a daemon is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Its status.
    Status,
    /// To look at all pairs now; and its status.
    Sync,
}

/// A request, and where its answer goes.
pub(crate) type Asked = (Request, oneshot::Sender<String>);

#[cfg(unix)]
impl Request {
    const fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Sync => "sync",
        }
    }

    fn parse(line: &str) -> Option<Self> {
        [Self::Status, Self::Sync].into_iter().find(|request| request.word() == line.trim_end())
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    /// How long either side waits for the other.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// No longer line is read.
    const LONGEST: u64 = 4 << 20;
    /// How many are answered at once.
    const AT_ONCE: usize = 16;

    /// Where requests come in.
    pub(crate) struct Socket(UnixListener);

    impl Socket {
        /// Makes the socket. To be called inside a runtime.
        pub(crate) fn listen(path: &Path) -> Result<Self, Failure> {
            let failed = |e: &std::io::Error| Failure::io(&path.display().to_string(), e);
            let listener = UnixListener::bind(path).map_err(|e| failed(&e))?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|e| failed(&e))?;
            Ok(Self(listener))
        }

        /// Hands on what is asked, for ever.
        pub(crate) async fn run(self, to: mpsc::Sender<Asked>) {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            loop {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                match self.0.accept().await {
                    Ok((stream, _)) => {
                        let to = to.clone();
                        tokio::spawn(async move {
                            // Who asks and does not listen gets no answer.
                            let _ = timeout(PATIENCE, answer(stream, to)).await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a request could not be taken");
                        tokio::time::sleep(PATIENCE).await;
                    }
                }
            }
        }
    }

    async fn answer(mut stream: UnixStream, to: mpsc::Sender<Asked>) -> std::io::Result<()> {
        let mut line = String::new();
        BufReader::new(&mut stream).take(64).read_line(&mut line).await?;
        let text = match Request::parse(&line) {
            Some(request) => {
                let (sender, receiver) = oneshot::channel();
                if to.send((request, sender)).await.is_err() {
                    return Ok(());
                }
                receiver.await.unwrap_or_default()
            }
            None => r#"{"error":"there is no such request"}"#.to_owned(),
        };
        stream.write_all(format!("{text}\n").as_bytes()).await?;
        stream.shutdown().await
    }

    /// Asks the daemon at `path`. `None`: there is none.
    ///
    /// # Errors
    /// `Busy` where it does not answer.
    pub(crate) fn ask(path: &Path, request: Request) -> Result<Option<String>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::io("starting the network", &e))?;
        let silent = || {
            Failure::new(Kind::Busy, "the daemon runs and does not answer").hint(
                "its log says what it is at; `systemctl --user restart tolstoy-daemon` begins anew, and loses nothing",
            )
        };
        runtime.block_on(async {
            let Ok(mut stream) = UnixStream::connect(path).await else { return Ok(None) };
            let asked = async {
                stream.write_all(format!("{}\n", request.word()).as_bytes()).await?;
                let mut text = String::new();
                stream.take(LONGEST).read_to_string(&mut text).await?;
                Ok::<_, std::io::Error>(text)
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(text)) if text.ends_with('\n') => Ok(Some(text)),
                _ => Err(silent()),
            }
        })
    }
}

#[cfg(unix)]
pub(crate) use unix::{Socket, ask};

#[cfg(not(unix))]
mod none {
    use super::*;

    /// There is no such socket on this system.
    pub(crate) struct Socket;

    impl Socket {
        pub(crate) fn listen(_: &Path) -> Result<Self, Failure> {
            Ok(Self)
        }

        pub(crate) async fn run(self, _: mpsc::Sender<Asked>) {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn ask(_: &Path, _: Request) -> Result<Option<String>, Failure> {
        Err(Failure::new(Kind::Usage, "a daemon can be asked only where there are Unix sockets")
            .hint("its log says what it does"))
    }
}

#[cfg(not(unix))]
pub(crate) use none::{Socket, ask};
