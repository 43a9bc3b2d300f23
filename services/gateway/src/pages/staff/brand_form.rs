//! The form of a brand: what is in it, and what it says when it comes back.

use ottery_proto::catalog::v1::{Brand, DesignTokens, LegalEntity};

use crate::pages::block::{Field, Sent};
use crate::pages::text::percent;
use crate::problem::{Refusal, Reply};

const COLOURS: [(&str, &str, &str, &str); 10] = [
    ("accent", "Accent", "#2f5bd7", "#8fb0ff"),
    ("accent-contrast", "Text on accent", "#ffffff", "#0b1020"),
    ("surface", "Background", "#ffffff", "#0f1420"),
    ("surface-raised", "Raised background", "#f5f7fb", "#1a2130"),
    ("text", "Text", "#141a26", "#eef2f9"),
    ("text-muted", "Quiet text", "#556074", "#a9b4c7"),
    ("border", "Lines", "#d5dbe6", "#313b4f"),
    ("danger", "Danger", "#b3261e", "#ff9a92"),
    ("success", "Success", "#1b6e3c", "#7fd8a0"),
    ("warning", "Warning", "#8a5300", "#f2c265"),
];

fn head(label: &str) -> Field {
    Field::new("heading", "", label)
}

/// Its fields.
#[must_use]
pub fn fields(brand: &Brand) -> Vec<Field> {
    let entity = brand.entity.clone().unwrap_or_default();
    let number = |name: &str, label: &str, value: u32| {
        Field::new("number", name, label).value(value.to_string()).half().required()
    };
    let rate = |name: &str, label: &str, basis_points: u32| {
        Field { inputmode: "decimal", ..Field::text(name, label) }
            .value(percent(basis_points).trim_end_matches('%'))
            .half()
            .required()
    };
    let line = |name: &str, label: &str, value: &str| Field::text(name, label).value(value).half();
    let mail = |name: &str, label: &str, value: &str| Field::new("email", name, label).value(value).half().required();
    let hours: Vec<String> = brand.reminder_hours.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        head("Brand"),
        line("name", "Name", &brand.name).required(),
        if brand.id.is_empty() {
            line("slug", "Short name", &brand.slug).required().help("Small letters, digits and hyphens; never changes.")
        } else {
            Field::hidden("slug", &brand.slug)
        },
        Field::text("tagline", "Promise").value(&brand.tagline).help("The first sentence visitors read."),
        Field::new("textarea", "hosts", "Host names")
            .required()
            .value(brand.hosts.join("\n"))
            .help("One per line, without port. The shop answers under exactly these."),
        Field::check("published", "Open: search engines may find the shop", brand.published),
        mail("support_email", "Support address", &brand.support_email),
        mail("sender_email", "Sender of mails", &brand.sender_email),
        head("Money and language"),
        line("default_currency", "Currency", &brand.default_currency).required(),
        line("currencies", "All currencies", &brand.currencies.join(", ")).help("Three letters each."),
        rate("tax_rate_bp", "Tax in percent", brand.tax_rate_bp)
            .help("At home, and wherever no tax rule says otherwise; 0 for none."),
        line("tax_name", "Name of the tax", &brand.tax_name).help("As it stands on invoices."),
        line("default_locale", "Language", &brand.default_locale).required(),
        line("locales", "All languages", &brand.locales.join(", ")),
        line("time_zone", "Time zone", &brand.time_zone).required().example("Europe/Berlin"),
        head("Who sells"),
        line("entity.name", "Company", &entity.name).required(),
        line("entity.tax_id", "Tax ID", &entity.tax_id),
        Field::new("textarea", "entity.address_lines", "Address").required().value(entity.address_lines.join("\n")),
        line("entity.country", "Country (two letters)", &entity.country).required(),
        mail("entity.email", "E-mail", &entity.email),
        line("entity.time_zone", "Time zone of invoices", &entity.time_zone).example("Europe/Berlin"),
        line("entity.invoice_series", "Prefix of invoice numbers", &entity.invoice_series).example("INV"),
        head("Renewals"),
        number("renewal_lead_hours", "Hours from invoice to renewal", brand.renewal_lead_hours),
        number("grace_days", "Days from the due date until access is paused", brand.grace_days),
        number("terminate_after_days", "Days from the pause until the subscription ends", brand.terminate_after_days),
        line("reminder_hours", "Reminders, in hours from the due time", &hours.join(", "))
            .help("Negative hours are before it. Empty: none."),
        head("Affiliates"),
        rate("affiliate_rate_bp", "Commission in percent", brand.affiliate_rate_bp)
            .help("Of the net amount of a customer's first payment."),
        number("affiliate_hold_days", "Days a commission stays pending", brand.affiliate_hold_days),
        head("Look"),
    ];
    let tokens = brand.tokens.clone().unwrap_or_default();
    let value = |name: &str, otherwise: &str| tokens.values.get(name).cloned().unwrap_or_else(|| otherwise.to_owned());
    for (name, label, light, dark) in COLOURS {
        let name_dark = format!("{name}-dark");
        fields.push(Field::new("color", format!("tokens.values.{name}"), label).value(value(name, light)));
        fields.push(
            Field::new("color", format!("tokens.values.{name_dark}"), format!("{label}, dark"))
                .value(value(&name_dark, dark)),
        );
    }
    let fonts = [("system", "System"), ("humanist", "Humanist"), ("geometric", "Geometric"), ("serif", "Serif")];
    let fonts = fonts.map(|(name, label)| (name.to_owned(), label.to_owned())).to_vec();
    fields.push(Field::select("tokens.values.font", "Font", fonts).value(value("font", "system")).half());
    fields.push(Field::new("number", "tokens.values.radius", "Rounding in pixels").value(value("radius", "10")).half());
    fields.push(
        Field::new("textarea", "tokens.logo", "Logo")
            .value(tokens.logo)
            .help("Data URI of a PNG or JPEG, at most 64 KiB. Empty: the name in letters."),
    );
    fields
}

