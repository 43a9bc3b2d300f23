//! The contracts between services: gRPC services and event payloads, generated from `ottery/**/*.proto`.
//!
//! Packages are `ottery.<service>.v1`; here they are modules `<service>::v1`. Fields are only ever added.
#![allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated code")]

/// All contracts as a serialised `FileDescriptorSet`; the event catalogue is checked against it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! packages {
    ($($name:ident),* $(,)?) => {
        $(
            pub mod $name {
                pub mod v1 {
                    include!(concat!(env!("OUT_DIR"), "/ottery.", stringify!($name), ".v1.rs"));
                }
            }
        )*
    };
}

packages!(common, identity, catalog, billing, provisioning, support, affiliate, analytics, notification);
