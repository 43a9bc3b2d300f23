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
    OpenInvoice { id: InvoiceId::new(end()), due_at: end(), reminders_done: 0, charges_made: 0, standing }
}

fn with(invoice: OpenInvoice) -> Waiting {
    Waiting { invoice: Some(invoice), change: None }
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
            Step::Roll | Step::DropChange(_) | Step::IssueInvoice | Step::Charge(_) | Step::TakeUp => {
                panic!("unexpected {step:?}")
            }
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
    let (at, step) = next(&subscription, &with(invoice), &settings(), end()).unwrap();
    assert!(matches!(step, Step::MissPayment { .. }) && at >= end() + days(3), "{step:?} at {at}");
    subscription.apply(Command::MissPayment { grace_until: end() + days(3) }, end()).unwrap();
    let step = next(&subscription, &with(invoice), &settings(), end() + days(4));
    assert_eq!(step, Some((end() + days(13), Step::Suspend)));
    let failed = OpenInvoice { standing: Standing::Failed, ..invoice };
    let step = next(&subscription, &with(failed), &settings(), end() + days(4));
    assert_eq!(step, Some((end() + days(3), Step::Suspend)));
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
    let waiting = Waiting { invoice: None, change: Some(change) };
    let step = next(&active(true), &waiting, &settings(), issued_at);
    assert_eq!(step, Some((end() - days(3), Step::DropChange(change.id))));
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
}
