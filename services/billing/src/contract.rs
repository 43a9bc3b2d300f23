//! Between what billing decides and what others read: conversions to and from the contract's messages.

pub mod addon;
pub mod address;
pub mod option;
pub mod payment;
pub mod tax;

use chrono::{DateTime, Utc};
use ottery_kernel::{
    AnchorDay, AnchorRule, ChangePolicy, ChangeTiming, Currency, InvoiceId, LateRenewal, Money, Period, Term, TermUnit,
};
use ottery_kit::grpc::Problem;
use ottery_proto::billing::v1 as proto;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::common::v1 as common;
use prost_types::Timestamp;

use crate::domain::address::Address;
use crate::domain::consolidated;
use crate::domain::coupon::{Benefit, Coupon, Lasting};
use crate::domain::invoice::{self, Invoice, Purpose};
use crate::domain::line::Line;
use crate::domain::offer::{Mapping, Offer};
use crate::domain::order;
use crate::domain::profile::{Entity, Profile};
use crate::domain::rules::InvoiceRules;
use crate::domain::subscription::{State, Subscription, SuspendCause};
use crate::domain::tax::{Tax, words};
use crate::store::credit_note::CreditNote;
use crate::store::order::Order;

/// An amount.
#[must_use]
pub fn money(money: Money) -> common::Money {
    common::Money { currency: money.currency.to_string(), minor: money.minor }
}

/// An amount somebody sent; `field` is named when it is wrong.
///
/// # Errors
/// When the currency is none.
pub fn money_from(field: &str, sent: &common::Money) -> Result<Money, Problem> {
    let currency: Currency = sent.currency.parse().map_err(|error| {
        Problem::invalid(format!("{field}.currency"), "CURRENCY_INVALID", format!("{field}.currency: {error}"))
    })?;
    Ok(Money::new(sent.minor, currency))
}

/// An instant.
#[must_use]
pub fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: at.timestamp(), nanos: i32::try_from(at.timestamp_subsec_nanos()).unwrap_or(0) }
}

/// An instant somebody may have sent.
///
/// # Errors
/// When it lies beyond the calendar.
pub fn instant_from(sent: Option<Timestamp>) -> anyhow::Result<Option<DateTime<Utc>>> {
    use anyhow::Context as _;
    let at = |sent: Timestamp| DateTime::from_timestamp(sent.seconds, u32::try_from(sent.nanos).ok()?);
    sent.map(|sent| at(sent).context("an instant beyond the calendar")).transpose()
}

/// A term.
#[must_use]
pub fn term(term: Term) -> catalog::Term {
    let unit = match term.unit() {
        TermUnit::Day => catalog::TermUnit::Day,
        TermUnit::Week => catalog::TermUnit::Week,
        TermUnit::Month => catalog::TermUnit::Month,
        TermUnit::Year => catalog::TermUnit::Year,
    };
    catalog::Term { count: term.count().into(), unit: unit.into() }
}

/// A term the catalogue sent.
///
/// # Errors
/// When it is none; the catalogue never sends such a one.
pub fn term_from(sent: &catalog::Term) -> anyhow::Result<Term> {
    let unit = match sent.unit() {
        catalog::TermUnit::Unspecified => anyhow::bail!("a term without a unit"),
        catalog::TermUnit::Day => TermUnit::Day,
        catalog::TermUnit::Week => TermUnit::Week,
        catalog::TermUnit::Month => TermUnit::Month,
        catalog::TermUnit::Year => TermUnit::Year,
    };
    Ok(Term::try_new(u16::try_from(sent.count)?, unit)?)
}

/// What an offer means on a panel, its add-ons counted in.
#[must_use]
pub fn mapping_of(offer: &Offer) -> catalog::PanelMapping {
    catalog::PanelMapping { bouquet_ids: offer.bouquet_ids(), ..mapping(&offer.mapping) }
}

/// What a plan alone means on a panel.
#[must_use]
pub fn mapping(mapping: &Mapping) -> catalog::PanelMapping {
    catalog::PanelMapping {
        pool: mapping.pool.clone(),
        bouquet_ids: mapping.bouquet_ids.clone(),
        package_id: mapping.package_id,
        outputs: mapping.outputs.clone(),
        region: mapping.region.clone(),
    }
}

