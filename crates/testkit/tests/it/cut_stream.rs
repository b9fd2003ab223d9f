//! A connection that is cut again and again, between the real client and the real hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tolstoy_hub::{Hub, HubHandle, Options};
use tolstoy_proto::{Form, Frame, FrameDecoder, LogState, TrnId, encode_frame};
use tolstoy_sync::{Answer, Begin, Body, HttpTransport, Remote, Transport};
use tolstoy_testkit::Dice;
use tolstoy_testkit::world::env;

use crate::load::{log, push, walk};

/// Passes connections on to the hub, and cuts each when so many bytes of answers have passed.
struct Proxy {
    url: String,
    /// Bytes of answers that the next connections let pass.
    lets_pass: Arc<AtomicUsize>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(hub: &HubHandle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (lets_pass, cuts) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(0)));
        let (address, limit, counted) = (hub.address(), lets_pass.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let hub = TcpStream::connect(address).await.unwrap();
                tokio::spawn(pass(client, hub, limit.load(Ordering::Relaxed), counted.clone()));
            }
        });
        Self { url, lets_pass, cuts }
    }
}

async fn pass(client: TcpStream, hub: TcpStream, lets_pass: usize, cuts: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_hub, mut to_hub) = hub.into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_hub).await });
    let mut left = lets_pass;
    let mut piece = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from_hub.read(&mut piece).await {
        let passed = n.min(left);
        left -= passed;
        if to_client.write_all(&piece[..passed]).await.is_err() {
            break;
        }
        if left == 0 {
            cuts.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    asking.abort();
}

/// A client that keeps whole transactions: the last that it has, and the state that it was told of.
struct Client {
    transport: HttpTransport,
    has: LogState,
}

impl Client {
    fn new(url: &str) -> Self {
        let remote = Remote { url: url.to_owned(), log: log(1) };
        Self { transport: HttpTransport::new(remote).unwrap(), has: LogState::EMPTY }
    }

    /// Pulls from what it has; false where the stream was cut. What came whole before that is kept.
    async fn pull(&mut self) -> bool {
        let Ok(Answer::Stream(mut body)) = self.transport.pull(&[self.has.head], Begin::Transactions).await else {
            return false;
        };
        let mut decoder = FrameDecoder::new(Form::MessagePack);
        let mut open: Option<(LogState, usize)> = None;
        loop {
            while let Some(frame) = decoder.next_frame().unwrap() {
                match frame {
                    Frame::Start(start) => {
                        let from = (start.from, start.from_seq, start.from_chain);
                        assert_eq!(from, (self.has.head, self.has.seq, self.has.chain), "it goes on where it was cut");
                        self.has.generation = start.state.generation;
                    }
                    Frame::Transaction(trn) => {
                        if let Some((whole, missing)) = open.take() {
                            assert_eq!(missing, 0);
                            self.has = whole;
                        }
                        assert_eq!((trn.parent, trn.seq), (self.has.head, self.has.seq.next()));
                        let chain = self.has.chain.extend(trn.id, &trn.chunks);
                        open = Some((LogState { head: trn.id, seq: trn.seq, chain, ..self.has }, trn.chunks.len()));
                    }
                    Frame::Chunk(chunk) => {
                        assert!(chunk.id.matches(&chunk.bytes));
                        open.as_mut().unwrap().1 -= 1;
                    }
                    Frame::End(end) => {
                        if let Some((whole, 0)) = open {
                            self.has = whole;
                        }
                        assert_eq!(end.chain, self.has.chain);
                        return true;
                    }
                    other => panic!("{other:?}"),
                }
            }
            match body.next().await {
                Ok(Some(piece)) => decoder.feed(&piece),
                // Cut: the transaction that is whole by now counts.
                Ok(None) | Err(_) => {
                    if let Some((whole, 0)) = open {
                        self.has = whole;
                    }
                    return false;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_client_whose_connection_is_cut_anywhere_goes_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let hub = Hub::open(directory.path(), env(1, 50), Options::default()).unwrap();
    let service = hub.service().clone();
    let hub = HubHandle::start(hub, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let proxy = Proxy::before(&hub).await;
    let mut dice = Dice::new(5, 80);

    // Pushes whose answers are lost: the repeat says the same.
    let (mut state, mut repeats) = (LogState::EMPTY, 0);
    for n in 0..60u64 {
        let chunks: Vec<Vec<Vec<u8>>> = (0..4u8)
            .map(|m| {
                let mut bytes = vec![m; usize::try_from(dice.between(10, 20_000)).unwrap()];
                dice.fill(&mut bytes);
                vec![bytes]
            })
            .collect();
        let pushed = push(&state, &chunks);
        let mut body = Vec::new();
        pushed.frames.iter().for_each(|frame| encode_frame(frame, &mut body));
        loop {
            // A cut connection is not used again, so that each client is cut in its own answer.
            let limit = if dice.chance(500) { usize::try_from(dice.between(1, 300)).unwrap() } else { usize::MAX };
            proxy.lets_pass.store(limit, Ordering::Relaxed);
            let mut client = Client::new(&proxy.url);
            match client.transport.push(body.clone().into()).await {
                Ok(Answer::Accepted(now)) => {
                    assert_eq!((now.state.head, now.state.chain), (pushed.after.head, pushed.after.chain), "push {n}");
                    state = now.state;
                    break;
                }
                Ok(other) => panic!("{other:?}"),
                Err(_) => repeats += 1,
            }
        }
    }
    assert!(repeats > 10, "{repeats}");
    assert_eq!(walk(&service, log(1)), Ok(state));

    // A pull that is cut every few hundred KiB, and now and then in its head.
    let mut client = Client::new(&proxy.url);
    let mut rounds = 0;
    while client.has.head == TrnId::ROOT || client.has.head != state.head {
        let limit = if dice.chance(200) { dice.between(1, 600) } else { dice.between(1_000, 300_000) };
        proxy.lets_pass.store(usize::try_from(limit).unwrap(), Ordering::Relaxed);
        let has = client.has;
        client = Client::new(&proxy.url);
        client.has = has;
        client.pull().await;
        rounds += 1;
    }
    assert_eq!(client.has, state);
    assert!(rounds > 10 && proxy.cuts.load(Ordering::Relaxed) > repeats, "{rounds} rounds");
    hub.stop().await.unwrap();
}
