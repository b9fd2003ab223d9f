//! "Did you mean": the known name nearest to an unknown one.

/// ` (did you mean :person/name?)` where one of the known names is near the unknown one, else nothing. `prefix` is put
/// before the name.
pub(crate) fn did_you_mean<'k>(unknown: &str, known: impl Iterator<Item = &'k str>, prefix: &str) -> String {
    let most = (unknown.chars().count() / 3).clamp(1, 3);
    let nearest = known.map(|name| (distance(unknown, name, most), name)).filter(|(d, _)| *d <= most).min();
    nearest.map(|(_, name)| format!(" (did you mean {prefix}{name}?)")).unwrap_or_default()
}

/// How many characters must be put in, taken out, replaced or swapped with their neighbour to make `a` of `b`; more than
/// `most` where that is certain early.
fn distance(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let at = |row: &[usize], n: usize| row.get(n).copied().unwrap_or(usize::MAX - 1);
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        (before, above) = (above, row);
    }
    at(&above, b.len())
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, distance};

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let known = || ["person/name", "person/age", "db/ident"].into_iter();
        assert_eq!(did_you_mean("person/nmae", known(), ":"), " (did you mean :person/name?)");
        assert_eq!(did_you_mean("db/idnet", known(), ":"), " (did you mean :db/ident?)");
        assert_eq!(did_you_mean("artist/band", known(), ":"), "");
    }

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("ab", "ba", 1), ("abc", "abd", 1), ("abc", "ab", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b, 10), expected, "{a} {b}");
        }
    }
}
