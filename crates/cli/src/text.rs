//! The texts that commands are given: as arguments, in files, on standard input.

use std::io::Read;
use std::path::Path;

use tolstoy_edn::{Form, Limits, read_all};

use crate::error::Failure;

/// A text, and what to call it in messages.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Lines of the same input that stand before `text`.
    pub(crate) lines_before: u32,
}

impl Source {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), lines_before: 0 }
    }

    /// The text that an argument stands for: `@FILE` a file, `-` standard input, anything else itself.
    pub(crate) fn of_argument(argument: &str) -> Result<Self, Failure> {
        match argument.strip_prefix('@') {
            Some(file) => Self::of_file(Path::new(file)),
            None if argument == "-" => Self::of_stdin(),
            None => Ok(Self::new("<argument>", argument)),
        }
    }

    /// A file's text; `-` is standard input.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Self::of_stdin();
        }
        let name = path.display().to_string();
        let file = std::fs::File::open(path).map_err(|e| Failure::io(&name, &e))?;
        Self::read(name, file)
    }

    fn of_stdin() -> Result<Self, Failure> {
        Self::read("<stdin>".to_owned(), std::io::stdin().lock())
    }

    fn read(name: String, reader: impl Read) -> Result<Self, Failure> {
        let limit = u64::from(Limits::default().max_bytes);
        let mut bytes = Vec::new();
        reader.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Failure::io(&name, &e))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => Err(Failure::not_utf8(&name, &error, 0)),
        }
    }

    /// All forms of the text.
    pub(crate) fn forms(&self) -> Result<Vec<Form>, Failure> {
        read_all(&self.text, &Limits::default()).map_err(|e| self.unreadable(&e))
    }

    /// The one form of the text.
    pub(crate) fn form(&self) -> Result<Form, Failure> {
        tolstoy_edn::read_one(&self.text, &Limits::default()).map_err(|e| self.unreadable(&e))
    }

    fn unreadable(&self, error: &tolstoy_edn::ReadError) -> Failure {
        self.blame(Failure::read(self, error))
    }

    /// The same failure, with a hint where the text looks like the name of a file.
    pub(crate) fn blame(&self, failure: Failure) -> Failure {
        let names_a_file = self.name == "<argument>" && self.text.len() < 1024 && Path::new(&self.text).is_file();
        if names_a_file { failure.hint(format!("to read the file, write @{}", self.text)) } else { failure }
    }
}
