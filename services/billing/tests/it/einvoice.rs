//! E-invoices, held against the rules of EN 16931 by a validator that is not ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use billing::app::credit;
use billing::domain::einvoice::{EInvoice, Gap, Kind, Line, Party, Treatment};
use billing::domain::profile::Profile;
use chrono::NaiveDate;
use ottery_kernel::{Currency, Money, Term};
use serde::Deserialize;

use crate::world::{World, eur, offer, world};

#[derive(Debug, Deserialize)]
struct Verdict {
    file: PathBuf,
    errors: Vec<String>,
    rules: u64,
}

/// What the validator says of these documents, in their order.
fn validate(documents: &[(String, String)]) -> Vec<Verdict> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/einvoice/bin/python");
    assert!(python.exists(), "{} is missing: `make setup` installs the validator of e-invoices", python.display());
    let folder = std::env::temp_dir().join(format!("ottery-einvoice-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&folder).unwrap();
    let files: Vec<PathBuf> = documents
        .iter()
        .enumerate()
        .map(|(index, (_, xml))| {
            let file = folder.join(format!("{index}.xml"));
            std::fs::write(&file, xml).unwrap();
            file
        })
        .collect();
    let output = Command::new(python).arg(root.join("scripts/einvoice/validate.py")).args(&files).output().unwrap();
    assert!(output.status.success(), "the validator failed: {}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Verdict> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.iter().map(|verdict| verdict.file.clone()).collect::<Vec<_>>(), files);
    std::fs::remove_dir_all(folder).unwrap();
    verdicts
}

pub fn assert_valid(documents: &[(String, String)]) {
    for ((name, xml), verdict) in documents.iter().zip(validate(documents)) {
        assert_eq!(verdict.errors, Vec::<String>::new(), "{name}:\n{xml}");
        assert!(verdict.rules > 20, "{name}: only {} rules looked at it", verdict.rules);
    }
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn standard(rate_bp: u32) -> Treatment {
    Treatment::Standard { rate_bp }
}

fn line(name: &str, quantity: u32, net_minor: i64, tax_minor: i64, treatment: Treatment) -> Line {
    Line { name: name.into(), quantity, net_minor, tax_minor, treatment, days: None }
}

/// An open invoice of a German seller to an Austrian customer.
fn invoice(lines: Vec<Line>) -> EInvoice {
    EInvoice {
        kind: Kind::Invoice,
        number: "INV-2026-000042".into(),
        issued_on: date("2026-11-26"),
        due_on: Some(date("2026-12-03")),
        currency: Currency::EUR,
        note: String::new(),
        seller: Party {
            id: "ent_1".into(),
            name: "Nordlicht Medien GmbH".into(),
            trading_name: "Nordlicht TV".into(),
            address_lines: vec!["Hafenstraße 7".into(), "2. OG".into(), "20095 Hamburg".into(), "Hinterhof".into()],
            country: "DE".into(),
            tax_id: "DE 123 456 789".into(),
            email: "billing@nordlicht.example".into(),
        },
        buyer: Party {
            name: "Ada Lovelace".into(),
            country: "AT".into(),
            email: "ada@example.com".into(),
            ..Party::default()
        },
        lines,
        paid_minor: 0,
    }
}

fn with(lines: Vec<Line>, change: impl FnOnce(&mut EInvoice)) -> EInvoice {
    let mut document = invoice(lines);
    change(&mut document);
    document
}

/// Tax taken out of a gross price, as prices with tax inside are billed.
fn inclusive(name: &str, gross_minor: i64, rate_bp: u32) -> Line {
    let tax = billing::domain::tax::inside(eur(gross_minor), rate_bp).unwrap().minor;
    line(name, 1, gross_minor - tax, tax, standard(rate_bp))
}

fn fixtures() -> Vec<(&'static str, EInvoice)> {
    let family = || inclusive("Family", 1190, 1900);
    let exempt = Treatment::Exempt { reason: "§ 19 UStG".into() };
    let outside = Treatment::OutOfScope { reason: "The seller is not registered for VAT".into() };
    let credit = |document: &mut EInvoice| {
        document.kind = Kind::CreditNote { invoice: "INV-2026-000042".into(), invoice_issued_on: date("2026-11-26") };
        document.number = "INV-CN-2026-000001".into();
        document.note = "Did not work on the TV".into();
        document.due_on = None;
    };
    vec![
        ("prices with tax inside", invoice(vec![family(), inclusive("Set-up", 999, 1900)])),
        ("prices without tax", invoice(vec![line("Family", 3, 3000, 570, standard(1900))])),
        ("several rates", invoice(vec![family(), inclusive("Magazine", 1070, 700), inclusive("Third", 999, 1050)])),
        ("a quantity that does not divide the price", invoice(vec![line("Screens", 3, 1000, 190, standard(1900))])),
        ("rounding line by line", invoice((0..30).map(|_| inclusive("Ticket", 999, 1900)).collect())),
        ("a discount line", invoice(vec![family(), line("Coupon WELCOME", 1, -200, -38, standard(1900))])),
        ("nothing to pay", invoice(vec![family(), line("Coupon FREE", 1, -1000, -190, standard(1900))])),
        ("a free line", invoice(vec![line("Trial", 1, 0, 0, standard(1900))])),
        ("paid", with(vec![family()], |document| document.paid_minor = 1190)),
        ("partly paid", with(vec![family()], |document| document.paid_minor = 190)),
        ("without a due day", with(vec![family()], |document| document.due_on = None)),
        ("yen", with(vec![line("Family", 1, 909, 91, standard(1000))], |document| document.currency = Currency::JPY)),
        (
            "dinars, whose third decimal is none",
            with(vec![line("Family", 2, 10_000, 500, standard(500))], |document| {
                document.currency = "KWD".parse().unwrap()
            }),
        ),
        (
            "reverse charge",
            with(vec![line("Family", 1, 1000, 0, Treatment::ReverseCharge)], |document| {
                document.buyer.tax_id = "ATU12345678".into();
            }),
        ),
        ("zero rate", invoice(vec![line("Export", 1, 1000, 0, Treatment::Zero), family()])),
        ("exempt", invoice(vec![line("Course", 1, 1000, 0, exempt)])),
        (
            "a seller outside of VAT",
            with(vec![line("Family", 1, 1000, 0, outside)], |document| {
                document.seller.tax_id.clear();
                document.buyer.tax_id = "ATU12345678".into();
            }),
        ),
        (
            "a seller with a tax number that is no VAT number",
            with(vec![family()], |document| {
                (document.seller.country, document.seller.tax_id) = ("US".into(), "12-3456789".into());
            }),
        ),
        (
            "a Greek seller, whose numbers begin otherwise than the country",
            with(vec![line("Family", 1, 1000, 240, standard(2400))], |document| {
                (document.seller.country, document.seller.tax_id) = ("GR".into(), "EL123456789".into());
            }),
        ),
        (
            "names that are long, not Latin, or look like markup",
            with(vec![line(&"Прем&<ium> ".repeat(90), 1, 1000, 190, standard(1900))], |document| {
                document.seller.name = "光の放送株式会社 \"<&>\"".into();
                document.buyer.name = format!("שידורי לומן {} \u{1}\u{fffe}", "M".repeat(300));
                document.seller.address_lines = vec!["شارع الملك فهد 7".into()];
            }),
        ),
        (
            "a line with the days it covers",
            with(vec![family()], |document| {
                document.lines[0].days = Some((date("2026-11-26"), date("2026-12-25")));
            }),
        ),
        ("a credit note", with(vec![family()], credit)),
        (
            "a credit note that was paid out",
            with(vec![family(), inclusive("Magazine", 1070, 700)], |document| {
                credit(document);
                document.paid_minor = 2260;
            }),
        ),
        (
            "a credit note in reverse charge",
            with(vec![line("Family", 1, 1000, 0, Treatment::ReverseCharge)], |document| {
                credit(document);
                document.buyer.tax_id = "ATU12345678".into();
            }),
        ),
    ]
}

#[test]
fn every_kind_of_invoice_keeps_the_rules_of_en_16931() {
    let written: Vec<(String, String)> = fixtures()
        .into_iter()
        .map(|(name, document)| (name.to_owned(), document.to_ubl().unwrap_or_else(|gap| panic!("{name}: {gap}"))))
        .collect();
    assert!(written.len() >= 12);
    assert_valid(&written);
}

#[test]
fn the_validator_rejects_what_is_wrong() {
    let good = invoice(vec![inclusive("Family", 1190, 1900)]).to_ubl().unwrap();
    let broken = [
        ("BR-CO-15", ">11.90</cbc:TaxInclusiveAmount>", ">11.91</cbc:TaxInclusiveAmount>"),
        (
            "BR-CO-10",
            ">10.00</cbc:LineExtensionAmount>\n    <cbc:TaxExclusive",
            ">10.01</cbc:LineExtensionAmount>\n    <cbc:TaxExclusive",
        ),
        (
            "BR-CO-17",
            ">1.90</cbc:TaxAmount>\n      <cac:TaxCategory>",
            ">3.90</cbc:TaxAmount>\n      <cac:TaxCategory>",
        ),
        ("BR-09", "<cbc:IdentificationCode>DE</cbc:IdentificationCode>", ""),
        ("BR-CL-04", "<cbc:DocumentCurrencyCode>EUR<", "<cbc:DocumentCurrencyCode>XXY<"),
        ("XSD", "<cbc:IssueDate>2026-11-26</cbc:IssueDate>", ""),
    ];
    let documents: Vec<(String, String)> = broken
        .iter()
        .map(|(rule, from, to)| {
            assert!(good.contains(from), "{rule}: {from} is not in\n{good}");
            ((*rule).to_owned(), good.replacen(from, to, 1))
        })
        .collect();
    for ((rule, _), verdict) in documents.iter().zip(validate(&documents)) {
        assert!(verdict.errors.iter().any(|error| error.starts_with(rule.as_str())), "{rule}: {:?}", verdict.errors);
    }
}

#[test]
fn what_the_norm_insists_on_is_named_with_the_place_where_it_is_set() {
    let family = || vec![inclusive("Family", 1190, 1900)];
    let gap = |document: EInvoice| document.to_ubl().unwrap_err();
    let told = gap(with(family(), |document| document.buyer.country.clear()));
    assert_eq!(told.field(), Some("buyer.country"));
    let text = told.to_string();
    assert!(text.contains("BT-55") && text.contains("set it on the customer's account or in the order"), "{text}");
    let country = gap(with(family(), |document| document.seller.country = "Germany".into())).to_string();
    assert!(country.contains("`Germany`") && country.contains("two capital letters"), "{country}");
    let reverse = vec![line("Family", 1, 1000, 0, Treatment::ReverseCharge)];
    assert_eq!(gap(invoice(reverse)).field(), Some("buyer.tax_id"));
    assert_eq!(gap(with(family(), |document| document.seller.tax_id.clear())).field(), Some("seller.tax_id"));
    let outside = Treatment::OutOfScope { reason: "No VAT".into() };
    let mixed = vec![inclusive("Family", 1190, 1900), line("Gift", 1, 100, 0, outside)];
    assert_eq!(gap(invoice(mixed)), Gap::Mixed { line: 1 });
    let kwd: Currency = "KWD".parse().unwrap();
    let fine = with(vec![line("Family", 1, 10_001, 500, standard(500))], |document| document.currency = kwd);
    let text = gap(fine).to_string();
    assert!(text.contains("lines[0]") && text.contains("10.001") && text.contains("at most 2 decimals"), "{text}");
    let yen = vec![line("A", 1, 455, 46, standard(1000)), line("B", 1, 455, 46, standard(1000))];
    let rounded = gap(with(yen, |document| document.currency = Currency::JPY)).to_string();
    assert!(rounded.contains("the tax of 10 % is 92 on 910 JPY"), "{rounded}");
}

#[test]
fn the_same_invoice_gives_the_same_bytes() {
    for (name, document) in fixtures() {
        assert_eq!(document.to_ubl(), document.clone().to_ubl(), "{name}");
    }
}

async fn ubl(world: &World, invoice: ottery_kernel::InvoiceId, note: Option<ottery_kernel::CreditNoteId>) -> String {
    world.billing.invoice_ubl(world.brand, invoice, note, None).await.unwrap().xml
}

#[tokio::test]
async fn invoices_and_credit_notes_of_the_service_are_e_invoices() {
    let world = world().await;
    let mut with_setup = offer(1190, Term::MONTH);
    with_setup.setup_fee = Some(eur(999));
    let placed = world.order(world.account(), with_setup).await;
    let invoice = world.invoice_of(&placed).await;
    let open = ubl(&world, invoice.id, None).await;
    world.pay(&invoice).await;
    let paid = ubl(&world, invoice.id, None).await;
    assert!(
        open.contains(">21.89</cbc:PayableAmount>") && paid.contains(">0.00</cbc:PayableAmount>"),
        "{open}\n{paid}"
    );
    let mut notes = Vec::new();
    for amount in [eur(500), eur(1689)] {
        let mut tx = world.tx().await;
        let known = world.invoice(invoice.id).await;
        let note = credit::issue(&mut tx, world.brand, &known, amount, "Did not work", world.now()).await.unwrap();
        tx.commit().await.unwrap();
        notes.push(ubl(&world, invoice.id, Some(note.id)).await);
    }
    assert!(notes.iter().all(|note| note.contains("<cbc:ID>INV-2026-000001</cbc:ID>")), "the invoice is named");
    let documents = [open, paid].into_iter().chain(notes).map(|xml| ("of the service".to_owned(), xml));
    assert_valid(&documents.collect::<Vec<_>>());
}

#[tokio::test]
async fn an_invoice_that_lacks_something_says_so_instead_of_being_invalid() {
    let mut world = world().await;
    world.profile = Profile { tax_rate_bp: 0, ..world.profile.clone() };
    world.profile.entity.country.clear();
    world.know_version(&world.profile, 2).await;
    let placed = world.order(world.account(), offer(1190, Term::MONTH)).await;
    let id = placed.order.invoice.unwrap();
    let problem = world.billing.invoice_ubl(world.brand, id, None, None).await.unwrap_err();
    assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), ("E_INVOICE_INCOMPLETE", Some("seller.country")));
    // Somebody else's is not there at all.
    let stranger = world.billing.invoice_ubl(world.brand, id, None, Some(world.account())).await.unwrap_err();
    assert_eq!(stranger.reason, "INVOICE_NOT_FOUND");
    assert_eq!(world.invoice(id).await.totals.total, Money::new(1190, Currency::EUR));
}

#[tokio::test]
async fn a_consolidated_invoice_and_its_credit_note_keep_the_rules() {
    let world = world().await;
    let staff = ottery_testkit::actor::owner(world.brand);
    let rules = billing::domain::rules::InvoiceRules { consolidated: true, ..Default::default() };
    world.billing.put_invoice_rules(&staff, world.brand, rules).await.unwrap();
    let account = world.account();
    let mut all = Vec::new();
    for minor in [1190, 999, 3333] {
        let placed = world.order(account, offer(minor, Term::MONTH)).await;
        world.pay(&world.invoice_of(&placed).await).await;
        all.push(world.subscription(placed.order.subscription).await);
    }
    world.advance_to(all[0].paid_through.unwrap() - chrono::TimeDelta::hours(72)).await;
    let open = world.open_invoice(all[2].id).await.unwrap();
    let whole = open.known_as();
    let mut written = Vec::new();
    let ubl = world.billing.invoice_ubl(world.brand, whole, None, Some(account)).await.unwrap();
    assert_eq!(ubl.file_name, "INV-2026-000004.xml");
    written.push(("a consolidated invoice".to_owned(), ubl.xml));
    world.billing.cancel(world.brand, all[1].id, None, "", &staff).await.unwrap();
    let (_, notes) = world.billing.invoice(world.brand, whole, Some(account)).await.unwrap();
    let ubl = world.billing.invoice_ubl(world.brand, whole, Some(notes[0].id), Some(account)).await.unwrap();
    assert!(ubl.xml.contains("INV-2026-000004"), "it names the common number");
    written.push(("the credit note of a part".to_owned(), ubl.xml));
    world.settle(&world.payment(&open, eur(4523), eur(4523))).await;
    let ubl = world.billing.invoice_ubl(world.brand, whole, None, Some(account)).await.unwrap();
    written.push(("paid".to_owned(), ubl.xml));
    assert_valid(&written);
}
