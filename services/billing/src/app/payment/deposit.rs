//! Payments by coins: an address of the operator's wallet, a price that holds for a while, and looking at the chain until it is money.

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::{BrandId, Money};
use ottery_kit::grpc::Problem;
use sqlx::postgres::PgTransaction;
use url::Url;
use uuid::Uuid;

use super::settle::{self, Teller};
use super::{Reached, apply};
use crate::app::settlement::Owed;
use crate::app::{Billing, broken};
use crate::domain::coin::{
    Address, Change, CoinAmount, Lock, LockRefused, Price, Quote, Settle, Standing, Verdict, agreed, next_look, observe,
};
use crate::domain::ledger::{Account, Booking};
use crate::domain::payment::{Capture, Truth};
use crate::provider::coin::{CoinProvider, Sight};
use crate::provider::{CallError, Checkout, CheckoutAsk};
use crate::store;
use crate::store::coin::{By, New, Stored};
use crate::store::errand;
use crate::store::payment::Payment;

/// Purposes of keyed hashes: one that knows a wallet again, and the name of a page.
const KEY_PURPOSE: &str = "billing.coin.key";
const PAGE_PURPOSE: &str = "billing.coin.page";
/// Where the page of a deposit is, below the brand's host.
const PAGE: &str = "/pay/coin/";
/// Kind of the booking of money that came beside a payment.
pub const APART: &str = "deposit.apart";
/// Task of such money.
const APART_TASK: &str = "deposit_apart";
/// Task of money that is in the books and not on the chain any more.
const UNDONE_TASK: &str = "deposit_undone";
/// Task of a chain source that does not answer.
const AWAY_TASK: &str = "chain_source_away";
/// Task of addresses that a wallet may not look at.
const GAP_TASK: &str = "wallet_gap";
/// Looks in a row that brought nothing before staff hears of it; with the pause between them a quarter of an hour.
const AWAY_LOOKS: u32 = 15;
/// After a look that brought nothing.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// Addresses in a row without a payment that wallets look ahead (BIP-44).
const GAP_MAX: i64 = 20;
/// Addresses that are shown when a key is saved.
pub(crate) const FIRST_ADDRESSES: u32 = 3;

/// What its page shows of a deposit.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is known of it.
    pub stored: Stored,
    /// What the customer is told.
    pub standing: Standing,
    /// What is to be sent, at a price that holds; none while there is no such price, or nothing is to be sent.
    pub ask: Option<Ask>,
    /// It is of a test network.
    pub is_test: bool,
    /// Nobody waits for it any more: another payment took its place, or it was given up.
    pub is_closed: bool,
    /// Real time.
    pub now: DateTime<Utc>,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How much.
    pub amount: CoinAmount,
    /// Until when that is enough.
    pub until: DateTime<Utc>,
    /// As a link for wallets.
    pub link: String,
}

fn no_such_page() -> Problem {
    Problem::not_found("DEPOSIT_NOT_FOUND", "this payment page does not exist (any more)").on_field("token")
}

fn no_price(error: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "no price for a deposit");
    Problem::unavailable("PRICE_AWAY", "nobody knows the price at this moment; nothing is lost, try again in a minute")
}

