//! Links that a wallet opens with address and amount filled in (EIP-681).

use crate::domain::coin::CoinAmount;

/// `ethereum:0x…@1?value=…`, in wei. The chain is named: a wallet that is on another one must not pay there.
#[must_use]
pub fn to_pay(chain_id: u64, address: &str, amount: CoinAmount) -> String {
    format!("ethereum:{address}@{chain_id}?value={}", amount.units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::coin::Coin;

    #[test]
    fn a_link_tells_address_chain_and_amount() {
        let amount = CoinAmount::new(2_014_000_000_000_000_000, Coin::Ether);
        let link = to_pay(1, "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", amount);
        assert_eq!(link, "ethereum:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359@1?value=2014000000000000000");
    }
}
