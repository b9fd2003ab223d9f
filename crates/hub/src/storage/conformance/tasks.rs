//! Checks of tasks and the tree of their hashes.

use std::collections::BTreeMap;

use tolstoy_tasks::{Hash, Node, Prefix, TaskId};

use super::keeping::sweep;
use super::*;
use crate::storage::{KeptTask, task_weight};

const ALPHABET: &[u8] = b"23456789abcdefghkmnpqrstwxyz";

/// The id of a number. Ids of numbers that are near share what they begin with.
fn id(n: usize) -> TaskId {
    let digit = |place: u32| char::from(ALPHABET[n / ALPHABET.len().pow(place) % ALPHABET.len()]);
    format!("{}{}{}pb67wndxge829", digit(2), digit(1), digit(0)).parse().unwrap()
}

/// A task. What is in it means nothing to a storage.
fn task(n: usize, version: u8) -> KeptTask {
    KeptTask { hash: Hash([version; 32]), text: format!("document {n} {}", "x".repeat(version.into())) }
}

fn put_tasks(storage: &Shared, life: Life, tasks: &[(usize, u8)]) {
    let tasks = tasks.to_vec();
    write(storage, move |txn| {
        tasks.iter().try_for_each(|(n, version)| txn.put_task(life, id(*n), &task(*n, *version)))
    });
}

/// The life has these tasks, and the tree tells of them what they come to.
fn has(txn: &dyn ReadTxn, life: Life, expected: &BTreeMap<usize, u8>) {
    let hashes: BTreeMap<TaskId, Hash> = expected.iter().map(|(n, v)| (id(*n), task(*n, *v).hash)).collect();
    for (n, version) in expected {
        assert_eq!(txn.task(life, id(*n)), Ok(Some(task(*n, *version))));
    }
    let mut prefixes: Vec<Prefix> = vec![Prefix::ROOT, "z".parse().unwrap(), "zz".parse().unwrap()];
    prefixes.extend(expected.keys().flat_map(|n| (1..=16).map(|length| Prefix::of(id(*n), length))));
    for prefix in prefixes {
        let within: Vec<(TaskId, Hash)> = prefix.within(&hashes).map(|(id, hash)| (*id, *hash)).collect();
        assert_eq!(txn.task_hashes(life, prefix, None, 9999), Ok(within.clone()), "{prefix:?}");
        assert_eq!(txn.task_node(life, prefix), Ok(Node::of(prefix.within(&hashes))), "{prefix:?}");
        if prefix.len() < TaskId::LENGTH {
            let below: std::collections::BTreeSet<Prefix> =
                within.iter().map(|(id, _)| Prefix::of(*id, prefix.len() + 1)).collect();
            let below = below.into_iter().map(|below| (below, Node::of(below.within(&hashes)))).collect();
            assert_eq!(txn.task_nodes(life, prefix), Ok(below), "{prefix:?}");
        }
    }
}

pub fn tasks_are_kept_with_the_tree_of_their_hashes(storage: &Shared) {
    let (life, other) = (begin(storage, log(1)), begin(storage, log(2)));
    let mut expected = BTreeMap::new();
    read(storage, |txn| has(txn, life, &BTreeMap::new()));
    for job in 0..6_usize {
        let tasks: Vec<(usize, u8)> =
            (0..20).map(|n| (n * (job * 131 + 7) % 3000, u8::try_from(job * 20 + n).unwrap())).collect();
        put_tasks(storage, life, &tasks);
        expected.extend(tasks);
        read(storage, |txn| has(txn, life, &expected));
    }
    put_tasks(storage, other, &[(1, 1)]);
    read(storage, |txn| has(txn, life, &expected));
    read(storage, |txn| has(txn, other, &BTreeMap::from([(1, 1)])));
    // Page by page.
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|(id, _)| *id);
        let page = read(storage, |txn| txn.task_hashes(life, Prefix::ROOT, after, 7)).unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(Ok(paged), read(storage, |txn| txn.task_hashes(life, Prefix::ROOT, None, 9999)));
    let after = Some(id(2999));
    assert_eq!(read(storage, |txn| txn.task_hashes(life, "2".parse().unwrap(), after, 9)), Ok(Vec::new()));
}

