//! What of a brand is copied: everything billing goes by, nothing that is a secret, and no row of anybody else.

use std::collections::HashSet;

use ottery_kernel::BrandId;
use ottery_kit::clock::brand_now;
use ottery_kit::db::{self, Copied, Scratch};
use sqlx::AssertSqlSafe;

use super::{Journey, SCRATCH};
use crate::MIGRATIONS;
use crate::app::{Billing, profile};
use crate::domain::time_machine::Assumption;
use crate::provider::assumed::Outcomes;
use crate::store;
use crate::validator::Assumed;

/// Tables with a `brand_id` whose rows of the brand are copied. Every table is either here or in [`LEFT`], but for [`NUMBERS`].
pub const COPIED: [&str; 48] = [
    "allocation",
    "amount_rules",
    "billing_address",
    "brand_profile",
    "coupon_counter",
    "credit_note",
    "customer",
    "deferral",
    "due",
    "dunning_campaign",
    "dunning_notice",
    "dunning_pause",
    "errand",
    "gift_batch",
    "gift_code",
    "gift_due",
    "invoice",
    "invoice_rules",
    "known_brand",
    "ledger_books",
    "ledger_close",
    "ledger_reopen",
    "method_expiry",
    "orders",
    "payment",
    "payment_method",
    "payment_share",
    "provider_account",
    "recognition",
    "recognition_due",
    "redemption",
    "refund",
    "reseller",
    "reseller_brand",
    "reseller_client",
    "stock_counter",
    "stock_hold",
    "subscription",
    "suspension_guard",
    "suspension_hold",
    "task",
    "tax_rule",
    "tax_table",
    "top_up_due",
    "transfer",
    "vat_check",
    "wallet_credit",
    "wallet_credit_due",
];

/// Tables that stay behind, and why.
pub const LEFT: [(&str, &str); 40] = [
    ("account_card", "nobody begins a trial in the copy"),
    ("brand_clock", "the copy has a clock of its own"),
    ("by_hand_proof", "nobody sends files to a copy"),
    ("by_hand_record", "what was recorded is in the payments"),
    ("by_hand_wait", "nobody pays in the copy"),
    ("coin_deposit", "no chain is looked at"),
    ("coin_index", "as the deposits"),
    ("coin_lock", "as the deposits"),
    ("coin_transfer", "as the deposits"),
    ("dispute", "whoever objects, the copy hears nothing of it"),
    ("dispute_refund", "as the disputes"),
    ("idempotency", "nobody calls the copy"),
    ("inbox", "the copy hears nothing"),
    ("kit_service", "whose database it is; the copy is nobody's"),
    ("outbox", "the copy's own is read as what would be told"),
    ("payment_setup", "nobody saves a method on a copy"),
    ("provider_customer", "no provider is called"),
    ("provider_event", "what providers told is in the payments, or will be in the next copy"),
    ("provider_event_due", "as the events"),
    ("provider_event_key", "as the events"),
    ("provider_poll", "nobody asks for the copy's events"),
    ("provider_route", "the copy gets no webhooks"),
    ("quote", "nobody orders in the copy"),
    ("reconciliation", "no provider is asked for the copy"),
    ("reconciliation_difference", "as the comparisons"),
    ("reconciliation_due", "as the comparisons"),
    ("reconciliation_row", "as the comparisons"),
    ("relay_lease", "nothing is relayed"),
    ("relay_member", "nothing is relayed"),
    ("retry_delivery", "the copy hears nothing"),
    ("screen_rules", "nobody orders in the copy"),
    ("screening", "nobody orders in the copy"),
    ("seen_version", "the copy hears nothing"),
    ("time_machine_entry", "what other runs found"),
    ("time_machine_run", "as the entries"),
    ("time_machine_turn", "as the entries"),
    ("trial_claim", "nobody begins a trial in the copy"),
    ("trial_pass", "as the claims"),
    ("trial_rules", "as the claims"),
    ("worker_lease", "the copy has one worker"),
];

/// Copied by the legal entity and not by the brand: the counters numbers are taken from, which hold nothing else.
const NUMBERS: &str = "invoice_number";

