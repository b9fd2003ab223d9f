//! Adding versions to a hub through TaskChampion's protocol.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::runtime::Runtime;
use tolstoy_proto::TrnId;

use crate::hub::{BYTES, PUSHES, Rows, WRITERS, Work, log, percentiles, start_bare, start_hub};
use crate::load::Connection;
use crate::round::{Comparison, Table, time};

/// What the versions of each client hold, as random as what is encrypted.
fn bodies() -> Vec<Vec<Bytes>> {
    let mut state = 0x7A5C_u64;
    let mut body = || -> Bytes {
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.take(BYTES / 8).flatten().collect::<Vec<u8>>().into()
    };
    (0..WRITERS).map(|_| (0..PUSHES).map(|_| body()).collect()).collect()
}

/// Each client on a connection of its own, all at the same time; each version after the one that the answer before named.
fn run(
    runtime: &Runtime,
    address: SocketAddr,
    bodies: &[Vec<Bytes>],
    latencies: &mut Vec<Duration>,
    work: &mut Work,
) -> Duration {
    let connections = runtime.block_on(async {
        let mut connections = Vec::new();
        for _ in bodies {
            connections.push(Connection::open(address).await);
        }
        connections
    });
    let jobs: Vec<_> = (0_u64..).zip(connections).zip(bodies.to_vec()).collect();
    let run = || {
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for ((n, connection), bodies) in jobs {
                tasks.push(tokio::spawn(async move {
                    let (client, mut parent) = (log(n).to_string(), TrnId::ROOT);
                    let mut latencies = Vec::with_capacity(bodies.len());
                    for body in bodies {
                        let begun = Instant::now();
                        parent = connection.add_version(&client, parent, body).await;
                        latencies.push(begun.elapsed());
                    }
                    latencies
                }));
            }
            for task in tasks {
                latencies.extend(task.await.unwrap());
            }
        });
    };
    work.of(WRITERS * PUSHES, || time(run))
}

pub(crate) fn versions(table: &mut Table) {
    let name = "taskchampion, 64 clients";
    if !table.wants(name) {
        return;
    }
    let bodies = bodies();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let (mut our_work, mut floor_work) = (Work::default(), Work::default());
    table.compare(Comparison {
        name,
        unit: "versions/s",
        units: (WRITERS * PUSHES) as f64,
        goal: 0.8,
        against: "a bare HTTP handler that group-commits the same rows, and checks nothing",
        rounds: 15,
        ours: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_hub(&runtime, &dir);
            run(&runtime, address, &bodies, &mut ours, &mut our_work)
        }),
        floor: Box::new(|| {
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let address = start_bare(&runtime, &dir, Rows::Same);
            run(&runtime, address, &bodies, &mut floor, &mut floor_work)
        }),
    });
    let (ours, floor) = (percentiles(&mut ours), percentiles(&mut floor));
    table.note(format!("{name}: {ours}, {our_work}; the floor's {floor}, {floor_work}"));
}
