//! Accounts at payment providers: added, tested, rotated, switched off. Their secrets go in and never come out.

use axum::extract::State;
use axum::response::Response;
use ottery_kernel::{Currency, Money};
use ottery_proto::billing::v1 as billing;

use super::amount_limits;
use super::desk::Desk;
use super::own_wallet;
use crate::api::payments::PROVIDER_TIMEOUT;
use crate::limits::Form as Body;
use crate::pages::block::{Block, Cell, Failed, Field, Form, Sent, Table, Tone};
use crate::pages::frame::{Page, Ui, go_done};
use crate::problem::{Refusal, Reply};
use crate::state::AppState;

/// Providers an account can be at, as the form offers them.
const PROVIDERS: [(&str, &str); 8] = [
    ("stripe", "Stripe"),
    ("paypal", "PayPal"),
    ("btcpay", "BTCPay Server"),
    own_wallet::WALLETS[0],
    own_wallet::WALLETS[1],
    ("bank_transfer", "Bank transfer"),
    ("cash", "Cash"),
    ("sandbox", "Sandbox"),
];
/// How long the secret before a new one is taken, as the form offers it, in hours.
const OVERLAPS: [(&str, &str); 4] = [("24", "a day"), ("72", "three days"), ("168", "a week"), ("0", "not at all")];

/// `GET /staff/b/{brand}/providers`
pub async fn show(State(state): State<AppState>, desk: Desk, ui: Ui) -> Reply<Response> {
    draw(&state, &desk, &ui, None).await
}

async fn draw(state: &AppState, desk: &Desk, ui: &Ui, failed: Option<&Failed>) -> Reply<Response> {
    let asked = billing::ListProviderAccountsRequest {};
    let found = state.clients.billing(&desk.call()).list_provider_accounts(asked).await?.into_inner();
    let manner = desk.manner(state);
    let host = desk.brand.hosts.first().cloned().unwrap_or_default();
    let rows = found.accounts.iter().map(|one| {
        let until = one.previous_secret_until.as_ref();
        let secrets = match (one.webhook_secrets, until) {
            _ if is_by_hand(&one.provider) => Cell::text("None: people record what comes"),
            _ if one.webhook_path.is_empty() => Cell::text("None: a chain is looked at"),
            (0, _) => {
                Cell::badge(Tone::Warn, "No secret yet").note("Tell the provider the address, then enter its secret.")
            }
            (_, Some(_)) => Cell::code(format!("{host}{}", one.webhook_path))
                .copied()
                .note(format!("The secret before is taken until {}", manner.moment(until))),
            (_, None) => Cell::code(format!("{host}{}", one.webhook_path)).copied(),
        };
        vec![
            Cell::text(titled(one)).note(place(one)),
            standing(one),
            Cell::text(served(one)),
            Cell::code(&one.api_key_hint),
            secrets,
            Cell::text(manner.moment(one.updated_at.as_ref())),
        ]
    });
    let table = Table::new(
        "",
        &["Account", "Mode", "Serves", "API key", "Webhook address", "Changed"],
        "No payment provider yet: nobody can pay.",
    )
    .rows(rows);
    let mut page = Page::new("Payments").refused(failed).with(Block::Table(table));
    for one in found.accounts.iter().filter(|one| one.webhook_secrets == 0 && !one.webhook_path.is_empty()) {
        page = page.with(told(one, &host));
    }
    for one in found.accounts.iter().filter(|one| !one.first_addresses.is_empty()) {
        let title = format!("{}: compare these addresses with your wallet before anybody pays", titled(one));
        page = page.with(own_wallet::addresses(title, one));
    }
    page = page.with(Block::Form(account_form(desk, &found.accounts, failed)));
    if !found.accounts.is_empty() {
        page = page.with(Block::Form(test_form(desk, &found.accounts, failed))).with(Block::Form(rotate_form(
            desk,
            &found.accounts,
            failed,
        )));
    }
    desk.show(ui, page)
}

fn titled(one: &billing::ProviderAccount) -> String {
    let terms = one.terms.clone().unwrap_or_default();
    let provider =
        PROVIDERS.iter().find(|(name, _)| *name == one.provider).map_or(one.provider.as_str(), |(_, word)| word);
    let name = if terms.name.is_empty() { provider.to_owned() } else { format!("{} ({provider})", terms.name) };
    if terms.default_account { format!("{name}, default") } else { name }
}

/// Whether people record what comes.
fn is_by_hand(provider: &str) -> bool {
    matches!(provider, "bank_transfer" | "cash")
}

