//! What a balance tells of what was sent.
//!
//! Ether leaves no trace that could be asked for by address: exchanges and contracts send it from within other transactions. What is
//! certain is how much an address holds. From nothing to the first balance is one transfer, from there to the next another; so each is
//! named by address, what was there before, and what was there after. A block that is undone takes the balance back and with it the
//! transfer; when the same comes again, it comes under the same name and is not booked twice.

use crate::domain::coin::{Coin, CoinAmount, Observed, Place, Transfer};

/// What an address holds at a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its balance, in wei.
    pub wei: u128,
    /// Something was sent from it: since then the balance does not tell what came.
    pub has_spent: bool,
}

/// A stretch of a balance: what came between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What was there before, in wei.
    pub from: u128,
    /// What was there after, in wei.
    pub to: u128,
}

/// What follows from a balance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Transfers that are where they were.
    pub kept: Vec<Observed>,
    /// Stretches that are there, and in a block that has to be found: new ones, and those whose block was undone.
    pub unplaced: Vec<Stretch>,
}

/// Why a balance tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BalanceError {
    /// The block that raised it stands, nothing was sent away, and less is there.
    #[error("the balance is less than what its blocks brought, and nothing was sent from the address")]
    Less,
    /// A transfer that is remembered has no name of ours.
    #[error("a remembered transfer is not named by a balance")]
    Name,
}

impl Stretch {
    /// Its name among transfers to `address`.
    #[must_use]
    pub fn reference(self, address: &str) -> String {
        format!("{}:{}-{}", address.to_ascii_lowercase(), self.from, self.to)
    }

    /// As a chain tells of it, in that block.
    #[must_use]
    pub fn observed(self, address: &str, place: Place) -> Observed {
        let amount = CoinAmount::new(self.to.saturating_sub(self.from), Coin::Ether);
        Observed { reference: self.reference(address), amount, place, mined_at: None }
    }

    fn of(transfer: &Transfer) -> Result<Self, BalanceError> {
        let (_, stretch) = transfer.reference.rsplit_once(':').ok_or(BalanceError::Name)?;
        let (from, to) = stretch.split_once('-').ok_or(BalanceError::Name)?;
        let number = |digits: &str| digits.parse::<u128>().map_err(|_| BalanceError::Name);
        let (from, to) = (number(from)?, number(to)?);
        if from < to { Ok(Self { from, to }) } else { Err(BalanceError::Name) }
    }
}

/// Compares what is remembered of an address with what it holds. `stands` says whether the block of a transfer is still one of the chain.
///
/// # Errors
/// When that does not go together: such a witness is not believed.
pub fn told(known: &[Transfer], held: Held, stands: impl Fn(&Transfer) -> bool) -> Result<Told, BalanceError> {
    let mut stretches =
        known.iter().map(|one| Ok((Stretch::of(one)?, one))).collect::<Result<Vec<_>, BalanceError>>()?;
    // Of stretches that begin alike the one that is there now comes first, then the one that is in the books: it may be back.
    stretches.sort_by_key(|(stretch, one)| (stretch.from, one.place == Place::Gone, !one.is_booked));
    let mut told = Told::default();
    let mut reached = 0;
    for (stretch, one) in stretches {
        let is_mined = matches!(one.place, Place::Mined { .. });
        if is_mined && stands(one) {
            if stretch.to > held.wei && !held.has_spent {
                return Err(BalanceError::Less);
            }
            reached = reached.max(stretch.to);
            told.kept.push(as_told(one));
        } else if !held.has_spent && stretch.from == reached && stretch.to <= held.wei {
            reached = stretch.to;
            told.unplaced.push(stretch);
        }
    }
    if !held.has_spent && held.wei > reached {
        told.unplaced.push(Stretch { from: reached, to: held.wei });
    }
    Ok(told)
}

