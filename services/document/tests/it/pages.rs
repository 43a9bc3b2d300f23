//! What stands on the page.

use ottery_document::{Document, Kind, Locale, Status};

use crate::documents::{LOGO, drawn, invoice, invoice_of, line, pages, properties, words};

fn shows(document: &Document, expected: &[&str]) {
    let text = words(&drawn(document));
    for words in expected {
        let words: String = words.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(text.contains(&words), "{words:?} is missing in {text}");
    }
}

#[test]
fn an_invoice_says_who_owes_what_and_that_it_is_paid() {
    shows(
        &invoice(),
        &[
            "Invoice",
            "LUM-2026-000042",
            "Lumen TV",
            "Ayşe Nowak",
            "Lumen Media GmbH",
            "DE123456789",
            "1 Nov 2026 – 30 Nov 2026",
        ],
    );
    shows(
        &invoice(),
        &["€1,000.00", "€2,000.00", "VAT 19% on €2,000.00", "€380.00", "€2,380.00", "PAID", "2 Nov 2026", "1 / 1"],
    );
}

#[test]
fn an_open_invoice_offers_to_pay_it() {
    let mut document = invoice();
    (document.status, document.paid_on) = (Status::Overdue, None);
    (document.paid_minor, document.balance_minor) = (0, 238_000);
    document.pay_url = Some("https://lumen.example/pay/abc".into());
    let pdf = drawn(&document);
    assert!(words(&pdf).contains("Payonline") && words(&pdf).contains("Overdue") && !words(&pdf).contains("PAID"));
    assert!(String::from_utf8_lossy(&pdf).contains("https://lumen.example/pay/abc"));
}

#[test]
fn a_pro_forma_says_in_every_language_that_it_is_no_invoice() {
    for (locale, title, disclaimer) in [
        (Locale::En, "Pro forma invoice", "This is not a tax invoice."),
        (Locale::De, "Proforma-Rechnung", "Dies ist keine Rechnung"),
        (Locale::Fr, "Facture pro forma", "n’est pas une facture"),
    ] {
        let mut document = invoice();
        (document.kind, document.locale) = (Kind::Proforma, locale);
        (document.status, document.paid_on) = (Status::Open, None);
        (document.paid_minor, document.balance_minor) = (0, 238_000);
        shows(&document, &[title, disclaimer]);
    }
}

#[test]
fn a_credit_note_names_the_invoice_it_takes_back() {
    let mut document = invoice();
    (document.kind, document.number) = (Kind::CreditNote, "LUM-CN-7".into());
    (document.due_on, document.status) = (None, Status::Refunded);
    document.credit_of = Some("LUM-2026-000042".into());
    shows(
        &document,
        &["Credit note", "LUM-CN-7", "Credits invoice", "LUM-2026-000042", "Refunded on", "Total credit", "REFUNDED"],
    );
}

#[test]
fn every_language_has_its_words_and_its_numbers() {
    let titles = [
        (Locale::En, "Balance due", "€2,380.00"),
        (Locale::De, "Offener Betrag", "2.380,00 €"),
        (Locale::Fr, "Reste à payer", "2 380,00 €"),
        (Locale::Es, "Pendiente de pago", "2380,00 €"),
        (Locale::Pt, "Saldo a pagar", "2.380,00 €"),
        (Locale::Tr, "Kalan tutar", "€2.380,00"),
    ];
    for (locale, balance, total) in titles {
        shows(&Document { locale, ..invoice() }, &[balance, total]);
    }
}

#[test]
fn arabic_is_drawn_with_letters_of_its_own() {
    let pdf = drawn(&Document { locale: Locale::Ar, ..invoice() });
    let properties = properties(&pdf);
    assert!(properties.contains("Vazirmatn") && properties.contains("R2L"), "{properties}");
    assert!(words(&pdf).contains("EUR2,380.00"));
}

#[test]
fn case_017_yen_have_no_decimals_and_dinars_three() {
    let mut document = invoice();
    document.currency = "JPY".parse().unwrap();
    shows(&document, &["¥100,000", "¥200,000", "¥238,000"]);
    document.currency = "KWD".parse().unwrap();
    shows(&document, &["KWD 100.000", "KWD 200.000", "KWD 38.000", "KWD 238.000"]);
}

#[test]
fn three_hundred_lines_run_over_pages_under_a_repeated_head() {
    let document = invoice_of((1..=300).map(|number| line(format!("Connection no. {number:03}"))).collect());
    let pages = pages(&drawn(&document));
    assert!(pages.len() >= 10, "{}", pages.len());
    for (index, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("{}/{}", index + 1, pages.len())), "{page}");
        assert!(page.contains("Unitprice") || !page.contains("Connection"), "{page}");
    }
    let all = pages.concat();
    assert!((1..=300).all(|number| all.matches(&format!("no.{number:03}")).count() == 1));
    assert!(pages.last().unwrap().contains("Balancedue"));
}

#[test]
fn a_logo_is_drawn_and_a_broken_one_gives_way_to_the_name() {
    let mut document = invoice();
    document.brand.logo_svg = Some(LOGO.into());
    let with_logo = drawn(&document);
    document.brand.logo_svg = Some("<svg".into());
    let without = drawn(&document);
    let headline = |pdf: &[u8]| words(pdf).matches("LumenTV").count();
    assert_eq!((headline(&with_logo), headline(&without)), (0, 1));
}

#[test]
fn the_file_names_the_brand_and_no_software() {
    let pdf = drawn(&invoice());
    let shown = properties(&pdf).to_lowercase();
    for name in ["typst", "krilla", "ottery", "xmp-writer", "producer"] {
        assert!(!shown.contains(name) && !String::from_utf8_lossy(&pdf).to_lowercase().contains(name), "{name}");
    }
    assert!(shown.contains("<xmp:creatortool>lumen tv</xmp:creatortool>"), "{shown}");
}

#[test]
fn the_same_document_gives_the_same_bytes() {
    assert_eq!(drawn(&invoice()), drawn(&invoice()));
}
