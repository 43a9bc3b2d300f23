//! The certificates PayPal signs webhooks with: asked for only where PayPal keeps them, believed only when they lead to an
//! anchor and carry one of PayPal's names, kept for a day.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kit::http::GuardedClient;
use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use reqwest::Method;
use tokio::time::{Instant, timeout};
use url::Url;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::host;
use crate::provider::Forged;
use crate::provider::answer::segment;

/// Where certificates are, below any host of theirs.
const FOLDER: &str = "/v1/notifications/certs/";
/// Largest certificate with its chain.
const BYTES_MAX: usize = 64 * 1024;
/// How long one is kept.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// How many are kept: PayPal uses one or two at a time.
const HELD_MAX: usize = 16;
/// Certificates of a chain.
const CHAIN_MAX: usize = 8;
/// How long a webhook waits while others ask for certificates: PayPal sends it again.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// What certificates must lead to.
#[derive(Clone)]
pub struct Anchors(Arc<Vec<TrustAnchor<'static>>>);

impl Anchors {
    /// The authorities every browser trusts.
    #[must_use]
    pub fn web() -> Self {
        Self(Arc::new(webpki_roots::TLS_SERVER_ROOTS.to_vec()))
    }

    /// The certificates in that text and no others; none when one of them cannot be read, or there is none.
    #[must_use]
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let anchors: Option<Vec<_>> =
            chain(text)?.iter().map(|der| anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned())).collect();
        anchors.map(|anchors| Self(Arc::new(anchors)))
    }
}

impl fmt::Debug for Anchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anchors({})", self.0.len())
    }
}

type Chain = Arc<Vec<CertificateDer<'static>>>;

/// The certificates that came.
#[derive(Clone, Debug)]
pub struct Certificates {
    anchors: Anchors,
    held: Arc<Mutex<HashMap<String, (Instant, Chain)>>>,
    /// One is fetched at a time, so that many webhooks at once ask for it once.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

impl Certificates {
    /// None yet.
    pub fn new(anchors: Anchors) -> Self {
        Self { anchors, held: Arc::default(), fetching: Arc::default() }
    }

    /// Makes sure that the one of that address is here.
    pub async fn prepare(&self, client: &GuardedClient, text: &str, base_url: &str) -> Result<(), Forged> {
        let url = address(text, base_url).ok_or(Forged::Certificate)?;
        if self.held(text).is_some() {
            return Ok(());
        }
        let _one = timeout(WAIT_MAX, self.fetching.lock()).await.map_err(|_| Forged::Certificate)?;
        if self.held(text).is_some() {
            return Ok(());
        }
        let chain = fetch(client, &url).await.inspect_err(|why| tracing::warn!(%url, %why, "no certificate"));
        let chain = chain.map_err(|_| Forged::Certificate)?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (since, _)| since.elapsed() < KEEP);
        if held.len() >= HELD_MAX {
            held.clear();
        }
        held.insert(text.to_owned(), (Instant::now(), Arc::new(chain)));
        Ok(())
    }

    fn held(&self, text: &str) -> Option<Chain> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(text).filter(|(since, _)| since.elapsed() < KEEP).map(|(_, chain)| chain.clone())
    }

    /// As [`held`](Self::held), for an account whose API is at `base_url`: what was fetched for one is none for every other.
    fn held_for(&self, text: &str, base_url: &str) -> Option<Chain> {
        address(text, base_url).and_then(|_| self.held(text))
    }

    /// Checks a signature (RSA PKCS#1 v1.5 with SHA-256) with the one of that address, for an account whose API is there.
    pub fn verify(
        &self,
        (text, base_url): (&str, &str),
        signed: &[u8],
        signature: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), Forged> {
        let chain = self.held_for(text, base_url).ok_or(Forged::Certificate)?;
        let (leaf, between) = chain.split_first().ok_or(Forged::Certificate)?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|_| Forged::Certificate)?;
        let at = u64::try_from(now.timestamp()).map_err(|_| Forged::Certificate)?;
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors.0,
            between,
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|_| Forged::Certificate)?;
        if !leaf.valid_dns_names().any(host::is_paypals) {
            return Err(Forged::Certificate);
        }
        leaf.verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, signed, signature).map_err(|_| Forged::Wrong)
    }
}

