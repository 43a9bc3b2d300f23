//! VAT numbers: asked about outside of any transaction, invoices that wait, and the proof on them.

use std::sync::{Arc, Mutex};

use billing::app::Billing;
use billing::app::checkout::Ask;
use billing::domain::address::{Address, Kept};
use billing::domain::invoice::Invoice;
use billing::domain::tax::{Place, Rule, Treatment};
use billing::domain::vat::Standing;
use billing::store;
use billing::store::quote::Stored;
use billing::validator::Vies;
use chrono::TimeDelta;
use ottery_kernel::{AccountId, PriceId, Term};
use ottery_kit::grpc::Problem;
use ottery_kit::http::{GuardSettings, GuardedClient};
use ottery_proto::billing::v1 as proto;
use ottery_proto::billing::v1::billing_address::VatState;
use ottery_testkit::actor;
use ottery_testkit::recorder::{outbox, payload};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::calls::{Served, served, shelved};
use crate::exports;
use crate::taxes::{rule, tell};
use crate::world::placing;

const FRENCH: &str = "FR40303265045";
const VALID: &str =
    r#"{"valid":true,"requestIdentifier":"WAPIAAAAY","name":"SA SODIMAS","address":"---","userError":"VALID"}"#;
const INVALID: &str = r#"{"valid":false,"userError":"INVALID"}"#;
const AWAY: &str = r#"{"actionSucceed":false,"errorWrappers":[{"error":"MS_UNAVAILABLE"}]}"#;

