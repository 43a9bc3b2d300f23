//! How a payment that people record stands, for whoever pays.

use ottery_kernel::Money;

/// What is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What is still to be paid; zero or less when nothing is.
    pub due: Money,
    /// What came and is in the books.
    pub came: Money,
    /// What came and waits for a second person.
    pub checking: Money,
    /// The customer has shown that it was sent.
    pub is_claimed: bool,
    /// Nobody waits for it any more.
    pub is_closed: bool,
}

/// What the payer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing has come.
    Waiting,
    /// The payer says that it was sent; nobody has seen it yet.
    Claimed,
    /// It has come and is being looked at.
    Checking,
    /// Less came than is due.
    Short,
    /// Nothing is left to pay.
    Paid,
    /// Nobody waits for it any more.
    Closed,
}

impl Facts {
    /// What the payer is told.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        let (has_come, is_checked) = (self.came.minor > 0, self.checking.minor > 0);
        if is_checked {
            return Standing::Checking;
        }
        match (self.due.minor > 0, has_come) {
            (false, true) => Standing::Paid,
            (false, false) => Standing::Closed,
            (true, true) => Standing::Short,
            (true, false) if self.is_closed => Standing::Closed,
            (true, false) if self.is_claimed => Standing::Claimed,
            (true, false) => Standing::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use ottery_kernel::Currency;

    use super::*;

    #[test]
    fn what_came_counts_more_than_what_is_said() {
        let eur = |minor| Money::new(minor, Currency::EUR);
        let open = Facts { due: eur(100), came: eur(0), checking: eur(0), is_claimed: false, is_closed: false };
        assert_eq!(open.standing(), Standing::Waiting);
        assert_eq!(Facts { is_claimed: true, ..open }.standing(), Standing::Claimed);
        assert_eq!(Facts { is_claimed: true, is_closed: true, ..open }.standing(), Standing::Closed);
        assert_eq!(Facts { checking: eur(1), is_closed: true, ..open }.standing(), Standing::Checking);
        assert_eq!(Facts { came: eur(40), is_closed: true, ..open }.standing(), Standing::Short);
        assert_eq!(Facts { due: eur(0), came: eur(100), ..open }.standing(), Standing::Paid);
        assert_eq!(Facts { due: eur(0), ..open }.standing(), Standing::Closed);
    }
}
