//! Addresses of our own pages that travel elsewhere: to payment providers, into mails.

use crate::problem::Refusal;
use crate::request::RequestInfo;

/// Page of an order; billing replaces `{order}` by its id.
pub const ORDER: &str = "/orders/{order}";
/// Page of an invoice.
pub const INVOICE: &str = "/account/invoices/{invoice}";
/// A customer's invoices.
pub const INVOICES: &str = "/account/invoices";
/// A customer's wallet.
pub const WALLET: &str = "/account/wallet";
/// A customer's saved payment methods.
pub const METHODS: &str = "/account/methods";
/// Page that pays one invoice without signing in; mails lead there.
pub const PAY: &str = "/pay/{token}";
/// Page on which coins are waited for; billing makes the address.
pub const COIN: &str = "/pay/coin/{token}";
/// Page of a payment that is sent by bank or handed over; billing makes the address.
pub const BY_HAND: &str = "/pay/by-hand/{token}";
/// Page of a subscription.
pub const SUBSCRIPTION: &str = "/account/subscriptions/{subscription}";

/// The address of a path on the host of this request. Only the host the request was accepted for ever gets into such an address.
#[must_use]
pub fn absolute(request: &RequestInfo, path: &str) -> String {
    format!("{}{path}", request.origin())
}

/// A path of ours that somebody may be sent back to.
///
/// # Errors
/// 400 for anything that leads elsewhere.
pub fn own_path<'a>(field: &str, path: &'a str) -> Result<&'a str, Refusal> {
    let is_plain = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 500
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_plain
        .then_some(path)
        .ok_or_else(|| Refusal::invalid(field, "path_invalid", "give a path of this site, such as `/account`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert!(own_path("next", "/account?tab=1").is_ok());
        for path in
            ["//evil.example", "https://evil.example", "/\\evil.example", "account", "", "/a b", "/a\r\nSet-Cookie: x"]
        {
            assert!(own_path("next", path).is_err(), "{path:?}");
        }
    }
}
