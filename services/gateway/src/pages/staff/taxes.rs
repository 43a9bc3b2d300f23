//! Taxes: how the legal entity taxes, and its rules as a table that is edited and imported as CSV.

use axum::extract::State;
use axum::response::Response;
use ottery_proto::catalog::v1 as catalog;
use ottery_proto::catalog::v1::tax_rule::Levy;
use ottery_proto::catalog::v1::tax_settings::{Elsewhere, Pricing, Rounding};
use ottery_proto::catalog::v1::{TaxRule, TaxSettings, TaxTable};

use super::brand_form::points_of;
use super::desk::Desk;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table};
use crate::pages::frame::{Page, Ui, go_done};
use crate::pages::text;
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// First line of the CSV; the names are those of the API, except the rate, which people write in percent.
const HEAD: [&str; 11] = [
    "country",
    "region",
    "postal_prefix",
    "category",
    "rate_percent",
    "name",
    "levy",
    "reason",
    "reverse_charge",
    "valid_from",
    "valid_until",
];

fn choice(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

fn settings_form(desk: &Desk, failed: Option<&Failed>) -> Form {
    let tax = desk.brand.entity.as_ref().and_then(|entity| entity.tax).unwrap_or_default();
    let pricing = if tax.pricing() == Pricing::Exclusive { "exclusive" } else { "inclusive" };
    let rounding = if tax.rounding() == Rounding::Total { "total" } else { "line" };
    let elsewhere = if tax.elsewhere() == Elsewhere::Untaxed { "untaxed" } else { "home_rate" };
    Form::new("How tax is charged", desk.at("/taxes/settings"), "Save")
        .intro("Changes are for new quotes and invoices; what was issued stays as it is.")
        .field(Field::hidden("expected_version", desk.brand.version.to_string()))
        .field(
            Field::select("pricing", "Prices", choice(&[("inclusive", "Contain tax"), ("exclusive", "Tax is added")]))
                .value(pricing)
                .half(),
        )
        .field(
            Field::select(
                "rounding",
                "Tax is rounded",
                choice(&[("line", "On every line"), ("total", "Once per rate, shared by the lines")]),
            )
            .value(rounding)
            .half(),
        )
        .field(
            Field::select(
                "elsewhere",
                "Other countries without a rule",
                choice(&[("home_rate", "Are taxed as at home"), ("untaxed", "Are not taxed")]),
            )
            .value(elsewhere)
            .half(),
        )
        .field(
            Field::new("number", "vat_wait_hours", "Hours an invoice waits for a VAT number")
                .value(tax.vat_wait_hours.to_string())
                .help("While the validation service does not answer; afterwards tax is charged.")
                .half(),
        )
        .refused(failed)
}

fn levy_word(rule: &TaxRule) -> &'static str {
    match rule.levy() {
        Levy::Unspecified | Levy::Rate => "rate",
        Levy::Exempt => "exempt",
        Levy::OutOfScope => "out_of_scope",
    }
}

/// The rules as CSV, as they can be pasted back.
fn to_csv(rules: &[TaxRule]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = std::iter::once(HEAD.map(str::to_owned)).chain(rules.iter().map(|rule| {
        [
            rule.country.clone(),
            rule.region.clone(),
            rule.postal_prefix.clone(),
            rule.category.clone(),
            text::percent(rule.rate_bp).trim_end_matches('%').to_owned(),
            rule.name.clone(),
            levy_word(rule).to_owned(),
            rule.reason.clone(),
            if rule.reverse_charge { "yes" } else { "no" }.to_owned(),
            rule.valid_from.clone(),
            rule.valid_until.clone(),
        ]
    }));
    for record in written {
        writer.write_record(record).expect("memory takes whatever is written");
    }
    let bytes = writer.into_inner().expect("memory is never full");
    String::from_utf8(bytes).expect("text was written")
}

