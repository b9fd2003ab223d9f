//! From a form to a [`Query`]: what can be said without a store.

mod clause;

use tolstoy_edn::{Form, FormKind, Keyword, Span};

use crate::error::{Error, Result};
use crate::query::ast::{Element, Find, FindSpec, Function, Input, Limit, Order, Query, Variable};
use crate::suggest::did_you_mean;

const SECTIONS: [&str; 6] = ["find", "in", "with", "where", "order", "limit"];
/// Each element takes up to two of the 2,000 columns that SQLite allows.
const MAX_ELEMENTS: usize = 256;
const MAX_CLAUSES: usize = 256;

/// A keyword and the forms that belong to it.
struct Section<'f> {
    name: &'f Keyword,
    span: Span,
    forms: Vec<&'f Form>,
}

impl Query {
    /// Reads a query from its form, a vector `[:find ... :where ...]` or a map `{:find [...] :where [...]}`.
    ///
    /// # Errors
    /// `Input`, with the place in the text, where the form is no query.
    pub fn parse(form: &Form) -> Result<Self> {
        let sections = sections(form)?;
        let section = |name: &str| sections.iter().find(|s| s.name.as_str() == name);
        let forms = |name: &str| section(name).map(|s| s.forms.as_slice()).unwrap_or_default();
        let Some(find) = section("find") else {
            return Err(Error::input(form.span, "a query needs :find, such as [:find ?x :where [?x :db/ident]]"));
        };
        let clauses = forms("where");
        if let Some(first_too_many) = clauses.get(MAX_CLAUSES) {
            let message = format!("the query has {} clauses; {MAX_CLAUSES} is the most", clauses.len());
            return Err(Error::input(first_too_many.span, message));
        }
        Ok(Self {
            find: parse_find(find)?,
            inputs: parse_inputs(forms("in"))?,
            with: forms("with").iter().map(|f| variable(f, ":with")).collect::<Result<_>>()?,
            clauses: clauses.iter().map(|f| clause::parse(f)).collect::<Result<_>>()?,
            order: forms("order").iter().map(|f| parse_order(f)).collect::<Result<_>>()?,
            limit: section("limit").map(parse_limit).transpose()?,
            span: form.span,
        })
    }
}

fn sections(form: &Form) -> Result<Vec<Section<'_>>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    match &form.kind {
        FormKind::Vector(forms) => {
            for form in forms {
                match (form.as_keyword(), sections.last_mut()) {
                    (Some(name), _) => sections.push(Section { name, span: form.span, forms: Vec::new() }),
                    (None, Some(section)) => section.forms.push(form),
                    (None, None) => {
                        return Err(Error::input(form.span, "a query begins with :find"));
                    }
                }
            }
        }
        FormKind::Map(pairs) => {
            for (key, value) in pairs {
                let name = key.as_keyword().ok_or_else(|| {
                    Error::input(key.span, format!("a query's keys are keywords, not {}", key.kind.describe()))
                })?;
                let forms = value.as_vector().map_or_else(|| vec![value], |forms| forms.iter().collect());
                sections.push(Section { name, span: key.span, forms });
            }
        }
        other => {
            let message = format!("a query is a vector [:find ...] or a map {{:find [...]}}, not {}", other.describe());
            return Err(Error::input(form.span, message));
        }
    }
    check_names(&sections)?;
    Ok(sections)
}

