//! From what the generator saw and what the platform says to one time per order.

use std::collections::HashMap;

use hdrhistogram::Histogram;

use super::plan::Seen;

/// How the orders fared.
#[derive(Debug)]
pub struct Outcome {
    /// From the instant the webhook was due to the player being let in, in microseconds. An order that never got there
    /// counts with all the time there was.
    pub times_us: Histogram<u64>,
    /// Orders whose credentials work.
    pub usable: usize,
    /// Orders that never got there.
    pub unfinished: usize,
    /// Lines that belong to no order of the plan, or a second line of one order.
    pub strangers: usize,
    /// From the first due webhook to the last line, in seconds.
    pub took_s: f64,
}

impl Outcome {
    /// `line_of` names the line the platform made for a payment.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are fixed.
    pub fn of(seen: &Seen, line_of: &HashMap<String, String>) -> anyhow::Result<Self> {
        let mut accepted: HashMap<&str, u64> = HashMap::new();
        for line in &seen.lines {
            accepted.entry(&line.username).or_insert(line.accepted_us);
        }
        let mut times_us = Histogram::new(3)?;
        let (mut usable, mut last_us) = (0, 0);
        for sent in &seen.sent {
            let at = line_of.get(&sent.reference).and_then(|line| accepted.get(line.as_str())).copied();
            if let Some(at) = at {
                usable += 1;
                last_us = last_us.max(at);
            }
            times_us.record(at.unwrap_or(seen.ended_us).saturating_sub(sent.due_us))?;
        }
        let unfinished = seen.sent.len() - usable;
        let strangers = seen.lines.len().saturating_sub(usable);
        #[expect(clippy::cast_precision_loss, reason = "a bench takes far less than 2^52 microseconds")]
        let took_s = last_us as f64 / 1e6;
        Ok(Self { times_us, usable, unfinished, strangers, took_s })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Line, Sent};
    use super::*;

    fn sent(reference: &str, due_us: u64) -> Sent {
        Sent { reference: reference.to_owned(), due_us, answered_us: Some(due_us + 1), tries: 1 }
    }

    fn line(username: &str, accepted_us: u64) -> Line {
        Line { username: username.to_owned(), accepted_us }
    }

    #[test]
    fn an_order_counts_from_when_it_was_due_and_an_unfinished_one_to_the_end() {
        let seen = Seen {
            sent: vec![sent("pay_a", 0), sent("pay_b", 1_000), sent("pay_c", 2_000)],
            lines: vec![line("anna", 500), line("bert", 1_800), line("nobody", 1_900)],
            ended_us: 10_000,
            refusal: None,
        };
        let line_of = HashMap::from([
            ("pay_a".to_owned(), "anna".to_owned()),
            ("pay_b".to_owned(), "bert".to_owned()),
            // The platform knows a line that no player was ever let in with.
            ("pay_c".to_owned(), "carl".to_owned()),
        ]);
        let outcome = Outcome::of(&seen, &line_of).unwrap();
        assert_eq!((outcome.usable, outcome.unfinished, outcome.strangers), (2, 1, 1));
        // The histogram keeps three digits.
        assert_eq!((outcome.times_us.min() / 10, outcome.times_us.max() / 10), (50, 800));
        assert_eq!(outcome.took_s, 0.0018);
    }
}