/// Where it is: the address of its API, or the bank account.
fn place(one: &billing::ProviderAccount) -> String {
    let told = one.terms.as_ref().and_then(|terms| terms.by_hand.as_ref());
    told.map_or_else(|| one.base_url.clone(), |told| format!("{} {}", told.beneficiary, told.iban).trim().to_owned())
}

fn standing(one: &billing::ProviderAccount) -> Cell {
    let is_enabled = one.terms.as_ref().is_none_or(|terms| terms.enabled);
    match (is_enabled, one.test_mode) {
        (false, _) => Cell::badge(Tone::Neutral, "Switched off"),
        (true, true) if one.provider == "sandbox" => Cell::badge(Tone::Warn, "SANDBOX"),
        (true, true) => Cell::badge(Tone::Warn, "TEST"),
        (true, false) => Cell::badge(Tone::Good, "Live"),
    }
}

/// `EUR, USD in AT, DE, EUR 5-500`
fn served(one: &billing::ProviderAccount) -> String {
    let terms = one.terms.clone().unwrap_or_default();
    let some = |list: &[String], all: &str| if list.is_empty() { all.to_owned() } else { list.join(", ") };
    let place = format!("{} in {}", some(&terms.currencies, "all currencies"), some(&terms.countries, "all countries"));
    if terms.amounts.is_empty() { place } else { format!("{place}, {}", amount_limits::written(&terms.amounts)) }
}

/// What is to be entered at the provider.
fn told(one: &billing::ProviderAccount, host: &str) -> Block {
    let mut facts = vec![("Address", Cell::code(format!("https://{host}{}", one.webhook_path)).copied())];
    if !one.api_version.is_empty() {
        facts.push(("API version", Cell::code(&one.api_version).copied()));
    }
    if !one.webhook_events.is_empty() {
        facts.push(("Events", Cell::code(one.webhook_events.join(", ")).copied()));
    }
    Block::facts(format!("Tell {} this address", titled(one)), facts)
}

/// Which account, as it was when the form was drawn: somebody else's change in between must not be overwritten.
fn id_as_read(account: &billing::ProviderAccount) -> String {
    format!("{} {}", account.id, account.version)
}

fn choices(accounts: &[billing::ProviderAccount]) -> Vec<(String, String)> {
    accounts.iter().map(|one| (id_as_read(one), format!("{}: {}", titled(one), one.base_url))).collect()
}

fn words(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(value, word)| ((*value).to_owned(), (*word).to_owned())).collect()
}

fn account_form(desk: &Desk, accounts: &[billing::ProviderAccount], failed: Option<&Failed>) -> Form {
    let mut options = vec![(String::new(), "a new account".to_owned())];
    options.extend(choices(accounts));
    let last = accounts.last();
    let terms = last
        .and_then(|one| one.terms.clone())
        .unwrap_or(billing::ProviderTerms { enabled: true, ..billing::ProviderTerms::default() });
    Form::new("Connect a payment provider", desk.at("/providers"), "Save")
        .intro("Secrets can be written, never read. The fields show the newest account; what you save is the account you choose.")
        .field(Field::select("id", "Change", options).value(last.map(id_as_read).unwrap_or_default()).half())
        .field(
            Field::select("provider", "Provider", words(&PROVIDERS))
                .value(last.map_or("sandbox", |one| one.provider.as_str()))
                .half(),
        )
        .field(
            Field::text("base_url", "Address of its API")
                .help(
                    "Empty for the provider's own. Of a Bitcoin wallet that of an Esplora, of an Ethereum wallet a node's JSON-RPC, best your own.",
                )
                .value(last.map(|one| one.base_url.clone()).unwrap_or_default()),
        )
        .field(
            Field::password("api_key", "API key", "off")
                .help(
                    "Of PayPal the client id and the secret with a colon between them, of BTCPay Server the store's id and the API key, \
                     of a wallet the public key of its account (xpub, zpub; of Ethereum on a test network with test: in front), never a private \
                     key or seed words. Empty keeps the stored one.",
                ),
        )
        .field(
            Field::password("webhook_secrets", "Webhook secrets", "off").help(
                "With commas between them, the newest last. Empty keeps the stored ones. Stripe and BTCPay Server make their secret when you \
                 tell them the address, and PayPal the webhook id that stands here in its place: save without one first.",
            ),
        )
        .field(Field::text("name", "Name for customers").help("Where they choose how to pay, such as Card.").value(terms.name).half())
        .field(
            Field::text("countries", "Countries")
                .help("Codes with commas between them, such as DE, AT. Empty for all.")
                .value(terms.countries.join(", "))
                .half(),
        )
        .field(
            Field::text("currencies", "Currencies")
                .help("Codes with commas between them, such as EUR. Empty for all.")
                .value(terms.currencies.join(", "))
                .half(),
        )
        .field(
            Field::text(amount_limits::FIELD, "Amounts")
                .help("Ranges with commas between them, such as EUR 5-500, USD 10-. A currency that is left out has no limit.")
                .value(amount_limits::written(&terms.amounts))
                .half(),
        )
        .fields(by_hand_fields(terms.by_hand.as_ref()))
        .field(Field::check("enabled", "Begins new payments", terms.enabled))
        .field(Field::check("default_account", "Asked before the others wherever it serves", terms.default_account))
        .field(Field::check("suspends_on_dispute", "Whoever disputes a payment is not served meanwhile", terms.suspends_on_dispute))
        .refused(failed)
}

