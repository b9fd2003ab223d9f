//! Clients that mean harm, against the real program: its memory stays bounded, and others are served.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the figures are worth reading where they are asked for")]

use std::io;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tolstoy_proto::coding::compress;
use tolstoy_proto::limits::{MAX_CHUNK, MAX_PUSH};
use tolstoy_proto::{
    Chunk, ChunkId, End, Frame, LogId, LogState, Push, Transaction, TrnId, derive_trn, encode_frame, media, paths,
};
use uuid::Uuid;

use crate::room::{Hub, Room};

/// What a hub may grow by, in KiB, whatever is done to it.
const BOUND: u64 = 150 << 10;

/// A hub, and what it weighed before anybody did it harm.
struct Victim {
    _room: Room,
    hub: Hub,
    address: String,
    before: u64,
}

impl Victim {
    /// A hub that has served somebody.
    async fn start() -> Self {
        let room = Room::new();
        let hub = room.hub();
        let address = hub.url.strip_prefix("http://").unwrap().to_owned();
        let mut victim = Self { _room: room, hub, address, before: 0 };
        victim.serves().await;
        // From here on the highest is counted.
        std::fs::write(format!("/proc/{}/clear_refs", victim.hub.pid()), "5").unwrap();
        victim.before = victim.memory("VmRSS");
        victim
    }

    /// A figure of the process's memory, in KiB.
    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.hub.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Demands that the hub has not grown beyond the bound since it was started.
    fn is_bounded(&self, under: &str) {
        self.is_within(BOUND, under);
    }

    fn is_within(&self, bound: u64, under: &str) {
        let grown = self.memory("VmHWM").saturating_sub(self.before);
        println!("{under}: {} KiB, and {grown} more", self.before);
        assert!(grown < bound, "{under}: it grew by {grown} KiB");
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    fn head(&self, method: &str, path: &str, headers: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address)
    }

    /// A request whole, on a new connection; gives the status and the body.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut link = self.connect().await;
        let headers = format!("Content-Length: {}\r\nConnection: close\r\n{headers}", body.len());
        send(&mut link, self.head(method, path, &headers).as_bytes()).await;
        send(&mut link, body).await;
        let mut answer = Vec::new();
        // What was answered before the connection was reset counts.
        let _ = link.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(answer.len());
        (status(&answer), answer.split_off((end + 4).min(answer.len())))
    }

    /// Demands that somebody new is served: a short push, a longer one that goes into a file, and a pull.
    async fn serves(&self) {
        let log = log(1_000_000 + u128::from(std::process::id()));
        let (_, state) = self.ask("GET", &paths::log(log), "", b"").await;
        let state: LogState = serde_json::from_slice(&state).unwrap();
        let (short, after) = push_of(&state, &[vec![state.seq.0 as u8; 100]]);
        assert_eq!(self.push(log, &short).await, 200);
        let (_, begun) = self.ask("GET", &paths::log(log), "", b"").await;
        let begun: LogState = serde_json::from_slice(&begun).unwrap();
        assert_eq!(begun.head, after);
        let (long, _) = push_of(&begun, &[vec![begun.seq.0 as u8; 600_000]]);
        assert_eq!(self.push(log, &long).await, 200);
        assert_eq!(self.ask("GET", &paths::pull(log, &[begun.head]), "", b"").await.0, 200);
    }

    async fn push(&self, log: LogId, body: &[u8]) -> u16 {
        let headers = format!("Content-Type: {}\r\n", media::MSGPACK);
        self.ask("POST", &paths::push(log), &headers, body).await.0
    }
}

fn log(n: u128) -> LogId {
    LogId(Uuid::from_u128(n))
}

