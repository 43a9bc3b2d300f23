//! Affiliate against a real PostgreSQL.

mod referrals;
