//! What is sent, call by call. Requests carry nothing that is not needed: a peer or an older version refuses what it does not know.

use ottery_kernel::AccountId;
use sha2::{Digest as _, Sha256};

use super::amount::to_stripe;
use super::call::{Call, segment};
use super::wire::{ASKED, PAYMENT, REFUND, SETUP};
use crate::domain::reconcile::Kind;
use crate::provider::{
    CallError, ChargeAsk, CheckoutAsk, ConfirmAsk, Evidence, EvidenceAsk, RefundAsk, ReportAsk, SetupAsk,
};

/// Objects that come along with a payment, so that one answer says what came, what Stripe keeps and what was saved.
const WITH_PAYMENT: [&str; 2] = ["latest_charge.balance_transaction", "payment_method"];
/// Longest title of a page.
const TITLE_CHARS_MAX: usize = 200;

/// The name under which Stripe keeps our references.
fn metadata(name: &str) -> String {
    format!("metadata[{name}]")
}

fn code(amount: ottery_kernel::Money) -> String {
    amount.currency.code().to_ascii_lowercase()
}

/// Makes a customer. Ours is the key, so that two pages opened at once find the same one.
pub fn customer(account: AccountId, email: &str) -> Call {
    Call::post("/v1/customers", format!("customer:{account}:{}", short(email)))
        .with_some("email", email)
        .with(&metadata("account"), account)
}

/// Makes a page on which is paid.
pub fn checkout(ask: &CheckoutAsk, customer: &str) -> Result<Call, CallError> {
    let item = "line_items[0]";
    let title: String = ask.title.chars().take(TITLE_CHARS_MAX).collect();
    let mut call = Call::post("/v1/checkout/sessions", format!("pay:{}", ask.payment))
        .with("mode", "payment")
        .with("customer", customer)
        .with("client_reference_id", ask.payment)
        .with(&metadata(PAYMENT), ask.payment)
        .with(&format!("{item}[quantity]"), 1)
        .with(&format!("{item}[price_data][currency]"), code(ask.amount))
        .with(&format!("{item}[price_data][unit_amount]"), to_stripe(ask.amount)?)
        .with(&format!("{item}[price_data][product_data][name]"), title)
        .with(&format!("payment_intent_data[{}", metadata_of(PAYMENT)), ask.payment)
        .with(&format!("payment_intent_data[{}", metadata_of(ASKED)), ask.amount.minor)
        // What Stripe keeps is known at once only when the money is taken at once.
        .with("payment_intent_data[capture_method]", "automatic")
        .with("success_url", &ask.return_url)
        .with("cancel_url", &ask.cancel_url);
    if ask.save_method {
        call = call.with("payment_intent_data[setup_future_usage]", "off_session");
    }
    Ok(call)
}

/// `metadata][name]`: inside of another bracket.
fn metadata_of(name: &str) -> String {
    format!("metadata][{name}]")
}

/// Makes a page on which a method is saved.
pub fn setup(ask: &SetupAsk, customer: &str) -> Call {
    let reference = ask.setup.simple();
    Call::post("/v1/checkout/sessions", format!("setup:{reference}"))
        .with("mode", "setup")
        .with("customer", customer)
        .with("currency", ask.currency.code().to_ascii_lowercase())
        .with("client_reference_id", reference)
        .with(&metadata(SETUP), reference)
        .with(&format!("setup_intent_data[{}", metadata_of(SETUP)), reference)
        .with("success_url", &ask.return_url)
        .with("cancel_url", &ask.cancel_url)
}

/// Closes a page.
pub fn expire(page: &str) -> Result<Call, CallError> {
    Ok(Call::post(format!("/v1/checkout/sessions/{}/expire", segment(page)?), format!("expire:{page}")))
}

/// Reads a page, with its payment or what it saved.
pub fn page(page: &str) -> Result<Call, CallError> {
    let paid = WITH_PAYMENT.map(|object| format!("payment_intent.{object}"));
    let objects = paid.iter().map(String::as_str).chain(["setup_intent.payment_method"]);
    Ok(Call::get(format!("/v1/checkout/sessions/{}{}", segment(page)?, expanded(objects))))
}

