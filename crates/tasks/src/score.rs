//! The order of tasks: a score by an expression of the user's.

use crate::json::{self, Json};
use crate::view::{State, View};
use crate::{Refusal, Task};

/// The most bytes of an expression.
const MAX_LENGTH: usize = 4096;
/// The most levels of an expression.
const MAX_DEPTH: usize = 64;

/// An expression that gives a task its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Number(f64),
    Due,
    Age,
    Tags,
    Blocking,
    Has(String),
    Tag(String),
    Is(State),
    Value(String),
    Negate(Box<Node>),
    Binary(char, Box<Node>, Box<Node>),
    Min(Box<Node>, Box<Node>),
    Max(Box<Node>, Box<Node>),
}

impl Score {
    /// The expression where the user has none.
    pub const DEFAULT: &'static str = "12 * is(overdue) + has(due) * max(0, 10 - max(due, 0)) + 8 * is(blocking) - 5 * is(blocked) \
                                       + 6 * tag(next) + min(age / 90, 2) + tags / 10";

    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_LENGTH {
            return Err(Refusal(format!(
                "the score's expression is {} bytes long; at most {MAX_LENGTH} are read",
                text.len()
            )));
        }
        let mut parser = Parser { rest: text, depth: 0 };
        let node = parser.sum()?;
        parser.space();
        if parser.rest.is_empty() { Ok(Self(node)) } else { Err(parser.refusal("an operator is expected")) }
    }

    /// The score of a task.
    pub fn of(&self, task: &Task, view: &View) -> f64 {
        self.0.value(task, view)
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn refusal(&self, what: &str) -> Refusal {
        let place = if self.rest.is_empty() {
            "at its end".to_owned()
        } else {
            format!("before {:?}", json::shortened(self.rest))
        };
        Refusal(format!("the score's expression: {what} {place}"))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, c: char) -> Result<(), Refusal> {
        if self.takes(c) { Ok(()) } else { Err(self.refusal(&format!("`{c}` is expected"))) }
    }

    fn sum(&mut self) -> Result<Node, Refusal> {
        let mut left = self.product()?;
        while let Some(operator) = ['+', '-'].into_iter().find(|c| self.takes(*c)) {
            left = Node::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Node, Refusal> {
        let mut left = self.factor()?;
        while let Some(operator) = ['*', '/'].into_iter().find(|c| self.takes(*c)) {
            left = Node::Binary(operator, Box::new(left), Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Node, Refusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Refusal(format!("the score's expression is nested more than {MAX_DEPTH} levels deep")));
        }
        let node = if self.takes('-') {
            Node::Negate(Box::new(self.factor()?))
        } else if self.takes('(') {
            let inner = self.sum()?;
            self.expect(')')?;
            inner
        } else {
            self.word()?
        };
        self.depth -= 1;
        Ok(node)
    }

    /// A run of characters of names and numbers.
    fn run(&mut self) -> &'t str {
        self.space();
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && !"_.".contains(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        run
    }

    fn word(&mut self) -> Result<Node, Refusal> {
        let before = self.rest;
        let word = self.run();
        if word.starts_with(|c: char| c.is_ascii_digit())
            && let Some(number) = word.parse::<f64>().ok().filter(|number| number.is_finite())
        {
            return Ok(Node::Number(number));
        }
        match word {
            "due" => Ok(Node::Due),
            "age" => Ok(Node::Age),
            "tags" => Ok(Node::Tags),
            "blocking" => Ok(Node::Blocking),
            "has" => Ok(Node::Has(self.name()?)),
            "tag" => Ok(Node::Tag(self.name()?)),
            "value" => Ok(Node::Value(self.name()?)),
            "is" => {
                let name = self.name()?;
                State::named(&name)
                    .map(Node::Is)
                    .ok_or_else(|| Refusal(format!("the score's expression: {name:?} is no state")))
            }
            "min" | "max" => {
                self.expect('(')?;
                let first = Box::new(self.sum()?);
                self.expect(',')?;
                let second = Box::new(self.sum()?);
                self.expect(')')?;
                Ok(if word == "min" { Node::Min(first, second) } else { Node::Max(first, second) })
            }
            _ => {
                self.rest = before;
                Err(self.refusal("a number, a name or a parenthesis is expected"))
            }
        }
    }

    fn name(&mut self) -> Result<String, Refusal> {
        self.expect('(')?;
        self.space();
        let end = self.rest.find([')', '(', ',']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.expect(')')?;
        Ok(name.trim().to_owned())
    }
}

impl Node {
    fn value(&self, task: &Task, view: &View) -> f64 {
        let one = |is: bool| if is { 1.0 } else { 0.0 };
        #[allow(clippy::cast_precision_loss, reason = "days, not microseconds, are what counts")]
        let days = |property: &str| {
            let micros = |at: tolstoy_edn::Instant| at.as_micros().saturating_sub(view.now().as_micros());
            task.instant(property).map_or(0.0, |at| micros(at) as f64 / 86_400_000_000.0)
        };
        #[allow(clippy::cast_precision_loss, reason = "counts are small")]
        let count = |n: usize| n as f64;
        let value = match self {
            Self::Number(number) => *number,
            Self::Due => days("due"),
            Self::Age => -days("created_at"),
            Self::Tags => count(task.tags().count()),
            Self::Blocking => count(view.blocks(task)),
            Self::Has(property) => one(!matches!(task.get(property), None | Some(Json::Null))),
            Self::Tag(tag) => one(task.tags().any(|there| there == tag)),
            Self::Is(state) => one(view.is(task, *state)),
            Self::Value(property) => match task.get(property) {
                Some(Json::Number(number)) => number.as_f64(),
                _ => 0.0,
            },
            Self::Negate(inner) => -inner.value(task, view),
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.value(task, view), right.value(task, view));
                match operator {
                    '+' => left + right,
                    '-' => left - right,
                    '*' => left * right,
                    _ => left / right,
                }
            }
            Self::Min(a, b) => a.value(task, view).min(b.value(task, view)),
            Self::Max(a, b) => a.value(task, view).max(b.value(task, view)),
        };
        // Division by zero, and what is beyond all numbers.
        if value.is_finite() { value } else { 0.0 }
    }
}