/// An address at which a certificate may be asked for: PayPal's own hosts, or where the account's API is.
fn address(text: &str, base_url: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path().strip_prefix(FOLDER).is_some_and(|name| segment(name).is_ok());
    let is_theirs = url.scheme() == "https"
        && url.port_or_known_default() == Some(443)
        && url.host_str().is_some_and(host::is_paypals);
    let base = Url::parse(base_url).ok();
    let is_own = base.as_ref().is_some_and(|base| base.origin() == url.origin());
    // Test money has its own certificates, which say nothing about real money.
    let is_other_mode = host::is_test(&url) && base.as_ref().is_some_and(host::is_live);
    (is_plain && (is_theirs || is_own) && !is_other_mode).then_some(url)
}

async fn fetch(client: &GuardedClient, url: &Url) -> Result<Vec<CertificateDer<'static>>, String> {
    let request = client.request(Method::GET, url.as_str()).map_err(|error| error.to_string())?;
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    // A redirect is no certificate either.
    if !response.status().is_success() {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let body = response.bytes().await.map_err(|error| error.to_string())?;
    if body.len() > BYTES_MAX {
        return Err("too large".to_owned());
    }
    chain(&body).ok_or_else(|| "no certificate in it".to_owned())
}

/// The certificates in a text, the one that signs first.
fn chain(text: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text).take(CHAIN_MAX).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://api-m.paypal.com";

    const TEST: &str = "https://api-m.sandbox.paypal.com";

    fn is_allowed(text: &str) -> bool {
        address(text, BASE).is_some()
    }

    #[test]
    fn case_076_a_certificate_of_test_money_is_none_for_an_account_of_real_money() {
        let test = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1";
        assert!(address(test, BASE).is_none());
        assert!(address(test, TEST).is_some());
    }

    #[test]
    fn case_076_a_certificate_that_is_kept_is_none_for_an_account_of_the_other_mode() {
        let test = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1";
        let certificates = Certificates::new(Anchors::web());
        certificates.held.lock().unwrap().insert(test.to_owned(), (Instant::now(), Arc::default()));
        assert!(certificates.held_for(test, TEST).is_some());
        assert!(certificates.held_for(test, BASE).is_none());
    }

    #[test]
    fn secure_s19_a_certificate_is_asked_for_at_paypals_hosts_alone() {
        assert!(is_allowed("https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594"));
        assert!(is_allowed("https://api.paypal.com:443/v1/notifications/certs/CERT-1"));
        for refused in [
            "https://paypal.com.evil.test/v1/notifications/certs/CERT-1",
            "https://evilpaypal.com/v1/notifications/certs/CERT-1",
            "https://evil.test/paypal.com/v1/notifications/certs/CERT-1",
            "http://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://api.paypal.com@evil.test/v1/notifications/certs/CERT-1",
            "https://user@api.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/../../evil",
            "https://api.paypal.com/v1/notifications/certs/a/b",
            "https://api.paypal.com/v1/notifications/certs/",
            "https://api.paypal.com/v1/notifications/certs/CERT-1?to=evil",
            "https://api.paypal.com/redirect",
            "ftp://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://169.254.169.254/v1/notifications/certs/CERT-1",
            "CERT-1",
            "",
        ] {
            assert!(!is_allowed(refused), "{refused}");
        }
        // Where the operator said the API is: a simulator of their own.
        let own = "http://127.0.0.1:8000/v1/notifications/certs/CERT-1";
        assert!(address(own, "http://127.0.0.1:8000").is_some());
        assert!(address(own, "http://127.0.0.1:8001").is_none());
    }

    #[test]
    fn the_webs_authorities_are_known_and_a_broken_text_is_no_anchor() {
        assert!(Anchors::web().0.len() > 50);
        assert!(Anchors::from_pem(b"").is_none());
        assert!(Anchors::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_none());
    }
}
