//! Which form a refusal is about.

use std::sync::Arc;

use tolstoy_edn::Span;

use super::check::Term;
use crate::bootstrap::entids;
use crate::core::{Failure, Refusal};
use crate::error::Error;
use crate::schema::Schema;
use crate::types::{Change, Entid, Value};

/// The failure of a plan as an error with the place of the form that caused it. The terms have their numbers.
pub(super) fn explain(failure: Failure, terms: &[Term], schema: &Arc<Schema>) -> Error {
    let span = match &failure {
        Failure::Refused(refusal) => culprit(refusal, terms).map(|t| t.span),
        Failure::Error(_) => None,
    };
    explain_at(failure, span, terms, schema)
}

/// The failure as an error with this place.
pub(super) fn explain_at(failure: Failure, span: Option<Span>, terms: &[Term], schema: &Arc<Schema>) -> Error {
    // Names that the transaction gives are the ones its author knows.
    let mut schema = Schema::clone(schema);
    for Term { change, .. } in terms.iter().filter(|t| t.change.added && t.change.a == entids::IDENT) {
        schema.apply(change);
    }
    let error = failure.into_error(&schema);
    match span {
        Some(span) => error.at(span),
        None => error,
    }
}

/// The last form that says what was refused: what stands before it was acceptable without it.
fn culprit<'t>(refusal: &Refusal, terms: &'t [Term]) -> Option<&'t Term> {
    let last = |is: &dyn Fn(&Change) -> bool| terms.iter().rev().find(|t| is(&t.change));
    let about = |e: Entid| last(&|c| c.e == e && Schema::concerns(c.a)).or_else(|| last(&|c| c.e == e));
    let is = |c: &Change, e: Entid, a: Entid, v: &Value| (c.e, c.a) == (e, a) && c.v == *v;
    match refusal {
        Refusal::UnknownAttribute { a } => last(&|c| c.a == *a),
        Refusal::WrongType { a, value, .. } => last(&|c| c.a == *a && c.v == *value),
        Refusal::TwoValues { e, a, first, second } => {
            last(&|c| c.added && (is(c, *e, *a, first) || is(c, *e, *a, second)))
        }
        Refusal::AddAndRetract { e, a, v } => last(&|c| is(c, *e, *a, v)),
        Refusal::Unique { e, a, v, .. } => last(&|c| c.added && is(c, *e, *a, v)),
        Refusal::Core { e } | Refusal::NoSuchTransaction { e } => about(*e),
        Refusal::Definition { e, .. } => about(*e).or_else(|| last(&|c| c.a == *e)),
        Refusal::Instant { .. } => last(&|c| c.a == entids::TX_INSTANT),
        // An operation that cannot be run has a place of its own.
        _ => None,
    }
}
