//! "Did you mean": the known name that a mistyped one resembles most.

use tolstoy_edn::Keyword;

/// The candidate nearest to `name`, if one is near enough to be what was meant: one letter in three may differ.
pub(crate) fn similar<'k>(name: &Keyword, candidates: impl Iterator<Item = &'k Keyword>) -> Option<&'k Keyword> {
    let wanted: Vec<char> = name.as_str().chars().collect();
    let most = wanted.len() / 3;
    candidates
        .filter_map(|candidate| Some((distance(&wanted, candidate.as_str(), most)?, candidate)))
        .min_by(|x, y| x.cmp(y))
        .map(|(_, candidate)| candidate)
}

/// The number of letters to insert, remove or replace, if it is `most` at most.
fn distance(wanted: &[char], candidate: &str, most: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (i, c) in candidate.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (pair, w) in row.windows(2).zip(wanted) {
            let &[diagonal, above] = pair else { continue };
            let left = next.last().copied().unwrap_or_default();
            next.push((diagonal + usize::from(*w != c)).min(above + 1).min(left + 1));
        }
        if next.iter().min().is_none_or(|least| *least > most) {
            return None;
        }
        row = next;
    }
    row.last().copied().filter(|d| *d <= most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let names: Vec<Keyword> = ["person/name", "person/names", "person/age", "db/doc"]
            .iter()
            .map(|k| Keyword::parse(k).unwrap())
            .collect();
        let find = |text: &str| similar(&Keyword::parse(text).unwrap(), names.iter()).map(Keyword::as_str);
        assert_eq!(find("person/nam"), Some("person/name"));
        assert_eq!(find("person/nmae"), Some("person/name"));
        assert_eq!(find("prson/age"), Some("person/age"));
        assert_eq!(find("car/wheels"), None);
        assert_eq!(find("x"), None);
    }
}
