//! The transactor: EDN forms become a transaction. The forms it takes are listed in `docs/transact.md`.
//!
//! Forms are parsed and checked into terms ([`check`]), entities get their numbers ([`resolve`]), and then the core plans
//! and writes, as for any other change.

mod check;
mod names;
mod nodes;
mod operations;
mod place;
mod resolve;
mod retract;
pub(crate) mod scalar;

use std::collections::BTreeMap;

use tolstoy_edn::{Form, Instant, Limits};
use tolstoy_env::Env;
use uuid::Uuid;

use crate::bootstrap::entids;
use crate::core::{Header, LAST_INSTANT, Working};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::Functions;
use crate::log::EntidRun;
use crate::log::codec::{self, Extra, MAX_ENTIDS};
use crate::store::Store;
use crate::types::{Change, Datom, Entid, Origin, Value};

use check::Term;

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxReport {
    /// The transaction's entity.
    pub tx: Entid,
    /// Its `:db/txInstant`.
    pub instant: Instant,
    /// What names the change for ever.
    pub origin: Origin,
    /// The entities that the tempids in the text turned out to be.
    pub tempids: BTreeMap<String, Entid>,
    /// What became and what ceased to be true, in the log's order, the transaction's own instant included. What was
    /// true already is not among them.
    pub datoms: Vec<Datom>,
}

impl Store {
    /// Runs a transaction given as EDN text: one vector of forms.
    ///
    /// # Errors
    /// As for [`Store::transact`]; `Input` also where the text is no EDN.
    pub fn transact_str(&mut self, text: &str) -> Result<TxReport> {
        let form = tolstoy_edn::read_one(text, &Limits::default())?;
        self.transact(&form)
    }

    /// Runs a transaction: a vector or list of forms. Either all of it becomes fact, durably, or nothing changes.
    ///
    /// # Errors
    /// `Input` where a form is malformed or names what does not exist, `Refused` where the schema or the facts forbid
    /// it, both with the place of the form; `Busy`, `Storage`, `Full`.
    pub fn transact(&mut self, forms: &Form) -> Result<TxReport> {
        let functions = self.functions.clone();
        self.write(|working, env, device| run(working, env, device, &functions, forms))
    }
}

/// Runs a transaction in what is being written.
pub(crate) fn run(
    working: &mut Working<'_>,
    env: &Env,
    device: Uuid,
    functions: &Functions,
    forms: &Form,
) -> Result<TxReport> {
    let mut checked = check::check(working, functions, forms)?;
    let tx = working.next_tx();
    let first_fresh = working.basis.next;
    resolve::resolve(working, &mut checked)?;
    let allocated = working.basis.next.get() - first_fresh.get();
    if allocated > MAX_ENTIDS {
        let message = format!("one transaction can make {MAX_ENTIDS} entities, not {allocated}: split it");
        return Err(Error::new(ErrorKind::Full, message));
    }

    let plain: Vec<Change> = checked.terms.iter().map(|t| t.change.clone()).collect();
    let ran = operations::run(working, functions, &mut checked, &plain)?;
    let terms = &checked.terms;
    let mut changes: Vec<Change> = terms.iter().map(|t| t.change.clone()).collect();
    let instant = match stated_instant(tx, terms)? {
        Some(stated) => stated,
        None => {
            let instant = working.instant_for(env.now().min(LAST_INSTANT));
            changes.push(Change::add(tx, entids::TX_INSTANT, Value::Instant(instant)));
            instant
        }
    };
    let before = std::sync::Arc::clone(&working.schema);
    let plan = working.plan(changes, first_fresh).map_err(|f| place::explain(f, terms, &before))?;
    ran.check_stated(&mut checked.nodes, &plan, first_fresh)?;
    let (operations, said) = ran.kept(tx, &plan, &plain);
    // The rest of a payload is small: its header, and one run of entities.
    let size = codec::size_bound(plan.effects.iter().map(|x| &x.change))
        + codec::intent_bound(&operations, said.iter().flatten());
    if size > codec::MAX_PAYLOAD - 1024 {
        return Err(Error::new(ErrorKind::Full, "the transaction has more data than one can hold (256 MiB): split it"));
    }
    let datoms = plan.effects.iter().map(|effect| effect.change.clone().at(tx)).collect();

    let origin = Origin { id: env.uuid()?, device, authored: instant.min(LAST_INSTANT) };
    let run = EntidRun { authored: first_fresh, current: first_fresh, count: allocated };
    let entids = if allocated > 0 { vec![run] } else { Vec::new() };
    let header = Header { instant, origin, extra: Extra { entids, operations, said, ..Extra::default() } };
    let tx = working.write(&header, plan).map_err(|f| place::explain(f, terms, &before))?;

    let nodes = &mut checked.nodes;
    let tempids = nodes.tempids().into_iter().map(|(name, e)| (name.to_owned(), nodes.current(e))).collect();
    Ok(TxReport { tx, instant, origin, tempids, datoms })
}

/// The instant that the transaction states of itself. Where it states two, the plan refuses it.
fn stated_instant(tx: Entid, terms: &[Term]) -> Result<Option<Instant>> {
    let stated = terms.iter().find_map(|Term { change, span, .. }| match &change.v {
        Value::Instant(instant) if change.added && change.e == tx && change.a == entids::TX_INSTANT => {
            Some((*instant, *span))
        }
        _ => None,
    });
    match stated {
        Some((instant, span)) if instant > LAST_INSTANT => {
            let message = format!("a transaction's instant can be {LAST_INSTANT} at the latest");
            Err(Error::new(ErrorKind::Refused, message).at(span))
        }
        stated => Ok(stated.map(|(instant, _)| instant)),
    }
}
