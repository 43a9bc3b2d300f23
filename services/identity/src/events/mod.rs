//! What others hear of identity, and what identity hears of others.

mod consume;
pub mod publish;

pub use consume::{FollowBrands, LinkAudit, audit_group, brand_group};
