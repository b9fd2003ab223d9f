//! A hub that has no time now, and says when it has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tolstoy_env::Env;
use tolstoy_proto::ErrorBody;

use super::*;

/// Syncs with a hub that answers each kind of request `times` times with "later", and gives the pauses that were made.
fn sync_with_busy(times: u32, after: Duration) -> (Result<SyncReport, Error>, Vec<Duration>) {
    let (hub, mut one) = (Hub::new(), device(1));
    must(&mut one, SCHEMA);
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let noted = pauses.clone();
    let sleep = move |pause| {
        noted.lock().unwrap().push(pause);
        let done: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async {});
        done
    };
    let options = Options::new(Env::repeatable(2000), Arc::new(sleep));
    let mut left = times;
    let serve = |request| {
        if left > 0 {
            left -= 1;
            let body = ErrorBody::new(tolstoy_proto::ErrorKind::RateLimited, "too many requests");
            return Ok(Answer::Later { after, body });
        }
        hub.answer(request)
    };
    let result = now(tolstoy_sync::sync(&mut one, &mut MemoryTransport::new(serve), &options));
    let pauses = pauses.lock().unwrap().clone();
    if result.is_ok() {
        assert_eq!(hub.state().seq, Seq(1));
    }
    (result, pauses)
}

#[test]
fn it_is_asked_again_when_it_said() {
    let after = Duration::from_secs(3);
    let (result, pauses) = sync_with_busy(5, after);
    assert_eq!((result.unwrap().round_trips, pauses), (6, vec![after; 5]));
}

#[test]
fn it_is_not_asked_for_ever() {
    let (result, pauses) = sync_with_busy(u32::MAX, Duration::from_secs(3));
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Refused, "the hub refused: too many requests"));
    assert_eq!(pauses.len(), 5);
}

#[test]
fn nobody_waits_for_an_hour() {
    let (result, pauses) = sync_with_busy(1, Duration::from_secs(3600));
    assert_eq!((result.unwrap_err().kind(), pauses.len()), (ErrorKind::Refused, 0));
}
