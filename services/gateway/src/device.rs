//! The long-lived id of a browser, in a cookie that only the checkout sets: whoever had their trial is known again by it.
//!
//! 53 bytes in base64url: version, key id, 16 random bytes, HMAC-SHA256 over the brand and them. Nobody can make one up, or take
//! one of another brand. It says nothing about anybody, no script can read it, and billing keeps its keyed hash only.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ottery_kernel::BrandId;
use ottery_kit::grpc::ActorKind;
use ottery_kit::keyring::{KeyId, Keyring};
use ottery_proto::billing::v1::Origin;
use rand::RngCore as _;

use crate::problem::Refusal;
use crate::request::RequestInfo;
use crate::session::{Caller, cookie};
use crate::state::AppState;

/// What the signing key is derived for.
const PURPOSE: &str = "gateway.device";
const VERSION: u8 = 1;
/// The longest life browsers allow a cookie; every checkout begins it anew.
const LIFE_S: u32 = 400 * 86_400;
const KEY: std::ops::Range<usize> = 1..5;
const ID: std::ops::Range<usize> = 5..21;
const MAC: std::ops::Range<usize> = 21..53;

/// A browser as a brand knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    brand: BrandId,
    id: [u8; 16],
}

const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-ottery_device" } else { "ottery_device" }
}

fn signed_data(brand: BrandId, id: [u8; 16]) -> [u8; 32] {
    let mut data = [0; 32];
    data[..16].copy_from_slice(brand.as_uuid().as_bytes());
    data[16..].copy_from_slice(&id);
    data
}

impl Device {
    /// A browser nobody has seen before.
    fn fresh(brand: BrandId) -> Self {
        let mut id = [0; 16];
        rand::rng().fill_bytes(&mut id);
        Self { brand, id }
    }

    fn token(&self, keyring: &Keyring) -> String {
        let (key, mac) = keyring.sign(PURPOSE, &signed_data(self.brand, self.id));
        let mut bytes = [0; MAC.end];
        bytes[0] = VERSION;
        bytes[KEY].copy_from_slice(&key.to_bytes());
        bytes[ID].copy_from_slice(&self.id);
        bytes[MAC].copy_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The browser a token stands for; none when it was not made here for this brand.
    fn read(token: &str, keyring: &Keyring, brand: BrandId) -> Option<Self> {
        let bytes: [u8; MAC.end] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (key, id) = (bytes[KEY].try_into().ok()?, bytes[ID].try_into().ok()?);
        let is_ours = bytes[0] == VERSION
            && keyring.verify(PURPOSE, KeyId::from_bytes(key), &signed_data(brand, id), &bytes[MAC]);
        is_ours.then_some(Self { brand, id })
    }

    /// The browser that asks; a new one when its cookie is missing or not ours.
    #[must_use]
    pub fn of(state: &AppState, brand: BrandId, headers: &HeaderMap, request: &RequestInfo) -> Self {
        let token = cookie(headers, cookie_name(request.is_secure));
        let known = token.and_then(|token| Self::read(&token, &state.host.keyring, brand));
        known.unwrap_or_else(|| Self::fresh(brand))
    }

    /// As billing hears of it.
    #[must_use]
    pub fn origin(&self, request: &RequestInfo) -> Origin {
        Origin { device_id: hex::encode(self.id), country: request.country.clone().unwrap_or_default() }
    }

    /// `Set-Cookie` that makes the browser known from now on.
    ///
    /// # Errors
    /// Never in practice.
    pub fn cookie(&self, state: &AppState, request: &RequestInfo) -> Result<HeaderValue, Refusal> {
        let secure = if request.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={LIFE_S}{secure}",
            cookie_name(request.is_secure),
            self.token(&state.host.keyring)
        );
        HeaderValue::try_from(text).map_err(|error| Refusal::internal(&error))
    }
}

/// The customer's own browser; none when staff or a program orders for them, whose browser it would be.
#[must_use]
pub fn of_customer(state: &AppState, caller: &Caller, headers: &HeaderMap) -> Option<Device> {
    let brand = caller.actor.brand.filter(|_| caller.actor.kind == ActorKind::Customer)?;
    Some(Device::of(state, brand, headers, &caller.request))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn brand(n: u128) -> BrandId {
        BrandId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn secure_s24_a_device_is_believed_in_its_brand_only_and_nobody_can_make_one_up() {
        let keyring = Keyring::ephemeral();
        let device = Device::fresh(brand(1));
        let token = device.token(&keyring);
        assert_eq!(Device::read(&token, &keyring, brand(1)), Some(device.clone()));
        assert_eq!(Device::read(&token, &keyring, brand(2)), None);
        assert_eq!(Device::read(&token, &Keyring::ephemeral(), brand(1)), None);
        for at in [0, 1, 8, 30, 70] {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Device::read(std::str::from_utf8(&forged).unwrap(), &keyring, brand(1)), None, "{at}");
        }
        assert_eq!(Device::read("", &keyring, brand(1)), None);
        assert_ne!(Device::fresh(brand(1)), device);
    }
}
