//! Do: a plan becomes rows.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use tolstoy_edn::Instant;

use crate::core::sqlite::listed_in;
use crate::core::{Effect, Failure, Plan, Refusal, Working};
use crate::log::codec::{self, Extra};
use crate::schema::{Attribute, Schema};
use crate::types::{Change, Entid, Origin, Value};

/// What a transaction has beside its datoms.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) instant: Instant,
    pub(crate) origin: Origin,
    pub(crate) extra: Extra,
}

impl Header {
    /// A header with nothing extra.
    pub(crate) fn new(instant: Instant, origin: Origin) -> Self {
        Self { instant, origin, extra: Extra::default() }
    }
}

impl Working<'_> {
    /// Writes a plan as main's next transaction. The plan holds the transaction's own instant among its effects.
    ///
    /// The basis must not be used after a failure: the caller rolls back.
    pub(crate) fn write(&mut self, header: &Header, plan: Plan) -> Result<Entid, Failure> {
        let tx = self.next_tx();
        if header.instant <= self.basis.instant {
            let (stated, before) = (Value::Instant(header.instant), Value::Instant(self.basis.instant));
            let why = format!("the transaction's :db/txInstant, {stated}, is not later than the one before, {before}");
            return Err(Refusal::Instant { why }.into());
        }
        self.delete_retracted(&plan)?;
        if let Some(schema) = &plan.schema {
            let before = std::mem::replace(&mut self.schema, Arc::clone(schema));
            self.reflag(&before)?;
        }
        self.insert_asserted(tx, &plan.effects)?;
        if let Some(schema) = &plan.schema {
            self.check_cardinalities(&plan, schema)?;
        }
        self.note_mentions(&plan);
        self.append_to_log(tx, header, &plan)?;
        self.basis.tx = tx;
        self.basis.instant = header.instant;
        Ok(tx)
    }

    fn delete_retracted(&self, plan: &Plan) -> Result<(), Failure> {
        let mut delete = self.sql.prepare_cached("DELETE FROM datoms WHERE e = ?1 AND a = ?2 AND v = ?3")?;
        for effect in plan.effects.iter().filter(|x| !x.change.added) {
            delete.execute((effect.change.e, effect.change.a, &effect.change.v))?;
        }
        Ok(())
    }

    pub(crate) fn insert_asserted(&self, tx: Entid, effects: &[Effect]) -> Result<(), Failure> {
        let mut insert = self
            .sql
            .prepare_cached("INSERT INTO datoms (e, a, v, vt, tx, avet, uniq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        for effect in effects.iter().filter(|x| x.change.added) {
            let change = &effect.change;
            let (avet, uniq) = flags(&self.schema, change.a);
            let row = (change.e, change.a, &change.v, change.v.value_type().entid(), tx, avet, uniq);
            if let Err(error) = insert.execute(row) {
                return Err(self.taken(change, error));
            }
        }
        Ok(())
    }

    /// Why a fact could not be inserted. The plan has checked uniqueness, except of an attribute that becomes unique in
    /// this very transaction: until now nothing told who holds its values.
    fn taken(&self, change: &Change, error: rusqlite::Error) -> Failure {
        if error.sqlite_error_code() != Some(rusqlite::ErrorCode::ConstraintViolation) {
            return error.into();
        }
        match self.holder(change.a, &change.v) {
            Ok(Some(holder)) => Refusal::Unique { e: change.e, a: change.a, v: change.v.clone(), holder }.into(),
            _ => error.into(),
        }
    }

    /// Brings the index flags of existing facts in line with the schema, where it differs from the one before.
    pub(crate) fn reflag(&self, before: &Schema) -> Result<(), Failure> {
        let wants = |d: Option<&Attribute>| d.map(|d| (d.indexed(), d.unique().is_some())).unwrap_or_default();
        for (a, attribute) in self.schema.attributes() {
            if wants(Some(attribute)) == wants(before.attribute(a)) {
                continue;
            }
            let (avet, uniq) = flags(&self.schema, a);
            let listed = listed_in(before.attribute(a).is_some_and(Attribute::indexed));
            let update = format!("UPDATE datoms SET avet = ?2, uniq = ?3 WHERE a = ?1 AND {listed}");
            let mut update = self.sql.prepare_cached(&update)?;
            if let Err(error) = update.execute((a, avet, uniq)) {
                return Err(self.not_unique(a, listed, error));
            }
        }
        Ok(())
    }

    /// Why an attribute's facts, which are listed so, could not be marked as unique.
    fn not_unique(&self, a: Entid, listed: &str, error: rusqlite::Error) -> Failure {
        if error.sqlite_error_code() != Some(rusqlite::ErrorCode::ConstraintViolation) {
            return error.into();
        }
        let twice = format!(
            "SELECT min(e), max(e) FROM datoms WHERE a = ?1 AND {listed} GROUP BY v HAVING count(*) > 1 LIMIT 1"
        );
        let holders: rusqlite::Result<(Entid, Entid)> = self.sql.query_row(&twice, [a], |r| Ok((r.get(0)?, r.get(1)?)));
        match holders {
            Ok((one, other)) => {
                let [name, one, other] = [a, one, other].map(|e| self.schema.name(e));
                let why = format!("the attribute {name} cannot become unique: {one} and {other} have the same value");
                Refusal::Definition { e: a, why }.into()
            }
            Err(_) => error.into(),
        }
    }

    /// An attribute whose cardinality became one must have one value at most everywhere.
    fn check_cardinalities(&self, plan: &Plan, schema: &Schema) -> Result<(), Failure> {
        let redefined =
            plan.effects.iter().filter(|x| x.change.added && x.change.a == crate::bootstrap::entids::CARDINALITY);
        for a in redefined.map(|x| x.change.e) {
            let Some(attribute) = schema.attribute(a).filter(|d| d.is_one()) else { continue };
            let listed = listed_in(attribute.indexed());
            let twice =
                format!("SELECT e FROM datoms WHERE a = ?1 AND {listed} GROUP BY e HAVING count(*) > 1 LIMIT 1");
            let holder: Option<Entid> = self.sql.prepare_cached(&twice)?.query_row([a], |r| r.get(0)).optional()?;
            if let Some(holder) = holder {
                let (name, holder) = (schema.name(a), schema.name(holder));
                let why = format!("the attribute {name} cannot become cardinality one: {holder} has several values");
                return Err(Refusal::Definition { e: a, why }.into());
            }
        }
        Ok(())
    }

    /// No entid that a transaction mentions, as entity or ref, is ever allocated again.
    fn note_mentions(&mut self, plan: &Plan) {
        for effect in &plan.effects {
            let mentioned = [Some(effect.change.e), effect.change.v.as_ref_entid()];
            for e in mentioned.into_iter().flatten().filter(|e| e.is_user()) {
                self.basis.next = self.basis.next.max(e.plus(1));
            }
        }
    }

    fn append_to_log(&self, tx: Entid, header: &Header, plan: &Plan) -> Result<(), Failure> {
        let mut head = self.sql.prepare_cached(
            "INSERT INTO transactions (timeline, tx, instant, origin, device, authored, next_entid, extra)
             VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let origin = &header.origin;
        head.execute((
            tx,
            header.instant.as_micros(),
            origin.id.as_bytes(),
            origin.device.as_bytes(),
            origin.authored.as_micros(),
            self.basis.next,
            codec::encode_extra(&header.extra),
        ))?;
        self.log_effects(tx, 0, &plan.effects)
    }

    /// Writes the log's rows of a main transaction from its `n`-th on.
    pub(crate) fn log_effects(&self, tx: Entid, n: i64, effects: &[Effect]) -> Result<(), Failure> {
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO log (timeline, tx, n, e, a, v, vt, added, was) VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for (n, effect) in (n..).zip(effects) {
            let change = &effect.change;
            let vt = change.v.value_type().entid();
            insert.execute((tx, n, change.e, change.a, &change.v, vt, change.added, effect.was))?;
        }
        Ok(())
    }
}

/// What a fact of this attribute has in the columns `avet` and `uniq`.
pub(crate) fn flags(schema: &Schema, a: Entid) -> (Option<i64>, Option<i64>) {
    let attribute = schema.attribute(a);
    (attribute.filter(|d| d.indexed()).map(|_| 1), attribute.filter(|d| d.unique().is_some()).map(|_| 1))
}
