//! By what customers choose to pay: accounts at providers, as they read them.

/// What a customer pays with on a provider's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayKind {
    /// A card, or what else the provider's page offers beside it.
    Card,
    /// A test card at a simulated provider: no money moves.
    Sandbox,
    /// A PayPal wallet.
    PayPal,
    /// Bitcoin: sent to an address, or by lightning.
    Bitcoin,
    /// Ether, sent to an address.
    Ethereum,
    /// Money sent to the operator's bank account.
    BankTransfer,
    /// Money handed over.
    Cash,
}

/// How an account is read where a customer chooses: as the operator calls it, else by what it is paid with there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The operator's word.
    Named(&'a str),
    /// What one pays with.
    Kind(PayKind),
}

impl<'a> Reading<'a> {
    /// Of an account with this name (empty: none).
    #[must_use]
    pub fn of(name: &'a str, kind: PayKind) -> Self {
        if name.is_empty() { Self::Kind(kind) } else { Self::Named(name) }
    }
}

/// What a customer chooses between, in the order of `serving`: of accounts that read alike the first, because nobody could tell them
/// apart.
pub fn offered<'a, A>(serving: &[&'a A], reads: impl Fn(&'a A) -> Reading<'a>) -> Vec<&'a A> {
    let is_first = |(at, account): &(usize, &&'a A)| {
        let reading = reads(account);
        !serving[..*at].iter().any(|before| reads(before) == reading)
    };
    serving.iter().enumerate().filter(is_first).map(|(_, account)| *account).collect()
}

/// Who is asked for a page when a customer chose one of `serving`: that one, then what reads alike and stands in for it. Nobody when it
/// does not serve: the customer did not choose the others.
pub fn asked<'a, A>(
    serving: &[&'a A],
    is_chosen: impl Fn(&A) -> bool,
    reads: impl Fn(&'a A) -> Reading<'a>,
) -> Vec<&'a A> {
    let Some(chosen) = serving.iter().copied().find(|account| is_chosen(account)) else { return Vec::new() };
    let reading = reads(chosen);
    let others = serving.iter().copied().filter(|account| !is_chosen(account) && reads(account) == reading);
    std::iter::once(chosen).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Account = (&'static str, PayKind);

    // One place in memory: they are told apart by where they are.
    static ACCOUNTS: [Account; 5] = [
        ("", PayKind::Card),
        ("By bank", PayKind::Card),
        ("", PayKind::Sandbox),
        ("", PayKind::Card),
        ("By bank", PayKind::Sandbox),
    ];

    fn reads(account: &Account) -> Reading<'_> {
        Reading::of(account.0, account.1)
    }

    fn places(found: &[&Account]) -> Vec<usize> {
        found.iter().map(|found| ACCOUNTS.iter().position(|account| std::ptr::eq(account, *found)).unwrap()).collect()
    }

    #[test]
    fn of_accounts_that_read_alike_one_is_offered() {
        let all: Vec<&Account> = ACCOUNTS.iter().collect();
        assert_eq!(places(&offered(&all, reads)), [0, 1, 2]);
        assert_eq!(places(&offered(&all[1..], reads)), [1, 2, 3], "in the order in which they are asked");
    }

    #[test]
    fn the_chosen_account_is_asked_first_and_only_what_reads_alike_after_it() {
        let all: Vec<&Account> = ACCOUNTS.iter().collect();
        for (chosen, expected) in [(0, vec![0, 3]), (3, vec![3, 0]), (4, vec![4, 1]), (2, vec![2])] {
            let is_chosen = |account: &Account| std::ptr::eq(account, &ACCOUNTS[chosen]);
            assert_eq!(places(&asked(&all, is_chosen, reads)), expected, "{chosen}");
        }
    }

    #[test]
    fn nobody_is_asked_in_the_place_of_one_that_does_not_serve() {
        let some: Vec<&Account> = ACCOUNTS[1..].iter().collect();
        assert_eq!(asked(&some, |account| std::ptr::eq(account, &ACCOUNTS[0]), reads), Vec::<&Account>::new());
    }
}
