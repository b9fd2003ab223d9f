//! The clauses of `:where`.

use tolstoy_edn::{Form, FormKind, Keyword};

use crate::error::{Error, Result};
use crate::query::ast::{Clause, Constant, Operator, Pattern, Predicate, Term, Variable};
use crate::suggest::did_you_mean;

const EXPECTED: &str = "a clause is a pattern such as [?x :person/name ?name] or a predicate such as [(< ?age 18)]";

pub(crate) fn parse(form: &Form) -> Result<Clause> {
    match &form.kind {
        FormKind::Vector(forms) => match forms.as_slice() {
            [] => Err(Error::input(form.span, format!("this clause is empty: {EXPECTED}"))),
            [Form { kind: FormKind::List(call), span }, rest @ ..] if !is_lookup_ref(call) => match rest {
                [] => parse_predicate(call, *span).map(Clause::Predicate),
                [binding, ..] => {
                    Err(Error::input(binding.span, "a predicate binds nothing: nothing may stand after its list"))
                }
            },
            forms => parse_pattern(form, forms).map(Clause::Pattern),
        },
        FormKind::List(forms) => {
            let name = forms.first().and_then(Form::as_symbol);
            let message = match name {
                Some(name) if Operator::ALL.iter().any(|o| o.name() == name.as_str()) => {
                    format!("a predicate stands in a vector: [({name} ...)]")
                }
                Some(name) => format!("there is no clause `{name}`: {EXPECTED}"),
                None => EXPECTED.to_owned(),
            };
            Err(Error::input(form.span, message))
        }
        other => Err(Error::input(form.span, format!("{EXPECTED}, not {}", other.describe()))),
    }
}

fn is_lookup_ref(list: &[Form]) -> bool {
    list.first().and_then(Form::as_symbol).is_some_and(|s| s.as_str() == "lookup-ref")
}

fn parse_pattern(form: &Form, forms: &[Form]) -> Result<Pattern> {
    let forms = match forms {
        [first, rest @ ..] if first.as_symbol().is_some_and(|s| s.as_str() == "$") => rest,
        forms => forms,
    };
    if forms.is_empty() {
        return Err(Error::input(form.span, "this pattern is empty: it needs an entity, such as [?x :person/name]"));
    }
    if let Some(extra) = forms.get(4) {
        return Err(Error::input(extra.span, "a pattern has four positions at most: [entity attribute value tx]"));
    }
    let position = |n: usize| forms.get(n).map_or(Ok(Term::Any), parse_term);
    let (e, v, tx) = (position(0)?, position(2)?, position(3)?);
    let span = form.span;
    match forms.get(1).and_then(Form::as_keyword).and_then(Keyword::unreversed) {
        Some(forward) => {
            let at = forms.get(1).map_or(span, |f| f.span);
            let a = Term::Constant(Constant { value: forward.into(), span: at });
            Ok(Pattern { e: v, a, v: e, tx, span })
        }
        None => Ok(Pattern { e, a: position(1)?, v, tx, span }),
    }
}

fn parse_term(form: &Form) -> Result<Term> {
    let constant = || Ok(Term::Constant(Constant { value: form.to_value(), span: form.span }));
    match &form.kind {
        FormKind::Symbol(name) if name.is_variable() => {
            Ok(Term::Variable(Variable { name: name.clone(), span: form.span }))
        }
        FormKind::Symbol(name) if name.as_str() == "_" => Ok(Term::Any),
        FormKind::Symbol(name) => Err(Error::input(
            form.span,
            format!("`{name}` means nothing here: variables begin with `?`, as in ?{name}"),
        )),
        FormKind::Nil => Err(Error::input(form.span, "no fact holds nil: write _ for any value")),
        _ => constant(),
    }
}

fn parse_predicate(call: &[Form], span: tolstoy_edn::Span) -> Result<Predicate> {
    let Some((name, arguments)) = call.split_first() else {
        return Err(Error::input(span, "this predicate is empty: write one such as (< ?age 18)"));
    };
    let operator = parse_operator(name)?;
    let arguments = arguments.iter().map(parse_term).collect::<Result<Vec<_>>>()?;
    if arguments.iter().any(|a| matches!(a, Term::Any)) {
        return Err(Error::input(span, format!("`_` has no value that ({} ...) could compare", operator.name())));
    }
    if !arguments.iter().any(|a| a.as_variable().is_some()) {
        return Err(Error::input(span, format!("({} ...) has no variable to compare", operator.name())));
    }
    match arguments.len() {
        0 | 1 => Err(Error::input(span, format!("({} ...) compares two values at least", operator.name()))),
        2 => Ok(Predicate { operator, arguments, span }),
        _ if operator.chains() => Ok(Predicate { operator, arguments, span }),
        _ => Err(Error::input(span, format!("({} ...) compares two values", operator.name()))),
    }
}

fn parse_operator(form: &Form) -> Result<Operator> {
    let Some(name) = form.as_symbol() else {
        let message = format!("a predicate begins with its name, such as (< ?age 18), not {}", form.kind.describe());
        return Err(Error::input(form.span, message));
    };
    Operator::ALL.into_iter().find(|o| o.name() == name.as_str()).ok_or_else(|| {
        let hint = did_you_mean(name.as_str(), Operator::ALL.iter().map(|o| o.name()), "");
        let known = Operator::ALL.map(Operator::name).join(" ");
        Error::input(form.span, format!("there is no predicate `{name}`{hint}; there are {known}"))
    })
}
