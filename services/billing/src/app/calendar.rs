//! Changing when a subscription renews, putting it aside, and giving it to somebody else.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use ottery_kernel::{AccountId, AnchorDay, BrandId, Money, Period, SubscriptionId};
use ottery_kit::grpc::{Actor, Problem};

use super::change::no_open_period;
use super::subscription::{Entry, open, refused};
use super::unit::Unit;
use super::{Billing, broken};
use crate::domain::address::Source;
use crate::domain::calendar::{Move, Stretch};
use crate::domain::invoice::Buyer;
use crate::domain::subscription::{Command, State, Subscription};
use crate::store;
use crate::store::customer::Customer;

/// Longest pause anybody may ask for.
const PAUSE_DAYS_MAX: u32 = 366;

/// On what a subscription shall renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorAsk {
    /// The day of the month; none keeps the day.
    pub day: Option<AnchorDay>,
    /// The zone whose days count; none keeps it.
    pub zone: Option<Tz>,
}

/// What a change of the anchor costs, once, with the next renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorOffered {
    /// What the next renewal pays for: the bridge, or a period that is as long as ever.
    pub stretch: Stretch,
    /// What it costs.
    pub amount: Money,
    /// The first period after it, at the full price.
    pub then: Period,
}

impl Billing {
    /// What moving the anchor would cost: one bridge, with the next renewal. Nothing is changed.
    ///
    /// # Errors
    /// When the subscription has no renewal ahead, or its term has no day of the month.
    pub async fn quote_anchor(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        ask: AnchorAsk,
    ) -> Result<AnchorOffered, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        // The transaction is rolled back: a quote changes nothing.
        let (unit, case) = open(&mut tx, brand, id, owner, now).await?;
        no_open_period(&case)?;
        let mut subscription = case.subscription;
        move_anchor(&mut subscription, ask)?;
        offered(&unit, &subscription)
    }

    /// Moves the anchor with the next renewal; the running period keeps its bounds.
    ///
    /// # Errors
    /// As [`Billing::quote_anchor`].
    pub async fn move_anchor(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        ask: AnchorAsk,
        actor: &Actor,
    ) -> Result<(Subscription, AnchorOffered), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        no_open_period(&case)?;
        let before = case.subscription.clone();
        move_anchor(&mut case.subscription, ask)?;
        let offered = offered(&unit, &case.subscription)?;
        unit.touch(&before, &mut case.subscription, "anchor_moved").map_err(broken)?;
        let entry = Entry { actor, action: "subscription.move_anchor", reason: "" };
        Ok((self.seal(tx, unit, case, &before, entry).await?, offered))
    }

    /// Puts an active subscription aside: it is neither served nor billed, and what is left of the paid time is kept.
    /// Customers may as long as their plan says; staff may always, also without an end (`days` 0).
    ///
    /// # Errors
    /// When the state or the plan forbids it.
    pub async fn pause(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        days: u32,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let before = case.subscription.clone();
        let until = pause_end(&before, owner.is_some(), days, now)?;
        if !case.subscription.pause(until, now).map_err(refused)? {
            return Err(Problem::refused(
                "ALREADY_PAUSED",
                "the subscription is paused already; take it up again first",
            ));
        }
        // The period nobody will use now is not owed; it is billed anew when time goes on.
        // What was carried forward was served.
        for invoice in case.open.iter_mut().filter(|invoice| !invoice.is_carried()) {
            unit.withdraw(invoice).map_err(broken)?;
        }
        unit.touch(&before, &mut case.subscription, "paused").map_err(broken)?;
        let entry = Entry { actor, action: "subscription.pause", reason: "" };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Takes a paused subscription up again: the time that was left is left from now on.
    ///
    /// # Errors
    /// When it is not paused.
    pub async fn unpause(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        owner: Option<AccountId>,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, owner, now).await?;
        let before = case.subscription.clone();
        if case.subscription.apply(Command::Unpause, now).map_err(refused)? {
            case.subscription.take_up(now).map_err(broken)?;
        }
        unit.touch(&before, &mut case.subscription, "unpaused").map_err(broken)?;
        let entry = Entry { actor, action: "subscription.unpause", reason: "" };
        self.seal(tx, unit, case, &before, entry).await
    }

    /// Gives a subscription to another customer of the brand (staff). What was paid stays paid; invoices, wallet and
    /// saved methods stay with who paid.
    ///
    /// # Errors
    /// While an invoice of it is open, before its first payment and after its end.
    pub async fn transfer(
        &self,
        brand: BrandId,
        id: SubscriptionId,
        to: AccountId,
        buyer: Buyer,
        actor: &Actor,
    ) -> Result<Subscription, Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let (mut unit, mut case) = open(&mut tx, brand, id, None, now).await?;
        let before = case.subscription.clone();
        match before.state {
            State::Trialing | State::Active | State::PastDue { .. } | State::Suspended { .. } | State::Paused => {}
            State::Pending | State::Ended { .. } => {
                let message = format!("a subscription that is {} cannot be given to somebody else", before.state);
                return Err(Problem::refused("SUBSCRIPTION_STATE", message));
            }
        }
        if before.account == to {
            return Err(
                Problem::refused("SAME_ACCOUNT", "the subscription is this customer's already").on_field("account_id")
            );
        }
        if let Some(invoice) = case.open.first() {
            let message =
                format!("invoice {} is open; pay it or take it back before the transfer", invoice.number_text());
            return Err(Problem::refused("INVOICE_OPEN", message).with("invoice_id", invoice.id));
        }
        let customer = Customer {
            account: to,
            buyer,
            source: Source::Order,
            standing: None,
            referral_code: String::new(),
            first_settled_at: None,
            consolidated: None,
        };
        store::customer::put(&mut tx, brand, &customer).await?;
        super::merge::refuse_merged(&mut tx, to, "account_id").await?;
        unit.lock_customers(&mut tx, &[to]).await?;
        case.subscription.account = to;
        case.subscription.method = None;
        unit.touch(&before, &mut case.subscription, "transferred").map_err(broken)?;
        let told = format!("{} to {to}", before.account);
        let entry = Entry { actor, action: "subscription.transfer", reason: &told };
        self.seal(tx, unit, case, &before, entry).await
    }
}

