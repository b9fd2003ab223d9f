//! Transaction functions: what a program teaches a store to do to the facts as it finds them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tolstoy_edn::{Keyword, Value as Edn};

use crate::core::Working;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Update;
use crate::query::{self, QueryResult};
use crate::schema::Schema;
use crate::store::Store;
use crate::types::{Change, Entid, Value};

/// What stands in one place of a function's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Whatever names an entity; the function gets a [`Value::Ref`].
    Entity,
    /// Whatever names an attribute; the function gets a [`Value::Ref`].
    Attribute,
    /// A literal: the function gets a [`Value::Long`] for `42`, a [`Value::Double`] for `1.5`, and so on.
    Value,
}

impl Parameter {
    const fn describe(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Attribute => "attribute",
            Self::Value => "value",
        }
    }
}

/// What a function asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// An assertion or a retraction.
    Change(Change),
    /// An update of the value that an entity has for a cardinality-one attribute.
    Update {
        /// The entity.
        e: Entid,
        /// The attribute.
        a: Entid,
        /// What becomes of the value.
        update: Update,
    },
}

impl Statement {
    /// `[:db/add e a v]`
    pub const fn add(e: Entid, a: Entid, v: Value) -> Self {
        Self::Change(Change::add(e, a, v))
    }

    /// `[:db/retract e a v]`
    pub const fn retract(e: Entid, a: Entid, v: Value) -> Self {
        Self::Change(Change::retract(e, a, v))
    }

    /// `[:db/cas e a old new]`
    pub const fn cas(e: Entid, a: Entid, old: Option<Value>, new: Option<Value>) -> Self {
        Self::Update { e, a, update: Update::Cas { old, new } }
    }

    /// `[:db/inc e a by]`
    pub const fn inc(e: Entid, a: Entid, by: Value) -> Self {
        Self::Update { e, a, update: Update::Inc(by) }
    }

    /// `[:db/max e a v]`
    pub const fn max(e: Entid, a: Entid, v: Value) -> Self {
        Self::Update { e, a, update: Update::Max(v) }
    }

    /// `[:db/min e a v]`
    pub const fn min(e: Entid, a: Entid, v: Value) -> Self {
        Self::Update { e, a, update: Update::Min(v) }
    }
}

/// Why a function does nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum FunctionError {
    /// The facts forbid it, for this reason: the transaction is refused or, in a rebase, displaced.
    Refused(String),
    /// The store could not answer. What the function asked wrongly ([`ErrorKind::Input`], [`ErrorKind::Refused`]) refuses the
    /// transaction as well; all else fails the whole operation.
    Failed(Error),
}

impl FunctionError {
    /// The refusal with this reason, a sentence for people.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Error> for FunctionError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The facts as they were before the transaction that a function runs in.
pub struct Facts<'v> {
    working: &'v Working<'v>,
}

impl<'v> Facts<'v> {
    pub(crate) const fn new(working: &'v Working<'v>) -> Self {
        Self { working }
    }

    /// The schema and the idents.
    pub fn schema(&self) -> &Schema {
        &self.working.schema
    }

    /// The entity, or attribute, that has this ident, such as `account/balance`.
    ///
    /// # Errors
    /// `Input` where none has it.
    pub fn entid(&self, ident: &str) -> Result<Entid> {
        Keyword::parse(ident)
            .and_then(|k| self.working.schema.entid(&k))
            .ok_or_else(|| Error::new(ErrorKind::Input, format!("no entity has the ident :{ident}")))
    }

    /// The value that an entity has for an attribute; of several, the first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn value(&self, e: Entid, a: Entid) -> Result<Option<Value>> {
        Ok(self.values(e, a)?.into_iter().next())
    }

    /// The values that an entity has for an attribute, in order.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn values(&self, e: Entid, a: Entid) -> Result<Vec<Value>> {
        let mut values: Vec<Value> = self.working.values(e, a)?.into_iter().map(|(v, _)| v).collect();
        values.sort();
        Ok(values)
    }

    /// The entity that has this value of a unique attribute.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn lookup(&self, a: Entid, v: &Value) -> Result<Option<Entid>> {
        self.working.holder(a, v)
    }

    /// The entity of the transaction that the function runs in.
    pub fn tx(&self) -> Entid {
        self.working.next_tx()
    }

    /// Answers a query, as [`Store::query`] does.
    ///
    /// # Errors
    /// As for [`Store::query`].
    pub fn query(&self, text: &str, inputs: &[Edn]) -> Result<QueryResult> {
        query::answer_in(self.working, text, inputs)
    }
}

