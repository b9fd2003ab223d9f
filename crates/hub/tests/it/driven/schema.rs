//! The part of JSON Schema that the document uses: whether a value is one of a schema's, values that are, and values that are
//! not. A keyword that is not known here is a panic, so that nothing is passed over.

use serde_json::{Map, Value, json};

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A pattern: classes of characters, each with how many there may be.
struct Pattern(Vec<(Vec<char>, usize, usize)>);

impl Pattern {
    fn of(text: &str) -> Self {
        let inner = text.strip_prefix('^').and_then(|text| text.strip_suffix('$')).expect("a pattern is anchored");
        let mut chars = inner.chars().peekable();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            let class = if c == '[' {
                let mut class: Vec<char> = Vec::new();
                loop {
                    match chars.next().expect("a class ends") {
                        ']' => break,
                        '-' if !class.is_empty() && chars.peek() != Some(&']') => {
                            let (first, last) = (*class.last().unwrap(), chars.next().unwrap());
                            class.extend((first..=last).skip(1));
                        }
                        c => class.push(c),
                    }
                }
                class
            } else {
                assert!(c.is_ascii_alphanumeric() || c == '-', "{text}: {c:?} is not known here");
                vec![c]
            };
            let (mut least, mut most) = (1, 1);
            if chars.next_if_eq(&'{').is_some() {
                let counts: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let (from, to) = counts.split_once(',').unwrap_or((&counts, &counts));
                (least, most) = (from.parse().unwrap(), to.parse().unwrap());
            }
            parts.push((class, least, most));
        }
        Self(parts)
    }

    /// Whether the text matches. Greedy: no class of ours begins where the one before could go on.
    fn matches(&self, text: &str) -> bool {
        let mut chars = text.chars().peekable();
        for (class, least, most) in &self.0 {
            let mut count = 0;
            while count < *most && chars.next_if(|c| class.contains(c)).is_some() {
                count += 1;
            }
            if count < *least {
                return false;
            }
        }
        chars.next().is_none()
    }

    fn make(&self, dice: &mut Dice) -> String {
        let mut text = String::new();
        for (class, least, most) in &self.0 {
            let count = least + dice.below(most - least + 1);
            (0..count).for_each(|_| text.push(*dice.pick(class)));
        }
        text
    }
}

/// The document's named schemas.
#[derive(Clone, Copy)]
pub(crate) struct Schemas<'a>(pub(crate) &'a Value);

