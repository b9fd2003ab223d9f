//! Random conjunctive queries on random facts, beside an evaluator that tries all facts for all patterns.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use tolstoy_edn::{Keyword, Value as Edn};
use tolstoy_store::{Datom, Double, Entid, ErrorKind, Shape, Store, Timeline, Value};

use crate::common::{entid, must, store_with};

/// Name, type, cardinality, the rest. Values of different types are equal as numbers on purpose.
const ATTRIBUTES: [(&str, &str, &str, &str); 10] = [
    ("m/id", "long", "one", ":db/unique :db.unique/identity"),
    ("m/long", "long", "one", ":db/index true"),
    ("m/longs", "long", "many", ""),
    ("m/double", "double", "one", ""),
    ("m/doubles", "double", "many", ":db/index true"),
    ("m/boolean", "boolean", "one", ""),
    ("m/text", "string", "many", ":db/index true"),
    ("m/word", "keyword", "one", ""),
    ("m/ref", "ref", "one", ""),
    ("m/refs", "ref", "many", ":db/index true"),
];
const ENTITIES: u8 = 5;

struct Model {
    store: Store,
    facts: Vec<Datom>,
    entities: Vec<Entid>,
}

/// `n` chooses among the values of the attribute's type; the text is how it is written.
fn value(model: &[Entid], attribute: usize, n: u8) -> (Value, String) {
    let entity = |n: u8| model[usize::from(n % ENTITIES)];
    match ATTRIBUTES[attribute].1 {
        // One of the longs is an entity's number.
        "long" if n % 4 == 3 => (Value::Long(entity(0).get()), entity(0).to_string()),
        "long" => (Value::Long(i64::from(n % 4)), (n % 4).to_string()),
        "double" => {
            let x = f64::from(n % 4) / 2.0;
            (Value::Double(Double::new(x).unwrap()), format!("{x:?}"))
        }
        "boolean" => (Value::Boolean(n % 2 == 1), (n % 2 == 1).to_string()),
        "string" => {
            let text = ["a", "b", "1"][usize::from(n % 3)];
            (Value::String(text.into()), format!("{text:?}"))
        }
        "keyword" => {
            let word = ["a", "b"][usize::from(n % 2)];
            (Value::Keyword(Keyword::parse(word).unwrap()), format!(":{word}"))
        }
        _ => (Value::Ref(entity(n)), entity(n).to_string()),
    }
}

fn build(facts: &[(u8, u8, u8, bool)]) -> Model {
    let schema: Vec<String> = ATTRIBUTES
        .iter()
        .map(|(name, value_type, cardinality, rest)| {
            format!(
                "{{:db/ident :{name} :db/valueType :db.type/{value_type} :db/cardinality :db.cardinality/{cardinality} {rest}}}"
            )
        })
        .collect();
    let mut store = store_with(&[&format!("[{}]", schema.join("\n"))]);
    let entities: Vec<String> = (0..ENTITIES).map(|n| format!("{{:db/id \"{n}\" :m/id {n}}}")).collect();
    let report = must(&mut store, &format!("[{}]", entities.join(" ")));
    let entities: Vec<Entid> = (0..ENTITIES).map(|n| report.tempids[&n.to_string()]).collect();
    for (e, a, v, add) in facts {
        let (e, a) = (entities[usize::from(e % ENTITIES)], 1 + usize::from(*a) % (ATTRIBUTES.len() - 1));
        let (_, text) = value(&entities, a, *v);
        let verb = if *add { "add" } else { "retract" };
        must(&mut store, &format!("[[:db/{verb} {e} :{} {text}]]", ATTRIBUTES[a].0));
    }
    let mut current: Vec<Datom> = Vec::new();
    for transaction in store.transactions(Timeline::MAIN, Entid::new(0), usize::MAX).unwrap() {
        for d in transaction.datoms() {
            if d.added {
                current.push(d);
            } else {
                current.retain(|f| (f.e, f.a, &f.v) != (d.e, d.a, &d.v));
            }
        }
    }
    Model { store, facts: current, entities }
}

