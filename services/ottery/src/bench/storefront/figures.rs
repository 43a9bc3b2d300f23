//! What was measured of a page, and what it amounts to.

use serde_json::{Value, json};

use super::Asked;
use super::changes::Followed;
use crate::bench::load::Seen;
use crate::bench::result::{Latency, median, ratio, rounded};

/// One measurement.
#[derive(Clone, Debug)]
pub struct Round {
    /// By the generator.
    pub seen: Seen,
    /// Processor time of the server meanwhile.
    pub cpu_s: f64,
    /// Of the changes meanwhile.
    pub followed: Followed,
}

impl Round {
    /// Processor time of the server for one answer, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 answers")]
    fn cpu_us(&self) -> f64 {
        if self.seen.answers == 0 { 0.0 } else { rounded(self.cpu_s * 1e6 / self.seen.answers as f64, 1) }
    }
}

/// All measurements at one server.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    /// As fast as answers come.
    pub capacity: Vec<Round>,
    /// At the fixed rate.
    pub waiting: Vec<Round>,
}

fn medians(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    median(&rounds.iter().map(of).collect::<Vec<_>>())
}

impl Rounds {
    fn per_second(&self) -> f64 {
        medians(&self.capacity, |round| round.seen.per_second)
    }

    /// Medians of the rounds, and the slowest answer of all of them.
    fn latency(&self) -> Latency {
        Latency {
            p50_ms: medians(&self.waiting, |round| round.seen.latency.p50_ms),
            p99_ms: medians(&self.waiting, |round| round.seen.latency.p99_ms),
            max_ms: self.waiting.iter().map(|round| round.seen.latency.max_ms).fold(0.0, f64::max),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Round> {
        self.capacity.iter().chain(&self.waiting)
    }

    fn failures(&self) -> u64 {
        self.all().map(|round| round.seen.failures + round.followed.failures).sum()
    }

    fn to_json(&self) -> Value {
        let rounds = |rounds: &[Round], of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Value>();
        let latency = self.latency();
        json!({
            "requests_per_second": rounded(self.per_second(), 1),
            "requests_per_second_rounds": rounds(&self.capacity, |round| rounded(round.seen.per_second, 1)),
            "cpu_us_per_answer": medians(&self.capacity, Round::cpu_us),
            "at_rate": {
                "p50_ms": latency.p50_ms,
                "p99_ms": latency.p99_ms,
                "max_ms": latency.max_ms,
                "p99_ms_rounds": rounds(&self.waiting, |round| round.seen.latency.p99_ms),
                "max_ms_rounds": rounds(&self.waiting, |round| round.seen.latency.max_ms),
                "answers": self.waiting.iter().map(|round| round.seen.answers).sum::<u64>(),
            },
            "failures": self.failures(),
            "first_failure": self.all().find_map(|round| round.seen.failure.clone()),
        })
    }
}

/// One page at the shop against the bare server.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Which page, and whether the catalog changed.
    pub name: String,
    /// Requests a second of the shop.
    pub value: f64,
    /// Of the bare server.
    pub limit: f64,
    /// Of the two.
    pub ratio: f64,
}

/// One page at all servers.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it is.
    pub path: String,
    /// Requests a second at which waiting was measured.
    pub rate: f64,
    bare: Rounds,
    shop: Rounds,
    changing: Rounds,
}

impl Page {
    /// A page that was not measured yet.
    pub fn new(path: String) -> Self {
        Self { path, rate: 0.0, bare: Rounds::default(), shop: Rounds::default(), changing: Rounds::default() }
    }

    /// The measurements at one server.
    pub fn of_mut(&mut self, asked: Asked) -> &mut Rounds {
        match asked {
            Asked::Bare => &mut self.bare,
            Asked::Shop => &mut self.shop,
            Asked::Changing => &mut self.changing,
        }
    }

    /// What the shop can do whether or not its catalog changes.
    pub fn capacity_of_shop(&self) -> f64 {
        self.shop.per_second().min(self.changing.per_second())
    }

    /// The shop against the bare server, with and without changes: the middle one of the rounds by their ratios. Both were
    /// measured one right after the other, so that a machine that is busy with something else slows both.
    pub fn cases(&self) -> [Case; 2] {
        let case = |what: &str, rounds: &Rounds| {
            let pairs = rounds.capacity.iter().zip(&self.bare.capacity);
            let mut cases: Vec<Case> = pairs
                .map(|(shop, bare)| {
                    let (value, limit) = (shop.seen.per_second, bare.seen.per_second);
                    Case { name: format!("{}{what}", self.path), value, limit, ratio: ratio(value, limit) }
                })
                .collect();
            cases.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
            // Of an even number, the worse one.
            let middle = cases.len().saturating_sub(1) / 2;
            cases.into_iter().nth(middle).unwrap_or_default()
        };
        [case("", &self.shop), case(" with changes", &self.changing)]
    }