fn as_told(known: &Transfer) -> Observed {
    Observed { reference: known.reference.clone(), amount: known.amount, place: known.place.clone(), mined_at: None }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::coin::{Change, observe};

    const ADDRESS: &str = "0xABC";

    #[derive(Default)]
    struct Book(Vec<Transfer>);

    impl Book {
        /// A look at a block; `undone` are heights whose blocks the chain does not have any more.
        fn look(&mut self, wei: u128, has_spent: bool, height: u64, undone: &[u64]) -> Result<(), BalanceError> {
            let stands = |one: &Transfer| !matches!(one.place, Place::Mined { height, .. } if undone.contains(&height));
            let told = told(&self.0, Held { wei, has_spent }, stands)?;
            let place = Place::Mined { height, block: height.to_string() };
            let found = told.unplaced.iter().map(|stretch| stretch.observed(ADDRESS, place.clone()));
            let all: Vec<Observed> = told.kept.into_iter().chain(found).collect();
            for change in observe(&self.0, &all, DateTime::UNIX_EPOCH) {
                match change {
                    Change::New(new) => self.0.push(new),
                    Change::Moved { reference, place } => {
                        self.0.iter_mut().find(|one| one.reference == reference).unwrap().place = place;
                    }
                }
            }
            Ok(())
        }

        fn live(&self) -> Vec<(&str, u128, u64)> {
            let mut live: Vec<_> = self
                .0
                .iter()
                .filter_map(|one| match one.place {
                    Place::Mined { height, .. } => Some((one.reference.as_str(), one.amount.units, height)),
                    Place::Mempool | Place::Gone => None,
                })
                .collect();
            live.sort_unstable();
            live
        }
    }

    #[test]
    fn case_7_what_comes_in_two_parts_is_two_transfers() {
        let mut book = Book::default();
        book.look(0, false, 1, &[]).unwrap();
        assert_eq!(book.live(), []);
        book.look(40, false, 2, &[]).unwrap();
        book.look(40, false, 3, &[]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-40", 40, 2)], "and nothing new is nothing");
        book.look(100, false, 4, &[]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-40", 40, 2), ("0xabc:40-100", 60, 4)]);
    }

    #[test]
    fn case_7_a_fork_takes_a_transfer_back_and_the_same_comes_again_under_its_name() {
        let mut book = Book::default();
        book.look(40, false, 2, &[]).unwrap();
        book.look(100, false, 4, &[]).unwrap();
        book.look(40, false, 4, &[4]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-40", 40, 2)]);
        assert_eq!(book.0[1].place, Place::Gone);
        book.look(100, false, 6, &[4]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-40", 40, 2), ("0xabc:40-100", 60, 6)]);
        assert_eq!(book.0.len(), 2);
    }

    #[test]
    fn a_block_that_is_undone_and_brings_the_same_in_another_moves_the_transfer() {
        let mut book = Book::default();
        book.look(40, false, 2, &[]).unwrap();
        book.look(40, false, 3, &[2]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-40", 40, 3)]);
    }

    #[test]
    fn case_7_another_amount_after_a_fork_is_another_transfer_and_nothing_counts_twice() {
        let mut book = Book::default();
        book.look(100, false, 2, &[]).unwrap();
        book.look(30, false, 3, &[2]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-30", 30, 3)]);
        book.look(130, false, 4, &[]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-30", 30, 3), ("0xabc:30-130", 100, 4)]);
        book.look(0, false, 4, &[3, 4]).unwrap();
        assert_eq!(book.live(), []);
        // Both names begin at nothing, and only one of them can be there again.
        book.look(130, false, 9, &[]).unwrap();
        assert_eq!(book.live().iter().map(|(_, wei, _)| wei).sum::<u128>(), 130);
    }

    #[test]
    fn what_the_operator_collects_takes_nothing_back() {
        let mut book = Book::default();
        book.look(100, false, 2, &[]).unwrap();
        book.look(1, true, 50, &[]).unwrap();
        assert_eq!(book.live(), [("0xabc:0-100", 100, 2)]);
        book.look(500, true, 60, &[2]).unwrap();
        assert_eq!(book.live(), [], "an undone block is told, whatever was collected since");
    }

    #[test]
    fn a_witness_that_contradicts_itself_is_not_believed() {
        let mut book = Book::default();
        book.look(100, false, 2, &[]).unwrap();
        assert_eq!(book.look(99, false, 3, &[]), Err(BalanceError::Less));
        book.0[0].reference = "txid:0".to_owned();
        assert_eq!(book.look(100, false, 3, &[]), Err(BalanceError::Name));
    }
}
