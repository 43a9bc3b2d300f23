use proptest::prelude::*;

use super::*;

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap()
}

fn time(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

fn anchored(date: NaiveDate) -> BillingAnchor {
    BillingAnchor { date, zone: Tz::Europe__Madrid, time: time(9, 0), day: None }
}

/// The local dates on which the first periods begin.
fn dates(anchor: BillingAnchor, term: Term, count: u32) -> Vec<String> {
    let local = |n| anchor.boundary(term, n).unwrap().with_timezone(&anchor.zone).date_naive().to_string();
    (0..count).map(local).collect()
}

#[test]
fn case_001_the_31st_renews_on_the_last_day_of_short_months_and_returns() {
    assert_eq!(
        dates(anchored(date(2026, 1, 31)), Term::MONTH, 13),
        [
            "2026-01-31",
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-30",
            "2026-12-31",
            "2027-01-31",
        ]
    );
}

#[test]
fn case_001_quarters_from_the_31st_return_too() {
    let quarter = Term::try_new(3, TermUnit::Month).unwrap();
    assert_eq!(
        dates(anchored(date(2026, 8, 31)), quarter, 5),
        ["2026-08-31", "2026-11-30", "2027-02-28", "2027-05-31", "2027-08-31"]
    );
}

#[test]
fn case_002_the_30th_of_january_becomes_the_end_of_february_then_the_30th_of_march() {
    let common = dates(anchored(date(2026, 1, 30)), Term::MONTH, 3);
    assert_eq!(common, ["2026-01-30", "2026-02-28", "2026-03-30"]);
    let leap = dates(anchored(date(2028, 1, 30)), Term::MONTH, 3);
    assert_eq!(leap, ["2028-01-30", "2028-02-29", "2028-03-30"]);
}

#[test]
fn case_003_yearly_from_the_29th_of_february_is_the_28th_in_common_years() {
    assert_eq!(
        dates(anchored(date(2024, 2, 29)), Term::YEAR, 6),
        ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29", "2029-02-28"]
    );
}

#[test]
fn case_004_a_boundary_in_the_missing_hour_is_the_next_instant_there_is() {
    let daily = Term::try_new(1, TermUnit::Day).unwrap();
    let anchor = BillingAnchor { date: date(2026, 3, 28), zone: Tz::Europe__Madrid, time: time(2, 30), day: None };
    let starts: Vec<_> = (0..3).map(|n| anchor.boundary(daily, n).unwrap().to_rfc3339()).collect();
    assert_eq!(starts, ["2026-03-28T01:30:00+00:00", "2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]);
}

#[test]
fn case_005_a_boundary_in_the_repeated_hour_is_the_first_of_the_two() {
    let local = date(2026, 10, 25).and_time(time(2, 30));
    assert_eq!(instant_of(Tz::Europe__Madrid, local).unwrap().to_rfc3339(), "2026-10-25T00:30:00+00:00");
}

#[test]
fn case_006_the_billing_zone_decides_which_date_it_is() {
    // Half past noon on the 31st of May in UTC is already June in Tonga (UTC+13) and still May in Madrid.
    let instant = date(2026, 5, 31).and_time(time(12, 30)).and_utc();
    assert_eq!(BillingAnchor::at(instant, Tz::Pacific__Tongatapu).date, date(2026, 6, 1));
    assert_eq!(BillingAnchor::at(instant, Tz::Europe__Madrid).date, date(2026, 5, 31));
    assert_eq!(BillingAnchor::at(instant, Tz::Pacific__Tongatapu).boundary(Term::MONTH, 0), Ok(instant));
}

#[test]
fn the_period_of_an_instant_is_found_by_number() {
    let anchor = anchored(date(2026, 1, 31));
    for n in [0, 1, 2, 11, 240] {
        let period = period_after(&anchor, Term::MONTH, n).unwrap();
        assert_eq!(anchor.index_at(Term::MONTH, period.start()), Ok(Some(n)));
        assert_eq!(anchor.index_at(Term::MONTH, period.end() - TimeDelta::microseconds(1)), Ok(Some(n)));
        assert_eq!(anchor.index_at(Term::MONTH, period.end()), Ok(Some(n + 1)));
    }
    let before = anchor.boundary(Term::MONTH, 0).unwrap() - TimeDelta::seconds(1);
    assert_eq!(anchor.index_at(Term::MONTH, before), Ok(None));
}

#[test]
fn a_period_owns_its_start_and_not_its_end() {
    let start = date(2026, 1, 1).and_time(NaiveTime::MIN).and_utc();
    let period = Period::try_new(start, start + TimeDelta::days(30)).unwrap();
    assert!(period.contains(start) && !period.contains(period.end()));
    assert_eq!(period.remaining_ratio(start + TimeDelta::days(10)), (20 * 86_400, 30 * 86_400));
    assert_eq!(period.remaining(start - TimeDelta::days(1)), period.duration());
    assert_eq!(period.remaining(period.end() + TimeDelta::days(1)), TimeDelta::zero());
    assert!(Period::try_new(start, start).is_err());
}

#[test]
fn impossible_terms_and_dates_are_errors() {
    assert_eq!(Term::try_new(0, TermUnit::Week), Err(PeriodError::EmptyTerm(TermUnit::Week)));
    assert!(serde_json::from_str::<Term>(r#"{"count":0,"unit":"month"}"#).is_err());
    assert_eq!(serde_json::from_str::<Term>(r#"{"count":3,"unit":"month"}"#).unwrap().to_string(), "3 months");
    let anchor = anchored(date(2026, 1, 31));
    assert_eq!(period_after(&anchor, Term::YEAR, u32::MAX), Err(PeriodError::OutOfRange));
    assert_eq!(period_after(&anchor, Term::YEAR, 400_000_000), Err(PeriodError::OutOfRange));
}

#[test]
fn an_anchor_survives_serde() {
    let anchor = anchored(date(2026, 1, 31));
    let text = serde_json::to_string(&anchor).unwrap();
    assert_eq!(text, r#"{"date":"2026-01-31","zone":"Europe/Madrid","time":"09:00:00"}"#);
    assert_eq!(serde_json::from_str::<BillingAnchor>(&text).unwrap(), anchor);
}

fn any_anchor() -> impl Strategy<Value = BillingAnchor> {
    let zones = [
        Tz::UTC,
        Tz::Europe__Madrid,
        Tz::America__New_York,
        Tz::America__Sao_Paulo,
        Tz::Australia__Lord_Howe,
        Tz::Pacific__Chatham,
        Tz::Pacific__Kiritimati,
        Tz::Asia__Kathmandu,
        Tz::Africa__Casablanca,
    ];
    (0_u64..2_200, 0_u32..1_440, proptest::sample::select(zones.to_vec())).prop_map(|(day, minute, zone)| {
        BillingAnchor { date: date(2022, 1, 1) + Days::new(day), zone, time: time(minute / 60, minute % 60), day: None }
    })
}

fn any_term() -> impl Strategy<Value = (Term, u32)> {
    // The number of periods that covers twenty years.
    prop_oneof![
        (1_u16..40).prop_map(|count| (Term::try_new(count, TermUnit::Day).unwrap(), 7_305 / u32::from(count))),
        (1_u16..6).prop_map(|count| (Term::try_new(count, TermUnit::Week).unwrap(), 1_044 / u32::from(count))),
        (1_u16..13).prop_map(|count| (Term::try_new(count, TermUnit::Month).unwrap(), 240 / u32::from(count))),
        (1_u16..4).prop_map(|count| (Term::try_new(count, TermUnit::Year).unwrap(), 20 / u32::from(count))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn twenty_years_of_periods_have_no_gap_and_no_overlap(anchor in any_anchor(), (term, count) in any_term()) {
        let mut end = anchor.boundary(term, 0).unwrap();
        for n in 0..count {
            let period = period_after(&anchor, term, n).unwrap();
            prop_assert_eq!(period.start(), end);
            prop_assert!(period.end() > period.start());
            end = period.end();
        }
    }

    #[test]
    fn monthly_periods_start_on_the_anchor_day_or_the_last_of_the_month(anchor in any_anchor(), n in 0_u32..240) {
        use chrono::Datelike;
        let start = Term::MONTH.date_after(anchor.date, anchor.date.day(), n.into()).unwrap();
        let last_day = start.with_day(1).unwrap().checked_add_months(Months::new(1)).unwrap().pred_opt().unwrap().day();
        prop_assert_eq!(start.day(), anchor.date.day().min(last_day));
    }
}
