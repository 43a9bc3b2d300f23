//! Accounts that are a wallet of the operator's own: its first addresses are compared with those the wallet shows before a key is kept,
//! because a wrong key sends every payment to somebody else.

use ottery_proto::billing::v1 as billing;

use super::desk::Desk;
use crate::pages::block::{Block, Cell, Field, Form, Sent};
use crate::pages::frame::Page;

/// Providers whose key is the public key of a wallet, as the form offers them.
pub(super) const WALLETS: [(&str, &str); 2] = [("bitcoin", "Bitcoin wallet"), ("ethereum", "Ethereum wallet")];
/// Says that the addresses were compared.
const COMPARED: &str = "compared";
/// What a wallet has no use for, and what the page need not repeat.
const NOT_REPEATED: [&str; 2] = [COMPARED, "webhook_secrets"];

/// Whether the key that was sent makes addresses nobody has compared yet. An empty one keeps the stored one.
pub(super) fn is_to_compare(sent: &Sent) -> bool {
    let is_wallet = WALLETS.iter().any(|(provider, _)| *provider == sent.get("provider"));
    is_wallet && !sent.get("api_key").is_empty() && !sent.is_on(COMPARED)
}

/// The addresses that an account's key makes first.
pub(super) fn addresses(title: impl Into<String>, one: &billing::ProviderAccount) -> Block {
    let facts = one.first_addresses.iter().zip(["First", "Second", "Third"]);
    Block::facts(title, facts.map(|(address, name)| (name, Cell::code(address).copied())).collect())
}

/// The step between what was typed and what is kept. `tried` is the account as it would be. The key is repeated in the form: it was found
/// to be a public one, which cannot spend, and the desk's pages are stored nowhere.
pub(super) fn page(desk: &Desk, sent: &Sent, tried: &billing::ProviderAccount) -> Page {
    let money = if tried.test_mode { "Of a test network: worth nothing" } else { "Real" };
    let repeated = sent.pairs().filter(|(name, _)| !NOT_REPEATED.contains(name));
    let form = Form::new("Does your wallet show the same?", desk.at("/providers"), "They are the same: save")
        .intro(
            "Open Receive in your wallet and compare every letter. If they differ, the key is of another account or another kind: go back \
             and enter the right one. Nothing is kept yet.",
        )
        .fields(repeated.map(|(name, value)| Field::hidden(name, value)))
        .field(Field::hidden(COMPARED, "on"));
    Page::new("Compare before anybody pays")
        .up("Payments", desk.at("/providers"))
        .with(addresses("The first addresses of this key", tried))
        .with(Block::facts(
            "",
            vec![("Money", Cell::text(money)), ("The chain is asked at", Cell::code(&tried.base_url))],
        ))
        .with(Block::Form(form))
        .aside("They differ", desk.at("/providers"))
}
