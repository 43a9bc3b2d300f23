use chrono::TimeZone;
use chrono_tz::Tz;
use ottery_kernel::{AccountId, AnchorRule, OrderId, PaymentMethodId, SubscriptionId, Term};
use proptest::prelude::*;

use super::*;
use crate::domain::proration::tests::offer;
use crate::domain::subscription::{Command, Method};

fn settings() -> Settings {
    Settings {
        lead: TimeDelta::days(3),
        grace: TimeDelta::days(3),
        terminate_after: TimeDelta::days(14),
        reminders: [-24, 24, 48].map(TimeDelta::hours).into(),
        charges: vec![TimeDelta::zero()],
        abandon_after: TimeDelta::days(3),
        change_valid: TimeDelta::days(1),
        hold_max: TimeDelta::days(10),
        tries_other_method: true,
        confirm_pause: TimeDelta::hours(24),
        cooldown: TimeDelta::hours(20),
        window: None,
        zone: Tz::UTC,
    }
}

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 12, 0, 0).unwrap()
}

/// The end of the paid month.
fn end() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 7, 1, 12, 0, 0).unwrap()
}

fn active(has_method: bool) -> Subscription {
    let mut subscription = Subscription {
        discounts: Default::default(),
        id: SubscriptionId::new(start()),
        account: AccountId::new(start()),
        order: OrderId::new(start()),
        state: State::Active,
        since: start(),
        offer: offer(1000, Term::MONTH),
        next_offer: None,
        is_trial: false,
        is_setup_due: false,
        anchor: None,
        periods_paid: 0,
        calendar: crate::domain::calendar::Calendar::default(),
        period: None,
        paid_through: None,
        cancel_at: None,
        created_at: start(),
        ended_at: None,
        method: has_method.then(|| Method { id: PaymentMethodId::new(start()), label: "Visa".into() }),
        version: 1,
        entitlement_version: 1,
    };
    subscription.start_paid(AnchorRule::Anniversary.begin(start(), Tz::UTC, subscription.offer.term).unwrap());
    subscription
}

fn open(standing: Standing) -> OpenInvoice {
    OpenInvoice {
        id: InvoiceId::new(end()),
        due_at: end(),
        reminders_done: 0,
        charges_made: 0,
        standing,
        paused: TimeDelta::zero(),
        charged_at: None,
        other: None,
    }
}

fn with(invoice: OpenInvoice) -> Waiting {
    Waiting { invoice: Some(invoice), ..Waiting::default() }
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

#[test]
fn the_renewal_is_issued_its_lead_before_the_end() {
    let step = next(&active(true), &Waiting::default(), &settings(), start());
    assert_eq!(step, Some((end() - days(3), Step::IssueInvoice)));
}

#[test]
fn an_unpaid_renewal_reminds_misses_suspends_and_ends() {
    let mut subscription = active(false);
    let mut invoice = open(Standing::None);
    let mut seen = Vec::new();
    let mut now = end() - days(3);
    while let Some((at, step)) = next(&subscription, &with(invoice), &settings(), now) {
        now = at;
        seen.push(((at - end()).num_hours(), step));
        match step {
            Step::Remind { step, .. } => invoice.reminders_done = step,
            Step::MissPayment { grace_until } => {
                subscription.apply(Command::MissPayment { grace_until }, at).unwrap();
            }
            Step::Suspend => {
                subscription.apply(Command::Suspend(SuspendCause::Unpaid), at).unwrap();
            }
            Step::End(cause) => {
                subscription.apply(Command::End(cause), at).unwrap();
            }
            Step::Roll
            | Step::DropChange(_)
            | Step::IssueInvoice
            | Step::Charge(_)
            | Step::ChargeOther { .. }
            | Step::Prolong { .. }
            | Step::TakeUp => panic!("unexpected {step:?}"),
        }
    }
    let id = invoice.id;
    assert_eq!(
        seen,
        [
            (-24, Step::Remind { invoice: id, step: 1 }),
            (0, Step::MissPayment { grace_until: end() + days(3) }),
            (24, Step::Remind { invoice: id, step: 2 }),
            (48, Step::Remind { invoice: id, step: 3 }),
            (72, Step::Suspend),
            (17 * 24, Step::End(EndCause::Unpaid)),
        ]
    );
}

#[test]
fn a_saved_method_is_charged_when_due_before_anybody_is_called_late() {
    let invoice = OpenInvoice { reminders_done: 1, ..open(Standing::None) };
    let step = next(&active(true), &with(invoice), &settings(), end());
    assert_eq!(step, Some((end(), Step::Charge(invoice.id))));
    let failed = OpenInvoice { charges_made: 1, standing: Standing::Failed, ..invoice };
    let step = next(&active(true), &with(failed), &settings(), end());
    assert_eq!(step, Some((end(), Step::MissPayment { grace_until: end() + days(3) })));
}

#[test]
fn case_064_a_payment_in_flight_holds_the_suspension_back_but_not_for_ever() {
    let mut subscription = active(true);
    let invoice = OpenInvoice { reminders_done: 3, charges_made: 1, ..open(Standing::InFlight) };
    let hour = TimeDelta::hours(1);
    // Nobody is called late before panels would stop by themselves.
    let step = next(&subscription, &with(invoice), &settings(), end());
    assert_eq!(step, Some((end() + days(3) - hour, Step::MissPayment { grace_until: end() + days(3) })));
    subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end() + days(3) - hour).unwrap();
    // As long as it is on its way, the grace grows day by day, and panels hear of it in time.
    for day in 3..13 {
        let longer = Step::Prolong { grace_until: end() + days(day + 1) };
        let planned = next(&subscription, &with(invoice), &settings(), end() + days(day) - hour);
        assert_eq!(planned, Some((end() + days(day) - hour, longer)));
        if day == 5 {
            let failed = OpenInvoice { standing: Standing::Failed, ..invoice };
            let step = next(&subscription, &with(failed), &settings(), end() + days(4));
            assert_eq!(step, Some((end() + days(5), Step::Suspend)), "the day that was given is kept");
        }
        subscription.apply(Command::Prolong { grace_until: end() + days(day + 1) }, end() + days(day)).unwrap();
    }
    let step = next(&subscription, &with(invoice), &settings(), end() + days(12));
    assert_eq!(step, Some((end() + days(13), Step::Suspend)));
}

