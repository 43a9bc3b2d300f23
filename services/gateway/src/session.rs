//! Who is asking: cookies of the two portals, API keys, and the callers handlers get.

mod caller;
mod known;
mod portal;

pub use caller::{BRAND_HEADER, Caller, Customer, EnrollingStaff, Staff, Visitor, enrolment_required};
pub(crate) use caller::{has_bearer, identify};
pub use known::{Session, Sessions};
pub use portal::{Portal, cookie};

/// Longest secret that is looked at.
const SECRET_CHARS_MAX: usize = 256;
