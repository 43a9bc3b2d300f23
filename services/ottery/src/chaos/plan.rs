//! What happens in a storm: every payment, what its customer does, and what goes wrong with its calls and its webhooks.
//!
//! All chance is here. A plan is made of a seed and a number alone, so that the same seed is the same storm; which of two
//! workers is faster is not part of it.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::Serialize;

/// How many of a hundred calls go wrong.
const CALLS_PERCENT: u32 = 35;
/// How many of a hundred webhooks are not simply told once.
const TOLD_PERCENT: u32 = 60;
/// Webhooks of one payment whose fate is planned; later ones are told once.
const FATES: usize = 4;
/// Payments between two starts of billing, at least and at most.
const BETWEEN_STARTS: std::ops::Range<usize> = 20..60;

/// Who is paid through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// The sandbox's own payment provider.
    Sandbox,
    /// PayPal, as the sandbox plays it.
    Paypal,
    /// BTCPay Server, as the sandbox plays it.
    Btcpay,
    /// A bank transfer, recorded by staff.
    BankTransfer,
    /// Cash, recorded by staff.
    Cash,
}

impl Gateway {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sandbox, Self::Paypal, Self::Btcpay, Self::BankTransfer, Self::Cash];

    /// As accounts name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Paypal => "paypal",
            Self::Btcpay => "btcpay",
            Self::BankTransfer => "bank_transfer",
            Self::Cash => "cash",
        }
    }

    /// Whether a method is saved there and charged again for the next period.
    pub const fn renews(self) -> bool {
        matches!(self, Self::Sandbox | Self::Paypal)
    }

    /// Whether people record what came.
    pub const fn is_by_hand(self) -> bool {
        matches!(self, Self::BankTransfer | Self::Cash)
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weather {
    /// It is answered.
    Calm,
    /// The provider acts, and the connection is closed without an answer.
    AnswerLost,
    /// The connection is closed before the provider acts.
    CallLost,
    /// The provider acts, and the answer ends in the middle.
    AnswerCut,
    /// The provider acts, and its front says 502.
    BadGateway,
    /// The provider does nothing and says 503.
    Unavailable,
    /// The provider does nothing and says 429.
    TooMany,
}

/// What a customer does once there is a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Pays.
    Pays,
    /// Is refused, and pays with another card on the same page.
    PaysSecond,
    /// Is refused, and goes.
    IsRefused,
    /// Pays in a way that takes the provider a while.
    PaysSlowly,
    /// Goes away without paying. Somebody else says that it was paid.
    Leaves,
}

/// What becomes of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Told once.
    Once,
    /// Told so often at the same moment.
    Often(u8),
    /// Told after so many others.
    Late(u16),
    /// Told at once, and again after so many others.
    Again(u16),
    /// Never told.
    Lost,
    /// A stranger tells it first, with a wrong signature.
    ForgedSignature,
    /// A stranger tells it first, with the signature of the true one and another amount.
    ForgedAmount,
}

/// One payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Its place in the plan.
    pub number: usize,
    /// Through whom.
    pub gateway: Gateway,
    /// The order whose next period it pays by the saved method; an order of its own otherwise.
    pub renews: Option<usize>,
    /// Minor units of the order.
    pub minor: i64,
    /// What its customer does.
    pub act: Act,
    /// The call that makes the page, or charges the saved method.
    pub making: Weather,
    /// The first call that reads what became of it.
    pub reading: Weather,
    /// Its webhooks, the oldest first.
    pub fates: Vec<Fate>,
    /// Billing is killed in the middle of what goes on, and started again, before it.
    pub restart: bool,
}

/// A storm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What it was made of.
    pub seed: u64,
    /// Orders first, then the renewals of those that were paid.
    pub payments: Vec<Planned>,
}

impl Plan {
    /// The storm of that seed, with that many payments through these gateways.
    pub fn of(seed: u64, payments: usize, gateways: &[Gateway]) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed));
        let mut planned: Vec<Planned> = Vec::with_capacity(payments);
        // A third of all renews what was bought before; what is left over is bought as well.
        let orders = payments - payments / 3;
        let mut until_start = chance.starts();
        while planned.len() < orders && !gateways.is_empty() {
            let gateway = gateways[chance.below(gateways.len())];
            planned.push(chance.payment(planned.len(), gateway, None, &mut until_start));
        }
        let saved: Vec<usize> = planned.iter().filter(|order| order.saves()).map(|order| order.number).collect();
        for of in saved.into_iter().take(payments - orders) {
            let gateway = planned[of].gateway;
            planned.push(chance.payment(planned.len(), gateway, Some(of), &mut until_start));
        }
        while planned.len() < payments && !gateways.is_empty() {
            let gateway = gateways[chance.below(gateways.len())];
            planned.push(chance.payment(planned.len(), gateway, None, &mut until_start));
        }
        Self { seed, payments: planned }
    }
}

