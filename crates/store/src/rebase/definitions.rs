//! Attributes that both sides of a merge defined above the root, each for itself.
//!
//! They are one attribute, by its ident. Each side has *made* its definition in the transaction after which the attribute could be
//! used, and may have altered it since. The sides contradict where the definitions were different when they were made
//! and still are. Where they were the same, what one side altered since is an alteration, as of any attribute.

use std::collections::HashMap;

use tolstoy_edn::Keyword;

use crate::core::Working;
use crate::error::{Error, ErrorKind, Result};
use crate::log::{Reason, Transaction};
use crate::rebase::Side;
use crate::rebase::images::{Batches, Birth, Image, Images};
use crate::rebase::reapply::Why;
use crate::schema::{Attribute, Schema};
use crate::types::{Change, Entid};

/// A definition as it was made.
#[derive(Debug)]
pub(super) struct Made {
    /// The transaction that made it.
    pub(super) tx: Entid,
    pub(super) definition: Attribute,
    /// What the transaction says of the attribute's meaning, in the log's order.
    pub(super) said: Vec<Change>,
}

/// The definitions that one side made, by attribute.
pub(super) type AllMade = HashMap<Entid, Made>;

/// Notes which attributes a transaction made.
pub(super) fn note_made(made: &mut AllMade, tx: Entid, said: &[Change], after: &Schema) {
    for about in said.chunk_by(|x, y| x.e == y.e) {
        let Some(first) = about.first().filter(|_| about.iter().any(|c| Schema::concerns(c.a))) else { continue };
        if let Some(definition) = after.attribute(first.e)
            && !made.contains_key(&first.e)
        {
            let said = about.iter().filter(|c| Schema::gives_meaning(c.a)).cloned().collect();
            made.insert(first.e, Made { tx, definition: definition.clone(), said });
        }
    }
}

/// The definitions that local changes make of new attributes, gathered while they are read.
#[derive(Debug, Default)]
pub(super) struct Local {
    schema: Schema,
    pub(super) made: AllMade,
}

impl Local {
    pub(super) fn take_in(&mut self, images: &Images, local: &Transaction) {
        let own = |c: &&Change| !images.is_old(c.e);
        let said: Vec<Change> = local.statement().filter(own).cloned().collect();
        for change in said.iter().filter(|c| c.a != crate::bootstrap::entids::IDENT) {
            self.schema.apply(change);
        }
        note_made(&mut self.made, local.tx, &said, &self.schema);
    }
}

/// The definitions that give way to those of the log, as somebody decided.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    /// Why the local transactions that made them are displaced.
    pub(super) makers: HashMap<Entid, Why>,
    /// The attributes, which are nothing on the new base, and who allocated them.
    pub(super) attributes: Vec<(Entid, Birth)>,
}

/// Finds definitions that contradict. Those that `theirs` names give way; true where another one has to.
///
/// # Errors
/// `Definitions` where one contradicts that is not named.
pub(super) fn give_way(
    working: &Working<'_>,
    images: &Images,
    side: &Side<'_>,
    incoming: &AllMade,
    local: &Local,
    given_up: &mut GivenUp,
) -> Result<bool> {
    let before = given_up.attributes.len();
    for (e, ours) in side.schema.attributes() {
        let Some(Image::Is(main)) = images.get(e).filter(|_| images.is_unified(e)) else { continue };
        let Some(theirs) = working.schema.attribute(main).filter(|theirs| theirs.contradicts(ours)) else { continue };
        let made = local.made.get(&e);
        let (ours_then, theirs_then) = (made.map(|m| &m.definition), incoming.get(&main).map(|m| &m.definition));
        if !theirs_then.unwrap_or(theirs).contradicts(ours_then.unwrap_or(ours)) {
            continue;
        }
        let named = |k: Option<&Keyword>| k.is_some_and(|k| side.theirs.contains(k));
        let name = working.schema.name(main);
        let Some(made) = made.filter(|_| named(working.schema.ident(main)) || named(side.schema.ident(e))) else {
            let message = format!(
                "both sides defined the attribute {name}, and differently: here it is {ours}, in the log it is {theirs}; \
                 nothing was changed"
            );
            return Err(Error::new(ErrorKind::Definitions, message));
        };
        let detail = format!("it defines {name} as {ours}, which gave way to the log's definition, {theirs}");
        given_up.makers.insert(made.tx, Why { reason: Reason::Schema, detail });
        given_up.attributes.push((e, birth(working, side, e)?));
    }
    Ok(given_up.attributes.len() > before)
}

/// Which local change allocated an entity.
fn birth(working: &Working<'_>, side: &Side<'_>, e: Entid) -> Result<Birth> {
    let mut batches = Batches::new(side.timeline, side.root);
    while let Some(batch) = batches.next(working.sql)? {
        for local in &batch {
            if let Some(run) = local.entids.iter().find(|r| r.current <= e && e < r.current.plus(r.count)) {
                let authored = run.authored.plus(e.get() - run.current.get());
                return Ok(Birth { origin: local.origin.id, authored });
            }
        }
    }
    Err(Error::damaged(format!("no local change allocated entity {e}")))
}