fn from_csv(text: &str) -> Reply<Vec<TaxRule>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let wrong = |line: u64, what: String| Refusal::invalid("rules", "csv_invalid", format!("line {line}: {what}"));
    let head = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
    if let Some(unknown) = head.iter().find(|name| !HEAD.contains(name)) {
        let message = format!("`{unknown}` is no column; the first line names columns of {}", HEAD.join(", "));
        return Err(wrong(1, message));
    }
    let mut rules = Vec::new();
    for (n, record) in (2..).zip(reader.records()) {
        let record = record.map_err(|error| wrong(n, error.to_string()))?;
        let get = |name: &str| {
            let column = head.iter().position(|head| head == name);
            column.and_then(|column| record.get(column)).unwrap_or_default()
        };
        let levy = match get("levy") {
            "" | "rate" => Levy::Rate,
            "exempt" => Levy::Exempt,
            "out_of_scope" => Levy::OutOfScope,
            other => return Err(wrong(n, format!("levy is rate, exempt or out_of_scope, not `{other}`"))),
        };
        let reverse_charge = match get("reverse_charge") {
            "yes" => true,
            "" | "no" => false,
            other => return Err(wrong(n, format!("reverse_charge is yes or no, not `{other}`"))),
        };
        let rate = get("rate_percent");
        let rate_bp = points_of(if rate.is_empty() { "0" } else { rate })
            .ok_or_else(|| wrong(n, format!("`{rate}` is no percentage; write for example 19 or 7.5")))?;
        let text = |name: &str| get(name).to_owned();
        rules.push(TaxRule {
            country: text("country"),
            region: text("region"),
            postal_prefix: text("postal_prefix"),
            category: text("category"),
            rate_bp,
            name: text("name"),
            levy: levy.into(),
            reason: text("reason"),
            reverse_charge,
            valid_from: text("valid_from"),
            valid_until: text("valid_until"),
        });
    }
    Ok(rules)
}

fn rules_table(table: &TaxTable) -> Table {
    let rows = table.rules.iter().map(|rule| {
        let place = [&rule.country, &rule.region, &rule.postal_prefix].map(String::as_str);
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let rate = match rule.levy() {
            Levy::Unspecified | Levy::Rate => Cell::text(text::percent(rule.rate_bp)).note(rule.name.clone()),
            Levy::Exempt => Cell::text("Exempt").note(rule.reason.clone()),
            Levy::OutOfScope => Cell::text("Not taxed").note(rule.reason.clone()),
        };
        let days = match (rule.valid_from.as_str(), rule.valid_until.as_str()) {
            ("", "") => "Always".to_owned(),
            ("", until) => format!("Before {until}"),
            (from, "") => format!("From {from}"),
            (from, until) => format!("From {from}, before {until}"),
        };
        vec![
            Cell::text(place.join(" ")),
            Cell::text(if rule.category.is_empty() { "Any" } else { &rule.category }),
            rate,
            Cell::text(if rule.reverse_charge { "Pay it themselves" } else { "Are charged" }),
            Cell::text(days),
        ]
    });
    let empty = "Without rules everybody is taxed at the rate of the brand's settings.";
    Table::new("Rules", &["Place", "Category", "Tax", "Businesses abroad", "When"], empty).rows(rows)
}

fn rules_form(desk: &Desk, table: &TaxTable, failed: Option<&Failed>) -> Form {
    let rules = Field { rows: 12, ..Field::new("textarea", "rules", "Rules as CSV") }.value(to_csv(&table.rules)).help(
        "All rules, one a line. Leave a column empty where it does not matter; end a rate where the next one begins.",
    );
    Form::new("", desk.at("/taxes"), "Replace all rules")
        .intro("Paste the whole table here to change or import it. Invoices that were issued keep their rates.")
        .field(Field::hidden("expected_version", table.version.to_string()))
        .field(rules)
        .refused(failed)
        .folded("Edit or import rules")
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = catalog::GetTaxTableRequest {};
    let table = state.clients.catalog(&desk.call()).get_tax_table(asked).await?.into_inner();
    let mut page = Page::new("Taxes").refused(failed);
    if desk.may("brand.update") {
        page = page.with(Block::Form(settings_form(desk, failed)));
    }
    page = page.with(Block::Table(rules_table(&table)));
    if desk.may("brand.update") {
        let mut form = rules_form(desk, &table, failed);
        // What was refused is shown, not folded away.
        if failed.is_some_and(|failed| failed.action == form.action) {
            form.folded_as.clear();
        }
        page = page.with(Block::Form(form));
    }
    desk.show(ui, page)
}