impl Billing {
    /// Waits for a payment at an address: its own, or that of the try before it of the same invoice.
    pub(super) async fn open_deposit(
        &self,
        brand: BrandId,
        reached: &Reached,
        coins: &dyn CoinProvider,
        ask: &CheckoutAsk,
    ) -> Result<Result<Checkout, CallError>, Problem> {
        let not_sent = |error: &dyn std::fmt::Display| Ok(Err(CallError::NotSent(error.to_string())));
        let Some(page) = page_base(&ask.return_url, PAGE) else {
            return Ok(Err(CallError::Refused { code: "return_url_unreadable".to_owned() }));
        };
        let network = match coins.network(&reached.access).await {
            Ok(network) => network,
            Err(error) => return not_sent(&error),
        };
        // Nobody is sent to an address that nobody can look at.
        if let Err(error) = coins.chain(&reached.access).tip().await {
            return not_sent(&error);
        }
        let (price, sources) = match self.ask_price(brand, coins, ask.amount).await? {
            Ok(agreed) => agreed,
            Err(error) => return not_sent(&error),
        };
        let key = &reached.access.api_key;
        let first = match coins.first_addresses(key, &network, 1).map(|mut places| places.pop()) {
            Ok(Some(first)) => first,
            Ok(None) | Err(_) => return Ok(Err(CallError::Refused { code: "key_unreadable".to_owned() })),
        };
        let key_hash = self.host.keyring.keyed_hash(KEY_PURPOSE, first.script.as_bytes());
        let (mut tx, now) = self.begin(brand).await?;
        let (_, payment) = settle::lock(&mut tx, ask.payment).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let invoice = payment.shares.is_empty().then_some(payment.invoice);
        let before = match invoice {
            Some(invoice) => store::coin::find(&mut tx, By::Invoice(invoice, &key_hash)).await?,
            None => None,
        };
        let new = New {
            id: Uuid::now_v7(),
            payment: payment.id,
            invoice,
            provider_account: reached.id,
            coin: coins.coin(),
            network: &network,
            key_hash,
            index: 0,
            address: &first,
            token: "",
            title: &ask.title,
            return_url: &ask.return_url,
            owed: payment.amount,
        };
        let same =
            before.filter(|before| before.network == network && before.deposit.owed.currency == new.owed.currency);
        let (id, token, owed) = if let Some(before) = same {
            let Some(mut known) = store::coin::lock(&mut tx, before.id).await? else { return Err(no_such_page()) };
            store::coin::take_over(&mut tx, known.id, &new).await?;
            known.deposit.owed = new.owed;
            // A price that was told and holds still is kept: somebody may be sending by it at this moment.
            let is_held = known.deposit.until().is_some_and(|until| real_now <= until);
            let owed = if is_held { Money::zero(new.owed.currency) } else { missing(&known, real_now)? };
            (known.id, known.token.clone(), owed)
        } else {
            let index = store::coin::take_index(&mut tx, &key_hash).await?;
            let place = match u32::try_from(index).map(|index| coins.place(key, &network, index)) {
                Ok(Ok(place)) => place,
                Ok(Err(_)) | Err(_) => return Ok(Err(CallError::Refused { code: "key_used_up".to_owned() })),
            };
            let hash = self.host.keyring.keyed_hash(PAGE_PURPOSE, new.id.as_bytes());
            let token = hex::encode(&hash[..16]);
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let made = New { index, address: &place, token: &token, ..new };
            store::coin::insert(&mut tx, brand, &made, now).await?;
            self.mind_gap(&mut tx, brand, reached, &key_hash, now).await?;
            (made.id, token.clone(), made.owed)
        };
        if owed.is_positive() {
            match Lock::new(price, owed, coins.coin(), real_now) {
                Ok(lock) => store::coin::hold(&mut tx, brand, id, &lock, &sources).await?,
                Err(LockRefused::TooSmall | LockRefused::Price(_)) => return Ok(Err(CallError::Amount(ask.amount))),
            }
        }
        errand::plan(&mut tx, brand, errand::Kind::Deposit, &[id], TimeDelta::seconds(5)).await?;
        tx.commit().await?;
        let url = format!("{page}{token}");
        Ok(Ok(Checkout { reference: id.simple().to_string(), url, customer: ask.customer.clone() }))
    }

