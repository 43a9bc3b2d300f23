use proptest::prelude::*;

use super::*;
use crate::domain::Country;
use crate::driver::Output;

const RULES: Rules = Rules { time: Time::Absolute, settle_s: 200, unknown_deadline_s: 600 };

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_366_400, 0).unwrap()
}

fn wanted(goal: Goal) -> Wanted {
    Wanted {
        version: 7,
        goal,
        connections: 2,
        bouquets: vec![1, 2],
        outputs: vec![Output::Hls],
        package: Some(4),
        paid_through: noon() + TimeDelta::days(33),
        trial: false,
        isp_lock: None,
        country_lock: None,
        country: Country::parse("DE"),
    }
}

fn agreeing() -> Line {
    Line {
        id: "12".into(),
        username: "u1".into(),
        expires_at: Some(noon() + TimeDelta::days(33)),
        enabled: true,
        banned: false,
        connections: 2,
        bouquets: vec![1, 2],
        outputs: Some(vec![Output::Hls]),
        package: Some(4),
        isp_locked: false,
        country: String::new(),
    }
}

fn seen(line: LineFact) -> Observed {
    Observed { placed: true, line, covered_through: None, candidate: 0, refused: None, verify_at: None }
}

fn open(kind: CallKind, state: CallState) -> OpenCall {
    OpenCall { kind, state, at: noon(), absent_at: None, expiry_before: None, credits_before: None }
}

#[test]
fn formats_that_a_panel_does_not_say_are_no_difference() {
    let differs = |outputs| differences(&wanted(Goal::Active), &Line { outputs, ..agreeing() }).package;
    assert!(!differs(None));
    assert!(differs(Some(vec![])), "a line that may play nothing is set right");
    assert!(differs(Some(vec![Output::Ts])));
}

#[test]
fn a_lock_to_an_internet_provider_is_written_only_where_the_plan_says_something_about_it() {
    let differs = |isp_lock, isp_locked| {
        let wanted = Wanted { isp_lock, ..wanted(Goal::Active) };
        differences(&wanted, &Line { isp_locked, ..agreeing() }).package
    };
    for (wanted, seen, is_written) in [
        (Some(true), false, true),
        (Some(true), true, false),
        (Some(false), true, true),
        (Some(false), false, false),
        (None, true, false),
        (None, false, false),
    ] {
        assert_eq!(differs(wanted, seen), is_written, "{wanted:?} {seen}");
    }
}

#[test]
fn a_lock_to_a_country_is_written_only_where_the_plan_says_something_about_it() {
    let action = |country_lock, country, seen_in: &str| {
        let wanted = Wanted { country_lock, country: Country::parse(country), ..wanted(Goal::Active) };
        let line = Line { country: seen_in.into(), ..agreeing() };
        plan(&wanted, &seen(LineFact::Seen(line)), None, noon(), &RULES)
    };
    let written = Action::Edit(Fields { expiry: false, package: true });
    let rests = Action::Rest(Step::Ready);
    for (lock, country, seen_in, expected) in [
        (Some(true), "DE", "", &written),
        (Some(true), "DE", "DE", &rests),
        // The customer moved, or somebody at the panel set another one or its letters in small.
        (Some(true), "FR", "DE", &written),
        (Some(true), "DE", "de", &written),
        (Some(false), "DE", "DE", &written),
        (Some(false), "DE", "", &rests),
        // Nobody knows where the customer is: no lock, and above all no old one.
        (Some(true), "", "", &rests),
        (Some(true), "", "DE", &written),
        (None, "DE", "AT", &rests),
        (None, "DE", "", &rests),
    ] {
        assert_eq!(action(lock, country, seen_in), *expected, "{lock:?} {country} {seen_in}");
    }
}

#[test]
fn a_lock_that_does_not_hold_has_a_reason() {
    let packages = Rules { time: Time::Packages(30 * 86_400), ..RULES };
    let reason = |country_lock, country, seen_in: &str, rules: &Rules| {
        let wanted = Wanted { country_lock, country: Country::parse(country), ..wanted(Goal::Active) };
        unlocked(&wanted, &Line { country: seen_in.into(), ..agreeing() }, rules)
    };
    for rules in [&RULES, &packages] {
        assert_eq!(reason(Some(true), "", "", rules), Some("country_unknown"));
        assert_eq!(reason(Some(true), "DE", "DE", rules), None);
        assert_eq!(reason(Some(false), "", "", rules), None);
        assert_eq!(reason(None, "", "", rules), None);
    }
    assert_eq!(reason(Some(true), "DE", "", &packages), Some("country_of_package"));
    assert_eq!(reason(Some(true), "DE", "", &RULES), None, "it is written");
}

