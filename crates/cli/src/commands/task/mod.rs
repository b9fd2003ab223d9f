//! `tolstoy task`

pub(crate) mod args;
mod between;
mod change;
mod colours;
mod columns;
pub(crate) mod hub;
mod place;
mod replica;
mod settings;
mod show;
mod table;
pub(crate) mod taskchampion;
mod transfer;
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
use settings::InForce;
pub(crate) use settings::usual_place;

pub(crate) fn run(args: &Task, env: &Env, ui: &mut Ui) -> Result<(), Failure> {
    let in_force = InForce::read(args)?;
    let settings = &in_force.settings;
    let what = match &args.what {
        _ if args.print_config => return ui.write(in_force.document()?),
        None => return Err(Failure::new(Kind::Usage, "a command is missing").hint("`tolstoy help task` lists them")),
        Some(TaskCommand::Move(wanted)) => return between::relocate_all(wanted, settings, &args.access, env, ui),
        Some(what) => what,
    };
    let place = &mut Place::open(settings, &args.access, what.adds(), env, ui)?;
    match what {
        TaskCommand::Move(_) => Ok(()),
        TaskCommand::Add(args) => change::add(place, &args.words, ui),
        TaskCommand::Modify(args) => change::modify(place, &args.id, &args.words, ui),
        TaskCommand::Done(args) => change::done(place, &args.ids, ui),
        TaskCommand::Delete(args) => change::delete(place, &args.ids, ui),
        TaskCommand::Snooze(args) => change::snooze(place, &args.id, &args.until, ui),
        TaskCommand::Undo(_) => change::undo(place, ui),
        TaskCommand::Import(args) => transfer::import(place, args, ui),
        TaskCommand::Export(args) => transfer::export(place, args, ui),
        TaskCommand::List(args) => show::list(place, args, settings, ui),
        TaskCommand::Next(args) => show::next(place, args, settings, ui),
        TaskCommand::Show(args) => show::show(place, args, ui),
        TaskCommand::Tags(args) => show::tags(place, args, ui),
        TaskCommand::Sync(wanted) => between::sync(place, wanted, settings, &args.access, ui),
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