/// The brand as the form says, over what it was.
///
/// # Errors
/// Numbers that are none.
pub fn read(sent: &Sent, before: Brand) -> Reply<Brand> {
    let mut hours = Vec::new();
    for text in sent.list("reminder_hours") {
        let hour = text.parse().map_err(|_| {
            Refusal::invalid("reminder_hours", "number_invalid", format!("`{text}` is no number of hours"))
        })?;
        hours.push(hour);
    }
    let entity = LegalEntity {
        name: sent.text("entity.name"),
        address_lines: sent.lines("entity.address_lines"),
        country: sent.get("entity.country").to_ascii_uppercase(),
        tax_id: sent.text("entity.tax_id"),
        time_zone: or(sent.text("entity.time_zone"), sent.get("time_zone")),
        invoice_series: or(sent.text("entity.invoice_series"), "INV"),
        email: sent.text("entity.email"),
        ..before.entity.clone().unwrap_or_default()
    };
    let mut tokens =
        DesignTokens { schema: 1, logo: sent.text("tokens.logo"), ..before.tokens.clone().unwrap_or_default() };
    for (name, value) in sent.pairs() {
        if let Some(name) = name.strip_prefix("tokens.values.") {
            tokens.values.insert(name.to_owned(), value.trim().to_owned());
        }
    }
    let currency = sent.get("default_currency").to_ascii_uppercase();
    let mut currencies: Vec<String> = sent.list("currencies").iter().map(|code| code.to_ascii_uppercase()).collect();
    if !currencies.contains(&currency) {
        currencies.insert(0, currency.clone());
    }
    let mut locales = sent.list("locales");
    if !locales.contains(&sent.text("default_locale")) {
        locales.insert(0, sent.text("default_locale"));
    }
    Ok(Brand {
        slug: sent.text("slug"),
        name: sent.text("name"),
        hosts: sent.list("hosts"),
        entity: Some(entity),
        default_locale: sent.text("default_locale"),
        locales,
        default_currency: currency,
        currencies,
        time_zone: sent.text("time_zone"),
        tokens: Some(tokens),
        support_email: sent.text("support_email"),
        sender_email: sent.text("sender_email"),
        tagline: sent.text("tagline"),
        grace_days: sent.number("grace_days")?,
        terminate_after_days: sent.number("terminate_after_days")?,
        renewal_lead_hours: sent.number("renewal_lead_hours")?,
        tax_rate_bp: basis_points(sent, "tax_rate_bp")?,
        tax_name: sent.text("tax_name"),
        affiliate_rate_bp: basis_points(sent, "affiliate_rate_bp")?,
        affiliate_hold_days: sent.number("affiliate_hold_days")?,
        reminder_hours: hours,
        published: sent.is_on("published"),
        ..before
    })
}

/// What people write as `19`, `19.5` or `19,5 %`; nothing is 0.
///
/// # Errors
/// 400 naming the field.
pub fn basis_points(sent: &Sent, name: &str) -> Reply<u32> {
    points_of(sent.get(name)).ok_or_else(|| {
        Refusal::invalid(
            name,
            "percent_invalid",
            format!("`{}` is no percentage; write for example 19 or 7.5", sent.get(name)),
        )
    })
}

/// Basis points of a percentage as people write it: `19`, `7.5`, `5,5 %`.
pub fn points_of(percent: &str) -> Option<u32> {
    let text = percent.trim_end_matches('%').trim().replace(',', ".");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = (part.len() <= 2).then(|| format!("{part:0<2}"))?;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u32>().ok()? };
    whole.checked_mul(100)?.checked_add(part.parse().ok()?)
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_comes_back_unchanged_changes_nothing() {
        let before = Brand {
            id: "brd_1".into(),
            slug: "one".into(),
            name: "One".into(),
            hosts: vec!["one.example".into(), "www.one.example".into()],
            default_locale: "en".into(),
            locales: vec!["en".into()],
            default_currency: "EUR".into(),
            currencies: vec!["EUR".into(), "USD".into()],
            reminder_hours: vec![-72, 24],
            tax_rate_bp: 1950,
            affiliate_rate_bp: 1000,
            published: true,
            entity: Some(LegalEntity {
                name: "One Ltd".into(),
                country: "IE".into(),
                time_zone: "UTC".into(),
                invoice_series: "A".into(),
                ..LegalEntity::default()
            }),
            time_zone: "UTC".into(),
            ..Brand::default()
        };
        let sent: Vec<(String, String)> = fields(&before)
            .into_iter()
            .filter(|field| !(field.name.starts_with("tokens") || field.kind == "checkbox" && field.value.is_empty()))
            .map(|field| (field.name, field.value))
            .collect();
        let after = read(&Sent::from(sent), before.clone()).unwrap();
        assert_eq!(Brand { tokens: before.tokens.clone(), ..after }, before);
    }

    #[test]
    fn percentages_are_read_the_way_people_write_them() {
        let read = |text: &str| basis_points(&Sent::from(vec![("rate".to_owned(), text.to_owned())]), "rate").ok();
        let cases = [("19", 1900), ("19.5", 1950), ("7,25 %", 725), ("", 0), (".5", 50)];
        for (text, points) in cases {
            assert_eq!(read(text), Some(points), "{text}");
        }
        for text in ["nineteen", "1.234", "-1", "99999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