type Body = dyn Fn(&Facts<'_>, &[Value]) -> Result<Vec<Statement>, FunctionError> + Send + Sync;

/// A transaction function.
#[derive(Clone)]
pub struct Function {
    name: Keyword,
    parameters: Vec<Parameter>,
    body: Arc<Body>,
}

impl Function {
    /// A function that is called as `[:name arg ...]`. `name` is a keyword's text with a namespace, such as `account/withdraw`.
    /// `body` gets as many arguments as there are parameters: refs for entities and attributes, other values for literals.
    ///
    /// It has to be a function of the facts and its arguments alone: every store that runs it on the same facts must get the
    /// same, so it reads no clock, no file and no randomness.
    ///
    /// # Errors
    /// `Input` where the name is no keyword with a namespace, or its namespace is `db` or begins with `db.`
    pub fn new(
        name: &str,
        parameters: impl Into<Vec<Parameter>>,
        body: impl Fn(&Facts<'_>, &[Value]) -> Result<Vec<Statement>, FunctionError> + Send + Sync + 'static,
    ) -> Result<Self> {
        let keyword = Keyword::parse(name).filter(|k| k.as_str() == name);
        let own = |space: &str| space != "db" && !space.starts_with("db.");
        match keyword.filter(|k| k.namespace().is_some_and(own)) {
            Some(name) => Ok(Self { name, parameters: parameters.into(), body: Arc::new(body) }),
            None => Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{name:?} cannot name a function: that is a keyword without its colon, such as \
                     \"account/withdraw\", with a namespace outside db"
                ),
            )),
        }
    }

    /// Its name.
    pub const fn name(&self) -> &Keyword {
        &self.name
    }

    /// What its arguments are.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The form it is called in, for messages.
    pub(crate) fn form(&self) -> String {
        let parameters: String = self.parameters.iter().map(|p| format!(" {}", p.describe())).collect();
        format!("[{}{parameters}]", self.name)
    }

    /// Whether it can be called with these arguments.
    pub(crate) fn takes(&self, args: &[Value]) -> bool {
        let fits =
            |(parameter, arg): (&Parameter, &Value)| (*parameter == Parameter::Value) == arg.as_ref_entid().is_none();
        self.parameters.len() == args.len() && self.parameters.iter().zip(args).all(fits)
    }

    pub(crate) fn run(&self, facts: &Facts<'_>, args: &[Value]) -> Result<Vec<Statement>, FunctionError> {
        (self.body)(facts, args)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.form())
    }
}

/// The functions that a store knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Functions(Arc<BTreeMap<Keyword, Function>>);

impl Functions {
    pub(crate) fn get(&self, name: &Keyword) -> Option<&Function> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &Keyword> {
        self.0.keys()
    }
}

impl Store {
    /// Registers a function that transactions can call. It lives in this store for as long as that is open, and is not in the
    /// file: what it made of the facts is, and the call, so that a merge can run it again on other facts. A merge in a store
    /// that does not know it displaces the local change that calls it, and a change that comes in needs it nowhere.
    ///
    /// ```
    /// use tolstoy_store::{Function, FunctionError, Parameter, Statement, Store, Value};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut store = Store::in_memory(tolstoy_env::Env::system())?;
    /// store.register(Function::new("account/withdraw", [Parameter::Entity, Parameter::Value], |facts, args| {
    ///     let [Value::Ref(account), Value::Long(amount)] = args else {
    ///         return Err(FunctionError::refused("an amount is a whole number"));
    ///     };
    ///     let balance = facts.entid("account/balance")?;
    ///     match facts.value(*account, balance)? {
    ///         Some(Value::Long(has)) if has >= *amount => Ok(vec![Statement::inc(*account, balance, Value::Long(-amount))]),
    ///         _ => Err(FunctionError::refused("there is not enough on the account")),
    ///     }
    /// })?)?;
    /// store.transact_str(
    ///     "[{:db/ident :account/balance :db/valueType :db.type/long :db/cardinality :db.cardinality/one}
    ///       {:db/ident :my/savings :account/balance 100}]",
    /// )?;
    /// store.transact_str("[[:account/withdraw :my/savings 30]]")?;
    /// assert!(store.transact_str("[[:account/withdraw :my/savings 80]]").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Refused` where the store knows a function of this name.
    pub fn register(&mut self, function: Function) -> Result<()> {
        if self.functions.get(function.name()).is_some() {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("a function {} is registered already", function.name()),
            ));
        }
        Arc::make_mut(&mut self.functions.0).insert(function.name.clone(), function);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
