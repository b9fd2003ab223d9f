//! `tolstoy fsck`

use serde_json::{Value, json};
use tolstoy_hub::storage::{Checked, Finding, Listener};

use crate::args;
use crate::error::{Failure, Kind};
use crate::facts::count;
use crate::progress::Progress;
use crate::ui::Ui;

pub(crate) fn run(args: &args::Fsck, ui: &mut Ui) -> Result<(), Failure> {
    let bar = Progress::begin(ui);
    let mut told = Told { ui, bar: bar.clone(), findings: args.output.json.then(Vec::new), failed: None };
    let checked = tolstoy_hub::storage::fsck(&args.data, &mut told);
    bar.end();
    let Told { findings, failed, .. } = told;
    if let Some(failure) = failed {
        return Err(failure);
    }
    let checked = checked.map_err(|error| Failure::hub_data(&error))?;
    let Checked { logs, transactions, pending, chunks, snapshots, tasks, bytes, findings: wrong } = checked;
    if let Some(findings) = findings {
        ui.json(&json!({
            "logs": logs,
            "transactions": transactions,
            "pending": pending,
            "chunks": chunks,
            "snapshots": snapshots,
            "tasks": tasks,
            "bytes": bytes,
            "findings": findings,
        }))?;
    } else {
        ui.line(format!(
            "{}, {}, {pending} pending, {}, {}, {}, {bytes} bytes hashed",
            count(logs, "log"),
            count(transactions, "transaction"),
            count(chunks, "chunk"),
            count(snapshots, "snapshot"),
            count(tasks, "task")
        ))?;
        if wrong == 0 {
            ui.line("all is well")?;
        }
    }
    if wrong == 0 {
        return Ok(());
    }
    let things = if wrong == 1 { "1 thing is".to_owned() } else { format!("{wrong} things are") };
    Err(Failure::new(Kind::Damaged, format!("{}: {things} wrong", args.data.display()))
        .hint("restore a backup (`tolstoy restore`): stores supply what they have and it lacks when they sync"))
}

/// Prints what is found, while a bar shows how far the check is.
struct Told<'a> {
    ui: &'a mut Ui,
    bar: Progress,
    /// Findings as JSON, where that is asked for.
    findings: Option<Vec<Value>>,
    failed: Option<Failure>,
}

impl Listener for Told<'_> {
    fn found(&mut self, finding: Finding) {
        match &mut self.findings {
            Some(findings) => {
                let Finding { log, seq, transaction, chunk, task, row, what } = finding;
                findings.push(json!({
                    "log": log,
                    "seq": seq,
                    "transaction": transaction,
                    "chunk": chunk,
                    "task": task.map(|id| id.to_string()),
                    "row": row.map(|(table, nr)| json!({"table": table, "nr": nr})),
                    "what": what,
                }));
            }
            None => {
                if let Err(failure) = self.ui.line(finding) {
                    self.failed.get_or_insert(failure);
                }
            }
        }
    }

    fn done(&mut self, logs: u64, of: u64) {
        self.bar.tell("logs", logs, Some(of));
    }
}