/// A service that speaks like VIES, and says what it is told to.
#[derive(Clone)]
struct Register {
    says: Arc<Mutex<&'static str>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Register {
    fn says(&self, answer: &'static str) {
        *self.says.lock().unwrap() = answer;
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    async fn open() -> (Self, String) {
        let register = Self { says: Arc::new(Mutex::new(VALID)), heard: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = register.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) {
                    if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                own.heard.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                let body = *own.says.lock().unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (register, format!("http://{address}/rest-api"))
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// A shop that sells to businesses in France, and the register it asks. Nothing works by itself in it.
struct Shop {
    served: Served,
    billing: Billing,
    register: Register,
}

impl Shop {
    async fn open() -> Self {
        let served = shelved().await;
        let reverse = Rule { reverse_charge: true, ..rule("FR", 2000, "TVA") };
        tell(&served.world, 1, &[reverse]).await;
        let (register, url) = Register::open().await;
        let settings = GuardSettings { allow: vec!["127.0.0.0/8".parse().unwrap()], ..GuardSettings::default() };
        let vies = Vies::new(GuardedClient::new(&settings).unwrap(), &url);
        let billing = Billing { validator: Some(Arc::new(vies)), ..served.world.billing.clone() };
        Self { served, billing, register }
    }

    /// Somebody in France who says they are a business.
    async fn business(&self) -> AccountId {
        let account = self.served.world.account();
        self.number(account, FRENCH, 0).await.unwrap();
        account
    }

    async fn put(&self, account: AccountId, address: Address, version: i64) -> Result<Kept, Problem> {
        let brand = self.served.world.brand;
        let me = actor::customer(brand, account);
        self.billing.put_billing_address(brand, account, address, version, &me).await
    }

    async fn number(&self, account: AccountId, number: &str, version: i64) -> Result<Kept, Problem> {
        let address = Address {
            company: "SA Sodimas".into(),
            lines: vec!["Rue Ampère 11".into()],
            postal_code: "26600".into(),
            city: "Pont-de-l'Isère".into(),
            region: String::new(),
            country: "FR".into(),
            vat_number: number.into(),
        };
        self.put(account, address, version).await
    }

    async fn quote(&self, account: AccountId, price: PriceId) -> Stored {
        let (currency, trial, coupon) = (None, false, String::new());
        let (options, addons, place) = (Vec::new(), Vec::new(), Place::default());
        let (email, device) = (String::new(), String::new());
        let ask = Ask { price, currency, place, trial, account: Some(account), coupon, options, addons, email, device };
        self.billing.create_quote(self.served.world.brand, ask).await.unwrap()
    }

    async fn place(&self, account: AccountId, quote: &Stored) -> Result<Invoice, Problem> {
        let world = &self.served.world;
        let placed = self.billing.place_order(world.brand, placing(quote.id, account), None).await?;
        Ok(world.invoice_of(&placed).await)
    }

    async fn standing(&self, account: AccountId) -> Option<Standing> {
        self.billing.billing_address(self.served.world.brand, account).await.unwrap().unwrap().standing
    }

    /// The workers ask what is due.
    async fn ask(&self) {
        self.billing.work_errands().await.unwrap();
    }

    /// Makes what waits in real time due.
    async fn ring(&self) {
        sqlx::query("UPDATE errand SET due_at = now()").execute(&self.served.world.database.pool).await.unwrap();
        self.ask().await;
    }

    async fn work_off(&self) {
        while self.billing.run_batch(self.served.world.brand).await.unwrap() > 0 {}
    }

    /// A business with a paid subscription, billed without tax.
    async fn subscriber(&self) -> Invoice {
        let account = self.business().await;
        self.ask().await;
        let price = self.served.sell(1200, Term::MONTH);
        let invoice = self.place(account, &self.quote(account, price).await).await.unwrap();
        self.served.world.pay(&invoice).await;
        self.served.world.invoice(invoice.id).await
    }

    /// To the instant at which the renewal is issued.
    async fn renewal_due(&self, invoice: &Invoice) {
        let end = self.served.world.subscription(invoice.subscription.unwrap()).await.paid_through.unwrap();
        self.served.world.host.clock.set(end - TimeDelta::hours(72));
    }

    async fn told(&self) -> Vec<(String, proto::vat_number_decided::Outcome)> {
        let events = outbox(&self.served.world.database.pool).await;
        let decided = events.iter().filter(|event| event.r#type == "billing.vat.decided.v1");
        decided.map(payload::<proto::VatNumberDecided>).map(|told| (told.email.clone(), told.outcome())).collect()
    }
}

#[tokio::test]
async fn a_business_abroad_is_billed_without_tax_with_the_proof_and_the_words_on_every_paper() {
    let shop = Shop::open().await;
    let invoice = shop.subscriber().await;
    assert_eq!((invoice.totals.total.minor, invoice.totals.tax.minor), (1000, 0), "an inclusive price less its tax");
    assert_eq!(invoice.lines[0].treatment, Treatment::ReverseCharge);
    let decision = invoice.snapshot.tax.clone().unwrap();
    let proof = decision.evidence.unwrap();
    assert_eq!((proof.validator.as_str(), proof.reference.as_str()), ("vies", "WAPIAAAAY"));
    assert_eq!((proof.number.as_str(), proof.name.as_str(), proof.address.as_str()), (FRENCH, "SA SODIMAS", ""));
    assert!(proof.check_id.starts_with("vat_") && decision.source.as_str() == "customer");
    let asked = shop.register.heard();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("POST /rest-api/check-vat-number "), "{}", asked[0]);
    assert!(
        asked[0].contains(r#""countryCode":"FR""#) && asked[0].contains(r#""vatNumber":"40303265045""#),
        "{}",
        asked[0]
    );

    let brand = shop.served.world.brand;
    let paper = shop.billing.invoice_document(brand, invoice.id, None, None).await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&paper.json).unwrap();
    assert_eq!(document["notes"], "Reverse charge: the customer accounts for the tax");
    assert_eq!(
        (document["buyer"]["name"].as_str(), document["buyer"]["tax_id"].as_str()),
        (Some("SA Sodimas"), Some(FRENCH))
    );
    assert_eq!(
        document["buyer"]["address_lines"],
        serde_json::json!(["Ada", "Rue Ampère 11", "26600 Pont-de-l'Isère", "FR"])
    );
    let xml = shop.billing.invoice_ubl(brand, invoice.id, None, None).await.unwrap().xml;
    for text in ["<cbc:ID>AE</cbc:ID>", "VATEX-EU-AE", FRENCH, "SA Sodimas"] {
        assert!(xml.contains(text), "`{text}` is not in {xml}");
    }
    assert_eq!(billing::contract::invoice(&invoice, &[]).tax_proof.unwrap().reference, "WAPIAAAAY");
    shop.served.world.assert_sound().await;
}

#[tokio::test]
async fn the_export_of_a_day_says_where_the_buyer_is_who_said_so_and_what_proves_the_business() {
    let shop = Shop::open().await;
    let world = &shop.served.world;
    let day = world.today();
    shop.subscriber().await;
    world.host.clock.advance(TimeDelta::days(2));
    let text = world.invoices_csv(day).await;
    let [row] = exports::rows(&text).try_into().unwrap();
    let told = |columns: &[&str]| columns.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
    assert_eq!(told(&["net", "tax", "tax_rate_percent", "tax_category"]), ["10.00", "0.00", "0.00", "AE"]);
    assert_eq!(told(&["place_country", "place_postal_code", "place_source"]), ["FR", "26600", "customer"]);
    assert_eq!(told(&["vat_number", "vat_proof"]), [FRENCH, "vies WAPIAAAAY"]);
    assert!(row["vat_checked_at"].ends_with('Z'));
    // Another rate and another answer later change nothing of it.
    world.advance(TimeDelta::days(40)).await;
    assert_eq!(world.invoices_csv(day).await, text);
}

#[tokio::test]
async fn case_023_a_number_that_became_invalid_is_taxed_at_the_renewal_and_its_customer_told() {
    let shop = Shop::open().await;
    let first = shop.subscriber().await;
    shop.register.says(INVALID);
    shop.renewal_due(&first).await;
    shop.work_off().await;
    let id = first.subscription.unwrap();
    assert_eq!(shop.served.world.open_invoice(id).await, None, "the invoice waits for the answer");
    assert!(matches!(shop.standing(first.account).await, Some(Standing::Pending { before: Some(_), .. })));
    shop.ask().await;
    assert!(matches!(shop.standing(first.account).await, Some(Standing::Invalid { .. })));
    shop.work_off().await;
    let renewal = shop.served.world.open_invoice(id).await.expect("it is issued with the answer");
    assert_eq!((renewal.totals.total.minor, renewal.totals.tax.minor), (1200, 200));
    assert_eq!(renewal.snapshot.tax.unwrap().evidence, None);
    let told = shop.told().await;
    assert_eq!(told.last(), Some(&("ada@example.com".to_owned(), proto::vat_number_decided::Outcome::Invalid)));
    assert_eq!(shop.served.world.invoice(first.id).await, first, "what was issued stays without tax");
    shop.served.world.assert_sound().await;
}

#[tokio::test]
async fn case_023_a_number_that_is_still_valid_renews_without_tax_and_with_a_new_proof() {
    let shop = Shop::open().await;
    let first = shop.subscriber().await;
    shop.renewal_due(&first).await;
    shop.work_off().await;
    shop.ask().await;
    shop.work_off().await;
    let renewal = shop.served.world.open_invoice(first.subscription.unwrap()).await.expect("it is issued");
    assert_eq!((renewal.totals.total.minor, renewal.totals.tax.minor), (1000, 0));
    let proof = |invoice: &Invoice| invoice.snapshot.tax.clone().unwrap().evidence.unwrap();
    assert!(
        proof(&renewal).checked_at > proof(&first).checked_at && proof(&renewal).check_id != proof(&first).check_id
    );
    assert_eq!(shop.register.heard().len(), 2);
}

#[tokio::test]
async fn case_023_while_the_register_is_away_the_invoice_waits_for_a_bounded_time_and_is_taxed_then() {
    let shop = Shop::open().await;
    let first = shop.subscriber().await;
    let id = first.subscription.unwrap();
    shop.register.says(AWAY);
    shop.renewal_due(&first).await;
    shop.work_off().await;
    shop.ask().await;
    shop.ring().await;
    shop.served.world.host.clock.advance(TimeDelta::hours(23));
    shop.work_off().await;
    assert_eq!(shop.served.world.open_invoice(id).await, None);
    shop.served.world.host.clock.advance(TimeDelta::hours(1));
    shop.work_off().await;
    let renewal = shop.served.world.open_invoice(id).await.expect("a day was long enough");
    assert_eq!(renewal.totals.tax.minor, 200);
    assert_eq!(shop.told().await.last().unwrap().1, proto::vat_number_decided::Outcome::Unanswered);
    // An answer that comes later is for what comes later.
    shop.register.says(VALID);
    shop.ring().await;
    assert!(matches!(shop.standing(first.account).await, Some(Standing::Valid(_))));
    assert_eq!(shop.served.world.invoice(renewal.id).await.totals.tax.minor, 200);
    shop.work_off().await;
    shop.served.world.assert_sound().await;
}

#[tokio::test]
async fn an_order_waits_for_the_answer_about_a_new_number_and_goes_on_with_tax_when_none_comes() {
    let shop = Shop::open().await;
    shop.register.says(AWAY);
    let account = shop.business().await;
    let price = shop.served.sell(1200, Term::MONTH);
    let quoted = shop.quote(account, price).await;
    assert!(quoted.vat_until.is_some() && quoted.country == "FR");
    let refused = shop.place(account, &quoted).await.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), ("VAT_CHECK_PENDING", Some("vat_number")));
    shop.served.world.host.clock.advance(TimeDelta::hours(24));
    let invoice = shop.place(account, &shop.quote(account, price).await).await.unwrap();
    assert_eq!((invoice.totals.total.minor, invoice.totals.tax.minor), (1200, 200));
}

#[tokio::test]
async fn case_024_a_customer_who_moves_has_the_new_place_on_the_next_invoice_and_the_old_one_on_those_issued() {
    let shop = Shop::open().await;
    tell(&shop.served.world, 2, &[rule("FR", 2000, "TVA"), rule("EE", 2400, "KM")]).await;
    let account = shop.served.world.account();
    let live_in = async |country: &str, version| {
        shop.put(account, Address { country: country.into(), ..Address::default() }, version).await.unwrap();
    };
    live_in("FR", 0).await;
    let price = shop.served.sell(1240, Term::MONTH);
    // The order still says Germany, and another address than that counts.
    let first = shop.place(account, &shop.quote(account, price).await).await.unwrap();
    assert_eq!(
        (first.totals.tax.minor, first.snapshot.buyer.country.as_str()),
        (207, "FR"),
        "the billing address decides"
    );
    shop.served.world.pay(&first).await;
    live_in("EE", 1).await;
    shop.renewal_due(&first).await;
    shop.work_off().await;
    let next = shop.served.world.open_invoice(first.subscription.unwrap()).await.unwrap();
    assert_eq!((next.totals.tax.minor, next.snapshot.buyer.country.as_str()), (240, "EE"));
    let old = shop.served.world.invoice(first.id).await;
    assert_eq!((old.totals.tax.minor, old.snapshot.buyer.country.as_str(), old.lines), (207, "FR", first.lines));
}

#[tokio::test]
async fn what_is_typed_wrongly_is_refused_with_its_field_and_nothing_is_asked() {
    let shop = Shop::open().await;
    let account = shop.served.world.account();
    for (number, reason) in [
        ("FR40303265044", "VAT_NUMBER_CHECK_DIGIT"),
        ("DE136695976", "VAT_NUMBER_COUNTRY"),
        ("12", "VAT_NUMBER_PREFIX"),
    ] {
        let refused = shop.number(account, number, 0).await.unwrap_err();
        assert_eq!((refused.reason.as_ref(), refused.field.as_deref()), (reason, Some("vat_number")));
    }
    let kept = shop.number(account, "fr 40 303 265 045", 0).await.unwrap();
    assert_eq!((kept.address.vat_number.as_str(), kept.version), (FRENCH, 1));
    assert!(matches!(kept.standing, Some(Standing::Pending { .. })));
    assert_eq!(shop.number(account, FRENCH, 0).await.unwrap_err().reason, "STALE_VERSION");
    shop.ask().await;
    let same = shop.number(account, FRENCH, 1).await.unwrap();
    assert!(matches!(same.standing, Some(Standing::Valid(_))), "the same again asks nobody");
    assert_eq!(shop.register.heard().len(), 1);
    let removed = shop.number(account, "", 1).await.unwrap();
    assert_eq!((removed.standing, removed.version), (None, 2));
}

#[tokio::test]
async fn an_answer_about_a_number_that_was_replaced_meanwhile_changes_nothing() {
    let shop = Shop::open().await;
    let account = shop.business().await;
    shop.number(account, "", 1).await.unwrap();
    shop.ask().await;
    assert_eq!(shop.standing(account).await, None);
    assert!(shop.register.heard().is_empty(), "nobody waits for it any more");
}

#[tokio::test]
async fn staff_decide_on_a_number_no_service_knows_and_are_its_proof() {
    let served = served().await;
    let world = &served.world;
    let account = world.account();
    let address = proto::BillingAddress {
        country: "ch".into(),
        vat_number: "CHE-107.787.577 MWST".into(),
        ..proto::BillingAddress::default()
    };
    let asked = proto::PutBillingAddressRequest { address: Some(address), expected_version: 0 };
    let kept = served.customer(account).put_billing_address(asked).await.unwrap().into_inner();
    assert_eq!((kept.vat_state(), kept.source.as_str(), kept.version), (VatState::Pending, "customer", 1));
    let page = store::Page { before: None, limit: 10 };
    let tasks = world.billing.tasks(world.brand, page).await.unwrap();
    assert_eq!(tasks.iter().map(|task| task.kind.as_str()).collect::<Vec<_>>(), ["vat_number"]);

    let asking = |valid, reference: &str| proto::DecideVatNumberRequest {
        account_id: account.to_string(),
        valid,
        reference: reference.into(),
    };
    let decide = async |valid, reference: &str| {
        let mut staff = served.client(actor::staff(world.brand, ["order.manage"]));
        let decided = staff.decide_vat_number(asking(valid, reference)).await;
        decided.map(tonic::Response::into_inner).map_err(Problem::from)
    };
    assert_eq!(decide(true, "").await.unwrap_err().field.as_deref(), Some("reference"));
    let decided = decide(true, "uid.admin.ch, 26 November").await.unwrap();
    let proof = decided.vat_proof.clone().unwrap();
    assert_eq!(decided.vat_state(), VatState::Valid);
    assert!(proof.validator.starts_with("staff ") && proof.reference.starts_with("uid.admin.ch"));
    assert!(world.billing.tasks(world.brand, page).await.unwrap().is_empty());
    assert_eq!(decide(false, "struck off").await.unwrap().vat_state(), VatState::Invalid);
    let denied = served.customer(account).decide_vat_number(asking(true, "me")).await.unwrap_err();
    assert_eq!(denied.code(), tonic::Code::PermissionDenied);

    let theirs = proto::GetBillingAddressRequest { account_id: account.to_string() };
    let stranger = served.customer(world.account()).get_billing_address(theirs.clone()).await.unwrap_err();
    assert_eq!(Problem::from(stranger).reason, "BILLING_ADDRESS_NOT_FOUND");
    let mut clerk = served.client(actor::staff(world.brand, ["invoice.read"]));
    assert_eq!(clerk.get_billing_address(theirs).await.unwrap().into_inner().country, "CH");
}