#[test]
fn every_pair_of_wanted_and_seen_has_its_action() {
    let disabled = LineFact::Seen(Line { enabled: false, ..agreeing() });
    let table = [
        (Goal::Active, LineFact::Never, Action::Create),
        (Goal::Active, LineFact::Removed, Action::Create),
        (Goal::Active, LineFact::Seen(agreeing()), Action::Rest(Step::Ready)),
        (Goal::Active, disabled.clone(), Action::Unsuspend),
        (Goal::Active, LineFact::Missing, Action::Stuck("line_missing")),
        (Goal::Suspended, LineFact::Never, Action::Rest(Step::Suspended)),
        (Goal::Suspended, LineFact::Seen(agreeing()), Action::Suspend),
        (Goal::Suspended, disabled.clone(), Action::Rest(Step::Suspended)),
        (Goal::Suspended, LineFact::Missing, Action::Rest(Step::Suspended)),
        (Goal::Suspended, LineFact::Removed, Action::Rest(Step::Suspended)),
        (Goal::Terminated, LineFact::Never, Action::Rest(Step::Terminated)),
        (Goal::Terminated, LineFact::Seen(agreeing()), Action::Terminate),
        (Goal::Terminated, disabled, Action::Terminate),
        (Goal::Terminated, LineFact::Missing, Action::Rest(Step::Terminated)),
        (Goal::Terminated, LineFact::Removed, Action::Rest(Step::Terminated)),
    ];
    for (goal, line, action) in table {
        assert_eq!(plan(&wanted(goal), &seen(line.clone()), None, noon(), &RULES), action, "{goal:?} {line:?}");
    }
}

#[test]
fn a_service_without_a_panel_is_placed_first() {
    let nowhere = Observed { placed: false, ..seen(LineFact::Never) };
    assert_eq!(plan(&wanted(Goal::Active), &nowhere, None, noon(), &RULES), Action::Place);
}

#[test]
fn a_line_that_differs_is_edited_and_only_in_what_differs() {
    let late = Line { expires_at: Some(noon()), ..agreeing() };
    let small = Line { connections: 1, ..agreeing() };
    let action = |line| plan(&wanted(Goal::Active), &seen(LineFact::Seen(line)), None, noon(), &RULES);
    assert_eq!(action(late), Action::Edit(Fields { expiry: true, package: false }));
    assert_eq!(action(small), Action::Edit(Fields { expiry: false, package: true }));
    assert_eq!(action(Line { expires_at: None, ..agreeing() }), Action::Edit(Fields { expiry: true, package: false }));
}

#[test]
fn case_098_paying_after_suspension_writes_the_time_and_then_switches_on() {
    let lapsed = Line { enabled: false, expires_at: Some(noon()), ..agreeing() };
    let first = plan(&wanted(Goal::Active), &seen(LineFact::Seen(lapsed)), None, noon(), &RULES);
    assert_eq!(first, Action::Edit(Fields { expiry: true, package: false }));
    let written = Line { enabled: false, ..agreeing() };
    let then = plan(&wanted(Goal::Active), &seen(LineFact::Seen(written)), None, noon(), &RULES);
    assert_eq!(then, Action::Unsuspend);
}

#[test]
fn case_100_an_upgrade_while_the_create_is_only_planned_is_merged_into_it() {
    let planned = open(CallKind::Create, CallState::Planned);
    assert_eq!(plan(&wanted(Goal::Active), &seen(LineFact::Never), Some(&planned), noon(), &RULES), Action::Create);
}

#[test]
fn an_open_call_is_looked_up_before_anything_else() {
    for state in [CallState::Sent, CallState::Unknown] {
        for goal in [Goal::Active, Goal::Suspended, Goal::Terminated] {
            let call = open(CallKind::Create, state);
            let action = plan(&wanted(goal), &seen(LineFact::Never), Some(&call), noon(), &RULES);
            assert_eq!(action, Action::ReadBack(CallKind::Create));
        }
    }
}

#[test]
fn a_create_without_a_trace_is_looked_up_again_only_after_the_panels_own_time_out() {
    let mut call = open(CallKind::Create, CallState::Unknown);
    call.absent_at = Some(noon());
    let at = |now| plan(&wanted(Goal::Active), &seen(LineFact::Never), Some(&call), now, &RULES);
    let ready = noon() + TimeDelta::seconds(200);
    assert_eq!(at(noon() + TimeDelta::seconds(199)), Action::Wait(ready, Pause::Settling));
    assert_eq!(at(ready), Action::ReadBack(CallKind::Create));
}

#[test]
fn a_line_is_looked_at_once_more_when_a_lost_call_may_have_come_late() {
    let later = Observed { verify_at: Some(noon()), ..seen(LineFact::Seen(agreeing())) };
    let at = |now| plan(&wanted(Goal::Active), &later, None, now, &RULES);
    assert_eq!(at(noon() - TimeDelta::seconds(1)), Action::Rest(Step::Ready));
    assert_eq!(at(noon()), Action::ReadBack(CallKind::ReadBack));
}

#[test]
fn a_refusal_stays_until_something_new_is_wanted() {
    let refused = Observed { refused: Some((7, "invalid_input".into())), ..seen(LineFact::Never) };
    assert_eq!(plan(&wanted(Goal::Active), &refused, None, noon(), &RULES), Action::Stuck("refused"));
    let newer = Wanted { version: 8, ..wanted(Goal::Active) };
    assert_eq!(plan(&newer, &refused, None, noon(), &RULES), Action::Create);
}