#[test]
fn case_063_a_hard_decline_is_not_tried_again() {
    let mut settings = settings();
    settings.charges = vec![TimeDelta::zero(), days(1)];
    let mut subscription = active(true);
    subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end()).unwrap();
    let soft = OpenInvoice { reminders_done: 3, charges_made: 1, ..open(Standing::Failed) };
    assert_eq!(next(&subscription, &with(soft), &settings, end()), Some((end() + days(1), Step::Charge(soft.id))));
    let hard = OpenInvoice { standing: Standing::FailedHard, ..soft };
    assert_eq!(next(&subscription, &with(hard), &settings, end()), Some((end() + days(3), Step::Suspend)));
}

#[test]
fn case_010_after_an_outage_one_reminder_stands_for_all_that_were_missed() {
    let mut subscription = active(false);
    subscription.apply(Command::MissPayment { grace_until: end() + days(30) }, end()).unwrap();
    let invoice = open(Standing::None);
    let (_, step) = next(&subscription, &with(invoice), &settings(), end() + days(5)).unwrap();
    assert_eq!(step, Step::Remind { invoice: invoice.id, step: 3 });
}

#[test]
fn case_010_after_an_outage_nobody_is_missed_and_suspended_on_one_day() {
    let subscription = active(false);
    let invoice = OpenInvoice { reminders_done: 3, ..open(Standing::None) };
    let back = end() + days(20);
    let step = next(&subscription, &with(invoice), &settings(), back);
    assert_eq!(step, Some((end(), Step::MissPayment { grace_until: back + days(1) })));
}

#[test]
fn case_010_charges_keep_their_distance_after_an_outage() {
    let mut settings = settings();
    settings.charges = [0, 24, 72].map(TimeDelta::hours).into();
    let back = end() + days(5);
    let invoice = OpenInvoice { charges_made: 1, charged_at: Some(back), ..open(Standing::Failed) };
    let (at, _) = charge(&Subject::from(&active(true)), &invoice, &settings, back).unwrap();
    assert_eq!(at, back + days(1), "a day after the first, as on paper, however late that was");
}

#[test]
fn a_customer_hears_of_a_debt_once_within_the_cool_down() {
    let invoice = OpenInvoice { reminders_done: 1, ..open(Standing::None) };
    let mut waiting = with(invoice);
    let mut subscription = active(false);
    subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end()).unwrap();
    waiting.contacted_at = Some(end() + TimeDelta::hours(23));
    let (at, step) = next(&subscription, &waiting, &settings(), end() + TimeDelta::hours(24)).unwrap();
    assert_eq!(at, end() + TimeDelta::hours(43));
    assert_eq!(step, Step::Remind { invoice: invoice.id, step: 2 });
}