fn status(answer: &[u8]) -> u16 {
    let line = String::from_utf8_lossy(answer.get(..16).unwrap_or_default()).into_owned();
    line.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Sends as much as the other side takes.
async fn send(link: &mut TcpStream, bytes: &[u8]) -> bool {
    link.write_all(bytes).await.is_ok()
}

/// A push of one transaction for each chunk, and the id of the last.
fn push_of(state: &LogState, chunks: &[Vec<u8>]) -> (Vec<u8>, TrnId) {
    let mut body = Vec::new();
    encode_frame(&Frame::Push(Push { generation: state.generation, expect: vec![state.head] }), &mut body);
    let mut after = *state;
    for bytes in chunks {
        let chunk = ChunkId::of(bytes);
        let (id, parent) = (derive_trn(after.head, &[chunk]), after.head);
        after = LogState { head: id, seq: after.seq.next(), chain: after.chain.extend(id, &[chunk]), ..after };
        encode_frame(&Frame::Transaction(Transaction { id, seq: after.seq, parent, chunks: vec![chunk] }), &mut body);
        encode_frame(&Frame::Chunk(Chunk { id: chunk, bytes: bytes.clone().into() }), &mut body);
    }
    encode_frame(&Frame::End(End { count: chunks.len() as u64, chain: after.chain }), &mut body);
    (body, after.head)
}

/// Sends a body in pieces until the other side answers, or takes no more; gives what it answered.
async fn endless(mut link: TcpStream, head: String, first: Vec<u8>, piece: Vec<u8>) -> (u16, usize) {
    let (mut answers, mut requests) = link.split();
    let sending = async {
        let mut sent = 0;
        let mut next = [head.as_bytes(), &chunked(&first)].concat();
        while requests.write_all(&next).await.is_ok() {
            sent += next.len();
            next = chunked(&piece);
        }
        sent
    };
    let mut answer = [0; 16];
    let answered = answers.read_exact(&mut answer);
    let mut sent = 0;
    tokio::select! {
        all = sending => sent = all,
        _ = answered => {}
    }
    (status(&answer), sent)
}

fn chunked(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn bodies_that_never_end() {
    let victim = Victim::start().await;
    let mut clients = JoinSet::new();
    // As many as there are places for large bodies: each kind twice.
    for n in 0..2 {
        let (push, _) = push_of(&LogState::EMPTY, &[vec![n; 8 << 20]]);
        let headers = format!("Transfer-Encoding: chunked\r\nContent-Type: {}\r\n", media::MSGPACK);
        let head = victim.head("POST", &paths::push(log(1)), &headers);
        // All of a push but its end, and then more of what could be a frame.
        let frame = [&(16u32 << 20).to_be_bytes()[..], &[0; 1 << 20]].concat();
        clients.spawn(endless(victim.connect().await, head, push[..push.len() - 60].to_vec(), frame));
        let head =
            victim.head("PUT", &format!("{}/chunks/c{n}", paths::v0_base(log(1))), "Transfer-Encoding: chunked\r\n");
        clients.spawn(endless(victim.connect().await, head, vec![1; MAX_CHUNK / 2], vec![2; 1 << 20]));
    }
    while let Some(end) = clients.join_next().await {
        let (status, sent) = end.unwrap();
        assert!([0, 400, 413].contains(&status), "{status} after {sent}");
    }
    victim.serves().await;
    victim.is_bounded("bodies that never end");
}

#[tokio::test]
async fn bodies_that_decompress_to_more_than_anybody_has() {
    let victim = Victim::start().await;
    let zeros = compress(&vec![0; 64 << 20], 1).unwrap();
    // 6 GiB of zeros, in frames one behind the other; and a push whose frames are bombs.
    let bomb = zeros.repeat(96);
    let coded = "Content-Encoding: zstd\r\n";
    for _ in 0..4 {
        let (status, body) = victim.ask("PUT", &format!("{}/chunks/bomb", paths::v0_base(log(1))), coded, &bomb).await;
        assert_eq!(status, 413, "{}", String::from_utf8_lossy(&body));
        let headers = format!("{coded}Content-Type: {}\r\n", media::MSGPACK);
        let (status, body) = victim.ask("POST", &paths::push(log(1)), &headers, &bomb).await;
        assert!([400, 413].contains(&status), "{}", String::from_utf8_lossy(&body));
    }
    let (mut long, _) = push_of(&LogState::EMPTY, &vec![vec![0; 15 << 20]; 4]);
    long.truncate(long.len() - 60);
    let long = compress(&[long, vec![0; 64 << 20]].concat(), 1).unwrap();
    let headers = format!("{coded}Content-Type: {}\r\n", media::MSGPACK);
    let (status, body) = victim.ask("POST", &paths::push(log(2)), &headers, &long).await;
    assert!([400, 413].contains(&status), "{}", String::from_utf8_lossy(&body));
    victim.serves().await;
    victim.is_bounded("decompression bombs");
}

#[tokio::test]
async fn requests_that_come_byte_by_byte() {
    let victim = Victim::start().await;
    let heads = victim.head("GET", "/healthz", "X-Slow: very\r\n");
    let put = victim.head("PUT", &paths::v0_head(log(1)), "Content-Length: 9000\r\n");
    let mut dripping = JoinSet::new();
    for n in 0..600 {
        let mut link = victim.connect().await;
        let text = if n % 2 == 0 { heads.clone() } else { put.clone() };
        dripping.spawn(async move {
            // The bodies have their heads at once.
            let (at_once, slowly) = if text.starts_with("PUT") { (text.len(), "          ") } else { (8, &text[8..]) };
            send(&mut link, &text.as_bytes()[..at_once]).await;
            for byte in slowly.bytes() {
                if !send(&mut link, &[byte]).await {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
    for _ in 0..3 {
        victim.serves().await;
    }
    victim.is_bounded("six hundred requests byte by byte");
    dripping.abort_all();
}

#[tokio::test]
async fn heads_that_are_too_long() {
    let victim = Victim::start().await;
    for _ in 0..20 {
        for headers in [format!("X-Long: {}\r\n", "x".repeat(4 << 20)), "X-Many: y\r\n".repeat(100_000)] {
            let (status, _) = victim.ask("GET", "/healthz", &headers, b"").await;
            assert!([0, 400, 431].contains(&status), "{status}");
        }
        let path = format!("/1/logs/{}", "a".repeat(2 << 20));
        let (status, _) = victim.ask("GET", &path, "", b"").await;
        assert!([0, 400, 414, 431].contains(&status), "{status}");
    }
    victim.serves().await;
    victim.is_bounded("long heads");
}

/// A push of so many chunks of one byte, under the shortest ids there are.
fn tiny_chunks(count: usize) -> Vec<u8> {
    let mut body = Vec::new();
    encode_frame(&Frame::Push(Push { generation: None, expect: vec![TrnId::ROOT] }), &mut body);
    let mut after = LogState::EMPTY;
    let ids: Vec<ChunkId> = (0..count).map(|n| format!("{n:x}").parse().unwrap()).collect();
    for chunks in ids.chunks(90_000) {
        let (id, parent) = (derive_trn(after.head, chunks), after.head);
        after = LogState { head: id, seq: after.seq.next(), chain: after.chain.extend(id, chunks), ..after };
        let trn = Transaction { id, seq: after.seq, parent, chunks: chunks.to_vec() };
        encode_frame(&Frame::Transaction(trn), &mut body);
        for id in chunks {
            encode_frame(&Frame::Chunk(Chunk { id: *id, bytes: vec![7].into() }), &mut body);
        }
    }
    encode_frame(&Frame::End(End { count: ids.chunks(90_000).count() as u64, chain: after.chain }), &mut body);
    assert!(body.len() < MAX_PUSH);
    body
}

#[tokio::test]
async fn a_million_tiny_chunks() {
    let victim = Victim::start().await;
    let body = tiny_chunks(999_900);
    assert_eq!(victim.push(log(1), &body).await, 200);
    victim.serves().await;
    victim.is_bounded("a million tiny chunks");
    let (status, body) = victim.ask("POST", &paths::push(log(2)), &msgpack(), &tiny_chunks(1_000_001)).await;
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&body));
}

fn msgpack() -> String {
    format!("Content-Type: {}\r\n", media::MSGPACK)
}

/// A log of 64 MiB; gives its length.
async fn long_log(victim: &Victim, log: LogId) -> usize {
    let mut state = LogState::EMPTY;
    for n in 0..8u8 {
        let (push, head) =
            push_of(&state, &vec![vec![n; 1 << 20]; 8].iter().enumerate().map(salted).collect::<Vec<_>>());
        assert_eq!(victim.push(log, &push).await, 200);
        let (_, now) = victim.ask("GET", &paths::log(log), "", b"").await;
        state = serde_json::from_slice(&now).unwrap();
        assert_eq!(state.head, head);
    }
    64 << 20
}

fn salted((n, bytes): (usize, &Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.clone();
    bytes[0] = n as u8 + 100;
    bytes
}

#[tokio::test]
async fn a_long_pull_by_many_and_by_many_who_read_nothing() {
    let victim = Victim::start().await;
    let long = long_log(&victim, log(1)).await;
    let path = paths::pull(log(1), &[]);
    let head = victim.head("GET", &path, "Connection: close\r\n");
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let (mut link, head) = (victim.connect().await, head.clone());
        readers.spawn(async move {
            send(&mut link, head.as_bytes()).await;
            tokio::io::copy(&mut link, &mut tokio::io::sink()).await.unwrap()
        });
    }
    for read in readers.join_all().await {
        assert!(read > long as u64);
    }
    victim.is_bounded("eight long pulls");
    // As many as there are places for long answers.
    let mut idle = Vec::new();
    for _ in 0..64 {
        let mut link = victim.connect().await;
        send(&mut link, head.as_bytes()).await;
        let mut first = [0; 1000];
        link.read_exact(&mut first).await.unwrap();
        idle.push(link);
    }
    // They are cut when they have read nothing for long enough: somebody else's long answer has their place then.
    victim.serves().await;
    // Each held a chunk or two, of a MiB.
    victim.is_within(BOUND + (64 << 10), "sixty-four readers who read nothing");
}

/// Lets this process have so many files open, where it may; gives how many it may have.
fn raise_open_files(wanted: usize) -> usize {
    let pid = std::process::id().to_string();
    let limits = || {
        let text = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        let numbers: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers[0], numbers.get(1).copied().unwrap_or(usize::MAX))
    };
    let (soft, hard) = limits();
    if soft < wanted {
        let wanted = wanted.min(hard);
        // Where there is no such program, there are fewer connections.
        let _ = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={wanted}:")]).status();
    }
    limits().0
}

#[tokio::test]
async fn ten_thousand_connections() {
    let files = raise_open_files(20_000);
    let count = 10_000.min(files - 500);
    let victim = Victim::start().await;
    // Somebody who was here before.
    let mut known = victim.connect().await;
    let ask = victim.head("GET", "/healthz", "");
    let answered = async |link: &mut TcpStream| -> io::Result<u16> {
        link.write_all(ask.as_bytes()).await?;
        let mut answer = vec![0; 4096];
        let n = timeout(Duration::from_secs(60), link.read(&mut answer)).await??;
        Ok(status(&answer[..n]))
    };
    assert_eq!(answered(&mut known).await.unwrap(), 200);
    let mut connecting = JoinSet::new();
    for n in 0..count {
        let address = victim.address.clone();
        connecting.spawn(async move {
            let mut link = TcpStream::connect(address).await.ok()?;
            // Some say nothing, some begin.
            if n % 2 == 0 {
                link.write_all(b"GET / HTTP/1.1\r\nHost: ").await.ok()?;
            }
            Some(link)
        });
    }
    // The hub has as many as it takes, and the system keeps some for it.
    let mut held = Vec::new();
    while held.len() < count.min(4096) {
        held.extend(connecting.join_next().await.unwrap().unwrap());
    }
    assert_eq!(answered(&mut known).await.unwrap(), 200);
    victim.is_bounded("ten thousand connections");
    // Those who ask for nothing are cut in the end, and then somebody new is served, while others still come.
    assert_eq!(timeout(Duration::from_secs(120), victim.ask("GET", "/healthz", "", b"")).await.unwrap().0, 200);
    victim.serves().await;
    victim.is_bounded("ten thousand connections, and later");
}
