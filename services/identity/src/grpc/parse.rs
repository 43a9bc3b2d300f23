//! Contract to what the use cases take.

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound as _, Utc};
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, Problem};
use ottery_proto::identity::v1::{Device as ProtoDevice, Realm as ProtoRealm};

use crate::domain::role::Held;
use crate::domain::{Device, Realm};

/// An id, or a problem that names the field.
pub(super) fn id<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| Problem::invalid(field, "ID_MALFORMED", error.to_string()))
}

/// A brand that may be absent.
pub(super) fn brand(field: &'static str, text: &str) -> Result<Option<BrandId>, Problem> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

pub(super) fn instant(
    field: &'static str,
    at: Option<prost_types::Timestamp>,
) -> Result<Option<DateTime<Utc>>, Problem> {
    let Some(at) = at else { return Ok(None) };
    let at = u32::try_from(at.nanos).ok().and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos));
    at.map(|at| Some(at.trunc_subsecs(6)))
        .ok_or_else(|| Problem::invalid(field, "INSTANT_MALFORMED", "give an instant such as 2027-01-31T12:00:00Z"))
}

/// Whether it is the staff's; customers are the other choice.
pub(super) fn is_staff(realm: ProtoRealm) -> Result<bool, Problem> {
    match realm {
        ProtoRealm::Unspecified => Err(Problem::invalid("realm", "MISSING", "choose customer or staff")),
        ProtoRealm::Customer => Ok(false),
        ProtoRealm::Staff => Ok(true),
    }
}

/// Where accounts live: staff, or the customers of the call's brand.
pub(super) fn realm(actor: &Actor, realm: ProtoRealm) -> Result<Realm, Problem> {
    if is_staff(realm)? { Ok(Realm::Staff) } else { actor.brand_or_problem().map(Realm::Customer) }
}

/// The device as the gateway saw it; the signed address counts where both are given.
pub(super) fn device(actor: &Actor, device: Option<ProtoDevice>) -> Device {
    let device = device.unwrap_or_default();
    Device::new(&device.user_agent, actor.client_ip.as_deref().unwrap_or(&device.client_ip))
}

pub(super) fn held(role: &str, brand_id: &str) -> Result<Held, Problem> {
    let role = role
        .parse()
        .map_err(|error: crate::domain::Invalid| Problem::invalid(error.field, error.reason, error.message))?;
    Ok(Held { role, brand: brand("brand_id", brand_id)? })
}
