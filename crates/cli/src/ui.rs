//! What people see: standard output, notes and errors on standard error, colours.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Effects, Style};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use crate::error::Failure;

/// Facts that came to be.
pub(crate) const ADDED: Style = AnsiColor::Green.on_default();
/// Facts that ceased to be, and errors.
pub(crate) const GONE: Style = AnsiColor::Red.on_default();
/// What can be typed.
pub(crate) const TYPED: Style = AnsiColor::Cyan.on_default();
/// What deserves a second look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Headings.
pub(crate) const BOLD: Style = Style::new().effects(Effects::BOLD);
/// What is said beside the matter.
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);

/// A table is a heading, a line, and rows.
const LINES: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Where output goes, and what it may look like there.
pub(crate) struct Ui {
    out: BufWriter<io::Stdout>,
    out_is_tty: bool,
    out_colour: bool,
    err_is_tty: bool,
    err_colour: bool,
}

impl Ui {
    pub(crate) fn new() -> Self {
        let (out_is_tty, err_is_tty) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let is = |name: &str, value: &str| set(name).is_some_and(|there| there == value);
        let forced = set("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
        let plain = is("TERM", "dumb") || is("CLICOLOR", "0");
        let colour = |is_tty: bool| set("NO_COLOR").is_none() && (forced || is_tty && !plain);
        Self {
            out: BufWriter::new(io::stdout()),
            out_is_tty,
            out_colour: colour(out_is_tty),
            err_is_tty,
            err_colour: colour(err_is_tty),
        }
    }

    /// Writes as into a pipe, also on a terminal.
    pub(crate) fn be_plain(&mut self) {
        (self.out_is_tty, self.out_colour, self.err_is_tty, self.err_colour) = (false, false, false, false);
    }

    /// Whether somebody looks at standard output.
    pub(crate) fn out_is_tty(&self) -> bool {
        self.out_is_tty
    }

    /// Whether somebody looks at standard error.
    pub(crate) fn err_is_tty(&self) -> bool {
        self.err_is_tty
    }

    /// Whether standard output shows colours.
    pub(crate) fn out_is_colourful(&self) -> bool {
        self.out_colour
    }

    /// Whether standard error shows colours.
    pub(crate) fn err_is_colourful(&self) -> bool {
        self.err_colour
    }

    /// The text in this style, where standard output shows styles.
    pub(crate) fn paint(&self, style: Style, text: impl Display) -> String {
        styled(self.out_colour, style, text)
    }

    /// A line of output.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(|e| Failure::output(&e))
    }

    /// A piece of output.
    pub(crate) fn write(&mut self, text: impl Display) -> Result<(), Failure> {
        write!(self.out, "{text}").map_err(|e| Failure::output(&e))
    }

    /// A JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.json_part(value)?;
        self.line("")
    }

    /// A JSON value.
    pub(crate) fn json_part(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, value).map_err(|e| Failure::output(&e.into()))
    }

    /// A table as wide as the terminal at most; columns of numbers are aligned to the right.
    pub(crate) fn table(&mut self, header: &[String], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.line(table(header, rows, self.out_colour))
    }

    /// Makes what was written visible.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|e| Failure::output(&e))
    }

    /// A line on standard error, beside the output. Nothing can be done where that is closed, and nothing depends on it.
    pub(crate) fn note(&self, text: impl Display) {
        let _ = writeln!(io::stderr(), "{}", visible(&text.to_string()));
    }

    /// Tells a failure, on standard error.
    pub(crate) fn failure(&self, failure: &Failure, json: bool) {
        let text = if json {
            #[derive(Serialize)]
            struct Told<'f> {
                error: &'f str,
                message: &'f str,
                hint: Option<&'f str>,
            }
            let told = Told { error: failure.kind.word(), message: &failure.message, hint: failure.hint.as_deref() };
            serde_json::to_string(&told).unwrap_or_default()
        } else {
            let paint = |style, text| styled(self.err_colour, style, text);
            let mut text = format!("{} {}", paint(GONE.effects(Effects::BOLD), "error:"), visible(&failure.message));
            if let Some(picture) = &failure.picture {
                text.push('\n');
                text.push_str(picture);
            }
            if let Some(hint) = &failure.hint {
                text.push_str(&format!("\n{} {}", paint(BOLD, "hint:"), visible(hint)));
            }
            text
        };
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn styled(on: bool, style: Style, text: impl Display) -> String {
    if on { format!("{style}{text}{style:#}") } else { text.to_string() }
}

/// The text without what a terminal would obey: names of files, messages of hubs and what other devices wrote come from
/// outside.
pub(crate) fn visible(text: &str) -> String {
    // Nearly all texts are.
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn table(header: &[String], rows: &[Vec<String>], bold: bool) -> String {
    let mut table = Table::new();
    table.load_style(LINES).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().map(|name| {
        let cell = Cell::new(name);
        if bold { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    table.add_rows(rows.iter().cloned());
    for (i, column) in table.column_iter_mut().enumerate() {
        let number = |row: &Vec<String>| row.get(i).is_some_and(|cell| cell.parse::<f64>().is_ok());
        if !rows.is_empty() && rows.iter().all(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_heading_and_a_line_and_numbers_to_the_right() {
        let row = |name: &str, age: &str| vec![name.to_owned(), age.to_owned()];
        let header = ["?name".to_owned(), "?age".to_owned()];
        insta::assert_snapshot!(table(&header, &[row("\"Ivan\"", "30"), row("\"Olga\"", "5")], false), @r#"
         ?name    ?age
        ───────────────
         "Ivan"     30
         "Olga"      5
        "#);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        assert_eq!(visible("a\u{1b}[31mb\nc\u{7}"), "a\u{fffd}[31mb\nc\u{fffd}");
    }
}
