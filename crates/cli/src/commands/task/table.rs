//! Lists of tasks as tables: thousands of rows, each in a style of its own, and one column that takes what room is left.

use clap::builder::styling::Style;
use unicode_width::UnicodeWidthStr;

use crate::error::Failure;
use crate::ui::{BOLD, Ui};

/// The room between two columns, and the least that a text is broken into: as it is usual, and on a narrow terminal.
const USUAL: (usize, usize) = (3, 20);
const NARROW: (usize, usize) = (1, 10);

/// A row: a text for each column.
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    pub(super) style: Option<Style>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Values: aligned to the right where all are numbers.
    Values,
    /// Ids, which are no numbers even where they look so.
    Ids,
    /// Text, broken into lines where the table is wider than the terminal. One column at most.
    Text,
}

/// Prints a heading, a line and the rows.
pub(super) fn print(heading: &[String], holds: &[Holds], rows: &[Row], ui: &mut Ui) -> Result<(), Failure> {
    let flexible = holds.iter().position(|holds| *holds == Holds::Text);
    let mut widths: Vec<usize> = heading.iter().map(|name| name.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(width_of(cell));
        }
    }
    let room = if ui.out_is_tty() { comfy_table::Table::new().width().map(usize::from) } else { None };
    let gap = fit(&mut widths, flexible, room);
    let number = |at: usize| {
        holds.get(at) == Some(&Holds::Values)
            && !rows.is_empty()
            && rows.iter().all(|row| row.cells.get(at).is_some_and(|c| c.parse::<f64>().is_ok()))
    };
    let right: Vec<bool> = (0..widths.len()).map(number).collect();

    let mut line = String::new();
    let bold = ui.out_is_colourful().then_some(BOLD);
    let columns = Columns { widths: &widths, right: &right, gap };
    columns.write_line(&mut line, heading, bold);
    line.push_str(&"─".repeat(all(&widths, gap)));
    ui.line(&line)?;
    for row in rows {
        line.clear();
        let wide = flexible.filter(|at| row.cells.get(*at).zip(widths.get(*at)).is_some_and(|(c, w)| width_of(c) > *w));
        match wide {
            None => columns.write_line(&mut line, &row.cells, row.style),
            Some(at) => columns.write_broken(&mut line, row, at),
        }
        line.pop();
        ui.line(&line)?;
    }
    Ok(())
}

/// How wide a table is.
fn all(widths: &[usize], gap: usize) -> usize {
    widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1) + 2
}

/// Makes the flexible column as narrow as the room asks for, and gives the room between two columns.
fn fit(widths: &mut [usize], flexible: Option<usize>, room: Option<usize>) -> usize {
    let Some(room) = room else { return USUAL.0 };
    let whole = flexible.and_then(|at| widths.get(at).copied()).unwrap_or_default();
    let narrowed = |(gap, least): (usize, usize)| {
        let over = all(widths, gap).saturating_sub(room);
        (gap, over, whole.saturating_sub(over).max(whole.min(least)))
    };
    let is_enough = |(_, over, width): &(usize, usize, usize)| whole - width >= *over;
    let (gap, _, width) = Some(narrowed(USUAL)).filter(is_enough).unwrap_or_else(|| narrowed(NARROW));
    flexible.and_then(|at| widths.get_mut(at)).into_iter().for_each(|w| *w = width);
    gap
}

/// How cells become a line.
struct Columns<'a> {
    widths: &'a [usize],
    right: &'a [bool],
    gap: usize,
}

impl Columns<'_> {
    /// A row whose text in one column needs several lines.
    fn write_broken(&self, line: &mut String, row: &Row, at: usize) {
        let (Some(text), Some(width)) = (row.cells.get(at), self.widths.get(at)) else { return };
        let mut cells = row.cells.clone();
        for part in broken(text, *width) {
            cells.get_mut(at).into_iter().for_each(|cell| cell.clone_from(&part));
            self.write_line(line, &cells, row.style);
            cells.iter_mut().for_each(String::clear);
        }
    }

    fn write_line(&self, line: &mut String, cells: &[String], style: Option<Style>) {
        let start = line.len();
        line.push(' ');
        for (n, ((cell, width), right)) in cells.iter().zip(self.widths).zip(self.right).enumerate() {
            if n > 0 {
                pad(line, self.gap);
            }
            let missing = width.saturating_sub(width_of(cell));
            if *right {
                pad(line, missing);
            }
            line.push_str(cell);
            if !*right {
                pad(line, missing);
            }
        }
        line.truncate(start + line.get(start..).unwrap_or_default().trim_end().len());
        if let Some(style) = style {
            let plain = line.split_off(start);
            line.push_str(&format!("{style}{plain}{style:#}"));
        }
        line.push('\n');
    }
}

fn pad(line: &mut String, spaces: usize) {
    line.extend(std::iter::repeat_n(' ', spaces));
}

fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text in lines of this width, broken between words where that goes.
fn broken(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_inclusive(' ') {
        if !line.is_empty() && width_of(&line) + width_of(word.trim_end()) > width {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(word);
        while width_of(line.trim_end()) > width {
            let mut used = 0;
            let end = line.char_indices().find(|(_, c)| {
                used += width_of(c.encode_utf8(&mut [0; 4]));
                used > width
            });
            // A character that is wider than the whole column stands alone.
            let end = end.map_or(line.len(), |(end, c)| if end == 0 { c.len_utf8() } else { end });
            let rest = line.split_off(end);
            lines.push(std::mem::replace(&mut line, rest));
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_where_it_can() {
        // The id, the due date, the description, the tags.
        let fitted = |room| {
            let mut widths = [5, 16, 70, 4];
            let gap = fit(&mut widths, Some(2), room);
            (gap, widths[2], all(&widths, gap))
        };
        assert_eq!(fitted(None), (3, 70, 106));
        assert_eq!(fitted(Some(200)), (3, 70, 106));
        assert_eq!(fitted(Some(80)), (3, 44, 80));
        assert_eq!(fitted(Some(56)), (3, 20, 56));
        assert_eq!(fitted(Some(55)), (1, 25, 55));
        assert_eq!(fitted(Some(40)), (1, 10, 40));
        assert_eq!(fitted(Some(20)), (1, 10, 40));
        let mut widths = [5, 16];
        assert_eq!((fit(&mut widths, None, Some(10)), widths), (1, [5, 16]));
    }

    #[test]
    fn texts_are_broken_between_words_where_that_goes() {
        assert_eq!(broken("Buy oat milk and bread", 10), ["Buy oat ", "milk and ", "bread"]);
        assert_eq!(broken("Donaudampfschiff ahoy", 8), ["Donaudam", "pfschiff ", "ahoy"]);
        assert_eq!(broken("買牛乳", 4), ["買牛", "乳"]);
        assert_eq!(broken("買", 1), ["買", ""]);
        assert_eq!(broken("", 5), [""]);
    }
}