/// What is put in place of secrets, and of what leads to somebody's page.
fn replaced(table: &str) -> &'static [(&'static str, &'static str)] {
    match table {
        "provider_account" => &[
            ("base_url", "''"),
            ("api_key_sealed", "''::bytea"),
            ("api_key_hint", "''"),
            ("secrets_sealed", "ARRAY[''::bytea]"),
        ],
        // Different for each, as its index wants it.
        "payment_method" => &[("token_sealed", "''::bytea"), ("token_hash", "uuid_send(id)")],
        "gift_batch" => &[("seed_sealed", "NULL::bytea")],
        "gift_code" => &[("code_hash", "uuid_send(id)")],
        "payment" => &[("return_url", "''"), ("cancel_url", "''"), ("checkout_url", "''")],
        _ => &[],
    }
}

/// Every table of the schema that this knows about.
#[must_use]
pub fn known_tables() -> HashSet<&'static str> {
    COPIED.into_iter().chain([NUMBERS]).chain(LEFT.map(|(table, _)| table)).collect()
}

fn plan(brand: BrandId) -> Vec<Copied<'static>> {
    // A UUID in hexadecimal: nothing can be smuggled in.
    let own = format!("brand_id = '{}'", brand.as_uuid().hyphenated());
    let of_brand = |table| Copied { table, rows: own.clone(), replaced: replaced(table) };
    let numbers = Copied {
        table: NUMBERS,
        rows: format!("entity_id IN (SELECT entity_id FROM known_brand WHERE {own})"),
        replaced: &[],
    };
    COPIED.into_iter().map(of_brand).chain([numbers]).collect()
}

impl Journey {
    /// Takes the scratch database and copies the brand's book into it, as one transaction sees it.
    ///
    /// # Errors
    /// When the scratch database does not exist, billing has not heard of the brand, or a database fails.
    pub async fn begin(live: &Billing, brand: BrandId, assumption: Assumption) -> anyhow::Result<Self> {
        let scratch = Scratch::take(&live.host.db, SCRATCH, &[&db::BASE, &MIGRATIONS]).await?;
        // One snapshot for all tables. Its limits are longer than a request's: nothing waits for it.
        let statement = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL ottery.brand = '{}'; \
             SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = '10min'",
            brand.as_uuid().hyphenated()
        );
        let mut tx = live.pool.begin_with(AssertSqlSafe(statement)).await?;
        let begins = brand_now(&mut tx, brand, &*live.clock).await?;
        let rows = scratch.fill(&mut tx, &plan(brand)).await?;
        drop(tx);
        tracing::info!(brand.id = %brand, rows, "a book was copied for the time machine");

        let mut billing = Billing { pool: scratch.pool.clone(), host: live.host.cut_off(), ..Billing::clone(live) };
        let mut tx = db::begin(&billing.pool, db::Scope::Brand(brand)).await?;
        ottery_kit::clock::set_brand_clock(&mut tx, brand, begins).await?;
        let known = store::time_machine::known(&mut tx, begins).await?;
        let outcomes = Outcomes {
            assumption,
            methods: store::time_machine::pasts(&mut tx).await?,
            in_flight: store::time_machine::in_flight(&mut tx).await?,
        };
        let valid = store::time_machine::valid_numbers(&mut tx).await?;
        let zone = profile(&mut tx, brand).await?.entity.zone;
        tx.commit().await?;
        billing.providers = live.providers.assuming(outcomes);
        billing.validator = Some(std::sync::Arc::new(Assumed { valid }));
        billing.catalog = ottery_proto::catalog::v1::catalog_service_client::CatalogServiceClient::new(
            billing.host.client_channel("catalog"),
        );
        let journey = Self { billing, begins, brand, zone, scratch, known };
        journey.seal().await?;
        Ok(journey)
    }

    /// Puts stand-ins where secrets were, sealed with keys nobody keeps: the token of a method is its id.
    async fn seal(&self) -> anyhow::Result<()> {
        let mut tx = db::begin(&self.billing.pool, db::Scope::Brand(self.brand)).await?;
        let methods = store::time_machine::method_ids(&mut tx).await?;
        let tokens: Vec<Vec<u8>> = methods
            .iter()
            .map(|id| {
                let token = crate::domain::payment::SavedToken(id.to_string());
                self.billing.seal_token(self.brand, *id, &token).0
            })
            .collect();
        store::time_machine::put_tokens(&mut tx, &methods, &tokens).await?;
        for account in store::provider_account::list(&mut tx, self.brand).await? {
            let key = self.billing.seal_api_key(self.brand, account.id, "assumed");
            store::time_machine::put_api_key(&mut tx, account.id, &key).await?;
        }
        store::time_machine::ready(&mut tx, self.brand).await?;
        Ok(tx.commit().await?)
    }
}
