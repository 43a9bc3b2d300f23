//! The document in UBL 2.1. The order of the elements is the schema's; the document was checked before.

use chrono::NaiveDate;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::check::{decimal, rate};
use super::{EInvoice, Kind, Line, Party, Sums, Treatment, plain, vat_number};

/// The norm the document keeps (BT-24).
const CUSTOMIZATION: &str = "urn:cen.eu:en16931:2017";
/// Pieces, in the codes of UN/ECE recommendation 20 (BT-130).
const PIECES: &str = "C62";
/// Types of document (BT-3).
const INVOICE: &str = "380";
const CREDIT_NOTE: &str = "381";
const NAMESPACE: &str = "urn:oasis:names:specification:ubl:schema:xsd";

pub(super) fn write(document: &EInvoice, sums: &Sums) -> String {
    let mut xml = Xml(Writer::new_with_indent(Vec::new(), b' ', 2));
    xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    let root = match document.kind {
        Kind::Invoice => "Invoice",
        Kind::CreditNote { .. } => "CreditNote",
    };
    let mut start = BytesStart::new(root);
    start.push_attribute(("xmlns", format!("{NAMESPACE}:{root}-2").as_str()));
    start.push_attribute(("xmlns:cac", format!("{NAMESPACE}:CommonAggregateComponents-2").as_str()));
    start.push_attribute(("xmlns:cbc", format!("{NAMESPACE}:CommonBasicComponents-2").as_str()));
    xml.event(Event::Start(start));
    head(&mut xml, document);
    xml.within("cac:AccountingSupplierParty", |xml| party(xml, &document.seller, Side::Seller));
    // Outside of VAT nobody shows a VAT number (BR-O-02).
    let is_outside = sums.by_treatment.keys().any(|treatment| matches!(treatment, Treatment::OutOfScope { .. }));
    xml.within("cac:AccountingCustomerParty", |xml| {
        party(xml, &document.buyer, if is_outside { Side::BuyerOutsideVat } else { Side::Buyer });
    });
    foot(&mut xml, document, sums);
    for (index, line) in document.lines.iter().enumerate() {
        item(&mut xml, document, index + 1, line);
    }
    xml.event(Event::End(BytesEnd::new(root)));
    let mut text = String::from_utf8(xml.0.into_inner()).expect("it was written as UTF-8");
    text.push('\n');
    text
}