/// The offer in the catalogue's answer to a price.
///
/// # Errors
/// When the answer is incomplete, which a working catalogue never sends.
pub fn offer_from(reply: &catalog::GetPriceReply) -> anyhow::Result<Offer> {
    use anyhow::Context as _;
    let (plan, version, price) = (
        reply.plan.as_ref().context("a price without plan")?,
        reply.plan_version.as_ref().context("a price without plan version")?,
        reply.price.as_ref().context("an empty price")?,
    );
    let sent = version.mapping.clone().unwrap_or_default();
    Ok(Offer {
        plan_id: plan.id.parse()?,
        plan_version_id: version.id.parse()?,
        price_id: price.id.parse()?,
        plan_name: version.name.clone(),
        price: money_from("price.amount", price.amount.as_ref().context("a price without amount")?)?,
        setup_fee: price
            .setup_fee
            .as_ref()
            .filter(|fee| fee.minor != 0)
            .map(|fee| money_from("setup_fee", fee))
            .transpose()?,
        term: term_from(price.term.as_ref().context("a price without term")?)?,
        trial_days: version.trial_days,
        connections: version.connections,
        mapping: Mapping {
            pool: sent.pool,
            bouquet_ids: sent.bouquet_ids,
            package_id: sent.package_id,
            outputs: sent.outputs,
            region: sent.region,
        },
        anchor: match version.anchor_day.unwrap_or(0) {
            // A pass is as long as it says, whatever day it begins.
            _ if price.once => AnchorRule::Anniversary,
            0 => AnchorRule::Anniversary,
            day => AnchorRule::Day(AnchorDay::try_new(day)?),
        },
        changes: version.changes.as_ref().map(changes_from).unwrap_or_default(),
        pause_days_max: version.pause_days_max.unwrap_or(0),
        late_renewal: match version.late_renewal() {
            catalog::LateRenewal::Unspecified | catalog::LateRenewal::FromOldEnd => LateRenewal::FromOldEnd,
            catalog::LateRenewal::FromPayment => LateRenewal::FromPayment,
        },
        tax_category: version.tax_category.clone().unwrap_or_default(),
        options: option::choices_from(version, price)?,
        regular: None,
        addons: Vec::new(),
        once: price.once,
    })
}

/// What the plan says about changes; what it does not say is as usual.
fn changes_from(sent: &catalog::ChangePolicy) -> ChangePolicy {
    let usual = ChangePolicy::default();
    let timing = |sent: catalog::ChangeTiming, usual: ChangeTiming| match sent {
        catalog::ChangeTiming::Unspecified => usual,
        catalog::ChangeTiming::ProrateNow => ChangeTiming::ProrateNow,
        catalog::ChangeTiming::FullPriceReset => ChangeTiming::FullPriceReset,
        catalog::ChangeTiming::AtRenewal => ChangeTiming::AtRenewal,
    };
    ChangePolicy {
        upgrade: timing(sent.upgrade(), usual.upgrade),
        downgrade: timing(sent.downgrade(), usual.downgrade),
        term: timing(sent.term(), usual.term),
    }
}

