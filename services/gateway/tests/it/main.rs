//! The gateway over real HTTP, with real services behind it.

mod browser;
mod edge;
mod https;
mod openapi;
mod sessions;
mod setup;
mod stream;
mod walls;
mod webhooks;
mod world;
