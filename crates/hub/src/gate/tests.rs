use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn address(n: u8) -> Client {
    Client::Address(IpAddr::from(Ipv4Addr::new(192, 0, 2, n)).into())
}

fn is_empty(gate: &Gate) -> bool {
    let state = gate.state();
    state.held == 0 && state.clients.is_empty() && state.round.is_empty()
}

/// Polls a waiter; its place where it was let in.
fn poll(waiter: std::pin::Pin<&mut impl Future<Output = Place>>) -> Option<Place> {
    match waiter.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(place) => Some(place),
        Poll::Pending => None,
    }
}

#[test]
fn no_client_has_more_than_its_share_and_all_have_no_more_than_there_is() {
    let gate = Gate::new(8);
    let one = [gate.try_take(&address(1), 1), gate.try_take(&address(1), 1)];
    assert!(one.iter().all(Option::is_some) && gate.try_take(&address(1), 1).is_none());
    let others: Vec<_> = (0..10).filter_map(|_| gate.try_take(&Client::Anyone, 1)).collect();
    assert_eq!((others.len(), gate.held()), (6, 8));
    assert!(gate.try_take(&address(2), 1).is_none());
    drop(one);
    assert!(gate.try_take(&address(1), 1).is_some());
    let two = [gate.try_take(&address(2), 1), gate.try_take(&address(2), 1)];
    assert!(two.iter().all(Option::is_some));
    drop((others, two));
    assert!(is_empty(&gate));
}

#[test]
fn who_has_his_share_holds_up_nobody() {
    let gate = Gate::new(8);
    let one = address(1);
    let held = gate.try_take(&one, 2).unwrap();
    let mut more = Box::pin(gate.take(&one, 1));
    assert!(poll(more.as_mut()).is_none());
    // He waits for himself alone.
    assert!(gate.wanted(&address(1)).is_now && !gate.wanted(&address(2)).is_now);
    assert!(gate.try_take(&address(2), 2).is_some());
    drop(held);
    assert!(poll(more.as_mut()).is_some());
    drop(more);
    assert!(is_empty(&gate));
}

#[test]
fn those_who_wait_are_let_in_one_client_after_the_other() {
    let gate = Gate::new(4);
    let (one, two) = (address(1), address(2));
    let all = gate.try_take(&Client::Anyone, 4).unwrap();
    let mut first = pin!(gate.take(&one, 1));
    let mut second = pin!(gate.take(&one, 1));
    let mut other = pin!(gate.take(&two, 1));
    for waiter in [first.as_mut(), second.as_mut()] {
        assert!(poll(waiter).is_none());
    }
    assert!(poll(other.as_mut()).is_none());
    assert!(gate.wanted(&address(9)).is_now);
    drop(all);
    let (first, other) = (poll(first.as_mut()), poll(other.as_mut()));
    assert!(first.is_some() && other.is_some() && poll(second.as_mut()).is_none());
    drop(other);
    assert!(poll(second.as_mut()).is_none(), "its share is one");
    drop(first);
    assert!(poll(second.as_mut()).is_some());
}

#[test]
fn nobody_passes_by_one_who_needs_more_than_is_free() {
    let gate = Gate::new(16);
    let half = gate.try_take(&Client::Anyone, 14).unwrap();
    let one = address(1);
    let mut large = pin!(gate.take(&one, 4));
    assert!(poll(large.as_mut()).is_none());
    assert!(gate.try_take(&address(2), 1).is_none());
    drop(half);
    let large = poll(large.as_mut());
    assert!(large.is_some() && gate.try_take(&address(2), 1).is_some());
}

#[test]
fn one_who_goes_waits_no_more_and_leaves_nothing_behind() {
    let gate = Gate::new(16);
    let most = gate.try_take(&Client::Anyone, 14).unwrap();
    let (one, two) = (address(1), address(2));
    let mut small = Box::pin(gate.take(&two, 2));
    {
        let mut large = pin!(gate.take(&one, 4));
        assert!(poll(large.as_mut()).is_none());
        assert!(poll(small.as_mut()).is_none());
    }
    // What it was held up by has gone.
    let small = poll(small.as_mut());
    assert!(small.is_some());
    // One that goes when it was let in, and did not know yet.
    let mut late = Box::pin(gate.take(&one, 4));
    assert!(poll(late.as_mut()).is_none());
    drop((most, small));
    assert_eq!(gate.held(), 4);
    drop(late);
    assert!(is_empty(&gate));
}

#[test]
fn who_asks_for_more_than_his_share_gets_that() {
    let gate = Gate::new(16);
    let mut place = gate.try_take(&address(1), 100).unwrap();
    assert_eq!(gate.held(), 4);
    place.set(1);
    assert_eq!(gate.held(), 1);
    drop(place);
    assert!(is_empty(&gate));
}