fn check_names(sections: &[Section<'_>]) -> Result<()> {
    for (n, section) in sections.iter().enumerate() {
        let name = section.name.as_str();
        if !SECTIONS.contains(&name) {
            let hint = did_you_mean(name, SECTIONS.into_iter(), ":");
            let message = format!("a query has no :{name}{hint}; it has :find, :in, :with, :where, :order and :limit");
            return Err(Error::input(section.span, message));
        }
        if sections.iter().take(n).any(|s| s.name == section.name) {
            return Err(Error::input(section.span, format!("the query has :{name} twice")));
        }
        if section.forms.is_empty() && matches!(name, "find" | "order" | "limit") {
            return Err(Error::input(section.span, format!("nothing stands after :{name}")));
        }
    }
    Ok(())
}

fn variable(form: &Form, place: &str) -> Result<Variable> {
    let name = form.as_variable().cloned().ok_or_else(|| {
        let message = format!("{place} takes variables such as ?x, not {}", form.kind.describe());
        Error::input(form.span, message)
    })?;
    Ok(Variable { name, span: form.span })
}

fn is_symbol(form: &Form, text: &str) -> bool {
    form.as_symbol().is_some_and(|s| s.as_str() == text)
}

fn parse_find(section: &Section<'_>) -> Result<Find> {
    let all = |forms: &[&Form]| forms.iter().map(|f| parse_element(f)).collect::<Result<Vec<_>>>();
    let (spec, elements) = match section.forms.as_slice() {
        [element, dot] if is_symbol(dot, ".") => (FindSpec::Scalar, vec![parse_element(element)?]),
        [Form { kind: FormKind::Vector(forms), span }] => match forms.as_slice() {
            [] => return Err(Error::input(*span, "nothing is asked for here: write [?x ...] or [?x ?y]")),
            [element, dots] if is_symbol(dots, "...") => (FindSpec::Collection, vec![parse_element(element)?]),
            elements => (FindSpec::Tuple, all(&elements.iter().collect::<Vec<_>>())?),
        },
        elements => (FindSpec::Relation, all(elements)?),
    };
    if elements.len() > MAX_ELEMENTS {
        let message = format!(":find has {} elements; {MAX_ELEMENTS} is the most", elements.len());
        return Err(Error::input(section.span, message));
    }
    Ok(Find { spec, elements })
}

fn parse_element(form: &Form) -> Result<Element> {
    if let Some(name) = form.as_variable() {
        return Ok(Element::Variable(Variable { name: name.clone(), span: form.span }));
    }
    let expected = "a variable such as ?x, or an aggregate such as (count ?x)";
    let Some([function, argument]) = form.as_list() else {
        let message = match &form.kind {
            FormKind::List(_) => "an aggregate has a name and one variable, such as (count ?x)".to_owned(),
            FormKind::Vector(_) => "[...] stands alone in :find, as [?x ...] or [?x ?y]".to_owned(),
            other => format!(":find takes {expected}, not {}", other.describe()),
        };
        return Err(Error::input(form.span, message));
    };
    let Some(name) = function.as_symbol() else {
        return Err(Error::input(function.span, format!("this is no aggregate's name: expected {expected}")));
    };
    let variable = variable(argument, "an aggregate")?;
    if name.as_str() == "the" {
        return Ok(Element::The(variable));
    }
    let Some(known) = Function::ALL.into_iter().find(|f| f.name() == name.as_str()) else {
        let hint = did_you_mean(name.as_str(), Function::ALL.iter().map(|f| f.name()), "");
        let message = format!(
            "there is no aggregate `{name}`{hint}; there are count, count-distinct, sum, avg, min, max and the"
        );
        return Err(Error::input(function.span, message));
    };
    Ok(Element::Aggregate(known, variable))
}

fn parse_inputs(forms: &[&Form]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for form in forms.iter().filter(|f| !is_symbol(f, "$")) {
        inputs.push(parse_input(form)?);
    }
    let mut seen: Vec<&Variable> = Vec::new();
    for variable in inputs.iter().flat_map(Input::variables) {
        if seen.iter().any(|s| s.name == variable.name) {
            return Err(Error::input(variable.span, format!("{variable} is an input already")));
        }
        seen.push(variable);
    }
    Ok(inputs)
}

fn parse_input(form: &Form) -> Result<Input> {
    let slots = |forms: &[Form]| forms.iter().map(parse_slot).collect::<Result<Vec<_>>>();
    match &form.kind {
        FormKind::Symbol(_) => Ok(Input::Scalar(variable(form, ":in")?)),
        FormKind::Vector(forms) => match forms.as_slice() {
            [element, dots] if is_symbol(dots, "...") => Ok(Input::Collection(variable(element, "[... ...]")?)),
            [Form { kind: FormKind::Vector(columns), .. }] => {
                let slots = slots(columns)?;
                if slots.iter().all(Option::is_none) {
                    return Err(Error::input(form.span, "these rows bind no variable"));
                }
                Ok(Input::Relation(slots, form.span))
            }
            [] => Err(Error::input(form.span, "nothing is bound here: write [?x ...], [?x ?y] or [[?x ?y]]")),
            elements => Ok(Input::Tuple(slots(elements)?, form.span)),
        },
        other => {
            let message = format!(":in takes ?x, [?x ...], [?x ?y], [[?x ?y]] and $, not {}", other.describe());
            Err(Error::input(form.span, message))
        }
    }
}

fn parse_slot(form: &Form) -> Result<Option<Variable>> {
    if is_symbol(form, "_") { Ok(None) } else { variable(form, ":in").map(Some) }
}

impl Input {
    /// The variables that it gives values to.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let (one, many) = match self {
            Self::Scalar(v) | Self::Collection(v) => (Some(v), [].as_slice()),
            Self::Tuple(slots, _) | Self::Relation(slots, _) => (None, slots.as_slice()),
        };
        one.into_iter().chain(many.iter().flatten())
    }
}

fn parse_order(form: &Form) -> Result<Order> {
    let (by, descending) = match form.as_list() {
        Some([direction, by]) if is_symbol(direction, "asc") => (by, false),
        Some([direction, by]) if is_symbol(direction, "desc") => (by, true),
        _ => (form, false),
    };
    let by = parse_element(by).ok().filter(|e| !matches!(e, Element::The(_))).ok_or_else(|| {
        Error::input(form.span, ":order takes ?x, (asc ?x) and (desc ?x), and aggregates of :find in the same way")
    })?;
    Ok(Order { by, descending, span: form.span })
}

fn parse_limit(section: &Section<'_>) -> Result<Limit> {
    match section.forms.as_slice() {
        [form] => match &form.kind {
            FormKind::Integer(n) if *n >= 0 => Ok(Limit::Fixed(*n)),
            FormKind::Symbol(_) => Ok(Limit::Variable(variable(form, ":limit")?)),
            _ => Err(Error::input(form.span, ":limit takes an integer from 0, or a variable of :in")),
        },
        [_, extra, ..] => Err(Error::input(extra.span, ":limit takes one integer or variable")),
        [] => Err(Error::input(section.span, "nothing stands after :limit")),
    }
}
