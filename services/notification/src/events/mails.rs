//! From an event to the mail that tells of it, if any does.

use chrono::NaiveDate;
use ottery_kit::consume::{Delivery, HandleError};
use ottery_proto::billing::v1::by_hand_told::What;
use ottery_proto::billing::v1::{
    ByHandTold, ConsolidatedSettled, DunningSuspended, Invoice, InvoiceFinalised, InvoiceSent, InvoiceSettled,
    MethodExpiring, OrderDeclined, PaymentFailed, PriceAnnounced, RefundSucceeded, ReminderDue, Subscription,
    SubscriptionChanged, VatNumberDecided, invoice, payment, subscription, vat_number_decided::Outcome,
};
use ottery_proto::common::v1::Money;
use ottery_proto::identity::v1::{MailRequested, mail_requested::Purpose};
use ottery_proto::provisioning::v1::ServiceChanged;
use ottery_proto::support::v1::{TicketChanged, ticket_changed::Change};
use serde_json::{Map, Value, json};

use crate::domain::kind::Kind;
use crate::domain::mail::{Mail, Params, SecretNeeded, greeting_name};

type Reader = fn(&Delivery) -> Result<Option<Mail>, HandleError>;

/// The events that are mails of their own.
pub const READERS: [(&str, Reader); 16] = [
    ("identity.mail.requested.v1", requested),
    ("provisioning.service.changed.v1", service),
    ("billing.invoice.finalised.v1", finalised),
    ("billing.invoice.sent.v1", sent),
    ("billing.invoice.settled.v1", settled),
    ("billing.consolidated.settled.v1", consolidated),
    ("billing.payment.failed.v1", payment_failed),
    ("billing.reminder.due.v1", reminder),
    ("billing.dunning.suspended.v1", suspended),
    ("billing.price.announced.v1", price_announced),
    ("billing.vat.decided.v1", vat_number),
    ("billing.method.expiring.v1", method_expiring),
    ("billing.by_hand.told.v1", by_hand),
    ("billing.order.declined.v1", declined),
    ("billing.refund.succeeded.v1", refunded),
    ("support.ticket.changed.v1", ticket),
];

fn missing(what: &str) -> HandleError {
    HandleError::permanent(format!("{what} is missing"))
}

fn amount(money: Option<&Money>) -> Value {
    money.map_or(Value::Null, |money| json!({ "minor": money.minor, "currency": money.currency }))
}

/// What is still owed of an invoice: nobody is reminded of what they paid.
fn remaining(invoice: &Invoice) -> Value {
    let paid = invoice.paid.as_ref().map_or(0, |paid| paid.minor);
    let left = invoice.total.clone().map(|total| Money { minor: total.minor - paid, ..total });
    amount(left.as_ref())
}

fn instant(at: Option<&prost_types::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.seconds.into())
}

fn is_positive(money: Option<&Money>) -> bool {
    money.is_some_and(|money| money.minor > 0)
}

/// A mail whose link pays an invoice without signing in.
fn pay_mail(delivery: &Delivery, kind: Kind, to: &str, locale: &str, invoice: &str, vars: Value) -> Mail {
    let mut mail = mail(delivery, kind, to, locale, "/pay/".to_owned(), vars);
    mail.params.secret = SecretNeeded::PayLink { invoice: invoice.to_owned() };
    mail
}

fn mail(delivery: &Delivery, kind: Kind, to: &str, locale: &str, path: String, vars: Value) -> Mail {
    let vars = match vars {
        Value::Object(vars) => vars,
        _ => Map::new(),
    };
    Mail {
        kind,
        event: delivery.event_id,
        recipient: to.trim().to_owned(),
        locale: locale.to_owned(),
        params: Params { path, vars, ..Params::default() },
    }
}

