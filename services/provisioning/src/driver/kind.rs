//! Kinds of panels that can be connected.

use std::sync::Arc;

use url::Url;

use super::http::Transport;
use super::xtream::Xtream;
use super::xui::{Role, Xui};
use super::{PanelDriver, Secret};

/// What answers at a panel's address, and as whom we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// XUI.ONE or XC_VM with an admin's key.
    Xui,
    /// XUI.ONE or XC_VM with a reseller's key, which buys packages for credits.
    XuiReseller,
    /// Xtream Codes v2 or Xtream UI: the older `api.php`.
    Xtream,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Xui, Self::XuiReseller, Self::Xtream];

    /// As the contract and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xui => "xui",
            Self::XuiReseller => "xui-reseller",
            Self::Xtream => "xtream",
        }
    }

    /// For people who have to choose one.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Xui => "XUI.ONE or XC_VM, admin key",
            Self::XuiReseller => "XUI.ONE or XC_VM, reseller key",
            Self::Xtream => "Xtream Codes or Xtream UI, `api_pass`",
        }
    }

    /// Reads the contract's word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Every kind with its meaning, for the answer to a wrong one.
    #[must_use]
    pub fn choices() -> String {
        Self::ALL.map(|kind| format!("`{}` ({})", kind.as_str(), kind.title())).join(", ")
    }

    /// The shortest key; 0 where a panel may have none, because it trusts our address alone.
    #[must_use]
    pub const fn key_min(self) -> usize {
        match self {
            Self::Xui | Self::XuiReseller => 8,
            Self::Xtream => 0,
        }
    }

    /// A driver of this kind.
    #[must_use]
    pub fn connect(self, transport: Arc<dyn Transport>, url: Url, key: Secret) -> Arc<dyn PanelDriver> {
        match self {
            Self::Xui => Arc::new(Xui::new(transport, url, key, Role::Admin)),
            Self::XuiReseller => Arc::new(Xui::new(transport, url, key, Role::Reseller)),
            Self::Xtream => Arc::new(Xtream::new(transport, url, key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_and_is_named_to_who_chose_none() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            assert!(Kind::choices().contains(&format!("`{}`", kind.as_str())));
        }
        assert_eq!(Kind::parse("XUI"), None);
    }
}
