use rust_decimal::Decimal;

use super::*;

const BUYS: Asks<'_> = Asks { kind: "XUI", buys: true, egress: "203.0.113.9" };
const WRITES: Asks<'_> = Asks { buys: false, ..BUYS };

fn info() -> PanelInfo {
    PanelInfo {
        user_id: Some(2),
        user_name: Some("ada".into()),
        credits: Some(Decimal::TEN),
        panel_time: None,
        time_zone: None,
        version: Some("1.5.12".into()),
        latency_ms: 3,
    }
}

fn still() -> Step {
    clock(Some(DateTime::UNIX_EPOCH), 0, 120_000)
}

#[test]
fn every_step_is_there_in_its_order_whatever_happens() {
    let order = &Name::CONNECTION[3..11];
    let refusals = [PermKind::IpNotAllowed, PermKind::IpBanned, PermKind::BadCredentials, PermKind::WrongPanelType];
    let errors = refusals.map(|kind| PanelError::permanent(kind, ""));
    let causes = [Cause::Dns, Cause::ConnectTimeout, Cause::Timeout, Cause::Empty, Cause::Rubbish, Cause::RateLimited];
    for found in errors.into_iter().chain(causes.map(PanelError::retryable)).map(Err).chain([Ok(info())]) {
        let steps = api(&found, BUYS, still());
        assert_eq!(steps.iter().map(|step| step.name).collect::<Vec<_>>()[..8], *order, "{found:?}");
        let bad: Vec<_> = steps.iter().filter(|step| step.verdict == Verdict::Bad).collect();
        assert_eq!(bad.len(), usize::from(found.is_err()), "one step is in the way: {found:?}");
        for step in bad {
            let fault = step.fault.as_ref().unwrap();
            assert!(!fault.code.is_empty() && !fault.cause.is_empty() && fault.remedy.len() > 20, "{fault:?}");
        }
    }
}

#[test]
fn what_was_passed_is_good_and_what_was_not_reached_is_skipped() {
    let steps = api(&Err(PanelError::permanent(PermKind::IpBanned, "")), BUYS, still());
    let of = |name: Name| steps.iter().find(|step| step.name == name).unwrap().verdict;
    assert_eq!(
        (of(Name::Whitelist), of(Name::Ban), of(Name::Credentials)),
        (Verdict::Good, Verdict::Bad, Verdict::Skipped)
    );
    assert_eq!(worst(&steps), Verdict::Bad);
}

#[test]
fn the_symptoms_of_the_field_have_a_named_cause_and_a_remedy() {
    let timed_out = fault(&PanelError::retryable(Cause::ConnectTimeout), BUYS.egress);
    assert!(timed_out.code == "connect_timeout" && timed_out.remedy.contains("203.0.113.9"), "{timed_out:?}");
    let name = fault(&PanelError::permanent(PermKind::InvalidInput, "STATUS_INVALID_USERNAME"), "");
    assert!(name.code == "username_refused" && name.remedy.contains("Minimum length of user names"), "{name:?}");
    let empty = fault(&PanelError::permanent(PermKind::InsufficientCredits, "STATUS_INSUFFICIENT_CREDITS"), "");
    assert!(empty.code == "insufficient_credits" && empty.remedy.contains("Top up"), "{empty:?}");
}

#[test]
fn credits_matter_to_a_key_that_buys() {
    let of = |credits, asks| api(&Ok(PanelInfo { credits, ..info() }), asks, still())[7].clone();
    assert_eq!(of(Some(Decimal::TEN), BUYS).seen, "10 left");
    assert_eq!(of(Some(Decimal::ZERO), BUYS).verdict, Verdict::Bad);
    assert_eq!(of(None, BUYS).verdict, Verdict::Bad);
    assert_eq!(of(None, WRITES).verdict, Verdict::Skipped);
}

#[test]
fn case_102_a_clock_that_is_off_is_a_warning_with_its_distance() {
    let at = |skew| clock(Some(DateTime::UNIX_EPOCH), skew, 120_000);
    assert_eq!((at(0).verdict, at(0).seen.as_str()), (Verdict::Good, "in step with ours"));
    assert_eq!((at(-600_000).verdict, at(-600_000).seen.as_str()), (Verdict::Warning, "600 s behind ours"));
    assert_eq!(clock(None, 0, 1).verdict, Verdict::Skipped);
}

#[test]
fn a_key_without_anything_to_sell_is_told() {
    let none: Result<Catalog, PanelError> = Ok(Catalog::default());
    assert_eq!(packages(&none, BUYS).verdict, Verdict::Bad);
    assert_eq!(packages(&none, WRITES).verdict, Verdict::Warning);
}
