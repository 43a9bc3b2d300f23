use std::fmt;

use ottery_kernel::BrandId;

/// Names a value, always within a brand or the platform, so that no brand ever reads another's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CacheKey(String);

impl CacheKey {
    /// A value of a brand: what it is (`theme`) and which one.
    #[must_use]
    pub fn of_brand(brand: BrandId, kind: &'static str, name: impl fmt::Display) -> Self {
        Self(format!("ottery:{brand}:{kind}:{name}"))
    }

    /// A value of the platform: what it is (`host`) and which one.
    #[must_use]
    pub fn of_platform(kind: &'static str, name: impl fmt::Display) -> Self {
        Self(format!("ottery:platform:{kind}:{name}"))
    }

    /// The whole key as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CacheKey {
    /// Names may be tokens, so only the namespace and the kind are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.match_indices(':').nth(2).map_or(self.0.as_str(), |(end, _)| &self.0[..end]);
        write!(f, "{shown}:…")
    }
}
