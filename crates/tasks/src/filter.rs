//! Which tasks: the filter language.

use std::cmp::Ordering;

use tolstoy_edn::Instant;

use crate::dates::Calendar;
use crate::json::{self, Json, Number};
use crate::view::{State, View};
use crate::{Refusal, Task, TaskId};

/// The most levels of parentheses and `not`.
const MAX_DEPTH: usize = 64;

/// A filter: which tasks are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Id(String),
    Tag(String),
    Has(String),
    Is(String, Wanted),
    Compare(String, Ordering, Wanted),
    Contains(String, String),
    State(State),
    Text(String),
    /// A plain word: text, or the beginning of an id.
    Word(String),
}

/// What a property is compared with: the text, and what else it may mean.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    text: String,
    number: Option<Number>,
    dates: Option<(Instant, Instant)>,
}

impl Filter {
    /// Reads a filter from its words. No words: all tasks.
    ///
    /// # Errors
    /// Where the words are no filter, with the word that is at fault.
    pub fn parse(words: &[impl AsRef<str>], calendar: &Calendar) -> Result<Self, Refusal> {
        let mut tokens = Vec::new();
        for word in words {
            split(word.as_ref(), &mut tokens);
        }
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, calendar };
        if tokens.is_empty() {
            return Ok(Self(Node::All(Vec::new())));
        }
        let node = parser.any()?;
        match parser.peek() {
            None => Ok(Self(node)),
            Some(rest) => Err(Refusal(format!("{rest:?}: this parenthesis closes nothing"))),
        }
    }

    /// Whether a task is meant.
    pub fn matches(&self, task: &Task, view: &View) -> bool {
        self.0.matches(task, view)
    }
}

/// Splits parentheses off a word.
fn split<'w>(word: &'w str, tokens: &mut Vec<&'w str>) {
    let mut rest = word;
    while let Some(after) = rest.strip_prefix('(') {
        tokens.push("(");
        rest = after;
    }
    let inner = rest.trim_end_matches(')');
    if !inner.is_empty() {
        tokens.push(inner);
    }
    tokens.extend(std::iter::repeat_n(")", rest.len() - inner.len()));
}

struct Parser<'p> {
    tokens: &'p [&'p str],
    at: usize,
    depth: usize,
    calendar: &'p Calendar,
}

