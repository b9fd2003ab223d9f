//! How tasks look: the first rule whose filter holds.

use clap::builder::styling::{AnsiColor, Color, Effects, Style};
use tolstoy_tasks::{Calendar, Filter, Refusal, Task, View};

/// What a style's words are.
const EFFECTS: [(&str, Effects); 6] = [
    ("bold", Effects::BOLD),
    ("dim", Effects::DIMMED),
    ("italic", Effects::ITALIC),
    ("underline", Effects::UNDERLINE),
    ("reverse", Effects::INVERT),
    ("strikethrough", Effects::STRIKETHROUGH),
];
const COLOURS: [(&str, AnsiColor); 8] = [
    ("black", AnsiColor::Black),
    ("red", AnsiColor::Red),
    ("green", AnsiColor::Green),
    ("yellow", AnsiColor::Yellow),
    ("blue", AnsiColor::Blue),
    ("magenta", AnsiColor::Magenta),
    ("cyan", AnsiColor::Cyan),
    ("white", AnsiColor::White),
];

/// A filter, and how the tasks look for which it holds.
pub(super) struct Rule {
    filter: Filter,
    style: Style,
}

impl Rule {
    /// Reads `FILTER = STYLE`.
    pub(super) fn parse(text: &str, calendar: &Calendar) -> Result<Self, Refusal> {
        let (filter, style) = text.rsplit_once('=').ok_or_else(|| {
            Refusal(format!("{text:?} is no rule: that is a filter, = and a style, such as \"@overdue = bold red\""))
        })?;
        let words: Vec<&str> = filter.split_whitespace().collect();
        Ok(Self { filter: Filter::parse(&words, calendar)?, style: read_style(style)? })
    }
}

/// Reads a style: words such as `bold`, `red`, `bright-red`, `on-blue`.
fn read_style(text: &str) -> Result<Style, Refusal> {
    let mut style = Style::new();
    for word in text.split_whitespace() {
        let (behind, name) = word.strip_prefix("on-").map_or((false, word), |name| (true, name));
        let (bright, name) = name.strip_prefix("bright-").map_or((false, name), |name| (true, name));
        let effect = EFFECTS.iter().find(|(known, _)| *known == word);
        let colour =
            COLOURS.iter().find(|(known, _)| *known == name).map(|(_, colour)| Color::Ansi(colour.bright(bright)));
        style = match (effect, colour) {
            (Some((_, effect)), _) => style.effects(style.get_effects() | *effect),
            (None, Some(colour)) if behind => style.bg_color(Some(colour)),
            (None, Some(colour)) => style.fg_color(Some(colour)),
            (None, None) => {
                let names = EFFECTS.iter().map(|(name, _)| *name).chain(COLOURS.iter().map(|(name, _)| *name));
                let names: Vec<&str> = names.collect();
                return Err(Refusal(format!(
                    "{word:?} is no style: there are {}, and bright-red, on-red and so on",
                    names.join(", ")
                )));
            }
        };
    }
    Ok(style)
}

/// How a task looks.
pub(super) fn look(rules: &[Rule], task: &Task, view: &View) -> Option<Style> {
    rules.iter().find(|rule| rule.filter.matches(task, view)).map(|rule| rule.style)
}
