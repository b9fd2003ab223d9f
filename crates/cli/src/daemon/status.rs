//! What a daemon tells of itself, on its socket and on the terminal.

use serde::{Deserialize, Serialize};

use super::schedule::StateName;
use crate::error::{Failure, Kind};
use crate::facts;
use crate::ui::{BOLD, DIM, GONE, Ui, WARN, visible};

/// A daemon's status. Fields that a later version adds are ignored by this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) since: String,
    /// The settings file.
    pub(crate) settings: String,
    /// Why it could not be read again.
    #[serde(default)]
    pub(crate) settings_error: Option<String>,
    pub(crate) pairs: Vec<PairStatus>,
}

/// A pair's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PairStatus {
    pub(crate) kind: String,
    pub(crate) places: [String; 2],
    pub(crate) state: String,
    pub(crate) since: String,
    pub(crate) synced: Option<String>,
    pub(crate) in_step_since: Option<String>,
    pub(crate) failures: u32,
    pub(crate) error: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) moved: MovedStatus,
}

/// How many tasks, or transactions, came and went since the pair was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MovedStatus {
    pub(crate) came: u64,
    pub(crate) went: u64,
}

impl StateName {
    /// The word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Syncing => "syncing",
            Self::InStep => "in-step",
            Self::Waiting => "waiting",
            Self::Stuck => "stuck",
        }
    }
}

impl Status {
    /// What it comes to: nothing where all is well.
    pub(crate) fn verdict(&self) -> Option<Kind> {
        let any = |of: &dyn Fn(&PairStatus) -> bool| self.pairs.iter().any(of);
        if any(&|pair| pair.state == "stuck" || !pair.remarks.is_empty()) || self.settings_error.is_some() {
            Some(Kind::Stuck)
        } else if any(&|pair| pair.state == "waiting") {
            Some(Kind::Waiting)
        } else {
            None
        }
    }

    /// The same for people.
    pub(crate) fn show(&self, ui: &mut Ui) -> Result<(), Failure> {
        let of = |state: &str| self.pairs.iter().filter(|pair| pair.state == state).count();
        let remarked = self.pairs.iter().filter(|pair| pair.state != "stuck" && !pair.remarks.is_empty()).count();
        let pairs = facts::count(self.pairs.len() as u64, "pair");
        let summary = match (of("stuck") + remarked, of("waiting")) {
            (0, 0) if of("in-step") == self.pairs.len() => format!("{pairs}, all in step"),
            (0, 0) => format!("{pairs}, {} in step, {} about to be", of("in-step"), self.pairs.len() - of("in-step")),
            (0, waiting) => format!("{pairs}, of which {waiting} cannot be synced now"),
            (1, _) => format!("{pairs}, of which 1 needs you"),
            (yours, _) => format!("{pairs}, of which {yours} need you"),
        };
        let summary = ui.paint(BOLD, summary);
        ui.line(summary)?;
        for pair in &self.pairs {
            pair.show(ui)?;
        }
        if let Some(error) = &self.settings_error {
            let text = ui.paint(GONE, format!("the settings were not read again: {}", visible(error)));
            ui.line(text)?;
        }
        let text = format!("process {}, since {}, settings in {}", self.pid, self.since, visible(&self.settings));
        let text = ui.paint(DIM, text);
        ui.line(text)
    }
}

impl PairStatus {
    fn show(&self, ui: &mut Ui) -> Result<(), Failure> {
        let [here, there] = &self.places;
        let head = ui.paint(BOLD, format!("{} {} with {}", self.kind, visible(here), visible(there)));
        ui.line(head)?;
        let style = match self.state.as_str() {
            "stuck" => GONE,
            "waiting" => WARN,
            _ => DIM,
        };
        for line in self.in_words() {
            let text = ui.paint(style, format!("  {}", visible(&line)));
            ui.line(text)?;
        }
        for remark in &self.remarks {
            let text = ui.paint(WARN, format!("  look at {}", visible(remark)));
            ui.line(text)?;
        }
        Ok(())
    }

    fn in_words(&self) -> Vec<String> {
        let since = &self.since;
        let synced =
            self.synced.as_ref().map_or_else(|| "never in step yet".to_owned(), |at| format!("last in step at {at}"));
        let message = self.message.clone().unwrap_or_default();
        let next = self.next.as_ref().map(|at| format!("next try at {at}, or when something comes back; {synced}"));
        match self.state.as_str() {
            "in-step" => vec![format!("in step since {}", self.in_step_since.as_ref().unwrap_or(since))],
            "syncing" => {
                let failed = self.message.as_ref().map(|message| format!("the last try failed: {message}"));
                [Some(format!("syncing since {since}; {synced}")), failed].into_iter().flatten().collect()
            }
            "changed" => vec![format!("about to be synced, since {since}; {synced}")],
            "waiting" => [Some(format!("waiting (since {since}): {message}")), next].into_iter().flatten().collect(),
            "stuck" => {
                let hint = self.hint.as_ref().map(|hint| format!("hint: {hint}"));
                [Some(format!("needs you (since {since}): {message}")), hint, next].into_iter().flatten().collect()
            }
            // Of a later version.
            other => vec![format!("{other} since {since}")],
        }
    }
}