fn requested(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: MailRequested = delivery.payload()?;
    let is_staff = delivery.brand.is_none();
    let own = |staff: &str, customer: &str| (if is_staff { staff } else { customer }).to_owned();
    let (kind, path, has_token) = match event.purpose() {
        Purpose::Unspecified => return Err(HandleError::permanent("a mail without a purpose was requested")),
        Purpose::VerifyEmail => (Kind::VerifyEmail, own("/staff/verify?token=", "/account/verify?token="), true),
        Purpose::ResetPassword => (Kind::ResetPassword, own("/staff/reset?token=", "/account/reset?token="), true),
        Purpose::StaffInvitation => (Kind::StaffInvitation, "/staff/reset?token=".to_owned(), true),
        Purpose::AlreadyRegistered => (Kind::AlreadyRegistered, own("/staff", "/account/sign-in"), false),
        Purpose::NewDevice => (Kind::NewDevice, own("/staff/security", "/account/security"), false),
        Purpose::PasswordChanged => (Kind::PasswordChanged, own("/staff", "/account"), false),
    };
    let mut mail = mail(delivery, kind, &event.email, &event.locale, path, Value::Null);
    mail.params.name = greeting_name(&event.display_name);
    if has_token {
        mail.params.secret = SecretNeeded::LinkToken { request: event.mail_request_id };
    }
    Ok(Some(mail))
}

/// Only the credentials: that billing suspended or ended something is told once, from billing's own event.
fn service(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: ServiceChanged = delivery.payload()?;
    if !event.first_ready {
        return Ok(None);
    }
    let service = event.service.ok_or_else(|| missing("service"))?;
    let vars = json!({
        "plan_name": service.plan_name, "expires_at": instant(service.expires_at.as_ref()), "is_sandbox": service.sandbox,
    });
    let path = format!("/account/services/{}", service.id);
    let mut mail = mail(delivery, Kind::ServiceReady, &event.email, &event.locale, path, vars);
    mail.params.secret = SecretNeeded::Credentials { service: service.id };
    Ok(Some(mail))
}

fn items(invoice: &Invoice) -> Value {
    let lines = invoice.lines.iter();
    lines.map(|line| json!({ "description": line.description, "amount": amount(line.amount.as_ref()) })).collect()
}

fn invoice_mail(delivery: &Delivery, kind: Kind, invoice: &Invoice, vars: Value) -> Mail {
    let path = format!("/account/invoices/{}", invoice.id);
    let mut mail = mail(delivery, kind, &invoice.buyer_email, &invoice.locale, path, vars);
    mail.params.name = greeting_name(&invoice.buyer_name);
    mail
}

/// Renewals only: the first invoice is paid where it was ordered.
fn finalised(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let invoice = delivery.payload::<InvoiceFinalised>()?.invoice.ok_or_else(|| missing("invoice"))?;
    let is_renewal = invoice.purpose() == invoice::Purpose::Renewal;
    // What was carried forward is in the mail about the next one's payment.
    let is_asked_for = invoice.state() == invoice::State::Open && invoice.carried_at.is_none();
    if !is_renewal || !is_asked_for || !is_positive(invoice.total.as_ref()) {
        return Ok(None);
    }
    Ok(Some(issued(delivery, &invoice)))
}

/// Staff asked for it, so it goes out whatever it is for.
fn sent(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let invoice = delivery.payload::<InvoiceSent>()?.invoice.ok_or_else(|| missing("invoice"))?;
    Ok(Some(issued(delivery, &invoice)))
}

fn issued(delivery: &Delivery, invoice: &Invoice) -> Mail {
    let vars = json!({
        "invoice_number": invoice.number, "amount": amount(invoice.total.as_ref()),
        "due_at": instant(invoice.due_at.as_ref()), "items": items(invoice),
        "is_renewal": invoice.purpose() == invoice::Purpose::Renewal,
    });
    invoice_mail(delivery, Kind::InvoiceIssued, invoice, vars)
}

fn settled(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let invoice = delivery.payload::<InvoiceSettled>()?.invoice.ok_or_else(|| missing("invoice"))?;
    // Of a consolidated invoice there is one receipt, not one for each part.
    if invoice.consolidated_id.is_empty() { receipt(delivery, &invoice) } else { Ok(None) }
}