/// What is asked of accounts whose payments people record.
fn by_hand_fields(told: Option<&billing::ByHandTerms>) -> Vec<Field> {
    let told = told.cloned().unwrap_or_default();
    let days = if told.days == 0 { String::new() } else { told.days.to_string() };
    vec![
        Field::new("heading", "by_hand", "Bank transfer and cash alone"),
        Field::text("beneficiary", "Who is paid").value(told.beneficiary).half(),
        Field::text("iban", "IBAN").help("Empty for cash.").value(told.iban).half(),
        Field::text("bic", "BIC").help("Mostly not needed.").value(told.bic).quarter(),
        Field::text("bank", "Bank").value(told.bank).quarter(),
        Field::text("days", "Days it may take").help("Told to payers.").value(days).quarter(),
        Field::text("alone_up_to", "One person alone up to")
            .help("Amounts with commas between them, such as EUR 500, USD 0. Above them a second person confirms.")
            .value(alone_written(&told.alone_up_to))
            .quarter(),
        Field::new("textarea", "note", "What payers are told besides")
            .help("Of cash: where and when it is taken.")
            .value(told.note),
    ]
}

fn alone_written(limits: &[billing::AloneUpTo]) -> String {
    let as_range = |limit: &billing::AloneUpTo| billing::AmountLimit {
        currency: limit.currency.clone(),
        min_minor: Some(limit.amount_minor),
        max_minor: None,
    };
    // Written as ranges are, without the hyphen of the open end.
    limits
        .iter()
        .map(|limit| amount_limits::written(&[as_range(limit)]).trim_end_matches('-').to_owned())
        .collect::<Vec<_>>()
        .join(", ")
}

fn alone_read(sent: &Sent) -> Result<Vec<billing::AloneUpTo>, Refusal> {
    let wrong = || {
        Refusal::invalid(
            "alone_up_to",
            "amount_invalid",
            "write amounts with their currency, such as EUR 500, USD 0".to_owned(),
        )
    };
    let read = |text: &str| {
        let (code, amount) = text.split_once(char::is_whitespace).ok_or_else(wrong)?;
        let currency: Currency = code.to_uppercase().parse().map_err(|_| wrong())?;
        let amount = Money::parse(amount.trim(), currency).map_err(|_| wrong())?;
        Ok(billing::AloneUpTo { currency: currency.to_string(), amount_minor: amount.minor })
    };
    sent.get("alone_up_to").split([',', ';', '\n']).map(str::trim).filter(|text| !text.is_empty()).map(read).collect()
}

/// What payers are told; absent at providers that report by themselves.
fn by_hand_sent(sent: &Sent) -> Result<Option<billing::ByHandTerms>, Refusal> {
    if !is_by_hand(sent.get("provider")) {
        return Ok(None);
    }
    Ok(Some(billing::ByHandTerms {
        beneficiary: sent.text("beneficiary"),
        iban: sent.text("iban"),
        bic: sent.text("bic"),
        bank: sent.text("bank"),
        note: sent.text("note"),
        days: sent.number("days")?,
        alone_up_to: alone_read(sent)?,
    }))
}

fn test_form(desk: &Desk, accounts: &[billing::ProviderAccount], failed: Option<&Failed>) -> Form {
    Form::new("Test an account", desk.at("/providers/test"), "Test")
        .intro("Asks the provider something harmless: whether address and key are good.")
        .tone(Tone::Info)
        .field(Field::select("account", "Account", choices(accounts)))
        .refused(failed)
}