/// A coupon the catalogue sent.
///
/// # Errors
/// When it is none; a working catalogue never sends such a one.
pub fn coupon_from(sent: &catalog::Coupon) -> anyhow::Result<Coupon> {
    use catalog::coupon::{Duration, Kind, Occasion};
    let amounts = || sent.amounts.iter().map(|amount| money_from("amounts", amount)).collect::<Result<Vec<_>, _>>();
    let benefit = match sent.kind() {
        Kind::Unspecified => anyhow::bail!("a coupon without a kind"),
        Kind::Percent => Benefit::Percent { bp: sent.percent_bp },
        Kind::Fixed => Benefit::Fixed { amounts: amounts()? },
        Kind::Price => Benefit::Price { amounts: amounts()? },
        Kind::FreeSetup => Benefit::FreeSetup,
    };
    let lasting = match sent.duration() {
        Duration::Unspecified => anyhow::bail!("a coupon without a duration"),
        Duration::Once => Lasting::Once,
        Duration::Periods => Lasting::Periods { count: sent.periods },
        Duration::Forever => Lasting::Forever,
    };
    let (for_orders, for_upgrades) = match sent.occasion() {
        Occasion::Unspecified => anyhow::bail!("a coupon without an occasion"),
        Occasion::Orders => (true, false),
        Occasion::Upgrades => (false, true),
        Occasion::Both => (true, true),
    };
    Ok(Coupon {
        id: sent.id.parse()?,
        code: sent.code.clone(),
        benefit,
        lasting,
        plans: sent.plan_ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?,
        terms: sent.terms.iter().map(term_from).collect::<Result<_, _>>()?,
        new_customers_only: sent.new_customers_only,
        for_orders,
        for_upgrades,
        starts_at: instant_from(sent.starts_at)?,
        ends_at: instant_from(sent.ends_at)?,
        uses_max: Some(sent.uses_max).filter(|max| *max > 0),
        uses_per_customer_max: Some(sent.uses_per_customer_max).filter(|max| *max > 0),
    })
}

/// The brand's settings in a catalogue message.
///
/// # Errors
/// When the brand has no entity or a zone or currency nobody knows.
pub fn profile_from(brand: &catalog::Brand) -> anyhow::Result<Profile> {
    use anyhow::Context as _;
    let entity = brand.entity.as_ref().context("the brand has no legal entity")?;
    let zone = |name: &str| -> anyhow::Result<chrono_tz::Tz> {
        if name.is_empty() {
            Ok(chrono_tz::Tz::UTC)
        } else {
            name.parse().with_context(|| format!("time zone `{name}`"))
        }
    };
    let mut reminder_hours = brand.reminder_hours.clone();
    reminder_hours.sort_unstable();
    reminder_hours.dedup();
    let tokens = brand.tokens.clone().unwrap_or_default();
    Ok(Profile {
        brand: brand.id.parse()?,
        name: brand.name.clone(),
        entity: Entity {
            id: entity.id.parse()?,
            name: entity.name.clone(),
            address_lines: entity.address_lines.clone(),
            country: entity.country.clone(),
            tax_id: entity.tax_id.clone(),
            zone: zone(&entity.time_zone)?,
            series: if entity.invoice_series.is_empty() { "INV".to_owned() } else { entity.invoice_series.clone() },
            email: entity.email.clone(),
            tax: entity.tax.as_ref().map(tax::settings_from).unwrap_or_default(),
        },
        currencies: brand.currencies.iter().map(|code| code.parse()).collect::<Result<_, _>>()?,
        zone: zone(&brand.time_zone)?,
        grace_days: brand.grace_days,
        terminate_after_days: brand.terminate_after_days,
        renewal_lead_hours: brand.renewal_lead_hours,
        reminder_hours,
        tax_rate_bp: brand.tax_rate_bp,
        tax_name: brand.tax_name.clone(),
        default_locale: brand.default_locale.clone(),
        support_email: brand.support_email.clone(),
        tokens: tokens.values.into_iter().collect(),
        logo: tokens.logo,
        rules: InvoiceRules::default(),
        minimums: crate::domain::minimum::Minimums::default(),
    })
}

/// The seller as printed.
#[must_use]
pub fn entity(entity: &Entity) -> catalog::LegalEntity {
    catalog::LegalEntity {
        id: entity.id.to_string(),
        name: entity.name.clone(),
        address_lines: entity.address_lines.clone(),
        country: entity.country.clone(),
        tax_id: entity.tax_id.clone(),
        time_zone: entity.zone.to_string(),
        invoice_series: entity.series.clone(),
        email: entity.email.clone(),
        tax: Some(tax::settings(entity.tax)),
    }
}

/// A printed line.
#[must_use]
pub fn line(line: &Line) -> proto::InvoiceLine {
    proto::InvoiceLine {
        description: line.description.clone(),
        quantity: line.quantity,
        amount: Some(money(line.amount)),
        tax_rate_bp: line.tax_rate_bp,
        tax: Some(money(line.tax)),
        period_start: line.period.map(Period::start).map(timestamp),
        period_end: line.period.map(Period::end).map(timestamp),
    }
}

