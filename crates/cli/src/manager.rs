//! What a service manager that started this process is told: systemd, by its socket. Without one nobody is told.

use std::time::Duration;

/// The process's state, as systemd calls it.
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

/// Tells the manager, again and again, that the process lives, while it does; where it does not, because of what. For ever, where
/// the manager wants to know; who falls silent is started anew.
pub(crate) async fn report_life(because: &str, lives: impl Fn() -> bool) {
    let Some(patience) = watchdog() else { return };
    let mut ticks = tokio::time::interval(patience / 2);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !lives() {
            tracing::error!("{because}, and the service manager is not told that this process lives");
            continue;
        }
        #[cfg(unix)]
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
            tracing::warn!(%error, "the service manager could not be told that this process lives");
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
