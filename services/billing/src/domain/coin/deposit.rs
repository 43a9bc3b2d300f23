//! From what is seen at an address to what is told and booked.
//!
//! A chain is a witness that changes its mind: a transfer can be replaced before it is mined, and a block can be undone. So nothing is
//! concluded from a single look. What was seen stays written down with where it is now, and everything else follows from that.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ottery_kernel::Money;

use super::{Coin, CoinAmount, Confirmations, Lock, Price, PriceError};

/// How much less than what is owed is taken as enough, in hundredths of a percent: wallets subtract fees.
const SHORT_MAX_BP: i64 = 50;
/// The same where something came after its price had run out and was valued as it was seen.
const LATE_SHORT_MAX_BP: i64 = 100;
/// How long after the last price ran out the rest of a short payment is waited for.
pub(super) const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// Where a transfer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Told among nodes, in no block.
    Mempool,
    /// In a block.
    Mined {
        /// The block's height.
        height: u64,
        /// The block's hash: another one at the same height is another block.
        block: String,
    },
    /// Not to be found: replaced, or its block was undone. It may come back.
    Gone,
}

/// A transfer as a chain tells of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The chain's name of it, as `txid:vout`.
    pub reference: String,
    /// How much.
    pub amount: CoinAmount,
    /// Where it is.
    pub place: Place,
    /// When its block was made, by the miner's clock.
    pub mined_at: Option<DateTime<Utc>>,
}

/// A transfer as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The chain's name of it.
    pub reference: String,
    /// How much.
    pub amount: CoinAmount,
    /// Where it is.
    pub place: Place,
    /// Since when it is known; the time of its block where nobody looked before.
    pub seen_at: DateTime<Utc>,
    /// What a coin cost then; only where no locked price covers it.
    pub market: Option<Price>,
    /// It is in the books.
    pub is_booked: bool,
}

/// What a look has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Never seen before.
    New(Transfer),
    /// Somewhere else than it was.
    Moved {
        /// Which.
        reference: String,
        /// Where it is now.
        place: Place,
    },
}

/// Compares what is remembered with everything a chain tells of an address now.
#[must_use]
pub fn observe(known: &[Transfer], told: &[Observed], now: DateTime<Utc>) -> Vec<Change> {
    let mut changes = Vec::new();
    for one in told {
        match known.iter().find(|known| known.reference == one.reference) {
            None => changes.push(Change::New(Transfer {
                reference: one.reference.clone(),
                amount: one.amount,
                place: one.place.clone(),
                seen_at: one.mined_at.map_or(now, |mined| mined.min(now)),
                market: None,
                is_booked: false,
            })),
            Some(known) if known.place != one.place => {
                changes.push(Change::Moved { reference: one.reference.clone(), place: one.place.clone() });
            }
            Some(_) => {}
        }
    }
    for known in known.iter().filter(|known| known.place != Place::Gone) {
        if !told.iter().any(|one| one.reference == known.reference) {
            changes.push(Change::Moved { reference: known.reference.clone(), place: Place::Gone });
        }
    }
    changes
}

/// An address that waits for one payment, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Which coin.
    pub coin: Coin,
    /// What is owed.
    pub owed: Money,
    /// Prices that were told, the newest last.
    pub locks: Vec<Lock>,
    /// What came, or seemed to.
    pub transfers: Vec<Transfer>,
    /// The payment is in the books.
    pub is_settled: bool,
}

/// What the customer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has come, and the price holds.
    Waiting {
        /// Until then.
        until: DateTime<Utc>,
    },
    /// Nothing has come, and the price does not hold any more.
    Expired,
    /// Enough was seen; it is waited for confirmations.
    Seen {
        /// Of the transfer that has the fewest.
        confirmations: u32,
        /// How many make it money.
        needed: u32,
        /// It came after its price had run out, and is enough all the same.
        is_late: bool,
    },
    /// Something was seen, and it is not enough.
    Short {
        /// What it is worth.
        seen: Money,
        /// What is missing.
        missing: Money,
        /// Some of it came after its price had run out.
        is_late: bool,
    },
    /// It is money, and in the books.
    Paid {
        /// What was too much; it is the customer's.
        over: Money,
    },
    /// It never was enough: what came is kept for the customer.
    Kept {
        /// How much.
        amount: Money,
    },
}

