//! What of a subscription's time is paid, and where its periods go on.
//!
//! The paid stretches are kept one by one: each begins where the one before ends, so nothing is billed twice or skipped
//! whatever happens to the anchor in between.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ottery_kernel::{AnchorDay, BillingAnchor, Money, MoneyError, Period};
use serde::{Deserialize, Serialize};

use super::derivation::{Addend, Share, Source};
use super::offer::Offer;
use super::price_override::PriceOverride;

/// A stretch of time that is paid (or about to be).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    /// When it is.
    pub period: Period,
    /// The whole term it is a part of; itself unless it is a bridge.
    pub whole: Period,
}

impl Stretch {
    /// A whole term.
    #[must_use]
    pub const fn term(period: Period) -> Self {
        Self { period, whole: period }
    }

    /// Whether it is another length than its term.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        self.period != self.whole
    }

    /// What it costs when a whole term costs `price`: by the second, rounded half up.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn cost(&self, price: Money) -> Result<Money, MoneyError> {
        self.left(price, self.period.start())
    }

    /// What its unused rest is worth at `now`.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn left(&self, price: Money, now: DateTime<Utc>) -> Result<Money, MoneyError> {
        self.share_left(now).of(price)
    }

    /// Its unused rest at `now` as a share of the term, in seconds.
    #[must_use]
    pub fn share_left(&self, now: DateTime<Utc>) -> Share {
        let (part, _) = self.period.remaining_ratio(now);
        let (_, whole) = self.whole.remaining_ratio(now);
        Share { part, whole }
    }

    /// What [`Stretch::left`] says, with where it comes from.
    #[must_use]
    pub fn addend_left(&self, source: Source, price: Money, now: DateTime<Utc>) -> Addend {
        let share = self.share_left(now);
        let period = Period::try_new(now.max(self.period.start()), self.period.end()).ok();
        Addend { share: (!share.is_all()).then_some(share), period, ..Addend::all(source, price) }
    }

    /// What [`Stretch::cost`] says, with where it comes from.
    #[must_use]
    pub fn addend(&self, source: Source, price: Money) -> Addend {
        self.addend_left(source, price, self.period.start())
    }
}

/// What the next renewal pays for, and how counting goes on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// What is paid for.
    pub stretch: Stretch,
    /// Where periods are counted from afterwards.
    pub anchor: BillingAnchor,
    /// The number of the period after it.
    pub index: u32,
}

/// A change of the anchor that waits for the next renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The new day of the month; none keeps the day.
    pub day: Option<AnchorDay>,
    /// The zone whose days count.
    pub zone: Tz,
}

/// Time that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is over by itself; none waits for somebody.
    pub until: Option<DateTime<Utc>>,
}

/// A price that was announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceChange {
    /// What renewals buy from then on.
    pub offer: Offer,
    /// The end of the notice: renewals that begin earlier keep the old price.
    pub from: DateTime<Utc>,
}

/// The calendar of a subscription beside its anchor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calendar {
    /// The paid stretch that runs and those after it, in order; a trial is none of them.
    pub paid: Vec<Stretch>,
    /// A change of the anchor that waits.
    pub moved: Option<Move>,
    /// Present while time stands still.
    pub pause: Option<Pause>,
    /// Another price that was announced and does not apply yet.
    pub price_change: Option<PriceChange>,
    /// Staff has promised the present price for good.
    pub keeps_price: bool,
    /// Another price that staff has given for a time. Left out of the row when there is none, for those who do not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_override: Option<PriceOverride>,
}

impl Calendar {
    /// The calendar as stored, corrected by the dates beside it: who wrote the row last may not have known of stretches.
    /// `is_trial` says that the running period may be the trial.
    #[must_use]
    pub fn restored(mut self, period: Option<Period>, paid_through: Option<DateTime<Utc>>, is_trial: bool) -> Self {
        let (Some(period), Some(end)) = (period, paid_through) else { return self };
        if self.paid.last().is_some_and(|stretch| stretch.period.end() == end) {
            return self;
        }
        let ahead = Period::try_new(period.end(), end).ok().map(Stretch::term);
        let running = (!is_trial || ahead.is_none()).then(|| Stretch::term(period));
        self.paid = running.into_iter().chain(ahead).collect();
        self
    }

    /// The paid stretches that are not over at `now`, the running one first.
    #[must_use]
    pub fn left_at(&self, now: DateTime<Utc>) -> Vec<Stretch> {
        self.paid.iter().filter(|stretch| stretch.period.end() > now).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn month(number: u32) -> Period {
        let at = |month| Utc.with_ymd_and_hms(2026, month, 1, 0, 0, 0).unwrap();
        Period::try_new(at(number), at(number + 1)).unwrap()
    }

    #[test]
    fn a_row_without_stretches_tells_by_its_dates_what_is_paid() {
        let (june, july) = (month(6), month(7));
        let restored = |end, is_trial| Calendar::default().restored(Some(june), Some(end), is_trial).paid;
        assert_eq!(restored(june.end(), false), [Stretch::term(june)]);
        assert_eq!(restored(july.end(), false), [Stretch::term(june), Stretch::term(july)]);
        assert_eq!(restored(july.end(), true), [Stretch::term(july)], "the trial itself was not paid");
        assert_eq!(restored(june.end(), true), [Stretch::term(june)], "the trial is over");
        assert!(Calendar::default().restored(None, None, false).paid.is_empty());
    }

    #[test]
    fn stretches_that_agree_with_the_dates_are_kept_and_others_are_not() {
        let (june, july) = (month(6), month(7));
        let bridge = Stretch { period: june, whole: july };
        let kept = Calendar { paid: vec![bridge], ..Calendar::default() };
        assert_eq!(kept.clone().restored(Some(june), Some(june.end()), false), kept);
        let renewed = kept.restored(Some(june), Some(july.end()), false);
        assert_eq!(renewed.paid, [Stretch::term(june), Stretch::term(july)]);
    }
}
