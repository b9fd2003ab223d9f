//! Where entries come from: a terminal, with editing and history, or a pipe.

use std::io::{BufRead, StdinLock};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Editor, Helper};

use super::command::{self, COMMANDS};
use crate::dirs;
use crate::error::Failure;
use crate::text::Source;
use crate::ui::Ui;

/// A source of entries.
pub(super) enum Input {
    Terminal(Box<Terminal>),
    Pipe(Pipe),
}

/// An entry, or why there is none.
pub(super) enum Read {
    Entry(Source),
    /// What was typed was thrown away.
    Nothing,
    Unreadable(Failure),
    End,
}

impl Input {
    /// The next entry. `idents` are what may be completed after a colon.
    pub(super) fn next(
        &mut self,
        prompt: &str,
        idents: impl FnOnce() -> Vec<String>,
        ui: &Ui,
    ) -> Result<Read, Failure> {
        match self {
            Self::Terminal(terminal) => terminal.next(prompt, idents(), ui),
            Self::Pipe(pipe) => pipe.next(),
        }
    }
}

/// Lines from a pipe or a file.
pub(super) struct Pipe {
    lines: StdinLock<'static>,
    lines_read: u32,
}

impl Pipe {
    pub(super) fn new() -> Self {
        Self { lines: std::io::stdin().lock(), lines_read: 0 }
    }

    fn next(&mut self) -> Result<Read, Failure> {
        let mut source = Source { lines_before: self.lines_read, ..Source::new("<stdin>", "") };
        let mut brackets = Brackets::default();
        loop {
            let start = source.text.len();
            let mut line = Vec::new();
            self.lines.read_until(b'\n', &mut line).map_err(|e| Failure::io("<stdin>", &e))?;
            if line.is_empty() {
                let is_over = source.text.trim().is_empty();
                return Ok(if is_over { Read::End } else { Read::Entry(source) });
            }
            self.lines_read = self.lines_read.saturating_add(1);
            match String::from_utf8(line) {
                Ok(line) => source.text.push_str(&line),
                Err(error) => return Ok(Read::Unreadable(Failure::not_utf8("<stdin>", &error, self.lines_read - 1))),
            }
            brackets.pass(source.text.get(start..).unwrap_or_default());
            // The reader is asked only where it may say yes: an entry of many lines is not read again at each.
            if brackets.may_be_closed() && command::is_whole(&source.text) {
                return Ok(Read::Entry(source));
            }
        }
    }
}

/// Counts brackets, strings and comments left out. Only the reader knows whether an entry is whole; this tells cheaply
/// where it certainly is not.
#[derive(Default)]
struct Brackets {
    open: i64,
    in_string: bool,
}

impl Brackets {
    fn pass(&mut self, line: &str) {
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (self.in_string, c) {
                (_, '\\') => {
                    chars.next();
                }
                (_, '"') => self.in_string = !self.in_string,
                (false, ';') => return,
                (false, '[' | '(' | '{') => self.open += 1,
                (false, ']' | ')' | '}') => self.open -= 1,
                _ => {}
            }
        }
    }

    const fn may_be_closed(&self) -> bool {
        self.open <= 0 && !self.in_string
    }
}

/// A terminal.
pub(super) struct Terminal {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

impl Terminal {
    /// Takes the terminal, and the history of earlier sessions where `history` says so.
    pub(super) fn new(history: bool, ui: &Ui) -> Result<Self, Failure> {
        let mut editor = Editor::new().map_err(|e| failure(&e))?;
        editor.set_helper(Some(Assistant::default()));
        editor.set_auto_add_history(true);
        editor.set_completion_type(rustyline::CompletionType::List);
        let file = if history { dirs::state().map(|dir| dir.join("history")) } else { None };
        let history = file.and_then(|file| {
            let kept = std::fs::create_dir_all(file.parent()?).is_ok();
            if !kept {
                ui.note(format!("history is not kept: {} cannot be written", file.display()));
            }
            kept.then_some(file)
        });
        if let Some(file) = &history {
            // The first session has none.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    fn next(&mut self, prompt: &str, idents: Vec<String>, ui: &Ui) -> Result<Read, Failure> {
        if let Some(helper) = self.editor.helper_mut() {
            helper.idents = idents;
        }
        match self.editor.readline(prompt) {
            Ok(text) => {
                if let Some(file) = self.history.take() {
                    match self.editor.append_history(&file) {
                        Ok(()) => self.history = Some(file),
                        Err(error) => ui.note(format!("history is not kept any more: {}: {error}", file.display())),
                    }
                }
                Ok(Read::Entry(Source::new("<input>", text)))
            }
            Err(ReadlineError::Interrupted) => Ok(Read::Nothing),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &ReadlineError) -> Failure {
    let error = std::io::Error::other(error.to_string());
    Failure::io("the terminal", &error).hint("`tolstoy repl --no-tty` reads plain lines")
}

/// Knows when an entry is whole, and how words go on.
#[derive(Default)]
struct Assistant {
    idents: Vec<String>,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let whole = command::is_whole(context.input());
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..at).unwrap_or(line);
        let start = before.rfind(|c: char| c.is_whitespace() || "[](){}\",".contains(c)).map_or(0, |i| i + 1);
        let word = before.get(start..).unwrap_or_default();
        let known: Vec<String> = if word.starts_with(':') {
            self.idents.clone()
        } else if word.starts_with('.') && before.get(..start).is_some_and(|b| b.trim().is_empty()) {
            COMMANDS.iter().flat_map(|c| c.names).map(|name| format!(".{name}")).collect()
        } else {
            Vec::new()
        };
        Ok((start, known.into_iter().filter(|k| k.starts_with(word)).collect()))
    }
}