#[derive(Debug, Clone)]
enum Term {
    Any,
    Variable(&'static str),
    Constant(Value, String),
}

impl Term {
    fn text(&self) -> &str {
        match self {
            Self::Any => "_",
            Self::Variable(name) => name,
            Self::Constant(_, text) => text,
        }
    }
}

/// A variable and what it is bound to.
#[derive(Debug)]
enum Input {
    Scalar(&'static str, Value),
    Collection(&'static str, Vec<Value>),
}

#[derive(Debug)]
struct Query {
    patterns: Vec<[Term; 4]>,
    predicates: Vec<(&'static str, Term, Term)>,
    input: Option<Input>,
    find: Vec<&'static str>,
    clauses: Vec<String>,
}

fn pattern(model: &Model, [e, a, v, n, tx]: [u8; 5], clauses: &mut Vec<String>) -> [Term; 4] {
    let attribute = usize::from(a % 13);
    let known = ATTRIBUTES.get(attribute);
    let number = |e: Entid| Term::Constant(Value::Ref(e), e.to_string());
    let at = |name: &str| Term::Constant(Value::Ref(entid(&model.store, name)), format!(":{name}"));
    let e = match e % 7 {
        0..3 => Term::Variable("?e"),
        3 => Term::Variable("?f"),
        4 => Term::Variable("?x"),
        5 => number(model.entities[usize::from(n % ENTITIES)]),
        _ => Term::Any,
    };
    let v = match v % 8 {
        0 | 1 => Term::Variable("?v"),
        2 => Term::Variable("?w"),
        3 => Term::Variable("?x"),
        4 => Term::Any,
        // A number written where no attribute says otherwise is a long, so entities are left to patterns that do.
        _ => {
            let of = if known.is_some() { attribute } else { usize::from(n % 8) };
            let (value, text) = value(&model.entities, of, n);
            Term::Constant(value, text)
        }
    };
    let tx = match tx % 9 {
        0 => Term::Variable("?t"),
        1 => Term::Variable("?x"),
        2 => number(model.facts[usize::from(n) % model.facts.len()].tx),
        _ => Term::Any,
    };
    let a = match (known, attribute) {
        (Some((name, ..)), _) => at(name),
        (None, 10 | 11) => Term::Variable("?a"),
        (None, _) => Term::Any,
    };
    let reverse = known.filter(|k| k.1 == "ref" && n % 2 == 0);
    clauses.push(match reverse {
        Some((name, ..)) => format!("[{} :{} {} {}]", v.text(), name.replace('/', "/_"), e.text(), tx.text()),
        None => format!("[{} {} {} {}]", e.text(), a.text(), v.text(), tx.text()),
    });
    [e, a, v, tx]
}

fn query(model: &Model, patterns: &[[u8; 5]], predicates: &[[u8; 4]], input: [u8; 4], find: u8) -> Query {
    let mut clauses = Vec::new();
    let patterns: Vec<_> = patterns.iter().map(|p| pattern(model, *p, &mut clauses)).collect();
    let mut bound: Vec<&'static str> = patterns
        .iter()
        .flatten()
        .filter_map(|t| if let Term::Variable(name) = t { Some(*name) } else { None })
        .collect();
    bound.sort_unstable();
    bound.dedup();
    let mut query = Query { patterns, predicates: Vec::new(), input: None, find: Vec::new(), clauses };
    if bound.is_empty() {
        return query;
    }
    let variable = |n: u8| bound[usize::from(n) % bound.len()];
    for [operator, left, right, n] in predicates {
        let operator = ["<", "<=", ">", ">=", "=", "!="][usize::from(operator % 6)];
        let left = Term::Variable(variable(*left));
        let right = if right % 2 == 0 {
            Term::Variable(variable(right / 2))
        } else {
            // From the doubles on: an integer may be an entity's number, which the evaluator does not know about.
            let (value, text) = value(&model.entities, usize::from(3 + right / 2 % 5), *n);
            Term::Constant(value, text)
        };
        query.clauses.push(format!("[({operator} {} {})]", left.text(), right.text()));
        query.predicates.push((operator, left, right));
    }
    let [kind, which, one, other] = input;
    // Only where an attribute says what the input's type is.
    let typed = query.patterns.iter().find_map(|[_, a, v, _]| match (a, v) {
        (Term::Constant(a, _), Term::Variable(name)) => {
            let at = ATTRIBUTES.iter().position(|(n, ..)| *a == Value::Ref(entid(&model.store, n)))?;
            Some((*name, at))
        }
        _ => None,
    });
    let value = |attribute, n| value(&model.entities, attribute, n).0;
    query.input = match (kind % 3, typed) {
        (0, Some((name, a))) => Some(Input::Scalar(name, value(a, one))),
        (1, Some((name, a))) => Some(Input::Collection(name, vec![value(a, one), value(a, other), value(a, which)])),
        _ => None,
    };
    query.find = bound.iter().copied().enumerate().filter(|(n, _)| find >> n & 1 == 0).map(|(_, v)| v).collect();
    if query.find.is_empty() {
        query.find.push(bound[0]);
    }
    query
}

type Bindings = BTreeMap<&'static str, Value>;

fn unify(bindings: &mut Bindings, term: &Term, value: &Value) -> bool {
    match term {
        Term::Any => true,
        Term::Constant(constant, _) => constant == value,
        Term::Variable(name) => bindings.entry(name).or_insert_with(|| value.clone()) == value,
    }
}

fn holds(operator: &str, left: &Value, right: &Value) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let number = |v: &Value| match v {
        Value::Long(n) => Some(*n as f64),
        Value::Double(x) => Some(x.get()),
        _ => None,
    };
    let order = match (number(left), number(right)) {
        (Some(x), Some(y)) => x.partial_cmp(&y),
        _ if left.value_type() == right.value_type() => Some(left.cmp(right)),
        _ => None,
    };
    let ordered = number(left).is_some() || matches!(left, Value::String(_) | Value::Instant(_));
    match operator {
        "=" => order == Some(Equal),
        "!=" => order != Some(Equal),
        _ if !ordered => false,
        "<" => order == Some(Less),
        "<=" => matches!(order, Some(Less | Equal)),
        ">" => order == Some(Greater),
        _ => matches!(order, Some(Greater | Equal)),
    }
}

/// All bindings that satisfy the query, by trying.
fn evaluate(model: &Model, query: &Query) -> BTreeSet<Bindings> {
    let mut all: Vec<Bindings> = match &query.input {
        None => vec![Bindings::new()],
        Some(Input::Scalar(name, value)) => vec![Bindings::from([(*name, value.clone())])],
        Some(Input::Collection(name, values)) => values.iter().map(|v| Bindings::from([(*name, v.clone())])).collect(),
    };
    for [e, a, v, tx] in &query.patterns {
        let mut next = Vec::new();
        for bindings in &all {
            for fact in &model.facts {
                let mut bindings = bindings.clone();
                if unify(&mut bindings, e, &Value::Ref(fact.e))
                    && unify(&mut bindings, a, &Value::Ref(fact.a))
                    && unify(&mut bindings, v, &fact.v)
                    && unify(&mut bindings, tx, &Value::Ref(fact.tx))
                {
                    next.push(bindings);
                }
            }
        }
        next.sort();
        next.dedup();
        all = next;
    }
    let of = |bindings: &Bindings, term: &Term| match term {
        Term::Variable(name) => bindings[name].clone(),
        Term::Constant(value, _) => value.clone(),
        Term::Any => unreachable!("predicates have no placeholders"),
    };
    all.retain(|b| query.predicates.iter().all(|(operator, l, r)| holds(operator, &of(b, l), &of(b, r))));
    all.into_iter().collect()
}

fn rows(shape: Shape) -> Vec<Vec<Value>> {
    match shape {
        Shape::Relation(rows) => rows,
        other => panic!("not a relation: {other:?}"),
    }
}

/// Asks the store and the evaluator; gives how many rows there were, or nothing where the store refused.
fn compare(model: &Model, query: &Query) -> Option<usize> {
    if query.find.is_empty() {
        return Some(0);
    }
    let (binding, inputs) = match &query.input {
        None => (String::new(), vec![]),
        Some(Input::Scalar(name, value)) => (format!(":in {name}"), vec![value.to_edn()]),
        Some(Input::Collection(name, values)) => {
            (format!(":in [{name} ...]"), vec![Edn::Vector(values.iter().map(Value::to_edn).collect())])
        }
    };
    let wheres = query.clauses.join(" ");
    let text = format!("[:find {} {binding} :where {wheres}]", query.find.join(" "));
    let expected = evaluate(model, query);
    let projected: BTreeSet<Vec<Value>> =
        expected.iter().map(|b| query.find.iter().map(|v| b[v].clone()).collect()).collect();
    let answer = match model.store.query(&text, &inputs) {
        Ok(answer) => rows(answer.shape),
        Err(error) => {
            // What is refused contradicts itself, so that nothing could satisfy it; but what differs in type is not equal.
            assert_eq!(error.kind(), ErrorKind::Input, "{error}\n{text}");
            let unequal = query.predicates.iter().any(|(operator, ..)| *operator == "!=");
            assert!(expected.is_empty() || unequal, "{error}\n{text}");
            return None;
        }
    };
    let set: BTreeSet<_> = answer.iter().cloned().collect();
    assert_eq!(set, projected, "{text}\n{}", model.store.explain(&text, &inputs).unwrap());
    assert_eq!(set.len(), answer.len(), "rows repeat: {text}");

    // The same in groups, by the first variable.
    let (first, last) = (query.find[0], query.find[query.find.len() - 1]);
    let all: Vec<&str> = expected.iter().next().map(|b| b.keys().copied().collect()).unwrap_or_default();
    let with = if all.is_empty() { String::new() } else { format!(":with {}", all.join(" ")) };
    let text = format!("[:find {first} (count {last}) {binding} {with} :where {wheres}]");
    let counted: BTreeSet<_> = rows(model.store.query(&text, &inputs).unwrap().shape).into_iter().collect();
    let mut groups: BTreeMap<Value, i64> = BTreeMap::new();
    for bindings in &expected {
        *groups.entry(bindings[first].clone()).or_default() += 1;
    }
    let groups: BTreeSet<_> = groups.into_iter().map(|(v, n)| vec![v, Value::Long(n)]).collect();
    assert_eq!(counted, groups, "{text}");

    let text = format!("[:find {} {binding} :where {wheres} :order {last} :limit 3]", query.find.join(" "));
    let limited = rows(model.store.query(&text, &inputs).unwrap().shape);
    assert_eq!(limited.len(), projected.len().min(3), "{text}");
    assert!(limited.iter().all(|row| projected.contains(row)), "{text}");
    Some(projected.len())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn queries_answer_what_trying_all_facts_answers(
        facts in prop::collection::vec(any::<(u8, u8, u8, bool)>().prop_map(|(e, a, v, _)| (e, a, v, v % 8 != 7)), 1..40),
        queries in prop::collection::vec(
            (
                prop::collection::vec(any::<[u8; 5]>(), 1..4),
                prop::collection::vec(any::<[u8; 4]>(), 0..2),
                any::<[u8; 4]>(),
                any::<u8>(),
            ),
            1..12,
        ),
    ) {
        let model = build(&facts);
        for (patterns, predicates, input, find) in &queries {
            compare(&model, &query(&model, patterns, predicates, *input, *find));
        }
    }
}

/// The random queries are worth asking: many have answers, some are refused.
#[test]
fn random_queries_find_something() {
    let facts: Vec<_> = (0..60_u8).map(|n| (n.wrapping_mul(7), n, n.wrapping_mul(13), true)).collect();
    let model = build(&facts);
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let (mut found, mut empty, mut refused) = (0, 0, 0);
    for _ in 0..300 {
        let patterns: Vec<[u8; 5]> = (0..1 + byte() % 3).map(|_| std::array::from_fn(|_| byte())).collect();
        let predicates: Vec<[u8; 4]> = (0..byte() % 2).map(|_| std::array::from_fn(|_| byte())).collect();
        let asked = query(&model, &patterns, &predicates, std::array::from_fn(|_| byte()), byte());
        match compare(&model, &asked) {
            None => refused += 1,
            Some(0) => empty += 1,
            Some(_) => found += 1,
        }
    }
    assert!(found > 60 && empty > 30 && refused > 20, "{found} found, {empty} empty, {refused} refused");
}