/// Charges a saved method without its holder.
pub fn charge(ask: &ChargeAsk) -> Result<Call, CallError> {
    let mut call = Call::post("/v1/payment_intents", format!("charge:{}", ask.payment))
        .with("amount", to_stripe(ask.amount)?)
        .with("currency", code(ask.amount))
        .with("customer", ask.token.customer())
        .with("payment_method", ask.token.instrument())
        .with("off_session", true)
        .with("confirm", true)
        .with("capture_method", "automatic")
        .with(&metadata(PAYMENT), ask.payment)
        .with(&metadata(ASKED), ask.amount.minor);
    for object in WITH_PAYMENT {
        call = call.with("expand[]", object);
    }
    Ok(call)
}

/// Takes a charge up again, with its holder there.
pub fn confirm(ask: &ConfirmAsk) -> Result<Call, CallError> {
    let path = format!("/v1/payment_intents/{}/confirm", segment(&ask.payment_ref)?);
    let mut call = Call::post(path, format!("confirm:{}", ask.payment))
        .with("payment_method", ask.token.instrument())
        .with("off_session", false)
        .with("return_url", &ask.return_url);
    for object in WITH_PAYMENT {
        call = call.with("expand[]", object);
    }
    Ok(call)
}

/// Gives a payment up.
pub fn cancel(payment: &str) -> Result<Call, CallError> {
    Ok(Call::post(format!("/v1/payment_intents/{}/cancel", segment(payment)?), format!("cancel:{payment}")))
}

/// Reads a payment.
pub fn payment(payment: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v1/payment_intents/{}{}", segment(payment)?, expanded(WITH_PAYMENT))))
}

/// The newest payments of a customer, before one of them when given.
pub fn payments_of(customer: &str, before: Option<&str>) -> Result<Call, CallError> {
    let mut path = format!("/v1/payment_intents?limit=100&customer={}", segment(customer)?);
    if let Some(before) = before {
        path = format!("{path}&starting_after={}", segment(before)?);
    }
    Ok(Call::get(path))
}

/// Events after one of them; without one, the newest.
pub fn events_after(event: &str) -> Result<Call, CallError> {
    if event.is_empty() {
        return Ok(Call::get("/v1/events?limit=100"));
    }
    Ok(Call::get(format!("/v1/events?limit=100&ending_before={}", segment(event)?)))
}

/// A page of what was made between two instants, the newest first. The report names payments by their intent: that is what they
/// are called here. Its charge and what Stripe keeps of it come along, four levels deep as Stripe allows it.
pub fn report(ask: ReportAsk<'_>) -> Result<Call, CallError> {
    // A payment with what comes along is some eight kilobytes; a whole page must fit into an answer that is read.
    let (list, limit, expand) = match ask.kind {
        Kind::Payment => ("payment_intents", 50, "&expand%5B%5D=data.latest_charge.balance_transaction"),
        Kind::Refund => ("refunds", 100, ""),
        Kind::Dispute => ("disputes", 50, ""),
    };
    let (from, until) = (ask.from.timestamp(), ask.until.timestamp());
    let mut path = format!("/v1/{list}?limit={limit}&created%5Bgte%5D={from}&created%5Blt%5D={until}");
    if !ask.cursor.is_empty() {
        path = format!("{path}&starting_after={}", segment(ask.cursor)?);
    }
    Ok(Call::get(format!("{path}{expand}")))
}

/// Gives money back.
pub fn refund(ask: &RefundAsk) -> Result<Call, CallError> {
    Ok(Call::post("/v1/refunds", format!("refund:{}", ask.refund))
        .with("payment_intent", segment(&ask.payment_ref)?)
        .with("amount", to_stripe(ask.amount)?)
        .with(&metadata(REFUND), ask.refund))
}

/// The refunds of a payment.
pub fn refunds_of(payment: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v1/refunds?limit=100&payment_intent={}", segment(payment)?)))
}

/// Reads something by its id.
pub fn object(kind: &str, id: &str) -> Result<Call, CallError> {
    Ok(Call::get(format!("/v1/{kind}/{}", segment(id)?)))
}

/// Takes a method from its customer.
pub fn detach(method: &str) -> Result<Call, CallError> {
    Ok(Call::post(format!("/v1/payment_methods/{}/detach", segment(method)?), format!("detach:{method}")))
}

/// Gives in to an objection.
pub fn accept(dispute: &str) -> Result<Call, CallError> {
    Ok(Call::post(format!("/v1/disputes/{}/close", segment(dispute)?), format!("accept:{dispute}")))
}