fn consolidated(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    receipt(delivery, &delivery.payload::<ConsolidatedSettled>()?.invoice.ok_or_else(|| missing("invoice"))?)
}

fn receipt(delivery: &Delivery, invoice: &Invoice) -> Result<Option<Mail>, HandleError> {
    if !is_positive(invoice.total.as_ref()) {
        return Ok(None);
    }
    let vars = json!({
        "invoice_number": invoice.number, "amount": amount(invoice.total.as_ref()),
        "tax": amount(invoice.tax.as_ref()), "tax_name": invoice.tax_name,
        "paid_at": invoice.closed_at.as_ref().map_or_else(|| delivery.occurred_at.timestamp().into(), |at| instant(Some(at))),
        "items": items(invoice),
    });
    Ok(Some(invoice_mail(delivery, Kind::Receipt, invoice, vars)))
}

fn payment_failed(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: PaymentFailed = delivery.payload()?;
    if event.quiet {
        return Ok(None);
    }
    let payment = event.payment.ok_or_else(|| missing("payment"))?;
    let vars = json!({
        "invoice_number": event.invoice_number, "amount": amount(payment.amount.as_ref()),
        "failure_code": payment.failure_code, "method": payment.method_label,
        "must_confirm": payment.state() == payment::State::ActionRequired,
    });
    let (to, locale) = (&event.email, &event.locale);
    let mut mail = pay_mail(delivery, Kind::PaymentFailed, to, locale, &payment.invoice_id, vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

fn by_hand(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: ByHandTold = delivery.payload()?;
    let kind = match event.what() {
        What::Short => Kind::ByHandShort,
        What::ProofRefused => Kind::ProofRefused,
        What::Unspecified => return Err(missing("what")),
    };
    let vars = json!({
        "title": event.title, "amount": amount(event.due.as_ref()), "came": amount(event.came.as_ref()),
        "reference": event.reference, "file_name": event.file_name, "reason": event.reason,
    });
    let mut mail = pay_mail(delivery, kind, &event.email, &event.locale, &event.invoice_id, vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

fn reminder(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: ReminderDue = delivery.payload()?;
    if event.quiet {
        return Ok(None);
    }
    let invoice = event.invoice.ok_or_else(|| missing("invoice"))?;
    let due = invoice.due_at.as_ref().map_or(i64::MAX, |at| at.seconds);
    let vars = json!({
        "invoice_number": invoice.number, "amount": remaining(&invoice),
        "due_at": instant(invoice.due_at.as_ref()), "plan_name": event.plan_name,
        "is_overdue": due < delivery.occurred_at.timestamp(), "step": event.step,
    });
    let mut mail = pay_mail(delivery, Kind::Reminder, &event.email, &event.locale, &invoice.id, vars);
    mail.params.name = greeting_name(&invoice.buyer_name);
    Ok(Some(mail))
}

fn suspended(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: DunningSuspended = delivery.payload()?;
    let invoice = event.invoice.ok_or_else(|| missing("invoice"))?;
    let vars = json!({
        "invoice_number": invoice.number, "amount": remaining(&invoice),
        "due_at": instant(invoice.due_at.as_ref()), "plan_name": event.plan_name,
    });
    let mut mail = pay_mail(delivery, Kind::Suspended, &event.email, &event.locale, &invoice.id, vars);
    mail.params.name = greeting_name(&invoice.buyer_name);
    Ok(Some(mail))
}

fn price_announced(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: PriceAnnounced = delivery.payload()?;
    let vars = json!({
        "plan_name": event.plan_name, "old_amount": amount(event.old_price.as_ref()),
        "new_amount": amount(event.new_price.as_ref()), "effective_at": instant(event.effective_at.as_ref()),
    });
    let path = format!("/account/subscriptions/{}", event.subscription_id);
    let mut mail = mail(delivery, Kind::PriceAnnounced, &event.email, &event.locale, path, vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

/// A number that is valid needs no mail: its invoices say so.
fn vat_number(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: VatNumberDecided = delivery.payload()?;
    let is_invalid = match event.outcome() {
        Outcome::Valid | Outcome::Unspecified => return Ok(None),
        Outcome::Invalid => true,
        Outcome::Unanswered => false,
    };
    let vars = json!({ "vat_number": event.vat_number, "is_invalid": is_invalid });
    let mut mail = mail(delivery, Kind::VatNumber, &event.email, &event.locale, "/account/billing".to_owned(), vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

fn method_expiring(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: MethodExpiring = delivery.payload()?;
    let vars = json!({
        "method": event.label, "expires": month(&event.expires_on)?, "plan_names": event.plan_names.join(", "),
        "renews_at": instant(event.renews_at.as_ref()),
    });
    let path = "/account/methods".to_owned();
    let mut mail = mail(delivery, Kind::MethodExpiring, &event.email, &event.locale, path, vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

/// A card's last month as it is printed on it, whatever the language: `05/2027`.
fn month(day: &str) -> Result<String, HandleError> {
    let day: NaiveDate = day.parse().map_err(HandleError::permanent)?;
    Ok(day.format("%m/%Y").to_string())
}

/// Not why: that would teach how to get around it.
fn declined(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: OrderDeclined = delivery.payload()?;
    let order = event.order.ok_or_else(|| missing("order"))?;
    let vars = json!({ "plan_name": order.plan_name });
    let path = format!("/orders/{}", order.id);
    let mut mail = mail(delivery, Kind::OrderDeclined, &order.email, &event.locale, path, vars);
    mail.params.name = greeting_name(&event.display_name);
    Ok(Some(mail))
}

fn refunded(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: RefundSucceeded = delivery.payload()?;
    let refund = event.refund.ok_or_else(|| missing("refund"))?;
    let vars = json!({
        "invoice_number": event.invoice_number, "amount": amount(refund.amount.as_ref()),
        "credit_note_number": event.credit_note.map(|note| note.number).unwrap_or_default(),
    });
    let path = format!("/account/invoices/{}", refund.invoice_id);
    Ok(Some(mail(delivery, Kind::Refunded, &event.email, &event.locale, path, vars)))
}

fn ticket(delivery: &Delivery) -> Result<Option<Mail>, HandleError> {
    let event: TicketChanged = delivery.payload()?;
    if event.change() != Change::StaffReplied {
        return Ok(None);
    }
    let ticket = event.ticket.ok_or_else(|| missing("ticket"))?;
    let vars = json!({ "ticket_number": ticket.number, "ticket_subject": ticket.subject, "text": event.text });
    let path = format!("/account/tickets/{}", ticket.id);
    Ok(Some(mail(delivery, Kind::TicketReplied, &ticket.email, &ticket.locale, path, vars)))
}

/// What the customer is told of a subscription's change.
pub fn subscription(
    delivery: &Delivery,
    event: &SubscriptionChanged,
    subscription: &Subscription,
    is_newly_cancelled: bool,
) -> Option<Mail> {
    use subscription::State;
    let (state, before) = (subscription.state(), event.previous_state());
    let own = format!("/account/subscriptions/{}", subscription.id);
    let (kind, path) = match state {
        // An order that was never paid ends quietly.
        State::Ended if before == State::Ended || before == State::Pending => return None,
        State::Ended => (Kind::Ended, "/plans".to_owned()),
        // The one about an invoice comes with it, from dunning; what staff did, they tell the customer themselves.
        _ if is_newly_cancelled => (Kind::Cancelled, own),
        _ => return None,
    };
    let mut vars = json!({ "plan_name": subscription.plan_name });
    if kind == Kind::Cancelled {
        vars["cancel_at"] = instant(subscription.cancel_at.as_ref());
    }
    Some(mail(delivery, kind, &event.email, &event.locale, path, vars))
}
