//! Where coins of one payment go.

/// An address, as a wallet reads it and as a chain keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As wallets read it.
    pub address: String,
    /// As the chain keeps it, in hexadecimal; the output's script at Bitcoin.
    pub script: String,
}

/// Why a key makes no address. It never repeats the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAddress(pub String);