/// Hands evidence in.
pub fn evidence(ask: &EvidenceAsk) -> Result<Call, CallError> {
    let Evidence { customer_name, customer_email, product, served_from, access_log, refund_policy, statement } =
        &ask.evidence;
    let said = format!("{:?}", ask.evidence);
    Ok(Call::post(
        format!("/v1/disputes/{}", segment(&ask.reference)?),
        format!("evidence:{}:{}", ask.dispute, short(&said)),
    )
    .with_some("evidence[customer_name]", customer_name)
    .with_some("evidence[customer_email_address]", customer_email)
    .with_some("evidence[product_description]", product)
    .with_some("evidence[service_date]", served_from)
    .with_some("evidence[access_activity_log]", access_log)
    .with_some("evidence[refund_policy_disclosure]", refund_policy)
    .with_some("evidence[uncategorized_text]", statement)
    .with("submit", true))
}

fn expanded<'a>(objects: impl IntoIterator<Item = &'a str>) -> String {
    let pairs = objects.into_iter().map(|object| ("expand[]", object));
    format!("?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// A few characters that differ when the text does: the same key must never carry other words.
fn short(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use ottery_kernel::{Currency, DisputeId, Money, PaymentId, RefundId};
    use reqwest::Method;
    use uuid::Uuid;

    use super::*;
    use crate::domain::payment::SavedToken;

    fn payment_id() -> PaymentId {
        "pay_0192f0c1a2b37c4d8e5f60718293a4b5".parse().unwrap()
    }

    fn account() -> AccountId {
        "acc_0192f0c1a2b37c4d8e5f60718293a4b6".parse().unwrap()
    }

    fn asked(save_method: bool) -> CheckoutAsk {
        CheckoutAsk {
            payment: payment_id(),
            amount: Money::new(1299, Currency::EUR),
            return_url: "https://tv.example/orders/1".into(),
            cancel_url: "https://tv.example/orders/1?back=1".into(),
            email: "ada@example.com".into(),
            save_method,
            account: account(),
            customer: String::new(),
            title: "Invoice INV-2026-000001".into(),
        }
    }

    fn form(call: &Call) -> Vec<String> {
        call.form.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_page_is_made_with_the_fields_of_the_reference() {
        let call = checkout(&asked(true), "cus_1").unwrap();
        assert_eq!((call.method.clone(), call.path.as_str()), (Method::POST, "/v1/checkout/sessions"));
        assert_eq!(call.key.as_deref(), Some("pay:pay_0192f0c1a2b37c4d8e5f60718293a4b5"));
        assert_eq!(
            form(&call),
            [
                "mode=payment",
                "customer=cus_1",
                "client_reference_id=pay_0192f0c1a2b37c4d8e5f60718293a4b5",
                "metadata[payment]=pay_0192f0c1a2b37c4d8e5f60718293a4b5",
                "line_items[0][quantity]=1",
                "line_items[0][price_data][currency]=eur",
                "line_items[0][price_data][unit_amount]=1299",
                "line_items[0][price_data][product_data][name]=Invoice INV-2026-000001",
                "payment_intent_data[metadata][payment]=pay_0192f0c1a2b37c4d8e5f60718293a4b5",
                "payment_intent_data[metadata][amount_minor]=1299",
                "payment_intent_data[capture_method]=automatic",
                "success_url=https://tv.example/orders/1",
                "cancel_url=https://tv.example/orders/1?back=1",
                "payment_intent_data[setup_future_usage]=off_session",
            ]
        );
        let unsaved = checkout(&asked(false), "cus_1").unwrap();
        assert!(form(&unsaved).iter().all(|field| !field.contains("setup_future_usage")));
    }

    #[test]
    fn a_renewal_is_one_call_that_charges_off_session() {
        let ask = ChargeAsk {
            payment: payment_id(),
            amount: Money::new(1099, Currency::EUR),
            token: SavedToken("cus_1/pm_1".into()),
        };
        let call = charge(&ask).unwrap();
        assert_eq!(call.key.as_deref(), Some("charge:pay_0192f0c1a2b37c4d8e5f60718293a4b5"));
        assert_eq!(
            form(&call),
            [
                "amount=1099",
                "currency=eur",
                "customer=cus_1",
                "payment_method=pm_1",
                "off_session=true",
                "confirm=true",
                "capture_method=automatic",
                "metadata[payment]=pay_0192f0c1a2b37c4d8e5f60718293a4b5",
                "metadata[amount_minor]=1099",
                "expand[]=latest_charge.balance_transaction",
                "expand[]=payment_method",
            ]
        );
        assert_eq!(call, charge(&ask).unwrap(), "the same bytes under the same key");
    }

    #[test]
    fn a_refund_names_its_payment_and_ours() {
        let refund_id: RefundId = "ref_0192f0c1a2b37c4d8e5f60718293a4b7".parse().unwrap();
        let ask = RefundAsk { refund: refund_id, payment_ref: "pi_1".into(), amount: Money::new(500, Currency::EUR) };
        let call = refund(&ask).unwrap();
        assert_eq!(call.key.as_deref(), Some("refund:ref_0192f0c1a2b37c4d8e5f60718293a4b7"));
        assert_eq!(
            form(&call),
            ["payment_intent=pi_1", "amount=500", "metadata[refund]=ref_0192f0c1a2b37c4d8e5f60718293a4b7"]
        );
    }

    #[test]
    fn a_page_that_saves_names_the_customer_and_the_currency() {
        let ask = SetupAsk {
            setup: Uuid::nil(),
            account: account(),
            customer: "cus_1".into(),
            email: String::new(),
            currency: Currency::EUR,
            return_url: "https://tv.example/account".into(),
            cancel_url: "https://tv.example/account".into(),
        };
        let nil = "00000000000000000000000000000000";
        assert_eq!(
            form(&setup(&ask, "cus_1"))[..6],
            [
                "mode=setup".to_owned(),
                "customer=cus_1".to_owned(),
                "currency=eur".to_owned(),
                format!("client_reference_id={nil}"),
                format!("metadata[setup]={nil}"),
                format!("setup_intent_data[metadata][setup]={nil}"),
            ]
        );
    }

    #[test]
    fn evidence_is_handed_in_and_other_words_are_another_call() {
        let dispute = DisputeId::new(DateTime::UNIX_EPOCH);
        let said = |statement: &str| EvidenceAsk {
            dispute,
            reference: "dp_1".into(),
            evidence: Evidence { statement: statement.into(), served_from: "2026-11-01".into(), ..Evidence::default() },
        };
        let call = evidence(&said("It was watched.")).unwrap();
        assert_eq!(
            (call.path.as_str(), form(&call)),
            (
                "/v1/disputes/dp_1",
                vec![
                    "evidence[service_date]=2026-11-01".to_owned(),
                    "evidence[uncategorized_text]=It was watched.".to_owned(),
                    "submit=true".to_owned()
                ]
            )
        );
        assert_ne!(call.key, evidence(&said("It was watched twice.")).unwrap().key);
    }

    #[test]
    fn questions_say_which_objects_come_along() {
        assert_eq!(
            payment("pi_1").unwrap().path,
            "/v1/payment_intents/pi_1?expand%5B%5D=latest_charge.balance_transaction&expand%5B%5D=payment_method"
        );
        assert_eq!(
            payments_of("cus_1", Some("pi_9")).unwrap().path,
            "/v1/payment_intents?limit=100&customer=cus_1&starting_after=pi_9"
        );
        assert_eq!(refunds_of("pi_1").unwrap().path, "/v1/refunds?limit=100&payment_intent=pi_1");
        assert!(payments_of("cus_1&x=y", None).is_err());
        let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).unwrap();
        let asked = |kind, cursor| report(ReportAsk { kind, from: at(100), until: at(200), cursor }).unwrap().path;
        assert_eq!(
            asked(Kind::Payment, "pi_9"),
            "/v1/payment_intents?limit=50&created%5Bgte%5D=100&created%5Blt%5D=200&starting_after=pi_9\
             &expand%5B%5D=data.latest_charge.balance_transaction"
        );
        assert_eq!(asked(Kind::Refund, ""), "/v1/refunds?limit=100&created%5Bgte%5D=100&created%5Blt%5D=200");
        assert_eq!(customer(account(), "").form.len(), 1);
        // Another address is another call: under the same key Stripe would refuse it.
        assert_ne!(customer(account(), "a@example.com").key, customer(account(), "b@example.com").key);
    }
}
