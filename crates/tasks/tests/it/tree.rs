//! The tree of hashes.

use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;
use tolstoy_tasks::{Digest, Hash, Node, Prefix, TaskId};

/// An id of two characters of choice and fourteen that are the same for all.
fn id(one: usize, other: usize) -> TaskId {
    let alphabet = "23456789abcdefghkmnpqrstwxyz";
    format!("{}{}pb67wndxge8293", &alphabet[one..=one], &alphabet[other..=other]).parse().unwrap()
}

fn any_tasks() -> impl Strategy<Value = BTreeMap<TaskId, Hash>> {
    btree_map(
        (0..28_usize, 0..28_usize).prop_map(|(one, other)| id(one, other)),
        any::<[u8; 32]>().prop_map(Hash),
        0..60,
    )
}

#[test]
fn the_digest_is_what_the_format_says() {
    let task: TaskId = "pb67wndxge8293xd".parse().unwrap();
    let hash: Hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".parse().unwrap();
    let mut digest = Digest::default();
    assert_eq!(digest.to_string(), "0".repeat(64));
    digest.toggle(task, hash);
    // printf pb67wndxge8293xd > x; printf hello | sha256sum | xxd -r -p >> x; sha256sum x
    assert_eq!(digest.to_string(), "6a9aef4ef3b54fae705941393dc7e0209745553aebeb6a5d5cc5400428cfcb68");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    digest.toggle(task, hash);
    assert_eq!(digest, Digest::default());
}

#[test]
fn a_text_that_is_no_hash_and_no_prefix_is_refused() {
    for bad in ["", "0", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"é".repeat(32), &"g".repeat(64)] {
        assert!(bad.parse::<Hash>().is_err() && bad.parse::<Digest>().is_err(), "{bad}");
    }
    for bad in ["i", "PB", "../x", "pb67wndxge8293xdp", "é", "p ", "p,b"] {
        let why = bad.parse::<Prefix>().unwrap_err().to_string();
        assert!(why.contains("is the beginning of no task's id"), "{why}");
    }
    assert_eq!("".parse(), Ok(Prefix::ROOT));
}

proptest! {
    #[test]
    fn a_node_is_what_those_below_it_come_to(tasks in any_tasks()) {
        let root = Node::of(&tasks);
        prop_assert_eq!(root.digest, Digest::of(&tasks));
        prop_assert_eq!(root.tasks, tasks.len() as u64);
        let mut sum = Node::default();
        for first in "23456789abcdefghkmnpqrstwxyz".chars() {
            let prefix: Prefix = first.to_string().parse().unwrap();
            let node = Node::of(prefix.within(&tasks));
            sum.tasks += node.tasks;
            sum.digest.0.iter_mut().zip(node.digest.0).for_each(|(byte, other)| *byte ^= other);
            prop_assert!(prefix.within(&tasks).all(|(id, _)| prefix.covers(*id) && Prefix::of(*id, 1) == prefix));
        }
        prop_assert_eq!(sum, root);
    }

    #[test]
    fn a_node_follows_its_tasks(before in any_tasks(), after in any_tasks()) {
        let mut node = Node::of(&before);
        let mut tasks = before;
        for (id, hash) in after {
            node.replace(id, tasks.insert(id, hash), hash);
        }
        prop_assert_eq!(node, Node::of(&tasks));
    }

    #[test]
    fn the_bounds_of_a_prefix_are_its_ids(one in 0..28_usize, other in 0..28_usize, length in 0..=16_usize, task in (0..28_usize, 0..28_usize)) {
        let prefix = Prefix::of(id(one, other), length);
        let (first, last) = prefix.bounds();
        prop_assert_eq!(prefix.len(), length);
        prop_assert_eq!(prefix.as_str().parse(), Ok(prefix));
        prop_assert!(prefix.covers(first) && prefix.covers(last));
        let task = id(task.0, task.1);
        prop_assert_eq!(prefix.covers(task), (first..=last).contains(&task));
    }
}