/// What is to be booked as the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// What came, as money; at least what is owed, unless it was given up waiting for the rest.
    pub received: Money,
    /// What was forgiven of it.
    pub forgiven: Money,
    /// The transfers that are booked with it.
    pub references: Vec<String>,
}

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the customer is told.
    pub standing: Standing,
    /// The payment is to be booked.
    pub settle: Option<Settle>,
    /// Money that came beside the payment that is booked: each with its worth.
    pub apart: Vec<(String, Money)>,
    /// Something that is in the books is not on the chain any more.
    pub undone: Vec<String>,
    /// All that is booked is deeper than a fork goes.
    pub is_deep: bool,
    /// Nothing came, and nobody waits for it any more.
    pub is_over: bool,
}

impl Deposit {
    /// The price a transfer is valued at; none where that is not known yet.
    #[must_use]
    pub fn price_of(&self, transfer: &Transfer) -> Option<Price> {
        let lock = self.locks.iter().rev().find(|lock| lock.covers(transfer.seen_at));
        lock.map(|lock| lock.price).or(transfer.market)
    }

    /// Transfers whose worth nobody knows yet: they came when no price was locked.
    #[must_use]
    pub fn unpriced(&self) -> Vec<String> {
        let is_unpriced = |transfer: &&Transfer| self.price_of(transfer).is_none();
        self.transfers.iter().filter(is_unpriced).map(|transfer| transfer.reference.clone()).collect()
    }