#[test]
fn case_062_a_customer_who_has_to_confirm_gets_their_time_once() {
    let invoice = OpenInvoice { charges_made: 1, ..open(Standing::FailedHard) };
    let refusal = refused(DeclineClass::Action, &invoice, None, &settings(), end());
    assert_eq!(refusal, Refusal { pause: days(1), is_told: true });
    let paused = OpenInvoice { paused: refusal.pause, ..invoice };
    assert_eq!(refused(DeclineClass::Action, &paused, None, &settings(), end()).pause, TimeDelta::zero());
    // Everything that was planned for later is a day later.
    let missed = next(&active(true), &with(OpenInvoice { reminders_done: 1, ..paused }), &settings(), end());
    assert_eq!(missed, Some((end(), Step::MissPayment { grace_until: end() + days(4) })));
    let mut subscription = active(true);
    subscription.apply(Command::MissPayment { grace_until: end() + days(4) }, end()).unwrap();
    let reminded = next(&subscription, &with(OpenInvoice { reminders_done: 1, ..paused }), &settings(), end());
    assert_eq!(reminded, Some((end() + days(2), Step::Remind { invoice: invoice.id, step: 2 })));
}

#[test]
fn case_063_another_saved_method_is_tried_once_at_once_and_then_by_the_schedule() {
    let mut settings = settings();
    settings.charges = [0, 24].map(TimeDelta::hours).into();
    let other = OtherMethod { id: PaymentMethodId::new(start()), is_tried: false };
    let hard =
        OpenInvoice { charges_made: 1, charged_at: Some(end()), other: Some(other), ..open(Standing::FailedHard) };
    let subject = Subject::from(&active(true));
    let step = Step::ChargeOther { invoice: hard.id, method: other.id };
    assert_eq!(charge(&subject, &hard, &settings, end()), Some((end(), step)));
    assert!(!refused(DeclineClass::Hard, &hard, None, &settings, end()).is_told, "not before the other was asked");
    let tried = OpenInvoice { other: Some(OtherMethod { is_tried: true, ..other }), ..hard };
    assert_eq!(charge(&subject, &tried, &settings, end()), Some((end() + days(1), step)));
    assert!(refused(DeclineClass::Hard, &tried, None, &settings, end()).is_told);
    settings.tries_other_method = false;
    assert_eq!(charge(&subject, &hard, &settings, end()), None);
}

#[test]
fn a_hold_keeps_from_suspension_and_end_and_panels_hear_of_it_in_time() {
    let mut subscription = active(false);
    let until = end() + days(30);
    let invoice = OpenInvoice { reminders_done: 3, ..open(Standing::None) };
    let held = Waiting { held_until: Some(until), ..with(invoice) };
    let missed = next(&subscription, &held, &settings(), end());
    assert_eq!(missed, Some((end(), Step::MissPayment { grace_until: until })));
    subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end()).unwrap();
    let longer = next(&subscription, &held, &settings(), end() + days(1));
    assert_eq!(longer, Some((end() + days(3) - TimeDelta::hours(1), Step::Prolong { grace_until: until })));
    subscription.apply(Command::Suspend(SuspendCause::Unpaid), end() + days(3)).unwrap();
    let over = next(&subscription, &held, &settings(), end() + days(4));
    assert_eq!(over, Some((until, Step::End(EndCause::Unpaid))));
}

#[test]
fn a_cancelled_subscription_ends_instead_of_renewing() {
    let mut subscription = active(true);
    subscription.cancel_at = subscription.paid_through;
    let step = next(&subscription, &Waiting::default(), &settings(), start());
    assert_eq!(step, Some((end(), Step::End(EndCause::Cancelled))));
}

#[test]
fn paid_ahead_the_next_period_begins_before_anything_is_issued() {
    let mut subscription = active(true);
    subscription.extend(subscription.offer.clone(), end() - days(2)).unwrap();
    assert_eq!(next(&subscription, &Waiting::default(), &settings(), end() - days(2)), Some((end(), Step::Roll)));
}

#[test]
fn case_015_an_unpaid_trial_is_suspended_at_its_end_and_one_invoice_was_issued() {
    let mut subscription = active(false);
    subscription.state = State::Trialing;
    let (at, step) = next(&subscription, &Waiting::default(), &settings(), start()).unwrap();
    assert_eq!((at, step), (end() - days(3), Step::IssueInvoice));
    let invoice = OpenInvoice { reminders_done: 3, ..open(Standing::None) };
    assert_eq!(next(&subscription, &with(invoice), &settings(), end()), Some((end(), Step::Suspend)));
}

#[test]
fn case_048_an_order_nobody_pays_is_given_up() {
    let mut subscription = active(false);
    subscription.state = State::Pending;
    let step = next(&subscription, &with(open(Standing::Failed)), &settings(), start());
    assert_eq!(step, Some((start() + days(3), Step::End(EndCause::Abandoned))));
}

#[test]
fn an_upgrade_offer_lapses_before_the_renewal_is_priced() {
    let issued_at = end() - days(3) - TimeDelta::hours(2);
    let change = OpenChange { id: InvoiceId::new(end()), issued_at, standing: Standing::None };
    let waiting = Waiting { change: Some(change), ..Waiting::default() };
    let step = next(&active(true), &waiting, &settings(), issued_at);
    assert_eq!(step, Some((end() - days(3), Step::DropChange(change.id))));
}

