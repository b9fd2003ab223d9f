//! Makes the replica that `crates/cli/tests/fixtures/taskchampion.sqlite3` is, with TaskChampion's own crate:
//!
//! ```sh
//! cargo run --manifest-path interop/replica/Cargo.toml -- DIRECTORY
//! ```

use std::path::Path;

use taskchampion::storage::AccessMode;
use taskchampion::{Operations, Replica, SqliteStorage, Uuid};

const MILK: u128 = 0x296d_835e_8f85_4224_8f36_c612_cad1_b9f8;
const MONEY: u128 = 0x8c4f_ed9c_c0d2_40c2_936d_36fc_44e0_84a0;
const WATER: u128 = 0x0f3f_2c4e_6f0b_4a39_9d0e_1f7b_6a1c_2d3e;
const CHILD: u128 = 0x57cd_2c0f_4e7a_4b0e_9a36_0d6b_7a0c_1e2f;
const GONE: u128 = 0x1b8f_9a30_55cd_4c44_8a37_7a51_6fb6_5b91;

/// The properties of each task, as Taskwarrior 3 writes them.
fn tasks() -> Vec<(u128, Vec<(String, &'static str)>)> {
    let plain = |pairs: &[(&str, &'static str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect::<Vec<_>>();
    let mut milk = plain(&[
        ("status", "pending"),
        ("description", "Buy milk"),
        ("entry", "1763971200"),
        ("modified", "1764057600"),
        ("due", "1764149400"),
        ("start", "1764057600"),
        ("project", "Home.Kitchen"),
        ("priority", "H"),
        ("tags", "home,shop"),
        ("tag_home", "x"),
        ("tag_shop", "x"),
        ("annotation_1764000000", "the oat one"),
        ("estimate", "PT5M"),
    ]);
    milk.push((format!("dep_{}", Uuid::from_u128(MONEY)), "x"));
    milk.push(("depends".to_owned(), "8c4fed9c-c0d2-40c2-936d-36fc44e084a0"));
    let mut child = plain(&[
        ("status", "pending"),
        ("description", "Water the plants"),
        ("entry", "1763971200"),
        ("modified", "1763971200"),
        ("due", "1764149400"),
        ("recur", "weekly"),
        ("imask", "1"),
    ]);
    child.push(("parent".to_owned(), "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e"));
    vec![
        (MILK, milk),
        (
            MONEY,
            plain(&[
                ("status", "completed"),
                ("description", "Get money"),
                ("entry", "1763971200"),
                ("modified", "1764000000"),
                ("end", "1764000000"),
            ]),
        ),
        (
            WATER,
            plain(&[
                ("status", "recurring"),
                ("description", "Water the plants"),
                ("entry", "1763971200"),
                ("modified", "1763971200"),
                ("due", "1763544600"),
                ("recur", "weekly"),
                ("mask", "+-"),
            ]),
        ),
        (CHILD, child),
        (
            GONE,
            plain(&[
                ("status", "deleted"),
                ("description", "Never mind"),
                ("entry", "1763971200"),
                ("modified", "1764000000"),
                ("end", "1764000000"),
                ("wait", "1767225600"),
            ]),
        ),
    ]
}

/// Makes the replica in a directory.
async fn make(directory: &Path) {
    let storage = SqliteStorage::new(directory, AccessMode::ReadWrite, true).await.unwrap();
    let mut replica = Replica::new(storage);
    for (id, properties) in tasks() {
        let mut operations = Operations::new();
        let mut task = replica.create_task(Uuid::from_u128(id), &mut operations).await.unwrap().into_task_data();
        for (name, value) in properties {
            task.update(name, Some(value.to_owned()), &mut operations);
        }
        replica.commit_operations(operations).await.unwrap();
    }
    replica.rebuild_working_set(true).await.unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let directory = std::env::args_os().nth(1).expect("a directory is named");
    make(Path::new(&directory)).await;
}
