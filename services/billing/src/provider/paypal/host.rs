//! Which hosts are PayPal's, and which of them move real money.

use url::Url;

/// PayPal's domain.
const DOMAIN: &str = "paypal.com";
/// Below it, where test money moves; every other host of theirs moves real money.
const TEST: &str = "sandbox.paypal.com";

/// Whether a host is PayPal's.
pub fn is_paypals(host: &str) -> bool {
    is_below(host, DOMAIN)
}

/// Whether an address is PayPal's own, for test money.
pub fn is_test(url: &Url) -> bool {
    url.host_str().is_some_and(|host| is_below(host, TEST))
}

/// Whether an address is PayPal's own, for real money.
pub fn is_live(url: &Url) -> bool {
    url.host_str().is_some_and(is_paypals) && !is_test(url)
}

/// The domain itself, or a name below it. A dot at the end names the same host.
fn is_below(host: &str, domain: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == domain || host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_paypals_by_the_end_of_its_name() {
        for host in ["paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com."] {
            assert!(is_paypals(host), "{host}");
        }
        for host in ["", "evilpaypal.com", "paypal.com.evil.test", "paypal.co", "com"] {
            assert!(!is_paypals(host), "{host}");
        }
    }

    #[test]
    fn case_076_real_money_moves_everywhere_but_in_the_sandbox() {
        let url = |text: &str| Url::parse(text).unwrap();
        for live in ["https://api-m.paypal.com", "https://API.PAYPAL.com", "https://api-m.paypal.com./"] {
            assert!(is_live(&url(live)) && !is_test(&url(live)), "{live}");
        }
        for test in ["https://api-m.sandbox.paypal.com", "https://sandbox.paypal.com"] {
            assert!(is_test(&url(test)) && !is_live(&url(test)), "{test}");
        }
        let own = url("http://127.0.0.1:8000");
        assert!(!is_live(&own) && !is_test(&own));
    }
}
