//! Tasks that come back, across months and summer time.

use jiff::Zoned;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use tolstoy_tasks::json::Json;
use tolstoy_tasks::{Document, Done, Recurrence, resolve};

use crate::common::{author, calendar, doc, instant};

fn zoned(text: &str) -> Zoned {
    DateTimeParser::new().parse_zoned_with(&TimeZoneDatabase::bundled(), text).unwrap()
}

/// The first so many times after the beginning.
fn times(every: &str, from: &str, count: usize) -> Vec<String> {
    let recurrence = Recurrence::new(every, zoned(from)).unwrap();
    let mut after = tolstoy_edn::Instant::from_micros(zoned(from).timestamp().as_microsecond());
    let mut next = || {
        let time = recurrence.next_after(after).unwrap();
        after = tolstoy_edn::Instant::from_micros(time.timestamp().as_microsecond());
        time.strftime("%a %F %H:%M %z").to_string()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn the_31st_comes_back_after_february() {
    assert_eq!(
        times("1mo", "2026-01-31T09:00:00+01:00[Europe/Berlin]", 4),
        [
            "Sat 2026-02-28 09:00 +0100",
            "Tue 2026-03-31 09:00 +0200",
            "Thu 2026-04-30 09:00 +0200",
            "Sun 2026-05-31 09:00 +0200",
        ]
    );
    assert_eq!(
        times("1y", "2028-02-29T09:00:00+01:00[Europe/Berlin]", 4),
        [
            "Wed 2029-02-28 09:00 +0100",
            "Thu 2030-02-28 09:00 +0100",
            "Fri 2031-02-28 09:00 +0100",
            "Sun 2032-02-29 09:00 +0100",
        ]
    );
}

#[test]
fn nine_oclock_stays_nine_oclock() {
    assert_eq!(
        times("1d", "2026-03-27T09:00:00+01:00[Europe/Berlin]", 3),
        ["Sat 2026-03-28 09:00 +0100", "Sun 2026-03-29 09:00 +0200", "Mon 2026-03-30 09:00 +0200",]
    );
    // Half past two is left out on that day, and comes back on the next.
    assert_eq!(
        times("1d", "2026-03-28T02:30:00+01:00[Europe/Berlin]", 2),
        ["Sun 2026-03-29 03:30 +0200", "Mon 2026-03-30 02:30 +0200"]
    );
    assert_eq!(
        times("1d", "2026-10-24T02:30:00+02:00[Europe/Berlin]", 2),
        ["Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"]
    );
    assert_eq!(
        times("12h", "2026-03-28T21:00:00+01:00[Europe/Berlin]", 2),
        ["Sun 2026-03-29 10:00 +0200", "Sun 2026-03-29 22:00 +0200"]
    );
}

#[test]
fn lengths_may_be_put_together_and_weekdays_leave_out_weekends() {
    assert_eq!(
        times("1mo1w", "2026-01-31T09:00:00+00:00[UTC]", 2),
        ["Sat 2026-03-07 09:00 +0000", "Tue 2026-04-14 09:00 +0000"]
    );
    assert_eq!(
        times("weekdays", "2026-11-26T09:00:00+01:00[Europe/Berlin]", 3),
        ["Fri 2026-11-27 09:00 +0100", "Mon 2026-11-30 09:00 +0100", "Tue 2026-12-01 09:00 +0100",]
    );
}

#[test]
fn what_says_not_how_often_is_refused() {
    for bad in ["", "daily-ish", "0d", "-1d", "59s", "3", "1m", "99999999999999999999d", "20000y"] {
        let refusal = Recurrence::new(bad, zoned("2026-11-26T09:00:00+01:00[Europe/Berlin]")).unwrap_err().to_string();
        assert!(refusal.contains("says not how often: write 1d, 2w"), "{bad}: {refusal}");
    }
    let end = Recurrence::new("1mo", zoned("9999-11-20T09:00:00+00:00[UTC]")).unwrap();
    assert!(end.next_after(instant("9999-12-25T00:00:00Z")).is_none());
}

fn rent() -> Document {
    doc(
        r#"{"id":"pb67wndxge8293xd","description":"rent","due":"2026-01-31T08:00:00Z","wait":"2026-01-29T08:00:00Z","snooze":"2026-02-01","recur":"1mo"}"#,
    )
}

fn value(document: &Document, property: &str) -> String {
    document.get(property).and_then(Json::as_str).unwrap_or("nothing").to_owned()
}

#[test]
fn a_recurring_task_that_is_done_moves_on() {
    let mut task = rent();
    let now = "2026-02-01T10:00:00Z";
    let done = task.complete(&author("laptop", now), &calendar(now, "Europe/Berlin")).unwrap();
    assert_eq!(done, Done::Until(instant("2026-02-28T08:00:00Z")));
    assert_eq!(value(&task, "due"), "2026-02-28T08:00:00Z");
    assert_eq!(value(&task, "wait"), "2026-02-26T08:00:00Z");
    assert_eq!(value(&task, "snooze"), "nothing");
    assert_eq!(value(&task, "last_done"), "2026-02-01T10:00:00Z");
    assert_eq!(value(&task, "recur_from"), "2026-01-31T09:00:00+01:00[Europe/Berlin]");
    assert!(task.task().is_open());
    // The next is the 31st again, in the zone it was made in, wherever it is done.
    let now = "2026-03-01T10:00:00Z";
    task.complete(&author("phone", now), &calendar(now, "America/New_York")).unwrap();
    assert_eq!(value(&task, "due"), "2026-03-31T07:00:00Z");
}

#[test]
fn what_is_long_overdue_comes_back_in_the_future() {
    let mut task = rent();
    let now = "2026-06-15T10:00:00Z";
    task.complete(&author("laptop", now), &calendar(now, "Europe/Berlin")).unwrap();
    assert_eq!(value(&task, "due"), "2026-06-30T07:00:00Z");
    // Done before it is due, it moves on all the same.
    task.complete(&author("laptop", now), &calendar(now, "Europe/Berlin")).unwrap();
    assert_eq!(value(&task, "due"), "2026-07-31T07:00:00Z");
}

#[test]
fn two_devices_that_do_it_apart_come_to_the_same() {
    let (mut one, mut two) = (rent(), rent());
    one.complete(&author("laptop", "2026-02-01T10:00:00Z"), &calendar("2026-02-01T10:00:00Z", "Europe/Berlin"))
        .unwrap();
    two.complete(&author("phone", "2026-02-01T11:00:00Z"), &calendar("2026-02-01T11:00:00Z", "Europe/Berlin")).unwrap();
    let both = resolve(&one, &two).unwrap();
    assert_eq!(value(&both, "due"), "2026-02-28T08:00:00Z");
    assert_eq!(both.journal().into_iter().filter(|lost| lost.property == "due").count(), 0);
}

#[test]
fn what_does_not_recur_is_done_for_good() {
    let now = "2026-02-01T10:00:00Z";
    let mut task = doc(r#"{"id":"pb67wndxge8293xd","recur":"1mo"}"#);
    assert_eq!(task.complete(&author("laptop", now), &calendar(now, "UTC")).unwrap(), Done::ForGood);
    assert!(task.task().is_done());
    let mut bad = doc(r#"{"id":"pb67wndxge8293xd","recur":"often","due":"2026-02-01"}"#);
    let before = bad.clone();
    assert!(
        bad.complete(&author("laptop", now), &calendar(now, "UTC"))
            .unwrap_err()
            .to_string()
            .contains("\"often\" says not how often")
    );
    assert_eq!(bad, before);
}

proptest! {
    #[test]
    fn the_next_time_is_the_first_after(
        every in proptest::sample::select(&["1min", "7h", "1d", "3d", "2w", "1mo", "5mo", "1y", "1mo2w", "weekdays"][..]),
        from in 0..4_000_000_000_i64,
        later in 0..2_000_000_000_i64,
    ) {
        let zone = TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let from = jiff::Timestamp::from_second(from).unwrap().to_zoned(zone);
        let recurrence = Recurrence::new(every, from.clone()).unwrap();
        let after = tolstoy_edn::Instant::from_micros((from.timestamp().as_second() + later) * 1_000_000);
        let next = recurrence.next_after(after).unwrap();
        let micros = next.timestamp().as_microsecond();
        prop_assert!(micros > after.as_micros());
        // From just before it, it is the next too: none lies between.
        let before = tolstoy_edn::Instant::from_micros(micros - 1);
        prop_assert_eq!(recurrence.next_after(before).unwrap(), next.clone());
        if every != "weekdays" && !every.contains('h') && !every.contains("min") {
            // An hour that is left out comes an hour later.
            prop_assert!(next.time() == from.time() || next.time().hour() == from.time().hour() + 1);
        }
    }
}
