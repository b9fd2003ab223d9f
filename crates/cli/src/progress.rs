//! A bar for what takes longer than half a second, on standard error, where somebody looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ui::Ui;

/// How long work goes on in silence.
const SILENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);

/// A bar, shown only when the work takes long. It disappears with the value.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    over: Arc<Mutex<bool>>,
}

impl Progress {
    /// Begins to wait.
    pub(crate) fn begin(ui: &Ui) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(spinner());
        let over = Arc::new(Mutex::new(false));
        if ui.err_is_tty() {
            let (bar, over) = (bar.clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                std::thread::sleep(SILENCE);
                let over = over.lock().unwrap_or_else(PoisonError::into_inner);
                if !*over {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(TICK);
                }
            });
        }
        Self { bar, over }
    }

    /// Says what is being done and, where that is known, how far it is.
    pub(crate) fn tell(&self, what: &str, done: u64, of: Option<u64>) {
        if self.bar.message() != what {
            self.bar.set_message(what.to_owned());
        }
        if self.bar.length() != of {
            match of {
                Some(of) => {
                    self.bar.set_style(bar());
                    self.bar.set_length(of);
                }
                None => {
                    self.bar.set_style(spinner());
                    self.bar.unset_length();
                }
            }
        }
        self.bar.set_position(done);
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bar.finish_and_clear();
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {human_pos}  {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len}  {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