fn head(xml: &mut Xml, document: &EInvoice) {
    xml.leaf("cbc:CustomizationID", CUSTOMIZATION);
    xml.leaf("cbc:ID", &document.number);
    xml.leaf("cbc:IssueDate", &day(document.issued_on));
    match &document.kind {
        Kind::Invoice => {
            if let Some(due_on) = document.due_on {
                xml.leaf("cbc:DueDate", &day(due_on));
            }
            xml.leaf("cbc:InvoiceTypeCode", INVOICE);
        }
        Kind::CreditNote { .. } => xml.leaf("cbc:CreditNoteTypeCode", CREDIT_NOTE),
    }
    xml.filled("cbc:Note", &document.note);
    xml.leaf("cbc:DocumentCurrencyCode", document.currency.code());
    if let Kind::CreditNote { invoice, invoice_issued_on } = &document.kind {
        xml.within("cac:BillingReference", |xml| {
            xml.within("cac:InvoiceDocumentReference", |xml| {
                xml.leaf("cbc:ID", invoice);
                xml.leaf("cbc:IssueDate", &day(*invoice_issued_on));
            });
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Seller,
    Buyer,
    BuyerOutsideVat,
}

fn party(xml: &mut Xml, party: &Party, side: Side) {
    let vat_number = vat_number(party);
    let own_number = plain(&party.tax_id);
    xml.within("cac:Party", |xml| {
        // A seller is told by its VAT number or by some other one (BR-CO-26).
        if side == Side::Seller && vat_number.is_none() && !party.id.is_empty() {
            xml.within("cac:PartyIdentification", |xml| xml.leaf("cbc:ID", &party.id));
        }
        if !party.trading_name.is_empty() && party.trading_name != party.name {
            xml.within("cac:PartyName", |xml| xml.leaf("cbc:Name", &party.trading_name));
        }
        xml.within("cac:PostalAddress", |xml| address(xml, party));
        match (side, &vat_number) {
            (Side::Seller | Side::Buyer, Some(number)) => tax_scheme(xml, number, "VAT"),
            // A tax number that is no VAT number; buyers have no place for one.
            (Side::Seller, None) if !own_number.is_empty() => tax_scheme(xml, &own_number, "TAX"),
            (Side::Seller | Side::Buyer, None) | (Side::BuyerOutsideVat, _) => {}
        }
        xml.within("cac:PartyLegalEntity", |xml| xml.leaf("cbc:RegistrationName", &party.name));
        if !party.email.is_empty() {
            xml.within("cac:Contact", |xml| xml.leaf("cbc:ElectronicMail", &party.email));
        }
    });
}

fn address(xml: &mut Xml, party: &Party) {
    let mut lines = party.address_lines.iter().map(String::as_str).filter(|line| !line.trim().is_empty());
    xml.filled("cbc:StreetName", lines.next().unwrap_or_default());
    xml.filled("cbc:AdditionalStreetName", lines.next().unwrap_or_default());
    let rest = lines.collect::<Vec<_>>().join(", ");
    if !rest.is_empty() {
        xml.within("cac:AddressLine", |xml| xml.leaf("cbc:Line", &rest));
    }
    xml.within("cac:Country", |xml| xml.leaf("cbc:IdentificationCode", &party.country));
}

fn tax_scheme(xml: &mut Xml, number: &str, scheme: &str) {
    xml.within("cac:PartyTaxScheme", |xml| {
        xml.leaf("cbc:CompanyID", number);
        xml.within("cac:TaxScheme", |xml| xml.leaf("cbc:ID", scheme));
    });
}

fn foot(xml: &mut Xml, document: &EInvoice, sums: &Sums) {
    let payable = sums.gross_minor() - i128::from(document.paid_minor);
    // Where something is to be paid, the document says when (BR-CO-25).
    if payable > 0 && (document.due_on.is_none() || document.kind != Kind::Invoice) {
        let terms = if document.kind == Kind::Invoice { "Payable on receipt" } else { "To be refunded" };
        xml.within("cac:PaymentTerms", |xml| xml.leaf("cbc:Note", terms));
    }
    xml.within("cac:TaxTotal", |xml| {
        xml.amount("cbc:TaxAmount", sums.tax_minor, document);
        for (treatment, sum) in &sums.by_treatment {
            xml.within("cac:TaxSubtotal", |xml| {
                xml.amount("cbc:TaxableAmount", sum.net_minor, document);
                xml.amount("cbc:TaxAmount", sum.tax_minor, document);
                xml.within("cac:TaxCategory", |xml| category(xml, treatment, true));
            });
        }
    });
    xml.within("cac:LegalMonetaryTotal", |xml| {
        xml.amount("cbc:LineExtensionAmount", sums.net_minor, document);
        xml.amount("cbc:TaxExclusiveAmount", sums.net_minor, document);
        xml.amount("cbc:TaxInclusiveAmount", sums.gross_minor(), document);
        if document.paid_minor != 0 {
            xml.amount("cbc:PrepaidAmount", document.paid_minor.into(), document);
        }
        xml.amount("cbc:PayableAmount", payable, document);
    });
}

fn category(xml: &mut Xml, treatment: &Treatment, tells_why: bool) {
    xml.leaf("cbc:ID", treatment.code());
    if !matches!(treatment, Treatment::OutOfScope { .. }) {
        xml.leaf("cbc:Percent", &rate(treatment.rate_bp()));
    }
    if let Some((code, reason)) = treatment.exemption().filter(|_| tells_why) {
        if let Some(code) = code {
            xml.leaf("cbc:TaxExemptionReasonCode", code);
        }
        xml.leaf("cbc:TaxExemptionReason", reason);
    }
    xml.within("cac:TaxScheme", |xml| xml.leaf("cbc:ID", "VAT"));
}

fn item(xml: &mut Xml, document: &EInvoice, number: usize, line: &Line) {
    let (element, quantity_element) = match document.kind {
        Kind::Invoice => ("cac:InvoiceLine", "cbc:InvoicedQuantity"),
        Kind::CreditNote { .. } => ("cac:CreditNoteLine", "cbc:CreditedQuantity"),
    };
    // A price is never negative (BR-27): a discount takes back a quantity.
    let quantity = i64::from(line.quantity.max(1));
    let signed = if line.net_minor < 0 { -quantity } else { quantity };
    xml.within(element, |xml| {
        xml.leaf("cbc:ID", &number.to_string());
        xml.leaf_with(quantity_element, ("unitCode", PIECES), &signed.to_string());
        xml.amount("cbc:LineExtensionAmount", line.net_minor.into(), document);
        if let Some((first, last)) = line.days {
            xml.within("cac:InvoicePeriod", |xml| {
                xml.leaf("cbc:StartDate", &day(first));
                xml.leaf("cbc:EndDate", &day(last));
            });
        }
        xml.within("cac:Item", |xml| {
            xml.leaf("cbc:Name", &line.name);
            xml.within("cac:ClassifiedTaxCategory", |xml| category(xml, &line.treatment, false));
        });
        // The price of all, so that nothing is divided and the line is exactly its product.
        xml.within("cac:Price", |xml| {
            xml.amount("cbc:PriceAmount", i128::from(line.net_minor).abs(), document);
            xml.leaf_with("cbc:BaseQuantity", ("unitCode", PIECES), &quantity.to_string());
        });
    });
}

fn day(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

/// Writes elements into memory.
struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn event(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("memory takes every byte");
    }

    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.event(Event::Start(BytesStart::new(name)));
        inside(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.element(BytesStart::new(name), text);
    }

    fn leaf_with(&mut self, name: &str, attribute: (&str, &str), text: &str) {
        let mut start = BytesStart::new(name);
        start.push_attribute(attribute);
        self.element(start, text);
    }

    /// The element, unless its text is blank: the norm knows no empty ones.
    fn filled(&mut self, name: &str, text: &str) {
        if !text.trim().is_empty() {
            self.leaf(name, text);
        }
    }

    fn amount(&mut self, name: &str, minor: i128, document: &EInvoice) {
        let text = decimal(minor, document.currency).expect("the decimals were checked");
        self.leaf_with(name, ("currencyID", document.currency.code()), &text);
    }

    fn element(&mut self, start: BytesStart<'_>, text: &str) {
        let end = start.to_end().into_owned();
        self.event(Event::Start(start));
        self.event(Event::Text(BytesText::new(clean(text).trim())));
        self.event(Event::End(end));
    }
}

/// The text without the characters XML 1.0 cannot carry, not even escaped.
fn clean(text: &str) -> String {
    let is_carried = |letter: &char| matches!(letter, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(is_carried).collect()
}