#[test]
fn case_109_a_change_that_is_asked_for_after_the_renewal_was_priced_is_awaited_till_the_end_of_what_is_paid() {
    let next_of = |issued_at, standing| {
        let change = OpenChange { id: InvoiceId::new(end()), issued_at, standing };
        let waiting = Waiting { change: Some(change), ..Waiting::default() };
        let (at, step) = next(&active(true), &waiting, &settings(), issued_at).unwrap();
        assert_eq!(step, Step::DropChange(change.id), "it is dropped before the renewal is priced");
        at
    };
    let valid = settings().change_valid;
    let early = end() - days(3);
    assert_eq!(next_of(early, Standing::None), (early + valid).min(end()));
    let late = end() - TimeDelta::minutes(5);
    assert_eq!(next_of(late, Standing::None), end());
    assert_eq!(next_of(late, Standing::InFlight), end() + settings().hold_max);
}

proptest! {
    /// R8: whatever happened before, nobody whose payment may still succeed is suspended before the grace is over.
    #[test]
    fn nobody_is_suspended_before_the_end_of_the_grace(
        has_method in any::<bool>(), charges_made in 0_u32..3, reminders_done in 0_u32..5,
        standing in prop_oneof![Just(Standing::None), Just(Standing::InFlight), Just(Standing::Failed), Just(Standing::FailedHard)],
        past_due in any::<bool>(), hours in 0_i64..1000,
    ) {
        let mut subscription = active(has_method);
        if past_due {
            subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end()).unwrap();
        }
        let invoice = OpenInvoice { charges_made, reminders_done, ..open(standing) };
        let planned = next(&subscription, &with(invoice), &settings(), start() + TimeDelta::hours(hours));
        if let Some((at, Step::Suspend)) = planned {
            prop_assert!(at >= end() + days(3));
            prop_assert!(standing != Standing::InFlight || at >= end() + days(13));
        }
    }

    /// Whatever a campaign says and the customer's clock does: contacts keep the cool-down and the hours, and nobody is
    /// suspended before the grace is over.
    #[test]
    fn a_timeline_keeps_its_own_rules(
        hours in proptest::collection::btree_set(-300_i32..900, 0..8), charges in 0_usize..5, methods in 0_u32..3,
        grace_days in 1_u32..20, from_hour in 0_u32..20, has_window in any::<bool>(),
        class in prop_oneof![Just(DeclineClass::Soft), Just(DeclineClass::Hard), Just(DeclineClass::Action)],
        zone in prop_oneof![Just(Tz::UTC), Just(Tz::Europe__Berlin), Just(Tz::Pacific__Apia), Just(Tz::America__St_Johns)],
        due_day in 0_i64..365,
    ) {
        let due_at = end() + days(due_day);
        let window = has_window.then_some(Window { from_hour, to_hour: from_hour + 4 });
        let mut settings = Settings { window, zone, grace: days(grace_days.into()), ..settings() };
        settings.reminders = hours.into_iter().map(|hours| TimeDelta::hours(hours.into())).collect();
        settings.charges = [0, 24, 72, 120, 200].into_iter().take(charges).map(TimeDelta::hours).collect();
        let subject = Subject {
            state: State::Active, since: start(), created_at: start(), period_end: Some(due_at),
            paid_through: Some(due_at), cancel_at: None, pause_until: None, has_method: methods > 0, zone: None,
        };
        let other = OtherMethod { id: PaymentMethodId::new(start()), is_tried: false };
        let invoice = OpenInvoice { due_at, other: (methods > 1).then_some(other), ..open(Standing::None) };
        let moments = simulate::simulate(subject, with(invoice), &settings, class, due_at - settings.lead);
        let (mut contact, mut last): (Option<DateTime<Utc>>, _) = (None, due_at - settings.lead);
        for moment in &moments {
            prop_assert!(moment.at >= last, "in order");
            last = moment.at;
            match moment.event {
                simulate::Event::Step(Step::Remind { .. }) => {
                    prop_assert!(contact.is_none_or(|at| moment.at >= at + settings.cooldown), "{moments:?}");
                    prop_assert!(window.is_none_or(|window| window.is_open(moment.at, zone)), "{moments:?}");
                    contact = Some(moment.at);
                }
                simulate::Event::Refused { is_told: true, .. } => contact = Some(moment.at),
                simulate::Event::Step(Step::Suspend) => {
                    prop_assert!(moment.at >= due_at + settings.grace);
                    contact = Some(moment.at);
                }
                simulate::Event::Step(_) | simulate::Event::Refused { .. } => {}
            }
        }
        let ends = moments.last().map(|moment| moment.event);
        prop_assert_eq!(ends, Some(simulate::Event::Step(Step::End(EndCause::Unpaid))));
    }
}
