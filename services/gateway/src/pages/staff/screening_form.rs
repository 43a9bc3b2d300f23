//! The rules of the fraud screen as a form.

use ottery_kernel::Currency;
use ottery_proto::billing::v1::screen_rules::{By, Countries, Limit};
use ottery_proto::billing::v1::{ScreenRules, ScreenVerdict};
use ottery_proto::common::v1::Money;

use crate::pages::block::{Field, Sent};
use crate::problem::{Refusal, Reply};

/// By what orders are counted, as it is typed.
const COUNTED: [(By, &str); 4] =
    [(By::Account, "account"), (By::Device, "device"), (By::Network, "network"), (By::Card, "card")];
const VERDICTS: [(ScreenVerdict, &str, &str); 3] = [
    (ScreenVerdict::Allow, "allow", "is accepted"),
    (ScreenVerdict::Review, "review", "waits for you"),
    (ScreenVerdict::Deny, "deny", "is refused"),
];

/// As it is typed.
fn word(verdict: ScreenVerdict) -> &'static str {
    VERDICTS.iter().find(|(known, ..)| *known == verdict).map_or("allow", |(_, word, _)| word)
}

fn verdict_of(text: &str) -> ScreenVerdict {
    VERDICTS.iter().find(|(_, word, _)| *word == text).map_or(ScreenVerdict::Unspecified, |(verdict, ..)| *verdict)
}

fn select(name: &str, label: &str, chosen: ScreenVerdict, is_allowed: bool) -> Field {
    let offered = VERDICTS.iter().filter(|(verdict, ..)| is_allowed || *verdict != ScreenVerdict::Allow);
    let options = offered.map(|(_, word, label)| ((*word).to_owned(), (*label).to_owned())).collect();
    Field::select(name, label, options).value(word(chosen))
}

fn area(name: &str, label: &str, lines: Vec<String>) -> Field {
    Field { rows: 4, ..Field::new("textarea", name, label) }.value(lines.join("\n"))
}

fn countries(prefix: &str, title: &str, lists: &Countries) -> [Field; 4] {
    let list = |name: &str, label: &str, codes: &[String]| {
        Field::text(format!("{prefix}_{name}"), label).value(codes.join(" ")).example("DE AT CH")
    };
    [
        Field::new("heading", "", title),
        list("allow_only", "Accept from these only", &lists.allow_only),
        list("deny", "Refuse from", &lists.deny),
        list("review", "Look at those from", &lists.review),
    ]
}

fn line(limit: &Limit) -> String {
    let by = COUNTED.iter().find(|(by, _)| *by == limit.by()).map_or("", |(_, word)| word);
    format!("{by} {} {} {}", limit.orders, limit.hours, word(limit.verdict()))
}

/// The fields, with what counts now.
pub fn fields(rules: &ScreenRules, version: u64, currencies: &[String]) -> Vec<Field> {
    let (billing, network) =
        (rules.billing_countries.clone().unwrap_or_default(), rules.network_countries.clone().unwrap_or_default());
    let mut fields = vec![Field::hidden("version", version.to_string())];
    fields.extend(countries("billing", "Country of the billing address", &billing));
    fields.extend(countries("network", "Country a proxy in front says they are in", &network));
    fields.push(select("country_mismatch", "An order whose two countries differ", rules.country_mismatch(), true));
    fields.push(Field::new("heading", "", "How many orders are usual"));
    fields.push(
        area("limits", "One limit per line", rules.limits.iter().map(line).collect())
            .help("By account, device, network or card; orders; hours; review or deny.")
            .example("network 5 24 review"),
    );
    fields.push(Field::new("heading", "", "E-mail"));
    fields.push(select("disposable_mail", "An order with a throw-away address", rules.disposable_mail(), true));
    fields.push(
        area("mail_domains", "Our own list of domains, one per line", rules.mail_domains.clone())
            .help("With every domain below them."),
    );
    fields.push(select("listed_mail", "An order with an address on it", rules.listed_mail(), true));
    fields.push(Field::new("heading", "", "First orders"));
    for currency in currencies {
        let known = rules.new_customer_amounts.iter().find(|amount| amount.currency == *currency);
        let shown = known.and_then(|amount| {
            let currency: Currency = amount.currency.parse().ok()?;
            Some(ottery_kernel::Money::new(amount.minor, currency).to_decimal())
        });
        let label = format!("At most, in {currency}");
        let field = Field::text(format!("amount_{currency}"), label).half().value(shown.unwrap_or_default());
        fields.push(field.help("Empty: any amount."));
    }
    fields.push(select("above_amount", "A first order above that", rules.above_amount(), true));
    fields.push(select("trial_reuse", "A trial by somebody who had one", rules.trial_reuse(), false));
    fields
}