/// A credit note.
#[must_use]
pub fn credit_note(note: &CreditNote) -> proto::CreditNote {
    proto::CreditNote {
        id: note.id.to_string(),
        number: note.number.to_string(),
        invoice_id: note.invoice.to_string(),
        amount: Some(money(note.amount)),
        tax: Some(money(note.tax)),
        reason: note.reason.clone(),
        issued_at: Some(timestamp(note.issued_at)),
        line_numbers: note.lines.clone(),
    }
}

/// A part of a consolidated invoice; `first_line` is where its lines begin in those of the whole, from 1.
fn part(part: &Invoice, first_line: usize) -> proto::InvoicePart {
    proto::InvoicePart {
        invoice_id: part.id.to_string(),
        subscription_id: part.subscription.map(|id| id.to_string()).unwrap_or_default(),
        subscription_name: part.subscription.map(consolidated::short_name).unwrap_or_default(),
        plan_name: part.snapshot.offer.as_ref().map(|offer| offer.plan_name.clone()).unwrap_or_default(),
        state: invoice_state(part.state).into(),
        period_start: part.period.map(Period::start).map(timestamp),
        period_end: part.period.map(Period::end).map(timestamp),
        total: Some(money(part.totals.total)),
        tax: Some(money(part.totals.tax)),
        paid: Some(money(part.paid)),
        refunded: Some(money(part.refunded)),
        first_line: u32::try_from(first_line).unwrap_or(u32::MAX),
        line_count: u32::try_from(part.lines.len()).unwrap_or(u32::MAX),
    }
}

/// Its parts with where their lines begin, from 0; itself for an invoice of its own.
fn parts_of(invoice: &Invoice) -> Vec<(&Invoice, usize)> {
    let all = if invoice.parts.is_empty() { std::slice::from_ref(invoice) } else { &invoice.parts };
    let mut before = 0;
    all.iter()
        .map(|part| {
            let first = before;
            before += part.lines.len();
            (part, first)
        })
        .collect()
}

/// The credit notes of an invoice, with lines counted as it prints them.
fn notes_of(invoice: &Invoice, notes: &[CreditNote]) -> Vec<proto::CreditNote> {
    let parts = parts_of(invoice);
    let of_part = |note: &CreditNote| {
        let (_, before) = parts.iter().find(|(part, _)| part.id == note.invoice)?;
        let before = u32::try_from(*before).unwrap_or(u32::MAX);
        let line_numbers = note.lines.iter().map(|line| line.saturating_add(before)).collect();
        Some(proto::CreditNote { line_numbers, ..credit_note(note) })
    };
    notes.iter().filter_map(of_part).collect()
}

const fn invoice_state(state: invoice::State) -> proto::invoice::State {
    use proto::invoice::State as P;
    match state {
        invoice::State::Draft => P::Draft,
        invoice::State::Open => P::Open,
        invoice::State::Void => P::Void,
        invoice::State::Uncollectible => P::Uncollectible,
        invoice::State::Closed => P::Closed,
    }
}

