//! Sample documents, and the words that come out of a PDF.

use lopdf::Object;
use ottery_document::{Document, Line, TaxLine, render};

pub const LOGO: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 40">
<rect width="40" height="40" rx="11" fill="#6d28d9"/><path d="M14 11v18l16-9z" fill="#fff"/>
<path d="M54 9v22h13M75 16v9c0 4 2 6.400 6 6.400s6-2.400 6-6.400v-9" stroke="#111827" stroke-width="4" fill="none"/></svg>"##;

/// A paid invoice of one line with tax.
pub fn invoice() -> Document {
    serde_json::from_value(serde_json::json!({
        "kind": "invoice",
        "brand": {
            "name": "Lumen TV",
            "tokens": {"accent": "#6d28d9", "text": "#111827", "surface": "#f5f3ff", "muted": "#6b7280", "radius": 10},
            "support_email": "help@lumen.example",
            "website": "https://lumen.example/"
        },
        "seller": {
            "legal_name": "Lumen Media GmbH", "address_lines": ["Torstraße 12", "10119 Berlin", "Germany"],
            "tax_id": "DE123456789", "email": "billing@lumen.example"
        },
        "buyer": {
            "name": "Ayşe Nowak", "email": "ayse@customer.example",
            "address_lines": ["ul. Długa 4/7", "00-238 Warszawa", "Poland"]
        },
        "number": "LUM-2026-000042", "issued_on": "2026-11-01", "due_on": "2026-11-08", "paid_on": "2026-11-02",
        "currency": "EUR", "locale": "en",
        "lines": [{
            "description": "Premium, 3 screens", "period": {"first_day": "2026-11-01", "last_day": "2026-11-30"},
            "quantity": 2, "unit_minor": 100_000, "amount_minor": 200_000, "tax_rate": "19"
        }],
        "tax_lines": [{"name": "VAT", "rate": "19", "taxable_minor": 200_000, "amount_minor": 38_000}],
        "subtotal_minor": 200_000, "tax_minor": 38_000, "total_minor": 238_000, "paid_minor": 238_000,
        "balance_minor": 0, "status": "paid",
        "notes": "Thank you for watching with us."
    }))
    .unwrap()
}

/// The sample with other lines, its sums following.
pub fn invoice_of(lines: Vec<Line>) -> Document {
    let mut document = invoice();
    let subtotal: i64 = lines.iter().map(|line| line.amount_minor).sum();
    let tax = subtotal * 19 / 100;
    document.lines = lines;
    document.tax_lines = vec![TaxLine { taxable_minor: subtotal, amount_minor: tax, ..document.tax_lines[0].clone() }];
    document.subtotal_minor = subtotal;
    document.tax_minor = tax;
    document.total_minor = subtotal + tax;
    document.paid_minor = subtotal + tax;
    document
}

/// A line of the sample, described otherwise.
pub fn line(description: impl Into<String>) -> Line {
    Line { description: description.into(), ..invoice().lines[0].clone() }
}

/// The PDF of a document that prints as it is written.
pub fn drawn(document: &Document) -> Vec<u8> {
    let pdf = render(document).unwrap();
    assert_eq!(pdf.unprintable, None);
    pdf.bytes
}

/// What was printed, page by page, without blanks: how a reader of files spaces words is not the page's business.
pub fn pages(pdf: &[u8]) -> Vec<String> {
    let file = lopdf::Document::load_mem(pdf).unwrap();
    let words = |number: &u32| {
        let text = file.extract_text(&[*number]).unwrap();
        text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
    };
    file.get_pages().keys().map(words).collect()
}

/// All pages in one.
pub fn words(pdf: &[u8]) -> String {
    pages(pdf).concat()
}

/// Every string of the file that is not drawn on a page: properties, XMP, names of fonts.
pub fn properties(pdf: &[u8]) -> String {
    let file = lopdf::Document::load_mem(pdf).unwrap();
    let mut found = String::new();
    for object in file.objects.values() {
        match object {
            Object::Dictionary(dictionary) => found.push_str(&format!("{dictionary:?}\n")),
            Object::Stream(stream) => {
                found.push_str(&format!("{:?}\n", stream.dict));
                if stream.dict.get(b"Type").is_ok_and(|kind| kind.as_name().is_ok_and(|name| name == b"Metadata")) {
                    found.push_str(&String::from_utf8_lossy(&stream.content));
                }
            }
            _ => {}
        }
    }
    found
}
