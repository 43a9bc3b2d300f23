//! The gateway over real HTTP, with real services behind it.

mod openapi;