fn rotate_form(desk: &Desk, accounts: &[billing::ProviderAccount], failed: Option<&Failed>) -> Form {
    Form::new("Replace a webhook secret", desk.at("/providers/rotate"), "Replace")
        .intro("What is signed with the secret before is taken for a while yet, so that nothing is missed.")
        .tone(Tone::Info)
        .field(Field::select("rotated", "Account", choices(accounts)))
        .field(Field::password("webhook_secret", "New secret", "off").required())
        .field(Field::select("overlap_hours", "The secret before is taken for", words(&OVERLAPS)).value("24"))
        .refused(failed)
}

/// What a form was about, and the version it was drawn from.
fn chosen(sent: &Sent, field: &str) -> (String, u64) {
    let chosen = sent.text(field);
    let (id, version) = chosen.split_once(' ').unwrap_or_default();
    (id.to_owned(), version.parse().unwrap_or(0))
}

/// The page with what was wrong above the form it was wrong in.
async fn refused(state: &AppState, desk: &Desk, ui: &Ui, form: &str, sent: Sent, refusal: Refusal) -> Reply<Response> {
    if refusal.is("reauth_required") {
        return Err(refusal);
    }
    draw(state, desk, ui, Some(&Failed { action: desk.at(form), sent, refusal })).await
}

/// `POST /staff/b/{brand}/providers`
pub async fn put(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let (id, expected_version) = chosen(&sent, "id");
    let upper = |name: &str| sent.list(name).iter().map(|code| code.to_uppercase()).collect();
    let amounts = match amount_limits::read(sent.get(amount_limits::FIELD)) {
        Ok(amounts) => amounts,
        Err(refusal) => return refused(&state, &desk, &ui, "/providers", sent, refusal).await,
    };
    let by_hand = match by_hand_sent(&sent) {
        Ok(by_hand) => by_hand,
        Err(refusal) => return refused(&state, &desk, &ui, "/providers", sent, refusal).await,
    };
    // Tried without being kept: an address is compared before anybody can be shown it.
    let is_to_compare = own_wallet::is_to_compare(&sent);
    let asked = billing::PutProviderAccountRequest {
        id,
        provider: sent.text("provider"),
        base_url: sent.text("base_url"),
        api_key: sent.text("api_key"),
        webhook_secrets: sent.list("webhook_secrets"),
        expected_version,
        dry_run: is_to_compare,
        terms: Some(billing::ProviderTerms {
            name: sent.text("name"),
            enabled: sent.is_on("enabled"),
            default_account: sent.is_on("default_account"),
            countries: upper("countries"),
            currencies: upper("currencies"),
            suspends_on_dispute: sent.is_on("suspends_on_dispute"),
            amounts,
            by_hand,
        }),
    };
    match state.clients.billing(&desk.call()).put_provider_account(asked).await {
        Ok(tried) if is_to_compare => desk.show(&ui, own_wallet::page(&desk, &sent, tried.get_ref())),
        Ok(_) => Ok(go_done(&desk.at("/providers"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/providers", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/providers/test`
pub async fn test(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let (id, _) = chosen(&sent, "account");
    let call = desk.call().timeout(PROVIDER_TIMEOUT);
    let tested = state.clients.billing(&call).test_provider_account(billing::TestProviderAccountRequest { id }).await;
    match tested.map(tonic::Response::into_inner) {
        Ok(answer) if answer.good => Ok(go_done(&desk.at("/providers"), "account-tested")),
        Ok(answer) => {
            let refusal = Refusal::invalid("account", "account_not_good", answer.problem);
            refused(&state, &desk, &ui, "/providers/test", sent, refusal).await
        }
        Err(status) => refused(&state, &desk, &ui, "/providers/test", sent, status.into()).await,
    }
}

/// `POST /staff/b/{brand}/providers/rotate`
pub async fn rotate(State(state): State<AppState>, desk: Desk, ui: Ui, Body(sent): Body<Sent>) -> Reply<Response> {
    let (id, expected_version) = chosen(&sent, "rotated");
    let overlap_hours = match sent.number("overlap_hours") {
        Ok(hours) => hours,
        Err(refusal) => return refused(&state, &desk, &ui, "/providers/rotate", sent, refusal).await,
    };
    let asked = billing::RotateProviderAccountRequest {
        id,
        webhook_secret: sent.text("webhook_secret"),
        overlap_hours,
        expected_version,
    };
    match state.clients.billing(&desk.call()).rotate_provider_account(asked).await {
        Ok(_) => Ok(go_done(&desk.at("/providers"), "saved")),
        Err(status) => refused(&state, &desk, &ui, "/providers/rotate", sent, status.into()).await,
    }
}