impl Planned {
    /// Whether it leaves a saved method and a subscription that goes on.
    pub fn saves(&self) -> bool {
        self.gateway.renews() && matches!(self.act, Act::Pays | Act::PaysSecond)
    }
}

struct Chance(StdRng);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    fn percent(&mut self) -> u32 {
        self.0.random_range(0..100)
    }

    fn starts(&mut self) -> usize {
        self.0.random_range(BETWEEN_STARTS)
    }

    fn payment(&mut self, number: usize, gateway: Gateway, renews: Option<usize>, until_start: &mut usize) -> Planned {
        *until_start -= 1;
        let restart = *until_start == 0;
        if restart {
            *until_start = self.starts();
        }
        Planned {
            number,
            gateway,
            renews,
            minor: self.0.random_range(500..5_000),
            act: self.act(gateway),
            making: self.weather(),
            reading: self.weather(),
            fates: (0..FATES).map(|_| self.fate()).collect(),
            restart,
        }
    }

    fn act(&mut self, gateway: Gateway) -> Act {
        match self.percent() {
            0..70 => Act::Pays,
            70..80 if !gateway.is_by_hand() => Act::PaysSecond,
            80..85 if !gateway.is_by_hand() => Act::IsRefused,
            85..92 => Act::PaysSlowly,
            _ => Act::Leaves,
        }
    }

    fn weather(&mut self) -> Weather {
        if self.percent() >= CALLS_PERCENT {
            return Weather::Calm;
        }
        let all = [
            Weather::AnswerLost,
            Weather::CallLost,
            Weather::AnswerCut,
            Weather::BadGateway,
            Weather::Unavailable,
            Weather::TooMany,
        ];
        all[self.below(all.len())]
    }

    fn fate(&mut self) -> Fate {
        if self.percent() >= TOLD_PERCENT {
            return Fate::Once;
        }
        match self.below(6) {
            0 => Fate::Often(self.0.random_range(2..6)),
            1 => Fate::Late(self.0.random_range(1..80)),
            2 => Fate::Again(self.0.random_range(1..80)),
            3 => Fate::Lost,
            4 => Fate::ForgedSignature,
            _ => Fate::ForgedAmount,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_storm_and_another_one_is_not() {
        assert_eq!(Plan::of(7, 300, &Gateway::ALL), Plan::of(7, 300, &Gateway::ALL));
        assert_ne!(Plan::of(7, 300, &Gateway::ALL).payments, Plan::of(8, 300, &Gateway::ALL).payments);
    }

    #[test]
    fn a_storm_has_as_many_payments_as_were_asked_for() {
        for count in [0, 1, 2, 59, 1_000] {
            assert_eq!(Plan::of(1, count, &Gateway::ALL).payments.len(), count);
        }
        assert!(Plan::of(1, 9, &[]).payments.is_empty(), "nobody is there to be paid through");
    }

    #[test]
    fn a_large_storm_leaves_nothing_out() {
        let plan = Plan::of(1, 1_000, &Gateway::ALL);
        let different = |of: fn(&Planned) -> String| plan.payments.iter().map(of).collect::<HashSet<_>>().len();
        assert_eq!(different(|payment| payment.gateway.as_str().to_owned()), Gateway::ALL.len());
        assert_eq!(different(|payment| format!("{:?}", payment.making)), 7);
        assert_eq!(different(|payment| format!("{:?}", payment.reading)), 7);
        assert_eq!(different(|payment| format!("{:?}", payment.act)), 5);
        let fates: HashSet<_> =
            plan.payments.iter().flat_map(|payment| &payment.fates).map(std::mem::discriminant).collect();
        assert_eq!(fates.len(), 7);
        assert!(plan.payments.iter().filter(|payment| payment.restart).count() >= 10);
    }

    #[test]
    fn only_what_was_bought_and_saved_before_is_renewed_and_once() {
        let plan = Plan::of(3, 1_000, &Gateway::ALL);
        let renewed: Vec<usize> = plan.payments.iter().filter_map(|payment| payment.renews).collect();
        assert!(renewed.len() > 200, "{}", renewed.len());
        assert_eq!(renewed.iter().collect::<HashSet<_>>().len(), renewed.len());
        for payment in plan.payments.iter().filter(|payment| payment.renews.is_some()) {
            let order = &plan.payments[payment.renews.unwrap()];
            assert!(order.number < payment.number && order.saves() && order.renews.is_none());
            assert_eq!(order.gateway, payment.gateway);
        }
    }
}
