//! The arguments of `tolstoy conflicts`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// List and settle the journal: what syncs displaced, and values that both sides changed
///
/// A merge keeps what it cannot do, with the reason, on every device. What waits is listed, the oldest first; what is settled,
/// here or on another device, waits no more. An entry is named by its id, or the beginning of it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  tolstoy conflicts people.db
  tolstoy conflicts show people.db 1a2b3c4d
  tolstoy conflicts apply people.db 1a2b3c4d            do what it wanted, now
  tolstoy conflicts show people.db 1a2b3c4d --edn > change.edn
  tolstoy conflicts apply people.db 1a2b3c4d --edit change.edn
  tolstoy conflicts drop people.db 1a2b3c4d             let it go
  tolstoy conflicts export people.db journal.edn")]
pub(crate) struct Conflicts {
    /// The store
    #[arg(value_name = "DB", required = true)]
    pub(crate) db: Option<PathBuf>,
    /// List what does not wait, too: values that are only noted, or have changed since, and what is settled
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) what: Option<ConflictsCommand>,
}

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub(crate) enum ConflictsCommand {
    Show(ConflictsShow),
    Apply(ConflictsApply),
    Drop(ConflictsDrop),
    Export(ConflictsExport),
}

/// Explain an entry: whose it is, what it wanted, why that was not done, what stands now, and what applying it would do
#[derive(Debug, Args)]
pub(crate) struct ConflictsShow {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// Print what applying it would transact, as EDN to be changed and given to `apply --edit`
    #[arg(long, conflicts_with = "json")]
    pub(crate) edn: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Do what an entry wanted, or something in its place, and settle it: in one transaction
///
/// Of a displaced change that is what it said; of values that both sides changed, those that a merge did not let stand. What cannot
/// be done is refused, and then nothing changes and the entry goes on waiting.
#[derive(Debug, Args)]
pub(crate) struct ConflictsApply {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    /// Transact what this file holds in its place; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "with")]
    pub(crate) edit: Option<PathBuf>,
    /// Transact this in its place: EDN, @FILE, or - for standard input
    #[arg(long, value_name = "EDN|@FILE|-", allow_hyphen_values = true)]
    pub(crate) with: Option<String>,
    /// Also where it is settled already
    #[arg(long)]
    pub(crate) again: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Settle an entry without doing anything about it
#[derive(Debug, Args)]
pub(crate) struct ConflictsDrop {
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Write out the whole journal, settled entries too: EDN, one entry a line, or with --json a JSON object a line
#[derive(Debug, Args)]
pub(crate) struct ConflictsExport {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The new file; nothing is written over [default: standard output]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// One entry of a store's journal.
#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
    /// The store
    #[arg(value_name = "DB")]
    pub(crate) db: PathBuf,
    /// The entry's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

impl Conflicts {
    /// Whether the output, errors included, is JSON.
    pub(crate) fn json(&self) -> bool {
        match &self.what {
            None => self.output.json,
            Some(ConflictsCommand::Show(args)) => args.output.json,
            Some(ConflictsCommand::Apply(args)) => args.output.json,
            Some(ConflictsCommand::Drop(args)) => args.output.json,
            Some(ConflictsCommand::Export(args)) => args.output.json,
        }
    }
}
