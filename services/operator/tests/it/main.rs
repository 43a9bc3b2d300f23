//! Documents against the real catalog, over gRPC.

mod crds;
mod demo;
