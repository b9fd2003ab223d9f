//! Dates as people write them.

use proptest::prelude::*;

use crate::common::calendar;

/// Wednesday, in Berlin at 13:00.
const NOW: &str = "2026-11-25T12:00:00Z";

fn at(now: &str, text: &str) -> String {
    calendar(now, "Europe/Berlin").parse(text).map_or_else(|e| e.to_string(), |at| at.to_string())
}

#[test]
fn words_mean_moments_here() {
    for (text, expected) in [
        ("now", "2026-11-25T12:00:00Z"),
        ("NOW", "2026-11-25T12:00:00Z"),
        ("today", "2026-11-24T23:00:00Z"),
        ("tomorrow", "2026-11-25T23:00:00Z"),
        ("yesterday", "2026-11-23T23:00:00Z"),
        ("mon", "2026-11-29T23:00:00Z"),
        ("tue", "2026-11-30T23:00:00Z"),
        // Not today.
        ("wed", "2026-12-01T23:00:00Z"),
        ("thu", "2026-11-25T23:00:00Z"),
        ("fri", "2026-11-26T23:00:00Z"),
        ("sat", "2026-11-27T23:00:00Z"),
        ("sun", "2026-11-28T23:00:00Z"),
        ("friday", "2026-11-26T23:00:00Z"),
        ("next friday", "2026-11-26T23:00:00Z"),
        ("Next  Friday", "2026-11-26T23:00:00Z"),
        ("next week", "2026-11-29T23:00:00Z"),
        ("next month", "2026-11-30T23:00:00Z"),
        ("next year", "2026-12-31T23:00:00Z"),
        ("eod", "2026-11-25T22:59:59Z"),
        ("eow", "2026-11-29T22:59:59Z"),
        ("eom", "2026-11-30T22:59:59Z"),
        ("eoy", "2026-12-31T22:59:59Z"),
        ("3d", "2026-11-28T12:00:00Z"),
        ("-3d", "2026-11-22T12:00:00Z"),
        ("2w", "2026-12-09T12:00:00Z"),
        ("1w2d", "2026-12-04T12:00:00Z"),
        ("90s", "2026-11-25T12:01:30Z"),
        ("20min", "2026-11-25T12:20:00Z"),
        ("5h", "2026-11-25T17:00:00Z"),
        ("1mo", "2026-12-25T12:00:00Z"),
        ("1y", "2027-11-25T12:00:00Z"),
        ("2026-11-25", "2026-11-24T23:00:00Z"),
        ("2026-11-25T09:30", "2026-11-25T08:30:00Z"),
        ("2026-11-25T09:30:00Z", "2026-11-25T09:30:00Z"),
        ("2026-11-25T09:30:00-05:00", "2026-11-25T14:30:00Z"),
        ("fri 09:30", "2026-11-27T08:30:00Z"),
        ("next friday 09:30:15", "2026-11-27T08:30:15Z"),
        ("2026-11-25 eod", "2026-11-25T22:59:59Z"),
        ("tomorrow 00:00", "2026-11-25T23:00:00Z"),
    ] {
        assert_eq!(at(NOW, text), expected, "{text}");
    }
}

#[test]
fn ends_are_right_at_ends() {
    assert_eq!(at("2026-11-29T12:00:00Z", "eow"), "2026-11-29T22:59:59Z", "a Sunday ends its week");
    assert_eq!(at("2026-11-30T12:00:00Z", "eow"), "2026-12-06T22:59:59Z");
    assert_eq!(at("2028-02-10T12:00:00Z", "eom"), "2028-02-29T22:59:59Z");
    // In Berlin it is tomorrow already.
    assert_eq!(at("2026-12-31T23:30:00Z", "eoy"), "2027-12-31T22:59:59Z");
    assert_eq!(at("2026-01-31T12:00:00Z", "1mo"), "2026-02-28T12:00:00Z");
}

#[test]
fn a_day_is_a_day_when_the_clock_is_changed() {
    // Summer time begins on 29 March 2026 at two, and ends on 25 October at three.
    assert_eq!(at("2026-03-28T12:00:00Z", "1d"), "2026-03-29T11:00:00Z");
    assert_eq!(at("2026-03-28T12:00:00Z", "24h"), "2026-03-29T12:00:00Z");
    assert_eq!(at("2026-10-24T12:00:00Z", "1w"), "2026-10-31T13:00:00Z");
    assert_eq!(at(NOW, "2026-03-29T02:30"), "2026-03-29T01:30:00Z", "it is left out: an hour later");
    assert_eq!(at(NOW, "2026-10-25T02:30"), "2026-10-25T00:30:00Z", "it comes twice: the first");
}

#[test]
fn what_is_no_date_is_said() {
    let told = at(NOW, "soonish");
    assert!(told.starts_with("\"soonish\" is no date: write 2026-11-25, "), "{told}");
    for bad in [
        "",
        " ",
        "-",
        "3",
        "3x",
        "d",
        "3d4",
        "next",
        "next 3d",
        "now 09:30",
        "3d 09:30",
        "fri 25:00",
        "fri 9:30",
        "fri 09:3",
        "fri 09:30 x",
        "2026-02-30",
        "2026-11-25T",
        "2026-11-25T25:00",
        "2026",
        "20261125",
        "2026-11-25x",
        "1m",
        "99999999999999999999d",
        "9999999999y",
        "20000y",
        "-9000y",
        "mo",
        "fr",
        "frid",
        "09:30",
        "²d",
    ] {
        assert!(at(NOW, bad).contains("is no date"), "{bad}: {}", at(NOW, bad));
    }
    assert!(at(NOW, &"9".repeat(1 << 20)).len() < 400);
    assert_eq!(at(NOW, "9999-12-30"), "9999-12-29T23:00:00Z");
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in any::<String>(), like in "(next )?[0-9a-z:-]{0,12}( [0-9:]{0,8})?", now in -60_000_000_000_000_000..250_000_000_000_000_000_i64) {
        let now = tolstoy_edn::Instant::from_micros(now).to_string();
        at(&now, &text);
        at(&now, &like);
    }

    #[test]
    fn what_is_to_come_comes(now in 0..4_000_000_000_000_000_i64, word in proptest::sample::select(&["tomorrow", "mon", "sun", "next month", "eod", "eow", "eom", "eoy", "1s", "1d", "1mo"][..])) {
        let now = tolstoy_edn::Instant::from_micros(now / 1_000_000 * 1_000_000);
        let found = calendar(&now.to_string(), "Europe/Berlin").parse(word).unwrap();
        prop_assert!(found >= now, "{} {}", word, found);
    }
}