    /// Asks the sources of prices; what they agree on, and who they are. In real time.
    async fn ask_price(
        &self,
        brand: BrandId,
        coins: &dyn CoinProvider,
        amount: Money,
    ) -> Result<Result<(Price, Vec<String>), crate::domain::coin::PriceError>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        drop(tx);
        let quotes: Vec<Quote> = coins.quotes(amount.currency, real_now).await;
        let sources = quotes.iter().map(|quote| quote.source.clone()).collect();
        Ok(agreed(&quotes, real_now).map(|price| (price, sources)))
    }

    /// Wallets stop looking after some addresses without a payment: whoever owns the wallet has to tell it to look further.
    async fn mind_gap(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        reached: &Reached,
        key_hash: &[u8; 32],
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let gap = store::coin::unpaid_in_a_row(tx, key_hash).await?;
        if gap <= GAP_MAX {
            return Ok(());
        }
        let summary = format!(
            "more than {GAP_MAX} addresses in a row of this account's wallet were never paid to, and most wallets look no further: raise \
             the gap limit of the wallet, or it does not show payments that came"
        );
        Ok(store::task::open(tx, brand, GAP_TASK, reached.id, &summary, now).await?)
    }

    /// What is known of a payment's address, as an answer to whoever reads the payment back. It books nothing: looks do.
    pub(super) async fn deposit_truth(&self, brand: BrandId, payment: &Payment) -> Result<Truth, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let Some(stored) = store::coin::find(&mut tx, By::Payment(payment.id)).await? else {
            // The try that took its place has its address; before it had one nobody was sent there.
            return Ok(if payment.checkout_ref.is_empty() { Truth::Absent } else { Truth::Expired });
        };
        let verdict = stored.deposit.judge(stored.tip, real_now).map_err(broken)?;
        Ok(truth(&stored, &verdict, payment.is_withdrawn))
    }

    /// Looks at one address: everything that follows is one transaction.
    ///
    /// # Errors
    /// When the database fails; the errand is then done later.
    pub(crate) async fn run_deposit(&self, brand: BrandId, id: Uuid, tries: u32) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        let Some(stored) = store::coin::find(&mut tx, By::Id(id)).await? else {
            errand::done(&mut tx, id).await?;
            return Ok(tx.commit().await?);
        };
        let reached = self.reach(&mut tx, brand, stored.provider_account).await?;
        let Some((reached, coins)) = reached.as_ref().and_then(|found| Some((found, found.provider.coins()?))) else {
            errand::again(&mut tx, id, TimeDelta::hours(1)).await?;
            return Ok(tx.commit().await?);
        };
        drop(tx);
        // The account may have another chain source now; it is no witness of an address of another network.
        let sight = match coins.network(&reached.access).await {
            Ok(network) if network == stored.network => {
                coins.chain(&reached.access).look(&stored.address, &stored.deposit.transfers).await
            }
            Ok(_) => Err(crate::provider::coin::ChainError::Network),
            Err(error) => Err(error),
        };
        let sight = match sight {
            Ok(sight) if sight.tip.height >= stored.tip => sight,
            Ok(_) => {
                tracing::info!(deposit.id = %id, "the chain source is behind what was seen before");
                return self.look_again(brand, id, PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(deposit.id = %id, %error, "address not looked at");
                if tries >= AWAY_LOOKS {
                    let (mut tx, _) = self.begin(brand).await?;
                    let summary = format!("payments by coins are not seen: {error}. Test the account's address");
                    store::task::open(&mut tx, brand, AWAY_TASK, reached.id, &summary, now).await?;
                    tx.commit().await?;
                }
                return self.look_again(brand, id, PAUSE).await;
            }
        };
        let market = self.market(brand, coins, &stored, &sight).await?;
        Box::pin(self.apply_sight(brand, reached, id, &sight, market)).await
    }

    async fn look_again(&self, brand: BrandId, id: Uuid, after: TimeDelta) -> Result<(), Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        errand::again(&mut tx, id, after).await?;
        Ok(tx.commit().await?)
    }

    /// The price of this moment, when something is seen for which none was held.
    async fn market(
        &self,
        brand: BrandId,
        coins: &dyn CoinProvider,
        stored: &Stored,
        sight: &Sight,
    ) -> Result<Option<Price>, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        drop(tx);
        let mut deposit = stored.deposit.clone();
        for change in observe(&deposit.transfers.clone(), &sight.transfers, real_now) {
            if let Change::New(transfer) = change {
                deposit.transfers.push(transfer);
            }
        }
        if deposit.unpriced().is_empty() {
            return Ok(None);
        }
        match self.ask_price(brand, coins, deposit.owed).await? {
            Ok((price, _)) => Ok(Some(price)),
            Err(error) => {
                tracing::warn!(deposit.id = %stored.id, %error, "no price for what came late");
                Ok(None)
            }
        }
    }

    async fn apply_sight(
        &self,
        brand: BrandId,
        reached: &Reached,
        id: Uuid,
        sight: &Sight,
        market: Option<Price>,
    ) -> Result<(), Problem> {
        let (mut tx, now) = self.begin(brand).await?;
        // Another try may take the address over at this moment: it is looked at again then.
        let Some(before) = store::coin::find(&mut tx, By::Id(id)).await? else { return Ok(()) };
        let (owed, payment) = settle::lock(&mut tx, before.payment).await?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let Some(stored) = store::coin::lock(&mut tx, id).await? else { return Ok(()) };
        if stored.payment != before.payment || stored.tip > sight.tip.height {
            errand::again(&mut tx, id, TimeDelta::seconds(1)).await?;
            return Ok(tx.commit().await?);
        }
        store::coin::apply(&mut tx, brand, id, &observe(&stored.deposit.transfers, &sight.transfers, real_now)).await?;
        let Some(mut stored) = store::coin::find(&mut tx, By::Id(id)).await? else { return Ok(()) };
        if let Some(market) = market {
            store::coin::value(&mut tx, id, &stored.deposit.unpriced(), market).await?;
            let Some(valued) = store::coin::find(&mut tx, By::Id(id)).await? else { return Ok(()) };
            stored = valued;
        }
        let verdict = stored.deposit.judge(sight.tip.height, real_now).map_err(broken)?;
        let teller = Teller { account: reached.id, provider: reached.provider.name(), tries: 0 };
        self.book_apart(&mut tx, brand, &owed, &payment, &stored, &verdict, now).await?;
        if let Some(settle) = &verdict.settle {
            store::coin::mark_booked(&mut tx, id, &settle.references, real_now).await?;
            let truth = Truth::Captured(capture(settle, reached.provider.name()));
            Box::pin(apply(&mut tx, self, brand, payment.id, truth, teller, now)).await?;
        } else if !stored.deposit.is_settled && is_news(&payment, &stored, &verdict) {
            let truth = truth(&stored, &verdict, payment.is_withdrawn);
            Box::pin(apply(&mut tx, self, brand, payment.id, truth, teller, now)).await?;
        }
        tell_undone(&mut tx, brand, &payment, &verdict, now).await?;
        let settled = verdict.settle.is_some().then_some(real_now);
        store::coin::looked(&mut tx, id, sight.tip.height, settled, real_now).await?;
        store::task::resolve(&mut tx, brand, AWAY_TASK, reached.id, now).await?;
        let until = stored.deposit.until().unwrap_or(real_now);
        match next_look(&verdict.standing, until, verdict.is_deep, real_now) {
            // Counted anew: `tries` is how many looks in a row brought nothing.
            Some(after) => errand::plan(&mut tx, brand, errand::Kind::Deposit, &[id], after).await?,
            None => errand::done(&mut tx, id).await?,
        }
        tx.commit().await?;
        ottery_kit::crash::point("deposit.looked");
        Ok(())
    }

    /// Money that came beside the payment: the customer's, and a person decides.
    #[expect(clippy::too_many_arguments, reason = "one transaction's worth of facts")]
    async fn book_apart(
        &self,
        tx: &mut PgTransaction<'_>,
        brand: BrandId,
        owed: &Owed,
        payment: &Payment,
        stored: &Stored,
        verdict: &Verdict,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        for (reference, worth) in &verdict.apart {
            if worth.is_positive() && !store::ledger::is_booked(tx, APART, reference).await? {
                let provider = Account::Provider(payment.provider.clone());
                let booking = Booking::new(owed.invoice.snapshot.seller.id, APART, reference, now)
                    .post(provider, Account::Unapplied(payment.account), *worth)
                    .map_err(broken)?;
                store::ledger::book(tx, brand, booking).await?;
                let summary = format!(
                    "{worth} in {} ({reference}) came for {} after it was paid; it is booked as unapplied: credit the customer, or send \
                     it back",
                    stored.deposit.coin.code(),
                    payment.id
                );
                store::task::open(tx, brand, APART_TASK, reference, &summary, now).await?;
            }
            let real_now = store::provider_account::real_now(tx).await?;
            store::coin::mark_booked(tx, stored.id, std::slice::from_ref(reference), real_now).await?;
        }
        Ok(())
    }

    /// What the page of a deposit shows.
    ///
    /// # Errors
    /// When there is no such page in this brand.
    pub async fn show_deposit(&self, brand: BrandId, token: &str) -> Result<Shown, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let stored = store::coin::find(&mut tx, By::Token(token)).await?.ok_or_else(no_such_page)?;
        self.shown(&mut tx, brand, stored).await
    }

    async fn shown(&self, tx: &mut PgTransaction<'_>, brand: BrandId, stored: Stored) -> Result<Shown, Problem> {
        let now = store::provider_account::real_now(tx).await?;
        let verdict = stored.deposit.judge(stored.tip, now).map_err(broken)?;
        let standing = match verdict.standing {
            // It is in no book before a look has put it there.
            Standing::Paid { .. } | Standing::Kept { .. } if !stored.deposit.is_settled => {
                Standing::Seen { confirmations: 0, needed: 0, is_late: false }
            }
            standing => standing,
        };
        let account = store::provider_account::get(tx, stored.provider_account).await?;
        let reached = self.reach(tx, brand, stored.provider_account).await?;
        let payment = store::payment::get(tx, stored.payment).await?;
        let is_closed = !stored.deposit.is_settled
            && payment.is_none_or(|payment| payment.is_withdrawn || payment.state.is_final());
        let mut ask = None;
        if let Some(coins) = reached.as_ref().and_then(|reached| reached.provider.coins())
            && let Some((amount, until)) = to_send(&stored, &standing, now)
            && !is_closed
        {
            ask =
                Some(Ask { amount, until, link: coins.link(&stored.network, &stored.address, amount, &stored.title) });
        }
        let is_test = account.is_some_and(|account| account.is_test);
        Ok(Shown { stored, standing, ask, is_test, is_closed, now })
    }

    /// Holds a fresh price for what is missing.
    ///
    /// # Errors
    /// When nothing is to be sent, the price before holds still, or nobody knows one.
    pub async fn renew_deposit(&self, brand: BrandId, token: &str) -> Result<Shown, Problem> {
        let (mut tx, _) = self.begin(brand).await?;
        let stored = store::coin::find(&mut tx, By::Token(token)).await?.ok_or_else(no_such_page)?;
        let shown = self.shown(&mut tx, brand, stored.clone()).await?;
        if shown.ask.is_some() {
            return Ok(shown);
        }
        let is_open = matches!(shown.standing, Standing::Expired | Standing::Short { .. });
        if shown.is_closed || !is_open {
            let message = "nothing is to be sent here (any more); look at the invoice";
            return Err(Problem::refused("DEPOSIT_NOT_OPEN", message));
        }
        let reached = self.reach(&mut tx, brand, stored.provider_account).await?;
        drop(tx);
        let coins = reached.as_ref().and_then(|reached| reached.provider.coins()).ok_or_else(no_such_page)?;
        let asked = self.ask_price(brand, coins, stored.deposit.owed).await?;
        let (price, sources) = asked.map_err(|error| no_price(&error))?;
        let (mut tx, _) = self.begin(brand).await?;
        settle::lock(&mut tx, stored.payment).await?;
        let known = store::coin::lock(&mut tx, stored.id).await?.ok_or_else(no_such_page)?;
        let real_now = store::provider_account::real_now(&mut tx).await?;
        let owed = missing(&known, real_now)?;
        let has_price = known.deposit.until().is_some_and(|until| real_now <= until)
            && to_send(&known, &shown.standing, real_now).is_some();
        if owed.is_positive() && !has_price && !known.deposit.is_settled {
            let lock = Lock::new(price, owed, known.deposit.coin, real_now).map_err(|error| match error {
                LockRefused::TooSmall => {
                    let message = "what is missing is too little to be sent; write to us, and we settle it";
                    Problem::refused("DEPOSIT_REST_TOO_SMALL", message)
                }
                LockRefused::Price(error) => no_price(&error),
            })?;
            store::coin::hold(&mut tx, brand, known.id, &lock, &sources).await?;
            errand::plan(&mut tx, brand, errand::Kind::Deposit, &[known.id], TimeDelta::seconds(5)).await?;
        }
        let stored = store::coin::find(&mut tx, By::Id(known.id)).await?.ok_or_else(no_such_page)?;
        let shown = self.shown(&mut tx, brand, stored).await?;
        tx.commit().await?;
        Ok(shown)
    }

    /// The addresses an account's key makes first, for whoever compares them with their wallet; none at a provider that makes no
    /// addresses.
    ///
    /// # Errors
    /// When the key cannot be opened.
    pub fn first_addresses(
        &self,
        brand: BrandId,
        account: &crate::store::provider_account::ProviderAccount,
    ) -> Result<Vec<Address>, Problem> {
        let Some(provider) = self.providers.get(&account.provider) else { return Ok(Vec::new()) };
        let Some(coins) = provider.coins() else { return Ok(Vec::new()) };
        let key = self.stored_key(brand, account)?;
        // A key that was taken makes addresses.
        Ok(coins.first_addresses(&key, "", FIRST_ADDRESSES).unwrap_or_default())
    }
}

