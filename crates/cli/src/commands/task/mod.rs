//! `tolstoy task`

pub(crate) mod args;
mod change;
pub(crate) mod hub;
mod place;
mod show;
mod undo;
mod words;

use tolstoy_env::Env;
use tolstoy_tasks::driver::{Answer, Offer};
use tolstoy_tasks::{Document, Refusal, TaskId};

use crate::error::{Failure, Kind};
use crate::ui::Ui;
use args::{Task, TaskCommand};
use place::Place;
pub(crate) use place::failure as driver_failure;

pub(crate) fn run(args: &Task, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let mut place = Place::open(args.at.as_deref(), &args.access, env)?;
    match &args.what {
        TaskCommand::Add(args) => change::add(&mut place, &args.words, ui),
        TaskCommand::Modify(args) => change::modify(&mut place, &args.id, &args.words, ui),
        TaskCommand::Done(args) => change::done(&mut place, &args.ids, ui),
        TaskCommand::Delete(args) => change::delete(&mut place, &args.ids, ui),
        TaskCommand::Snooze(args) => change::snooze(&mut place, &args.id, &args.until, ui),
        TaskCommand::Undo(_) => change::undo(&mut place, ui),
        TaskCommand::Import(args) => change::import(&mut place, &args.file, ui),
        TaskCommand::List(args) => show::list(&mut place, args, ui),
        TaskCommand::Next(args) => show::next(&mut place, args, ui),
        TaskCommand::Show(args) => show::show(&mut place, args, ui),
        TaskCommand::Tags(args) => show::tags(&mut place, args, ui),
        TaskCommand::Export(args) => show::export(&mut place, args, ui),
    }
}

/// What cannot be done to a task, as a failure of the command.
fn refused(refusal: &Refusal) -> Failure {
    Failure::new(Kind::Refused, refusal.to_string())
}

/// Something that was typed and is not understood.
fn misspelt(why: impl ToString) -> Failure {
    Failure::new(Kind::Input, why.to_string())
}

impl Place {
    /// Reads a task's document.
    fn read(&mut self, id: TaskId) -> Result<Document, Failure> {
        match self.exchange(&[Offer::nothing(id)])?.pop() {
            Some(Answer::Stands(Some(document))) => Ok(document),
            Some(Answer::Refused(refusal)) => Err(refused(&refusal)),
            _ => Err(Failure::new(Kind::Input, format!("there is no task {id}"))),
        }
    }

    /// Writes documents. Where one is refused the others are written all the same.
    fn write(&mut self, documents: Vec<Document>) -> Result<(), Failure> {
        let offers: Vec<Offer> = documents.into_iter().map(Offer::of).collect();
        let refusal = self.exchange(&offers)?.into_iter().find_map(|answer| match answer {
            Answer::Refused(refusal) => Some(refusal),
            Answer::Stands(_) => None,
        });
        refusal.map_or(Ok(()), |refusal| Err(refused(&refusal)))
    }
}
