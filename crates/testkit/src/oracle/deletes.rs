//! Deletes that meet edits: an entity is there as somebody made it, or it is not there.

use tolstoy_store::{Change, Entid, Value};

use super::facts::Facts;
use super::history::{Authored, Emptied};
use super::names::Meant;
use super::verdict::Judge;

impl Judge<'_> {
    /// Whom the change would bring back: an entity that its author knew, and that somebody else had deleted whole meanwhile.
    /// It may only where it states anew which entity that is.
    pub(super) fn skeleton(&self, authored: &Authored, said: &[(&Meant, Change)], before: &Facts) -> Option<String> {
        if self.history.is_worn(authored) {
            return None;
        }
        let restated = |e: Entid| said.iter().any(|(_, c)| c.e == e && before.identifies(c.a));
        let numbers = |m: &Meant, c: &Change| [(Some(m.number), Some(c.e)), (m.v.as_ref_entid(), c.v.as_ref_entid())];
        let known = |(number, e): (Option<Entid>, Option<Entid>)| {
            e.filter(|_| number.is_some_and(|n| authored.known.contains(&n)))
        };
        said.iter().flat_map(|(m, c)| numbers(m, c)).filter_map(known).find_map(|e| {
            let by = self.history.get(*self.deleted.get(&e)?)?;
            let unseen = by.author != authored.author && !authored.seen.contains(&by.origin);
            let gone = unseen && !before.exists(e) && !restated(e);
            gone.then(|| format!("it speaks of {e}, which {} deleted whole meanwhile", by.origin))
        })
    }

    /// Whom its author deleted whole, who did that and left nothing, has nothing after it.
    pub(super) fn is_deleted_whole(&mut self, authored: &Authored, after: &Facts) -> Result<(), String> {
        if self.history.is_worn(authored) {
            return Ok(());
        }
        for Emptied { who, referred } in &authored.emptied {
            let Some(e) = self.entity(who)? else { continue };
            if after.exists(e) {
                return Err(format!(
                    "its author deleted {e} whole, and it leaves {:?}",
                    after.about(e).collect::<Vec<_>>()
                ));
            }
            if !referred && after.is_referred_to(e) {
                return Err(format!("its author deleted {e} and all that referred to it, and it leaves some of that"));
            }
            self.verdict.deleted += 1;
        }
        Ok(())
    }

    /// Whether of some entity all goes that the author of these changes knew: what others retracted since, and what these do.
    pub(super) fn takes_the_last(&self, authored: &Authored, changes: &[Change], before: &Facts) -> bool {
        let seen = |e: Entid, a: Entid, v: &Value| {
            let setter = before.asserted(e, a, v).and_then(|tx| self.origin_of.get(&tx));
            setter.is_some_and(|origin| authored.seen.contains(origin))
        };
        let goes = |e: Entid, a: Entid, v: &Value| changes.contains(&Change::retract(e, a, v.clone()));
        changes.iter().any(|c| before.about(c.e).all(|(a, v)| goes(c.e, a, v) || !seen(c.e, a, v)))
    }
}

/// Whether all of what `changes` say of some entity takes facts from it, and others of its facts, or refs to it, stay.
pub(super) fn deletes_by_half(changes: &[Change], before: &Facts) -> bool {
    let retracts = |e: Entid, a: Entid, v: &Value| changes.iter().any(|c| !c.added && (c.e, c.a, &c.v) == (e, a, v));
    let takes_only = |e: Entid| changes.iter().filter(|c| c.e == e).all(|c| !c.added);
    changes.iter().filter(|c| !c.added && takes_only(c.e)).any(|c| {
        let stays = before.about(c.e).any(|(a, v)| !retracts(c.e, a, v));
        stays || before.iter().any(|(e, a, v)| v.as_ref_entid() == Some(c.e) && !retracts(e, a, v))
    })
}