/// An invoice with its credit notes.
#[must_use]
pub fn invoice(invoice: &Invoice, notes: &[CreditNote]) -> proto::Invoice {
    use proto::invoice as p;
    let purpose = match invoice.purpose {
        Purpose::First => p::Purpose::First,
        Purpose::Renewal => p::Purpose::Renewal,
        Purpose::Upgrade => p::Purpose::Upgrade,
        Purpose::Manual => p::Purpose::Manual,
        Purpose::TopUp => p::Purpose::TopUp,
    };
    let buyer = &invoice.snapshot.buyer;
    proto::Invoice {
        id: invoice.id.to_string(),
        number: invoice.number_text(),
        account_id: invoice.account.to_string(),
        subscription_id: invoice.subscription.map(|id| id.to_string()).unwrap_or_default(),
        state: invoice_state(invoice.state).into(),
        lines: invoice.lines.iter().map(line).collect(),
        subtotal: Some(money(invoice.totals.subtotal)),
        tax: Some(money(invoice.totals.tax)),
        total: Some(money(invoice.totals.total)),
        paid: Some(money(invoice.paid)),
        refunded: Some(money(invoice.refunded)),
        issued_at: invoice.issued_at.map(timestamp),
        due_at: invoice.due_at.map(timestamp),
        closed_at: invoice.closed_at.map(timestamp),
        seller: Some(entity(&invoice.snapshot.seller)),
        buyer_name: buyer.name.clone(),
        buyer_email: buyer.email.clone(),
        buyer_country: buyer.country.clone(),
        buyer_company: buyer.address.as_ref().map(|address| address.company.clone()).unwrap_or_default(),
        buyer_address_lines: buyer.address.as_ref().map(Address::printed).unwrap_or_default(),
        buyer_vat_number: buyer.vat_number().to_owned(),
        tax_note: words(&invoice.lines, "en").unwrap_or_default(),
        tax_proof: invoice.snapshot.tax.as_ref().and_then(|taxed| taxed.evidence.as_ref()).map(address::proof),
        tax_place_source: invoice
            .snapshot
            .tax
            .as_ref()
            .map(|taxed| taxed.source.as_str().to_owned())
            .unwrap_or_default(),
        brand_name: invoice.snapshot.brand_name.clone(),
        tax_name: invoice.snapshot.tax_name.clone(),
        locale: buyer.locale.clone(),
        credit_notes: notes_of(invoice, notes),
        purpose: purpose.into(),
        proforma: invoice.is_proforma(),
        proforma_number: invoice.proforma_text(),
        proforma_at: invoice.proforma.as_ref().map(|proforma| timestamp(proforma.at)),
        carried_at: invoice.carried_at.map(timestamp),
        parts: if invoice.parts.is_empty() {
            Vec::new()
        } else {
            parts_of(invoice).into_iter().map(|(of, before)| part(of, before + 1)).collect()
        },
        consolidated_id: invoice.part.map(|part| part.group.to_string()).unwrap_or_default(),
    }
}

/// An order.
#[must_use]
pub fn order(order: &Order) -> proto::Order {
    let state = match order.state {
        order::State::UnderReview => proto::order::State::UnderReview,
        order::State::AwaitingPayment => proto::order::State::AwaitingPayment,
        order::State::Paid => proto::order::State::Paid,
        order::State::Cancelled => proto::order::State::Cancelled,
    };
    proto::Order {
        id: order.id.to_string(),
        account_id: order.account.to_string(),
        state: state.into(),
        subscription_id: order.subscription.to_string(),
        invoice_id: order.invoice.map(|id| id.to_string()).unwrap_or_default(),
        plan_name: order.plan_name.clone(),
        total: Some(money(order.total)),
        placed_at: Some(timestamp(order.placed_at)),
        paid_at: order.paid_at.map(timestamp),
        referral_code: order.referral_code.clone(),
        trace_id: order.trace_id.clone(),
        email: order.email.clone(),
    }
}

/// Why it is suspended, if it is.
fn suspend_cause(state: State) -> proto::subscription::SuspendCause {
    use proto::subscription::SuspendCause as Cause;
    match state {
        State::Suspended { cause: SuspendCause::Unpaid } => Cause::Unpaid,
        State::Suspended { cause: SuspendCause::Staff } => Cause::Staff,
        State::Suspended { cause: SuspendCause::Reseller } => Cause::Reseller,
        State::Pending
        | State::Trialing
        | State::Active
        | State::PastDue { .. }
        | State::Paused
        | State::Ended { .. } => Cause::Unspecified,
    }
}

/// A state of a subscription.
#[must_use]
pub const fn state(state: State) -> proto::subscription::State {
    use proto::subscription::State as P;
    match state {
        State::Pending => P::Pending,
        State::Trialing => P::Trialing,
        State::Active => P::Active,
        State::PastDue { .. } => P::PastDue,
        State::Suspended { .. } => P::Suspended,
        State::Paused => P::Paused,
        State::Ended { .. } => P::Ended,
    }
}