impl<'a> Schemas<'a> {
    /// What a `$ref` is to; the value itself where it is none.
    pub(crate) fn resolve(self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(to) => self.resolve(self.0.pointer(to.trim_start_matches('#')).expect("a reference leads somewhere")),
            None => value,
        }
    }

    /// What is wrong with a value.
    pub(crate) fn check(self, schema: &'a Value, value: &Value) -> Result<(), String> {
        for (keyword, meant) in schema.as_object().expect("a schema is an object") {
            let fail = |why: &str| Err(format!("{why}: {meant} of {schema}, and it is {value}"));
            match keyword.as_str() {
                "description" | "examples" | "example" | "format" | "contentEncoding" | "contentMediaType" => {}
                "$ref" => self.check(self.resolve(schema), value)?,
                "type" => {
                    let types = meant.as_array().map_or_else(|| vec![meant.clone()], Clone::clone);
                    if !types.iter().any(|one| is_a(one.as_str().unwrap(), value)) {
                        return fail("another type");
                    }
                }
                "enum" if !meant.as_array().unwrap().contains(value) => return fail("none of these"),
                "enum" => {}
                "required" => {
                    if let Some(name) =
                        meant.as_array().unwrap().iter().find(|name| value.get(name.as_str().unwrap()).is_none())
                    {
                        return fail(&format!("no {name}"));
                    }
                }
                "properties" => {
                    for (name, schema) in meant.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.check(schema, value).map_err(|why| format!("{name}: {why}"))?;
                        }
                    }
                }
                "items" => value.as_array().into_iter().flatten().try_for_each(|item| self.check(meant, item))?,
                "maxItems" if value.as_array().is_some_and(|all| all.len() as u64 > meant.as_u64().unwrap()) => {
                    return fail("too many");
                }
                "minItems" if value.as_array().is_some_and(|all| (all.len() as u64) < meant.as_u64().unwrap()) => {
                    return fail("too few");
                }
                "minimum" if value.as_f64().is_some_and(|n| n < meant.as_f64().unwrap()) => return fail("too small"),
                "maximum" if value.as_f64().is_some_and(|n| n > meant.as_f64().unwrap()) => return fail("too large"),
                "pattern" if value.as_str().is_some_and(|text| !Pattern::of(meant.as_str().unwrap()).matches(text)) => {
                    return fail("another pattern");
                }
                "maxItems" | "minItems" | "minimum" | "maximum" | "pattern" => {}
                "allOf" => meant.as_array().unwrap().iter().try_for_each(|schema| self.check(schema, value))?,
                "oneOf" => {
                    let all: Vec<_> = meant.as_array().unwrap().iter().map(|one| self.check(one, value)).collect();
                    if all.iter().filter(|one| one.is_ok()).count() != 1 {
                        return fail(&format!("not one, but {all:?}"));
                    }
                }
                other => panic!("{other} is not known here"),
            }
        }
        Ok(())
    }

    /// A value of the schema; of an id sometimes one of those that are in use.
    pub(crate) fn valid(self, schema: &'a Value, dice: &mut Dice, in_use: &[String]) -> Value {
        if let Some(one) = schema.get("enum") {
            return dice.pick(one.as_array().unwrap()).clone();
        }
        if let Some(one) = schema.get("oneOf") {
            return self.valid(dice.pick(one.as_array().unwrap()), dice, in_use);
        }
        if schema.get("$ref").is_some() {
            return self.valid(self.resolve(schema), dice, in_use);
        }
        match schema["type"].as_str().expect("a schema has a type") {
            "object" => {
                let none = Map::new();
                let fields = schema.get("properties").map_or(&none, |fields| fields.as_object().unwrap());
                fields.iter().map(|(name, schema)| (name.clone(), self.valid(schema, dice, in_use))).collect()
            }
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0);
                let most = schema["maxItems"].as_u64().unwrap_or(8).min(8);
                let count = least + dice.next() % (most - least + 1);
                (0..count).map(|_| self.valid(&schema["items"], dice, in_use)).collect()
            }
            "integer" => {
                let (least, most) =
                    (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(1 << 53));
                json!(*dice.pick(&[least, least + 1, most, least + dice.0 % (most - least)]))
            }
            "string" => match schema["pattern"].as_str() {
                Some(pattern) => {
                    let pattern = Pattern::of(pattern);
                    let known: Vec<&String> = in_use.iter().filter(|id| pattern.matches(id)).collect();
                    if !known.is_empty() && dice.below(3) > 0 {
                        json!(dice.pick(&known))
                    } else {
                        json!(pattern.make(dice))
                    }
                }
                None => json!(*dice.pick(&["", "aGVsbG8=", "AAAA", "text", "naïve"])),
            },
            "null" => Value::Null,
            other => panic!("{other}"),
        }
    }

    /// Values that are not of the schema, or only just.
    pub(crate) fn odd(self, schema: &'a Value, dice: &mut Dice, in_use: &[String]) -> Vec<Value> {
        let valid = self.valid(schema, dice, in_use);
        let mut odd = vec![
            Value::Null,
            json!(true),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(u64::MAX),
            json!("é\u{0}\u{ffff}"),
            json!("x".repeat(10_000)),
            json!([]),
            json!({}),
            json!([valid]),
            json!({"more": valid}),
            (0..40).fold(json!(0), |deep, _| json!([deep])),
        ];
        if let Value::Object(fields) = &valid {
            for name in fields.keys() {
                let mut less = fields.clone();
                less.remove(name);
                odd.push(less.into());
                for wrong in [Value::Null, json!(-1), json!(u64::MAX), json!("x"), json!([[]]), json!({})] {
                    let mut other = fields.clone();
                    other.insert(name.clone(), wrong);
                    odd.push(other.into());
                }
            }
            let mut more = fields.clone();
            more.insert("from-the-future".to_owned(), json!([1]));
            odd.push(more.into());
        }
        if let Value::Array(items) = &valid {
            odd.push(items.iter().rev().cloned().collect());
            odd.push(items.iter().chain(items).cloned().collect());
            odd.push(items.iter().skip(1).cloned().collect());
        }
        odd
    }
}