/// `GET /staff/b/{brand}/taxes`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    draw(&state, &desk, &ui, None).await
}

/// `POST /staff/b/{brand}/taxes`
pub async fn replace(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let replaced = async {
        let rules = from_csv(sent.get("rules"))?;
        let asked =
            catalog::PutTaxTableRequest { rules, expected_version: sent.number("expected_version")?, dry_run: false };
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_tax_table(asked).await?)
    };
    match replaced.await {
        Ok(_) => Ok(go_done(&desk.at("/taxes"), "saved")),
        Err(mut refusal) => {
            // A rule is named by its place in the table, which is one field here.
            if refusal.field.as_deref().is_some_and(|field| field.starts_with("rules")) {
                let field = refusal.field.replace("rules".to_owned()).unwrap_or_default();
                if field != "rules" {
                    refusal.detail = format!("{field}: {}", refusal.detail);
                }
            }
            draw(&state, &desk, &ui, Some(&Failed { action: desk.at("/taxes"), sent, refusal })).await
        }
    }
}

/// `POST /staff/b/{brand}/taxes/settings`
pub async fn save(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let saved = async {
        let pricing = if sent.get("pricing") == "exclusive" { Pricing::Exclusive } else { Pricing::Inclusive };
        let rounding = if sent.get("rounding") == "total" { Rounding::Total } else { Rounding::Line };
        let elsewhere = if sent.get("elsewhere") == "untaxed" { Elsewhere::Untaxed } else { Elsewhere::HomeRate };
        let mut brand = desk.brand.content.clone();
        let tax = TaxSettings {
            pricing: pricing.into(),
            rounding: rounding.into(),
            elsewhere: elsewhere.into(),
            vat_wait_hours: sent.number("vat_wait_hours")?,
        };
        brand.entity.get_or_insert_default().tax = Some(tax);
        let expected_version = sent.number("expected_version")?;
        let asked = catalog::PutBrandRequest { brand: Some(brand), expected_version, dry_run: false };
        Ok::<_, Refusal>(state.clients.catalog(&desk.call()).put_brand(asked).await?)
    };
    match saved.await {
        Ok(_) => {
            state.catalog.forget_hosts();
            Ok(go_done(&desk.at("/taxes"), "saved"))
        }
        Err(refusal) => {
            draw(&state, &desk, &ui, Some(&Failed { action: desk.at("/taxes/settings"), sent, refusal })).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_survive_the_way_through_csv() {
        let rules = vec![
            TaxRule {
                country: "EE".into(),
                rate_bp: 2200,
                name: "KM".into(),
                levy: Levy::Rate.into(),
                reverse_charge: true,
                valid_until: "2026-07-01".into(),
                ..TaxRule::default()
            },
            TaxRule {
                country: "IT".into(),
                category: "press".into(),
                levy: Levy::Exempt.into(),
                reason: "Article 10, \"DPR 633/72\"".into(),
                ..TaxRule::default()
            },
            TaxRule {
                country: "FI".into(),
                rate_bp: 2550,
                name: "ALV".into(),
                levy: Levy::Rate.into(),
                ..TaxRule::default()
            },
        ];
        assert_eq!(from_csv(&to_csv(&rules)).unwrap(), rules);
    }

    #[test]
    fn columns_may_be_left_out_and_what_is_wrong_names_its_line() {
        let rules = from_csv("country, rate_percent, name\r\nFR,\"5,5\", TVA\r\n").unwrap();
        assert_eq!((rules[0].country.as_str(), rules[0].rate_bp, rules[0].levy()), ("FR", 550, Levy::Rate));
        let refused = |text: &str| from_csv(text).unwrap_err().detail;
        assert!(refused("land,rate_percent\nFR,20").starts_with("line 1: `land` is no column"));
        assert!(refused("country,rate_percent\nFR,20\nDE,much").starts_with("line 3: `much` is no percentage"));
        assert!(refused("country,levy\nFR,free").starts_with("line 2: levy is"));
    }
}
