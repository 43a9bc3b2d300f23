//! Fields of requests in the words of documents.

/// What the request was about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Brand,
    /// The n-th payment provider account of a brand.
    Payments(usize),
    Panel,
    Plan,
    /// The announcement of a plan's prices.
    PriceChange,
}

/// `content.prices[1].amount.minor` is `spec.prices[1].amount` to whoever wrote the document. None for what documents do
/// not say, such as versions.
pub(super) fn of_document(of: Of, field: &str) -> Option<String> {
    let field = ["brand.", "panel.", "content."].iter().find_map(|part| field.strip_prefix(part)).unwrap_or(field);
    let path = match (of, field) {
        (_, "" | "id" | "expected_version" | "version" | "Ottery-Brand") => return None,
        (Of::Brand, "slug") => return Some("metadata.name".to_owned()),
        (Of::Brand, "default_locale") => "locales".to_owned(),
        (Of::Brand, "default_currency") => "currencies".to_owned(),
        (Of::Brand, "tokens.logo") => "logo".to_owned(),
        (Of::Panel, "name") => "displayName".to_owned(),
        (Of::Panel, "api_key") => "apiKeyFrom".to_owned(),
        (Of::Payments(n), "api_key") => format!("payments[{n}].apiKeyFrom"),
        (Of::Payments(n), "webhook_secrets") => format!("payments[{n}].webhookSecretsFrom"),
        (Of::Payments(n), field) => format!("payments[{n}].{}", camel(field)),
        (Of::PriceChange, "notice_days") => "priceChange.noticeDays".to_owned(),
        (Of::PriceChange, _) => "priceChange".to_owned(),
        (Of::Plan, "addon") => "addOn".to_owned(),
        (Of::Plan, field) if field.starts_with("addon.") => field.replacen("addon.", "addOn.", 1),
        (Of::Plan, "sale.from") => "saleFrom".to_owned(),
        (Of::Plan, "sale.until") => "saleUntil".to_owned(),
        (Of::Plan, field) => {
            let amount = [".minor", ".currency"].iter().find_map(|end| field.strip_suffix(end));
            camel(amount.unwrap_or(field))
        }
        (Of::Brand | Of::Panel, field) => camel(field),
    };
    Some(format!("spec.{path}"))
}

/// `grace_days` as `graceDays`.
fn camel(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut raise = false;
    for c in field.chars() {
        match c {
            '_' => raise = true,
            c if raise => {
                text.extend(c.to_uppercase());
                raise = false;
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_field_is_named_as_the_document_names_it() {
        for (of, field, expected) in [
            (Of::Brand, "grace_days", Some("spec.graceDays")),
            (Of::Brand, "entity.address_lines[2]", Some("spec.entity.addressLines[2]")),
            (Of::Brand, "slug", Some("metadata.name")),
            (Of::Brand, "tokens.accent-dark", Some("spec.tokens.accent-dark")),
            (Of::Brand, "expected_version", None),
            (Of::Payments(1), "base_url", Some("spec.payments[1].baseUrl")),
            (Of::Payments(0), "webhook_secrets", Some("spec.payments[0].webhookSecretsFrom")),
            (Of::Panel, "panel.base_url", Some("spec.baseUrl")),
            (Of::Panel, "panel.name", Some("spec.displayName")),
            (Of::Plan, "content.mapping.bouquet_ids", Some("spec.mapping.bouquetIds")),
            (Of::Plan, "content.prices[0].amount.currency", Some("spec.prices[0].amount")),
            (Of::Plan, "content.prices[3].setup_fee.minor", Some("spec.prices[3].setupFee")),
            (Of::Plan, "slug", Some("spec.slug")),
            (Of::Plan, "sale.until", Some("spec.saleUntil")),
            (Of::Plan, "content.options[1].prices[0].amount.minor", Some("spec.options[1].prices[0].amount")),
            (Of::PriceChange, "notice_days", Some("spec.priceChange.noticeDays")),
        ] {
            assert_eq!(of_document(of, field).as_deref(), expected, "{field}");
        }
    }
}
