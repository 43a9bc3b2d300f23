//! Signatures of PayPal's webhooks, checked without asking PayPal: RSA over the ids, the time and a checksum of the raw body, with a
//! certificate whose address the header names. Nothing is fetched from an address that is not PayPal's own, and a certificate
//! counts when an authority vouches for it now.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use chrono::{DateTime, TimeDelta, Utc};
use ottery_kit::secret::Secret;
use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::provider::Forged;

/// The only scheme there is.
const ALGORITHM: &str = "SHA256withRSA";
/// Whose certificates are believed: this host and those below it.
const HOST: &str = "paypal.com";
/// Longest address of a certificate.
const URL_CHARS_MAX: usize = 512;
/// Largest chain that is read.
pub const CHAIN_BYTES_MAX: usize = 64 * 1024;
/// Certificates of a chain.
const CHAIN_MAX: usize = 8;
/// How long a chain is kept.
const KEPT: TimeDelta = TimeDelta::days(1);
/// Chains that are kept; the oldest goes first.
const KEPT_MAX: usize = 16;
/// PayPal delivers for three days; what is older is worth a line in the log.
const OLD: TimeDelta = TimeDelta::days(3);

/// What the headers of a webhook say.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    id: &'a str,
    time: &'a str,
    signature: &'a str,
    /// Where the certificate is.
    pub certificate: &'a str,
}

impl<'a> Claimed<'a> {
    /// Reads them; an address that is not PayPal's is as good as none.
    pub fn read(headers: &'a HashMap<String, String>) -> Result<Self, Forged> {
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, text)| text.as_str());
            found.filter(|text| !text.is_empty()).ok_or(Forged::Unsigned)
        };
        let claimed = Self {
            id: header("paypal-transmission-id")?,
            time: header("paypal-transmission-time")?,
            signature: header("paypal-transmission-sig")?,
            certificate: header("paypal-cert-url")?,
        };
        let is_ours = header("paypal-auth-algo")? == ALGORITHM && is_paypals(claimed.certificate);
        if is_ours { Ok(claimed) } else { Err(Forged::Unsigned) }
    }
}

/// Whether an address is PayPal's own: https, the usual port, nobody's name in front, a host of theirs.
fn is_paypals(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    text.len() <= URL_CHARS_MAX
        && url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && (host == HOST || host.strip_suffix(HOST).is_some_and(|front| front.ends_with('.')))
}

/// Chains by address, and who must vouch for them. Clones share them.
#[derive(Clone)]
pub struct Certificates {
    roots: Arc<Vec<TrustAnchor<'static>>>,
    kept: Arc<Mutex<VecDeque<(String, DateTime<Utc>, Chain)>>>,
}

/// As it came: PEM, PayPal's certificate first.
type Chain = Arc<Vec<u8>>;

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Vouched for by these.
    pub fn trusting(roots: Vec<TrustAnchor<'static>>) -> Self {
        Self { roots: Arc::new(roots), kept: Arc::default() }
    }

    /// The chain at an address, when it was read within the last day.
    pub fn get(&self, url: &str, now: DateTime<Utc>) -> Option<Chain> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(known, at, _): &&(String, DateTime<Utc>, Chain)| known == url && now - *at < KEPT;
        kept.iter().find(fresh).map(|(_, _, chain)| chain.clone())
    }

    /// Keeps a chain that was read now, whoever vouches for it: that is judged each time.
    pub fn keep(&self, url: &str, pem: Vec<u8>, now: DateTime<Utc>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _, _)| known != url);
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back((url.to_owned(), now, Arc::new(pem)));
    }

    /// Checks a signature over the raw bytes, for one of our webhook ids.
    pub fn verify(
        &self,
        claimed: &Claimed<'_>,
        raw: &[u8],
        webhook_ids: &[Secret],
        now: DateTime<Utc>,
    ) -> Result<(), Forged> {
        let at = DateTime::parse_from_rfc3339(claimed.time).map_err(|_| Forged::Unsigned)?;
        let signature =
            base64::engine::general_purpose::STANDARD.decode(claimed.signature).map_err(|_| Forged::Unsigned)?;
        let chain = self.get(claimed.certificate, now).ok_or(Forged::Wrong)?;
        let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&chain)
            .take(CHAIN_MAX)
            .collect::<Result<_, _>>()
            .map_err(|_| Forged::Wrong)?;
        let (own, between) = certificates.split_first().ok_or(Forged::Wrong)?;
        let own = EndEntityCert::try_from(own).map_err(|_| Forged::Wrong)?;
        let seconds = u64::try_from(now.timestamp()).map_err(|_| Forged::Wrong)?;
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.roots,
            between,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|_| Forged::Wrong)?;
        let checksum = crc32fast::hash(raw);
        let fits = |webhook_id: &&Secret| {
            let text = format!("{}|{}|{}|{checksum}", claimed.id, claimed.time, webhook_id.expose());
            own.verify_signature(webpki::ring::RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signature).is_ok()
        };
        if !webhook_ids.iter().filter(|id| !id.is_empty()).any(|id| fits(&id)) {
            return Err(Forged::Wrong);
        }
        // Not refused: PayPal delivers for days, and its event id makes a second delivery harmless.
        if now - at.to_utc() > OLD {
            tracing::info!(provider = "paypal", sent.at = claimed.time, "an old webhook");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