fn list(sent: &Sent, name: &str) -> Vec<String> {
    let parts = sent.get(name).split(|char: char| char.is_whitespace() || matches!(char, ',' | ';'));
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn countries_of(sent: &Sent, prefix: &str) -> Option<Countries> {
    let list = |name: &str| list(sent, &format!("{prefix}_{name}")).iter().map(|code| code.to_uppercase()).collect();
    Some(Countries { allow_only: list("allow_only"), deny: list("deny"), review: list("review") })
}

fn limit_of(text: &str) -> Reply<Limit> {
    let wrong = || {
        let message = format!("`{text}` is no limit; write for example: network 5 24 review");
        Refusal::invalid("limits", "limit_invalid", message)
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [by, orders, hours, verdict] = words[..] else { return Err(wrong()) };
    let by = COUNTED.iter().find(|(_, word)| *word == by).map(|(by, _)| *by).ok_or_else(wrong)?;
    Ok(Limit {
        by: by.into(),
        orders: orders.parse().map_err(|_| wrong())?,
        hours: hours.parse().map_err(|_| wrong())?,
        verdict: verdict_of(verdict).into(),
    })
}

/// What was typed.
///
/// # Errors
/// When a limit or an amount cannot be read.
pub fn read(sent: &Sent, currencies: &[String]) -> Reply<ScreenRules> {
    let lines = sent.get("limits").lines().map(str::trim).filter(|line| !line.is_empty());
    let mut amounts = Vec::new();
    for code in currencies {
        let name = format!("amount_{code}");
        let text = sent.get(&name).trim().replace(',', ".");
        if text.is_empty() {
            continue;
        }
        let currency: Currency = code.parse().map_err(|error: ottery_kernel::CurrencyError| {
            Refusal::invalid(name.clone(), "currency_invalid", error.to_string())
        })?;
        let amount = ottery_kernel::Money::parse(&text, currency)
            .map_err(|error| Refusal::invalid(name, "amount_invalid", error.to_string()))?;
        amounts.push(Money { minor: amount.minor, currency: code.clone() });
    }
    let verdict = |name: &str| verdict_of(sent.get(name)).into();
    Ok(ScreenRules {
        billing_countries: countries_of(sent, "billing"),
        network_countries: countries_of(sent, "network"),
        country_mismatch: verdict("country_mismatch"),
        limits: lines.map(limit_of).collect::<Reply<_>>()?,
        disposable_mail: verdict("disposable_mail"),
        mail_domains: list(sent, "mail_domains").iter().map(|domain| domain.to_lowercase()).collect(),
        listed_mail: verdict("listed_mail"),
        new_customer_amounts: amounts,
        above_amount: verdict("above_amount"),
        trial_reuse: verdict("trial_reuse"),
    })
}

/// A refusal of billing's with the names of this form's fields.
pub fn renamed(mut refusal: Refusal) -> Refusal {
    refusal.field = refusal.field.map(|field| {
        let field = field.strip_prefix("rules.").unwrap_or(&field).to_owned();
        let field = field.replace("billing_countries.", "billing_").replace("network_countries.", "network_");
        field.split('[').next().unwrap_or_default().to_owned()
    });
    refusal
}