    /// What some transfers are worth together; each price is applied once, to their sum.
    fn worth<'a>(&self, transfers: impl Iterator<Item = &'a Transfer>) -> Result<Money, PriceError> {
        let mut by_price: BTreeMap<Price, u128> = BTreeMap::new();
        for transfer in transfers {
            if let Some(price) = self.price_of(transfer) {
                let sum = by_price.entry(price).or_default();
                *sum = sum.checked_add(transfer.amount.units).ok_or(PriceError::Overflow)?;
            }
        }
        let worth = |(price, units): (Price, u128)| price.worth(CoinAmount::new(units, self.coin), self.owed.currency);
        by_price.into_iter().try_fold(Money::zero(self.owed.currency), |sum, part| {
            sum.checked_add(worth(part)?).map_err(|_| PriceError::Overflow)
        })
    }

    fn live(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.iter().filter(|transfer| transfer.place != Place::Gone)
    }

    fn is_late(&self) -> bool {
        self.live().any(|transfer| !self.locks.iter().any(|lock| lock.covers(transfer.seen_at)))
    }

    /// Whether that much is enough.
    fn is_enough(&self, worth: Money) -> bool {
        let tolerance = if self.is_late() { LATE_SHORT_MAX_BP } else { SHORT_MAX_BP };
        let forgiven = i128::from(self.owed.minor) * i128::from(tolerance) / 10_000;
        i128::from(worth.minor) >= i128::from(self.owed.minor) - forgiven
    }

    /// When the last price ran out.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        self.locks.iter().map(|lock| lock.until).max()
    }

    /// What follows, with the chain's last block at height `tip`.
    ///
    /// # Errors
    /// When amounts do not fit.
    pub fn judge(&self, tip: u64, now: DateTime<Utc>) -> Result<Verdict, PriceError> {
        let total =
            CoinAmount::sum(self.coin, self.live().map(|one| one.amount.units)).map_err(|_| PriceError::Overflow)?;
        let needed = Confirmations::usual(self.coin).needed(total);
        let is_money = |transfer: &&Transfer| depth(transfer, tip) >= needed;
        let undone: Vec<String> = self
            .transfers
            .iter()
            .filter(|one| one.is_booked && !matches!(one.place, Place::Mined { .. }))
            .map(|one| one.reference.clone())
            .collect();
        let booked = || self.transfers.iter().filter(|one| one.is_booked);
        let is_deep =
            undone.is_empty() && booked().all(|one| depth(one, tip) >= Confirmations::watched_depth(self.coin));
        let is_patient = self.until().is_none_or(|until| now < until + PATIENCE);
        let mut verdict =
            Verdict { standing: Standing::Expired, settle: None, apart: Vec::new(), undone, is_deep, is_over: false };
        if self.is_settled {
            for one in self.live().filter(|one| !one.is_booked).filter(is_money) {
                if self.price_of(one).is_some() {
                    verdict.apart.push((one.reference.clone(), self.worth(std::iter::once(one))?));
                }
            }
            let worth = self.worth(booked())?;
            verdict.standing = if self.is_enough_booked(worth) {
                Standing::Paid { over: above(worth, self.owed) }
            } else {
                Standing::Kept { amount: worth }
            };
            return Ok(verdict);
        }
        let seen = self.worth(self.live())?;
        let confirmed = self.worth(self.live().filter(is_money))?;
        if self.is_enough(confirmed) {
            let received = Money::new(confirmed.minor.max(self.owed.minor), confirmed.currency);
            verdict.settle =
                Some(Settle { received, forgiven: above(self.owed, confirmed), references: self.references(is_money) });
            verdict.standing = Standing::Paid { over: above(confirmed, self.owed) };
        } else if self.is_enough(seen) {
            let confirmations = self.live().map(|one| depth(one, tip)).min().unwrap_or(0);
            verdict.standing = Standing::Seen { confirmations, needed, is_late: self.is_late() };
        } else if self.live().next().is_some() {
            let is_all_money = self.live().all(|one| depth(one, tip) >= needed && self.price_of(one).is_some());
            verdict.standing = Standing::Short { seen, missing: above(self.owed, seen), is_late: self.is_late() };
            if !is_patient && is_all_money && confirmed.is_positive() {
                verdict.settle = Some(Settle {
                    received: confirmed,
                    forgiven: Money::zero(confirmed.currency),
                    references: self.references(is_money),
                });
                verdict.standing = Standing::Kept { amount: confirmed };
            }
        } else {
            verdict.is_over = !is_patient;
            let holds = self.until().filter(|until| now <= *until);
            verdict.standing = holds.map_or(Standing::Expired, |until| Standing::Waiting { until });
        }
        Ok(verdict)
    }

    /// Whether what was booked paid it; something that came since says nothing about that.
    fn is_enough_booked(&self, worth: Money) -> bool {
        let forgiven = i128::from(self.owed.minor) * i128::from(LATE_SHORT_MAX_BP) / 10_000;
        i128::from(worth.minor) >= i128::from(self.owed.minor) - forgiven
    }

    fn references(&self, is_meant: impl Fn(&&Transfer) -> bool) -> Vec<String> {
        let priced = self.live().filter(|one| self.price_of(one).is_some());
        priced.filter(is_meant).map(|one| one.reference.clone()).collect()
    }
}

/// Blocks that hold it or follow; none when it is in no block, or in one that is not known to the same witness.
fn depth(transfer: &Transfer, tip: u64) -> u32 {
    match &transfer.place {
        Place::Mined { height, .. } => u32::try_from((tip + 1).saturating_sub(*height)).unwrap_or(u32::MAX),
        Place::Mempool | Place::Gone => 0,
    }
}

/// By how much one is above the other; nothing when it is not.
fn above(one: Money, other: Money) -> Money {
    Money::new(one.minor.saturating_sub(other.minor).max(0), one.currency)
}

#[cfg(test)]
mod tests;
