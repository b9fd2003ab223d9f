//! What a service manager that started the hub is told: systemd, by its socket. Without one nobody is told.

use std::time::Duration;

use tolstoy_hub::service::Service;

/// The hub's state, as systemd calls it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    Ready,
    Reloading,
    Stopping,
}

/// Tells the manager.
pub(crate) fn tell(state: State) {
    #[cfg(unix)]
    {
        use sd_notify::NotifyState as Told;
        let told = match state {
            State::Ready => sd_notify::notify(&[Told::Ready]),
            // The manager wants to know which of its signals this answers.
            State::Reloading => Told::monotonic_usec_now().and_then(|now| sd_notify::notify(&[Told::Reloading, now])),
            State::Stopping => sd_notify::notify(&[Told::Stopping]),
        };
        if let Err(error) = told {
            tracing::warn!(%error, ?state, "the service manager could not be told");
        }
    }
    #[cfg(not(unix))]
    let _ = state;
}

/// Tells the manager, again and again, that the hub lives: while its writes get anywhere. For ever, where the manager wants to
/// know; a hub that falls silent is started anew.
pub(crate) async fn report_life(service: Service) {
    let Some(patience) = watchdog() else { return };
    let mut ticks = tokio::time::interval(patience / 2);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !service.is_alive() {
            tracing::error!("a write does not end, and the service manager is not told that the hub lives");
            continue;
        }
        #[cfg(unix)]
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
            tracing::warn!(%error, "the service manager could not be told that the hub lives");
        }
    }
}

/// How long the manager waits for a sign of life; none where it does not.
fn watchdog() -> Option<Duration> {
    #[cfg(unix)]
    return sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero());
    #[cfg(not(unix))]
    None
}