/// The value with one thing in it changed, for each thing in it.
pub(crate) fn mutants(value: &Value, in_use: &[String]) -> Vec<Value> {
    let mut places = Vec::new();
    places_in(value, &mut String::new(), &mut places);
    let mut all = Vec::new();
    for place in places {
        let mut changes = vec![Value::Null, json!({"id": in_use[0], "number": 1}), json!([]), json!("a")];
        let part = value.pointer(&place).unwrap();
        changes.extend(
            part.as_str()
                .into_iter()
                .flat_map(|text| in_use.iter().filter(|id| id.len() == text.len()).map(|id| json!(id))),
        );
        changes.extend(part.as_u64().into_iter().flat_map(|n| [json!(n + 1), json!(u64::MAX), json!(-1)]));
        for change in changes {
            let mut other = value.clone();
            *other.pointer_mut(&place).unwrap() = change;
            all.push(other);
        }
        if let Some(items) = part.as_array() {
            for at in 0..items.len() {
                let mut other = value.clone();
                other.pointer_mut(&place).unwrap().as_array_mut().unwrap().remove(at);
                all.push(other);
            }
        }
    }
    all
}

/// Pointers to all that is in a value.
fn places_in(value: &Value, at: &mut String, places: &mut Vec<String>) {
    places.push(at.clone());
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(n, item)| (n.to_string(), item)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field)).collect(),
        _ => Vec::new(),
    };
    for (name, part) in inner {
        let length = at.len();
        at.push('/');
        at.push_str(&name);
        places_in(part, at, places);
        at.truncate(length);
    }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

#[test]
fn it_tells_right_from_wrong() {
    let document = json!({"components": {"schemas": {
        "Id": {"type": "string", "pattern": "^[a-c0-9-]{2,3}-x$"},
        "Thing": {"type": "object", "required": ["id"], "properties": {
            "id": {"$ref": "#/components/schemas/Id"},
            "n": {"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 1, "maximum": 5}]},
            "all": {"type": "array", "maxItems": 2, "items": {"type": "string", "enum": ["p", "q"]}},
        }},
    }}});
    let (schemas, thing) = (Schemas(&document), json!({"$ref": "#/components/schemas/Thing"}));
    // The class has the hyphen too: three of it, then `-x`.
    for good in [
        json!({"id": "abc-x"}),
        json!({"id": "009-x", "n": null, "all": ["p", "q"], "more": 1}),
        json!({"id": "---" .to_owned() + "-x", "n": 5}),
    ] {
        schemas.check(&thing, &good).unwrap();
    }
    for bad in [
        json!({}),
        json!([]),
        json!({"id": "d-x"}),
        json!({"id": "abc-xy"}),
        json!({"id": 1}),
        json!({"id": "abc-x", "n": 6}),
        json!({"id": "abc-x", "n": 0}),
        json!({"id": "abc-x", "n": "1"}),
        json!({"id": "abc-x", "all": ["p", "r"]}),
        json!({"id": "abc-x", "all": ["p", "p", "p"]}),
    ] {
        assert!(schemas.check(&thing, &bad).is_err(), "{bad}");
    }
    let mut dice = Dice(1);
    let made = json!({"type": "string", "pattern": "^[a-c]{2}-[0-9]{1,64}$"});
    for _ in 0..50 {
        let value = schemas.valid(&made, &mut dice, &[]);
        schemas.check(&made, &value).unwrap();
    }
}
