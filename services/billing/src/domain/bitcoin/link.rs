//! Links that a wallet opens with address and amount filled in (BIP-21).

use crate::domain::coin::CoinAmount;

/// `bitcoin:bc1q…?amount=0.00012345&label=…`
///
/// The address is of our own making. A label is what the payer's wallet keeps beside the payment.
#[must_use]
pub fn to_pay(address: &str, amount: CoinAmount, label: &str) -> String {
    let mut link = format!("bitcoin:{address}?amount={}", amount.to_decimal());
    if !label.is_empty() {
        link.push_str("&label=");
        link.push_str(&escaped(label));
    }
    link
}

/// As a part of a query (RFC 3986): a blank is `%20`, because wallets do not read `+` as one.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::coin::Coin;

    #[test]
    fn a_link_tells_address_amount_and_label() {
        let amount = CoinAmount::new(12_345, Coin::Bitcoin);
        assert_eq!(to_pay("bcrt1qx", amount, ""), "bitcoin:bcrt1qx?amount=0.00012345");
        let amount = CoinAmount::new(2_030_000_000, Coin::Bitcoin);
        assert_eq!(
            to_pay("bc1qx", amount, "Invoice A-1 & Söhne"),
            "bitcoin:bc1qx?amount=20.3&label=Invoice%20A-1%20%26%20S%C3%B6hne"
        );
    }
}