pub fn a_job_sees_the_tasks_that_it_put(storage: &Shared) {
    let life = begin(storage, log(1));
    put_tasks(storage, life, &[(1, 1), (900, 1)]);
    write(storage, move |txn| {
        let mut expected = BTreeMap::from([(1, 1), (900, 1)]);
        for (n, version) in [(1, 2), (2, 1), (900, 3), (901, 1), (1, 4)] {
            txn.put_task(life, id(n), &task(n, version))?;
            expected.insert(n, version);
            has(txn, life, &expected);
        }
        Ok(())
    });
}

pub fn tasks_go_back_with_a_failed_job(storage: &Shared) {
    let life = begin(storage, log(1));
    put_tasks(storage, life, &[(1, 1), (2, 1)]);
    let before = read(storage, |txn| txn.usage(life));
    let failed = try_write(storage, move |txn| -> Result<(), StorageError> {
        txn.put_task(life, id(1), &task(1, 9))?;
        txn.put_task(life, id(3), &task(3, 9))?;
        Err(StorageError::Failed("on purpose".to_owned()))
    });
    assert!(failed.is_err());
    read(storage, |txn| has(txn, life, &BTreeMap::from([(1, 1), (2, 1)])));
    assert_eq!(read(storage, |txn| txn.task(life, id(3))), Ok(None));
    assert_eq!(read(storage, |txn| txn.usage(life)), before);
}

pub fn tasks_weigh_and_are_counted(storage: &Shared) {
    let (life, other) = (begin(storage, log(1)), begin(storage, log(2)));
    let weight = |n: usize, version: u8| task_weight(task(n, version).text.len());
    let bytes = |life| read(storage, |txn| txn.usage(life)).unwrap().bytes;
    put_tasks(storage, life, &[(1, 9), (2, 1)]);
    assert_eq!(bytes(life), weight(1, 9) + weight(2, 1));
    // Shorter and longer than before.
    put_tasks(storage, life, &[(1, 2), (2, 7), (2, 8)]);
    assert_eq!(bytes(life), weight(1, 2) + weight(2, 8));
    assert_eq!(read(storage, |txn| txn.usage(life)).unwrap().fresh, 0);
    put_tasks(storage, other, &[(5, 1)]);
    let counted: Vec<u64> =
        read(storage, |txn| txn.logs_by_id(log(0), log(255), 9)).unwrap().iter().map(|log| log.tasks).collect();
    assert_eq!(counted, [2, 1]);
    assert_eq!(read(storage, |txn| txn.totals()).unwrap().tasks, 3);
    write(storage, |txn| txn.end_life(log(1)));
    assert_eq!(read(storage, |txn| txn.totals()).unwrap().tasks, 1);
}

pub fn the_tasks_of_a_log_that_ended_are_gone(storage: &Shared) {
    let (one, two) = (begin(storage, log(1)), begin(storage, log(2)));
    let many: Vec<(usize, u8)> = (0..300).map(|n| (n * 61, 1)).collect();
    for life in [one, two] {
        put_tasks(storage, life, &many);
    }
    write(storage, move |txn| {
        txn.put_task(one, id(7), &task(7, 7))?;
        txn.end_life(log(1))
    });
    let again = write(storage, |txn| txn.begin_life(log(1), generation(2)));
    read(storage, |txn| has(txn, again, &BTreeMap::new()));
    put_tasks(storage, again, &[(3, 3)]);
    sweep(storage);
    assert_eq!(read(storage, |txn| txn.to_sweep()).unwrap(), crate::storage::Swept::default());
    read(storage, |txn| has(txn, again, &BTreeMap::from([(3, 3)])));
    read(storage, |txn| has(txn, two, &many.iter().copied().collect()));
    assert_eq!(read(storage, |txn| txn.totals()).unwrap().tasks, 301);
}