/// Writes down where the anchor goes with the next renewal.
fn move_anchor(subscription: &mut Subscription, ask: AnchorAsk) -> Result<(), Problem> {
    let Some(anchor) = subscription.anchor else { return Err(no_renewal(subscription)) };
    match subscription.state {
        State::Trialing | State::Active | State::PastDue { .. } => {}
        State::Pending | State::Suspended { .. } | State::Paused | State::Ended { .. } => {
            return Err(no_renewal(subscription));
        }
    }
    if subscription.cancel_at.is_some() {
        return Err(Problem::refused("CANCEL_SCHEDULED", "the subscription is about to end; resume it first"));
    }
    let term = subscription.renewal_offer().term;
    if ask.day.is_some() && !term.has_months() {
        let message = format!("a term of {term} has no day of the month; only months and years do");
        return Err(Problem::refused("ANCHOR_TERM", message).on_field("day"));
    }
    let wanted = Move { day: ask.day, zone: ask.zone.unwrap_or(anchor.zone) };
    let is_as_before = wanted.zone == anchor.zone && wanted.day.is_none_or(|day| day.get() == anchor.day_of_month());
    subscription.calendar.moved = (!is_as_before).then_some(wanted);
    Ok(())
}

fn no_renewal(subscription: &Subscription) -> Problem {
    let message = format!("a subscription that is {} has no renewal to move", subscription.state);
    Problem::refused("SUBSCRIPTION_STATE", message)
}

fn offered(unit: &Unit, subscription: &Subscription) -> Result<AnchorOffered, Problem> {
    let next = subscription.next_stretch().map_err(broken)?.ok_or_else(|| no_renewal(subscription))?;
    let offer = subscription.renewal_offer();
    let tax = unit.tax(subscription.account, &offer).tax;
    let end = next.anchor.boundary(offer.term, next.index + 1).map_err(broken)?;
    Ok(AnchorOffered {
        amount: subscription.renewal_total(&tax).map_err(broken)?,
        then: Period::try_new(next.stretch.period.end(), end).map_err(broken)?,
        stretch: next.stretch,
    })
}

fn pause_end(
    subscription: &Subscription,
    is_customer: bool,
    days: u32,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Problem> {
    let most = if is_customer { subscription.offer.pause_days_max } else { PAUSE_DAYS_MAX };
    if most == 0 {
        let message = format!("the plan `{}` cannot be paused", subscription.offer.plan_name);
        return Err(Problem::refused("PAUSE_NOT_OFFERED", message));
    }
    if days > most || (days == 0 && is_customer) {
        return Err(Problem::invalid("days", "PAUSE_DAYS", format!("days: use 1 to {most} days, got {days}")));
    }
    Ok((days > 0).then(|| now + TimeDelta::days(days.into())))
}
