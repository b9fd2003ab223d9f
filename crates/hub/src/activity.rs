//! The newest pushes and pulls, and exchanges of tasks, for the status page.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::{Method, StatusCode};
use serde::Serialize;
use tolstoy_edn::Instant;
use tolstoy_proto::LogId;

use crate::auth::Principal;

/// How many are remembered.
const KEPT: usize = 50;

/// What is done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Push,
    Pull,
    Snapshot,
    Delete,
    Tasks,
}

/// What a request does, and to which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) kind: Kind,
    pub(crate) log: LogId,
}

impl Act {
    /// What a request for this route does; none where it is of no interest, such as the small steps of `/0.1`.
    pub(crate) fn of(template: &str, method: &Method, log: LogId) -> Option<Self> {
        let kind = match (template, method.as_str()) {
            ("/1/logs/{log}/push", "POST")
            | ("/0.1/{user}/head", "PUT")
            | ("/v1/client/add-version/{parent}", "POST") => Kind::Push,
            ("/1/logs/{log}/pull", "GET")
            | ("/0.1/{user}/transactions", "GET")
            | ("/v1/client/get-child-version/{parent}", "GET") => Kind::Pull,
            ("/1/logs/{log}/snapshots/{trn}", "PUT") | ("/v1/client/add-snapshot/{version}", "POST") => Kind::Snapshot,
            ("/1/logs/{log}/task/{id}" | "/1/logs/{log}/tasks", "POST") => Kind::Tasks,
            ("/1/logs/{log}" | "/0.1/{user}" | "/0.1/{user}/", "DELETE") => Kind::Delete,
            _ => return None,
        };
        Some(Self { kind, log })
    }
}

/// Something that was done.
#[derive(Debug, Clone)]
pub(crate) struct Activity {
    /// When it had ended.
    pub(crate) at: Instant,
    pub(crate) act: Act,
    /// Whose token it was, where there was one, and the address.
    pub(crate) principal: Option<Principal>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) status: StatusCode,
}

impl Activity {
    /// The token's name, else the address.
    pub(crate) fn who(&self) -> Option<String> {
        let name = self.principal.as_ref().and_then(Principal::name);
        name.map(str::to_owned).or_else(|| self.peer.map(|ip| ip.to_string()))
    }
}

/// The newest activities.
#[derive(Debug, Default)]
pub(crate) struct Activities(Mutex<VecDeque<Activity>>);

impl Activities {
    /// Remembers one, and forgets the oldest. Never waits: where another is being noted, this one is left out.
    pub(crate) fn note(&self, activity: impl FnOnce() -> Activity) {
        if let Ok(mut kept) = self.0.try_lock() {
            if kept.len() == KEPT {
                kept.pop_back();
            }
            kept.push_front(activity());
        }
    }

    /// Those that are remembered, the newest first.
    pub(crate) fn newest(&self) -> Vec<Activity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "0f3f2c4e-6f0b-4a39-9d0e-1f7b6a1c2d3e";

    #[test]
    fn what_is_done_is_told_by_the_route() {
        let log: LogId = LOG.parse().unwrap();
        let of = |template: &str, method| Act::of(template, &method, log);
        let act = |kind| Some(Act { kind, log });
        assert_eq!(of("/1/logs/{log}/push", Method::POST), act(Kind::Push));
        assert_eq!(of("/0.1/{user}/head", Method::PUT), act(Kind::Push));
        assert_eq!(of("/v1/client/add-version/{parent}", Method::POST), act(Kind::Push));
        assert_eq!(of("/v1/client/get-child-version/{parent}", Method::GET), act(Kind::Pull));
        assert_eq!(of("/v1/client/add-snapshot/{version}", Method::POST), act(Kind::Snapshot));
        assert_eq!(of("/1/logs/{log}/tasks", Method::POST), act(Kind::Tasks));
        assert_eq!(of("/0.1/{user}/head", Method::GET), None);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let activities = Activities::default();
        for n in 0..120 {
            let act = Act { kind: Kind::Pull, log: LOG.parse().unwrap() };
            let status = StatusCode::OK;
            let at = Instant::from_micros(n);
            activities.note(|| Activity { at, act, principal: None, peer: None, received: 0, sent: 0, status });
        }
        let times: Vec<i64> = activities.newest().iter().map(|activity| activity.at.as_micros()).collect();
        assert_eq!(times, (70..120).rev().collect::<Vec<i64>>());
    }
}