/// A subscription, and what tax does to its price; the open invoice is known where somebody asks for it, not in events.
#[must_use]
pub fn subscription(subscription: &Subscription, open_invoice: Option<InvoiceId>, tax: &Tax) -> proto::Subscription {
    let offer = &subscription.offer;
    let renewal = subscription.renewal_offer();
    // Amounts the catalogue lets through always fit.
    let term_price = |offer: &Offer| money(offer.term_price().unwrap_or(offer.price));
    proto::Subscription {
        id: subscription.id.to_string(),
        account_id: subscription.account.to_string(),
        state: state(subscription.state).into(),
        plan_id: offer.plan_id.to_string(),
        plan_version_id: offer.plan_version_id.to_string(),
        price_id: offer.price_id.to_string(),
        plan_name: offer.plan_name.clone(),
        price: Some(money(offer.price)),
        term: Some(term(offer.term)),
        grace_until: subscription.state.grace_until().map(timestamp),
        period_start: subscription.period.map(Period::start).map(timestamp),
        period_end: subscription.period.map(Period::end).map(timestamp),
        cancel_at: subscription.cancel_at.map(timestamp),
        created_at: Some(timestamp(subscription.created_at)),
        ended_at: subscription.ended_at.map(timestamp),
        version: subscription.version,
        auto_renew: subscription.method.is_some()
            && subscription.cancel_at.is_none()
            && !subscription.state.has_ended(),
        payment_method_label: subscription.method.as_ref().map(|method| method.label.clone()).unwrap_or_default(),
        open_invoice_id: open_invoice.map(|id| id.to_string()).unwrap_or_default(),
        coupon: subscription.discounts.coupon.as_ref().map(|own| own.coupon.code.clone()).unwrap_or_default(),
        // A discount never exceeds the price, and a price that was sold fits with its tax.
        renewal_total: Some(money(subscription.renewal_total(tax).unwrap_or(renewal.price))),
        anchor_day: subscription
            .anchor
            .filter(|_| offer.term.has_months())
            .map(|anchor| anchor.day_of_month())
            .unwrap_or_default(),
        time_zone: subscription.anchor.map(|anchor| anchor.zone.to_string()).unwrap_or_default(),
        next_anchor_day: subscription.calendar.moved.and_then(|moved| moved.day).map_or(0, AnchorDay::get),
        next_time_zone: subscription.calendar.moved.map(|moved| moved.zone.to_string()).unwrap_or_default(),
        pause_until: subscription.calendar.pause.and_then(|pause| pause.until).map(timestamp),
        pause_days_max: offer.pause_days_max,
        paid_through: subscription.paid_through.map(timestamp),
        next_price_id: subscription.next_offer.as_ref().map(|next| next.price_id.to_string()).unwrap_or_default(),
        next_plan_name: subscription.next_offer.as_ref().map(|next| next.plan_name.clone()).unwrap_or_default(),
        suspend_cause: suspend_cause(subscription.state).into(),
        late_renewal_from_payment: offer.late_renewal == LateRenewal::FromPayment,
        announced_price: subscription
            .calendar
            .price_change
            .as_ref()
            .map(|change| term_price(&change.offer.clone().keeping(offer))),
        announced_price_at: subscription.price_changes_at().ok().flatten().map(timestamp),
        options: offer.options.iter().map(option::chosen).collect(),
        term_price: Some(term_price(offer)),
        once: offer.once,
        next_options: if renewal.buys_the_same(offer) {
            Vec::new()
        } else {
            renewal.options.iter().map(option::chosen).collect()
        },
        addons: offer.addons.iter().map(addon::bought).collect(),
        next_addons: if renewal.buys_the_same(offer) {
            Vec::new()
        } else {
            renewal.addons.iter().map(addon::bought).collect()
        },
        changes_at_renewal: !renewal.buys_the_same(offer),
        price_override: subscription.calendar.price_override.as_ref().map(|given| proto::PriceOverride {
            price: Some(money(given.price)),
            until: given.until.map(timestamp),
            since: Some(timestamp(given.since)),
        }),
    }
}