/// Where pages of ours below `path` are, on the host the customer comes back to.
pub(super) fn page_base(return_url: &str, path: &str) -> Option<String> {
    let url = Url::parse(return_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(url.join(path).ok()?.to_string())
}

/// What is owed of a deposit and was not seen yet.
fn missing(stored: &Stored, now: DateTime<Utc>) -> Result<Money, Problem> {
    let verdict = stored.deposit.judge(stored.tip, now).map_err(broken)?;
    Ok(match verdict.standing {
        Standing::Waiting { .. } | Standing::Expired => stored.deposit.owed,
        Standing::Short { missing, .. } => missing,
        Standing::Seen { .. } | Standing::Paid { .. } | Standing::Kept { .. } => {
            Money::zero(stored.deposit.owed.currency)
        }
    })
}

/// How much is to be sent at the price that holds now, and until when.
fn to_send(stored: &Stored, standing: &Standing, now: DateTime<Utc>) -> Option<(CoinAmount, DateTime<Utc>)> {
    let lock = stored.deposit.locks.last().filter(|lock| now <= lock.until)?;
    let owed = match standing {
        Standing::Waiting { .. } => stored.deposit.owed,
        Standing::Short { missing, .. } => *missing,
        Standing::Expired | Standing::Seen { .. } | Standing::Paid { .. } | Standing::Kept { .. } => return None,
    };
    let amount = lock.price.coins_for(owed, stored.deposit.coin).ok()?;
    Some((amount, lock.until))
}

/// As a provider would say it.
fn truth(stored: &Stored, verdict: &Verdict, is_withdrawn: bool) -> Truth {
    match &verdict.standing {
        Standing::Seen { .. } | Standing::Paid { .. } | Standing::Kept { .. } => {
            // What was seen may be replaced: the transfer that pays is named when it is booked.
            Truth::Processing { provider_ref: format!("seen_{}", stored.payment) }
        }
        Standing::Waiting { .. } | Standing::Expired | Standing::Short { .. } if is_withdrawn || verdict.is_over => {
            Truth::Expired
        }
        Standing::Waiting { .. } | Standing::Expired | Standing::Short { .. } => Truth::Open,
    }
}

/// Whether the payment has to be told: most looks bring nothing new.
fn is_news(payment: &Payment, stored: &Stored, verdict: &Verdict) -> bool {
    match truth(stored, verdict, payment.is_withdrawn) {
        Truth::Processing { .. } => !payment.is_processing && !payment.state.is_final(),
        Truth::Open => payment.is_processing,
        Truth::Expired => !payment.state.is_final(),
        Truth::Captured(_) | Truth::Reversed { .. } | Truth::Declined { .. } | Truth::Absent => false,
    }
}

fn capture(settle: &Settle, provider: &str) -> Capture {
    let mut label = provider.to_owned();
    if let Some(first) = label.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    Capture {
        provider_ref: settle.references.first().cloned().unwrap_or_default(),
        amount: settle.received,
        fee: Some(settle.forgiven).filter(|forgiven| forgiven.is_positive()),
        saved: None,
        label,
        fingerprint: None,
        expires_on: None,
    }
}

/// A block was undone under something that is in the books: nobody takes it back by itself, because it mostly comes again.
async fn tell_undone(
    tx: &mut PgTransaction<'_>,
    brand: BrandId,
    payment: &Payment,
    verdict: &Verdict,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    if verdict.undone.is_empty() {
        return Ok(store::task::resolve(tx, brand, UNDONE_TASK, payment.id, now).await?);
    }
    let summary = format!(
        "{} was paid by {}, and the chain does not hold that any more: its block was undone. It is looked for; when it does not come \
         again within hours, ask the customer, and book what is missing by hand",
        payment.id,
        verdict.undone.join(", ")
    );
    Ok(store::task::open(tx, brand, UNDONE_TASK, payment.id, &summary, now).await?)
}