#[test]
fn a_line_banned_at_the_panel_is_left_to_a_person() {
    let banned = Line { banned: true, ..agreeing() };
    let action = plan(&wanted(Goal::Active), &seen(LineFact::Seen(banned)), None, noon(), &RULES);
    assert_eq!(action, Action::Stuck("banned_on_panel"));
}

#[test]
fn packages_are_bought_once_per_paid_period() {
    let month = 30 * 86_400;
    let rules = Rules { time: Time::Packages(month), ..RULES };
    let covered = |days| Observed {
        covered_through: Some(wanted(Goal::Active).paid_through - TimeDelta::days(days)),
        ..seen(LineFact::Seen(agreeing()))
    };
    let action = |seen: &Observed| plan(&wanted(Goal::Active), seen, None, noon(), &rules);
    assert_eq!(action(&covered(0)), Action::Rest(Step::Ready));
    assert_eq!(action(&covered(3)), Action::Rest(Step::Ready), "a longer grace buys nothing");
    assert_eq!(action(&covered(30)), Action::Buy(4));
    let other = Observed { line: LineFact::Seen(Line { package: Some(3), ..agreeing() }), ..covered(0) };
    assert_eq!(action(&other), Action::Buy(4));
}

/// A panel that does what it is told, or loses it.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Applied,
    AppliedAnswerLost,
    Lost,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![Just(Luck::Applied), Just(Luck::AppliedAnswerLost), Just(Luck::Lost)]
}

fn goal() -> impl Strategy<Value = Goal> {
    prop_oneof![Just(Goal::Active), Just(Goal::Suspended), Just(Goal::Terminated)]
}

proptest! {
    /// Whatever is wanted in whatever order, and whatever gets lost: it ends in what was wanted last, and no more than
    /// one line is ever made at a time.
    #[test]
    fn fault_f17_any_luck_converges_to_what_was_wanted_last(
        steps in proptest::collection::vec((goal(), luck()), 1..40),
        last in goal(),
    ) {
        let mut panel: Option<Line> = None;
        let mut belief = Observed { placed: false, ..seen(LineFact::Never) };
        let mut call: Option<OpenCall> = None;
        let mut now = noon();
        let quiet = std::iter::repeat_n((last, Luck::Applied), 12);
        let mut rested = None;
        for (version, (goal, luck)) in steps.into_iter().chain(quiet).enumerate() {
            let wanted = Wanted { version: version as u64, ..wanted(goal) };
            let action = plan(&wanted, &belief, call.as_ref(), now, &RULES);
            rested = None;
            let kind = match action {
                Action::Place => { belief.placed = true; continue }
                Action::Wait(until, Pause::Settling) => { now = until; continue }
                Action::ReadBack(kind) => {
                    match (&panel, kind, call.as_ref().and_then(|open| open.absent_at)) {
                        (Some(line), _, _) => { belief.line = LineFact::Seen(line.clone()); call = None }
                        (None, CallKind::Create, None) => {
                            if let Some(open) = call.as_mut() { open.absent_at = Some(now) }
                        }
                        (None, CallKind::Create, Some(_)) => call = None,
                        (None, _, _) => { belief.line = LineFact::Removed; call = None }
                    }
                    continue
                }
                Action::Rest(step) => { rested = Some(step); continue }
                Action::Stuck(code) => return Err(TestCaseError::fail(code)),
                Action::Create => CallKind::Create,
                Action::Edit(_) => CallKind::Edit,
                Action::Buy(_) => CallKind::Buy,
                Action::Suspend => CallKind::Suspend,
                Action::Unsuspend => CallKind::Unsuspend,
                Action::Terminate => CallKind::Terminate,
            };
            if !matches!(luck, Luck::Lost) {
                match kind {
                    CallKind::Create => {
                        prop_assert!(panel.is_none(), "a second line was made");
                        panel = Some(agreeing());
                    }
                    CallKind::Suspend => panel.as_mut().unwrap().enabled = false,
                    CallKind::Unsuspend => panel.as_mut().unwrap().enabled = true,
                    CallKind::Terminate => panel = None,
                    CallKind::Edit | CallKind::Buy | CallKind::ReadBack => {}
                }
            }
            match luck {
                Luck::Applied => belief.line = match &panel {
                    Some(line) => LineFact::Seen(line.clone()),
                    None => LineFact::Removed,
                },
                Luck::AppliedAnswerLost | Luck::Lost => call = Some(OpenCall { at: now, ..open(kind, CallState::Unknown) }),
            }
        }
        match last {
            Goal::Active => prop_assert!(panel.is_some_and(|line| line.enabled) && rested == Some(Step::Ready)),
            Goal::Suspended => prop_assert!(panel.is_none_or(|line| !line.enabled) && rested == Some(Step::Suspended)),
            Goal::Terminated => prop_assert!(panel.is_none() && rested == Some(Step::Terminated)),
        }
    }
}