impl<'p> Parser<'p> {
    fn peek(&self) -> Option<&'p str> {
        self.tokens.get(self.at).copied()
    }

    fn any(&mut self) -> Result<Node, Refusal> {
        let mut parts = vec![self.all()?];
        while self.peek() == Some("or") {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(single(parts, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Refusal> {
        let mut parts = Vec::new();
        while let Some(token) = self.peek() {
            match token {
                "or" | ")" => break,
                "and" => self.at += 1,
                _ => parts.push(self.one()?),
            }
        }
        if parts.is_empty() {
            return Err(Refusal(
                "the filter has a place where a word is missing, beside `or`, `not` or a parenthesis".to_owned(),
            ));
        }
        Ok(single(parts, Node::All))
    }

    fn one(&mut self) -> Result<Node, Refusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refusal(format!("the filter is nested more than {MAX_DEPTH} levels deep")));
        }
        let node = match self.peek() {
            Some("not") => {
                self.at += 1;
                if matches!(self.peek(), None | Some("or" | ")" | "and")) {
                    return Err(Refusal("`not` stands before a word".to_owned()));
                }
                Node::Not(Box::new(self.one()?))
            }
            Some("(") => {
                self.at += 1;
                let inner = self.any()?;
                if self.peek() != Some(")") {
                    return Err(Refusal("a parenthesis is never closed".to_owned()));
                }
                self.at += 1;
                inner
            }
            Some(word) => {
                self.at += 1;
                self.word(word)?
            }
            None => return Err(Refusal("the filter ends where a word is expected".to_owned())),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn word(&self, word: &str) -> Result<Node, Refusal> {
        if let Some(tag) = word.strip_prefix('+').filter(|tag| !tag.is_empty()) {
            return Ok(Node::Tag(tag.to_owned()));
        }
        if let Some(tag) = word.strip_prefix('-').filter(|tag| !tag.is_empty()) {
            return Ok(Node::Not(Box::new(Node::Tag(tag.to_owned()))));
        }
        if let Some(name) = word.strip_prefix('@') {
            let names: Vec<&str> = State::ALL.iter().map(|(name, _)| *name).collect();
            return State::named(name)
                .map(Node::State)
                .ok_or_else(|| Refusal(format!("{word:?} is no state: there are @{}", names.join(" @"))));
        }
        if let Some(text) = word.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            return Ok(Node::Text(text.to_lowercase()));
        }
        match word.split_once(':') {
            Some((name, value)) if is_name(name) => self.property(name, value),
            _ => Ok(Node::Word(word.to_lowercase())),
        }
    }

    fn property(&self, name: &str, value: &str) -> Result<Node, Refusal> {
        if name == "id" {
            if value.is_empty() || value.len() > TaskId::LENGTH || !value.chars().all(TaskId::is_character) {
                return Err(Refusal(format!("{:?} begins no task's id", json::shortened(value))));
            }
            return Ok(Node::Id(value.to_owned()));
        }
        if let Some((property, how)) = name.rsplit_once('.') {
            let property = property.to_owned();
            let ordering = match how {
                "before" => Ordering::Less,
                "after" => Ordering::Greater,
                "has" => return Ok(Node::Contains(property, value.to_lowercase())),
                _ => return Err(Refusal(format!("{name:?}: what comes after the point is before, after or has"))),
            };
            let wanted = self.wanted(value);
            if wanted.number.is_none() && wanted.dates.is_none() {
                let why = self.calendar.parse(value).err().map(|e| e.to_string()).unwrap_or_default();
                return Err(Refusal(format!("{name}: {why}")));
            }
            return Ok(Node::Compare(property, ordering, wanted));
        }
        Ok(match value {
            "" => Node::Not(Box::new(Node::Has(name.to_owned()))),
            "any" => Node::Has(name.to_owned()),
            _ => Node::Is(name.to_owned(), self.wanted(value)),
        })
    }

    fn wanted(&self, text: &str) -> Wanted {
        Wanted { text: text.to_owned(), number: Number::parse(text), dates: self.calendar.range(text).ok() }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

fn single(mut parts: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match parts.pop() {
        Some(part) if parts.is_empty() => part,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

impl Node {
    fn matches(&self, task: &Task, view: &View) -> bool {
        let contains = |text: &str| task.description().to_lowercase().contains(text);
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(task, view)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(task, view)),
            Self::Not(part) => !part.matches(task, view),
            Self::Id(prefix) => task.id().as_str().starts_with(prefix),
            Self::Tag(tag) => task.tags().any(|there| there == tag),
            Self::Has(property) => property_of(task, property).is_some(),
            Self::Is(property, wanted) => property_of(task, property).is_some_and(|value| wanted.is(value)),
            Self::Compare(property, ordering, wanted) => {
                property_of(task, property).is_some_and(|value| wanted.compare(value) == Some(*ordering))
            }
            Self::Contains(property, text) => property_of(task, property)
                .and_then(Json::as_str)
                .is_some_and(|value| value.to_lowercase().contains(text)),
            Self::State(state) => view.is(task, *state),
            Self::Text(text) => contains(text),
            Self::Word(word) => contains(word) || task.id().as_str().starts_with(word.as_str()),
        }
    }
}

/// A property that is there, and is not null.
fn property_of<'t>(task: &'t Task, property: &str) -> Option<&'t Json> {
    task.get(property).filter(|value| !matches!(value, Json::Null))
}

impl Wanted {
    fn is(&self, value: &Json) -> bool {
        match value {
            Json::Bool(value) => self.text == value.to_string(),
            Json::Number(value) => self.number.as_ref() == Some(value),
            Json::String(text) if *text == self.text => true,
            Json::Array(values) => values.iter().any(|value| self.is(value)),
            value => {
                crate::document::instant_of(value).zip(self.dates).is_some_and(|(at, (from, to))| from <= at && at < to)
            }
        }
    }

    /// Whether a value is before, within or after what is wanted.
    fn compare(&self, value: &Json) -> Option<Ordering> {
        match value {
            Json::Number(value) => value.as_f64().partial_cmp(&self.number.as_ref()?.as_f64()),
            value => {
                let (at, (from, to)) = crate::document::instant_of(value).zip(self.dates)?;
                Some(if at < from {
                    Ordering::Less
                } else if at >= to {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                })
            }
        }
    }
}
