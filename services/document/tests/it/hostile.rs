//! Texts that would like to be code, and documents that do not hold together.

use ottery_document::{Document, Invalid, RenderError, render_stream};

use crate::documents::{drawn, invoice, invoice_of, line, pages, words};

#[test]
fn secure_text_of_customers_is_printed_and_never_run() {
    let tricks = [
        "#read(\"/etc/passwd\")",
        "*bold* _it_",
        "$ x^2 $",
        "= Heading",
        "- item",
        "@ref <label>",
        "#panic()",
        "\\u{41}",
        "//comment",
        "https://evil.example",
        "`raw`",
        "{#import \"@preview/a:1.0.0\"}",
        "\" + sys.version + \"",
    ];
    let mut document = invoice_of(tricks.iter().map(|trick| line(*trick)).collect());
    document.buyer.name = "#set page(fill: red)".into();
    document.number = "#sys.inputs".into();
    document.notes = Some("first\n#read(\"data.json\")\n= third".into());
    document.brand.name = "#emoji.face $".into();
    let pdf = drawn(&document);
    let shown = words(&pdf);
    for trick in
        tricks.iter().chain(&["#set page(fill: red)", "#sys.inputs", "#read(\"data.json\")", "=third", "#emoji.face $"])
    {
        let trick: String = trick.chars().filter(|c| !c.is_whitespace()).collect();
        assert!(shown.contains(&trick), "{trick} is missing in {shown}");
    }
    assert!(!shown.contains("root:"));
}

#[test]
fn secure_a_logo_cannot_reach_files_or_the_network() {
    let logo = |href: &str| {
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' viewBox='0 0 9 9'>\
             <image width='9' height='9' xlink:href='{href}'/><rect width='9' height='9'/></svg>"
        )
    };
    for href in ["/etc/passwd", "file:///etc/passwd", "https://evil.example/a.png", "data.json", "../../../etc/passwd"]
    {
        let mut document = invoice();
        document.brand.logo_svg = Some(logo(href));
        assert_eq!(pages(&drawn(&document)).len(), 1, "{href}");
    }
}

#[test]
fn endless_words_and_towers_of_lines_stay_on_their_pages() {
    let mut document = invoice_of(vec![line("W".repeat(1_000)), line("x\n".repeat(499) + "x"), line("x")]);
    document.buyer.name = "M".repeat(300);
    document.number = "9".repeat(300);
    document.buyer.address_lines = vec!["A".repeat(300); 8];
    document.notes = Some("n\n".repeat(1_999));
    let pages = pages(&drawn(&document));
    assert!((10..100).contains(&pages.len()), "{}", pages.len());
    assert_eq!(pages.concat().matches('W').count(), 1_000);
}

#[test]
fn numbers_that_do_not_add_up_are_refused_by_name() {
    let broken = |change: fn(&mut Document)| {
        let mut document = invoice();
        change(&mut document);
        document.check().unwrap_err().to_string()
    };
    assert!(broken(|d| d.total_minor += 1).contains("subtotal_minor + tax_minor"));
    assert!(broken(|d| d.balance_minor = 5).contains("balance_minor"));
    assert!(broken(|d| d.lines[0].amount_minor -= 1).contains("amounts of lines"));
    assert!(broken(|d| d.tax_lines.clear()).contains("tax_lines"));
    assert!(broken(|d| d.lines.clear()).contains("lines is empty"));
    assert!(broken(|d| d.number = " ".into()).contains("number is empty"));
    assert!(broken(|d| d.credit_of = Some("A-1".into())).contains("credit_of"));
    assert!(broken(|d| d.pay_url = Some("javascript:alert(1)".into())).contains("pay_url"));
    let mut long = invoice();
    long.buyer.name = "x".repeat(301);
    assert_eq!(long.check(), Err(Invalid::TooLong { field: "buyer.name".into(), count: 301, limit: 300 }));
}

#[test]
fn amounts_with_tax_inside_their_lines_are_fine() {
    let mut document = invoice();
    document.lines[0].amount_minor = document.total_minor;
    assert_eq!(document.check(), Ok(()));
}

#[test]
fn what_is_no_document_is_refused_with_a_reason() {
    let refused = |json: &str| render_stream(json.as_bytes(), std::io::sink()).unwrap_err().to_string();
    assert!(refused("").contains("cannot be read"));
    assert!(refused("{}").contains("missing field `kind`"));
    let with = |field: &str, value: serde_json::Value| {
        let mut json = serde_json::to_value(invoice()).unwrap();
        json[field] = value;
        refused(&json.to_string())
    };
    assert!(with("surprise", 1.into()).contains("unknown field `surprise`"));
    assert!(with("currency", "EURO".into()).contains("EURO"));
    assert!(with("locale", "it".into()).contains("use en, de"));
    assert!(with("total_minor", 1.5.into()).contains("i64"));
    let endless = std::io::Read::chain(&b"\""[..], std::io::repeat(b'x'));
    assert!(matches!(render_stream(endless, std::io::sink()), Err(RenderError::TooLarge { .. })));
}