    fn ratios(&self, rounds: &Rounds) -> Vec<f64> {
        let pairs = rounds.capacity.iter().zip(&self.bare.capacity);
        pairs.map(|(shop, bare)| ratio(shop.seen.per_second, bare.seen.per_second)).collect()
    }

    /// How long one waits at the shop, with and without changes.
    pub fn waits(&self) -> [Latency; 2] {
        [self.shop.latency(), self.changing.latency()]
    }

    /// Whatever was not answered as it should have been, by either server.
    pub fn failures(&self) -> u64 {
        self.bare.failures() + self.shop.failures() + self.changing.failures()
    }

    /// Answers of the shop to the generator.
    pub fn answers_of_shop(&self) -> u64 {
        self.shop.all().chain(self.changing.all()).map(|round| round.seen.answers).sum()
    }

    /// For the details of the result.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    pub fn to_json(&self) -> Value {
        let [steady, changing] = self.cases();
        let followed = || self.changing.all().map(|round| &round.followed);
        let (bytes, answers) =
            self.bare.all().fold((0, 0), |(bytes, n), round| (bytes + round.seen.body_bytes, n + round.seen.answers));
        json!({
            "path": self.path,
            "body_bytes": if answers == 0 { 0.0 } else { (bytes as f64 / answers as f64).round() },
            "ratio": steady.ratio,
            "ratio_rounds": self.ratios(&self.shop),
            "ratio_with_changes": changing.ratio,
            "ratio_with_changes_rounds": self.ratios(&self.changing),
            "rate_of_waiting": self.rate,
            "bare": self.bare.to_json(),
            "shop": self.shop.to_json(),
            "shop_with_changes": self.changing.to_json(),
            "changes": {
                "made": followed().map(|followed| followed.changes).sum::<u64>(),
                "staleness_p50_ms": median(&followed().map(|followed| followed.staleness.p50_ms).collect::<Vec<_>>()),
                "staleness_max_ms": followed().map(|followed| followed.staleness.max_ms).fold(0.0, f64::max),
                "failures": followed().map(|followed| followed.failures).sum::<u64>(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(per_second: f64, p99_ms: f64, failures: u64) -> Round {
        let latency = Latency { p50_ms: 1.0, p99_ms, max_ms: p99_ms * 2.0 };
        let seen = Seen { answers: 1_000, failures, failure: None, per_second, body_bytes: 5_000, latency };
        Round { seen, cpu_s: 0.02, followed: Followed { changes: 3, failures: 1, staleness: latency } }
    }

    #[test]
    fn a_page_is_judged_by_medians_and_by_both_cases() {
        let mut page = Page::new("/plans".into());
        for (asked, per_second) in [(Asked::Bare, 1_000.0), (Asked::Shop, 600.0), (Asked::Changing, 500.0)] {
            // One round of three is slow because of somebody else on the machine, another is spoiled for the shop alone.
            let spoiled = if asked == Asked::Bare { 1_000.0 } else { 10.0 };
            page.of_mut(asked).capacity =
                vec![round(per_second, 1.0, 0), round(per_second / 10.0, 1.0, 0), round(spoiled, 1.0, 0)];
            page.of_mut(asked).waiting = vec![round(250.0, 3.0, 0), round(250.0, 4.0, 2), round(250.0, 90.0, 0)];
        }
        let [steady, changing] = page.cases();
        assert_eq!((steady.ratio, changing.ratio), (0.6, 0.5));
        assert_eq!(changing.name, "/plans with changes");
        assert_eq!((changing.value, changing.limit), (500.0, 1_000.0));
        assert_eq!(page.capacity_of_shop(), 50.0);
        assert_eq!(page.waits()[0], Latency { p50_ms: 1.0, p99_ms: 4.0, max_ms: 180.0 });
        assert_eq!(page.failures(), 3 * (2 + 6));
        assert_eq!(page.answers_of_shop(), 12_000);
        let shown = page.to_json();
        assert_eq!(shown["body_bytes"], 5.0);
        assert_eq!(shown["shop"]["cpu_us_per_answer"], 20.0);
        assert_eq!(shown["changes"]["made"], 18);
    }
}
