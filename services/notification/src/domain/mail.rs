//! A mail to be sent: what it says, to whom, and which secret it needs when it is rendered.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::kind::Kind;

/// Longer names are left out: mails that anybody can have sent to anybody must not carry messages.
const NAME_MAX: usize = 60;

/// A secret that is fetched when the mail is rendered, and kept nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SecretNeeded {
    /// None.
    #[default]
    None,
    /// The token of the mail's link, minted by `identity` for this request; it is put at the end of the link.
    LinkToken {
        /// `mrq_…`
        request: String,
    },
    /// The token of a link that pays an invoice, minted by `billing`; it is put at the end of the link. Nobody is asked to pay
    /// what was paid meanwhile: there is none then, and no mail.
    PayLink {
        /// `inv_…`
        invoice: String,
    },
    /// A line's credentials, revealed by `provisioning`.
    Credentials {
        /// `svc_…`
        service: String,
    },
}

/// What a template is filled with, without secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// How the recipient is addressed; may be empty.
    pub name: String,
    /// Where the mail's link leads on the brand's host; may be empty.
    pub path: String,
    /// The variables of the template.
    pub vars: Map<String, Value>,
    /// What is fetched at rendering.
    pub secret: SecretNeeded,
}

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// What it is about.
    pub kind: Kind,
    /// The event it tells of.
    pub event: Uuid,
    /// Address.
    pub recipient: String,
    /// Wanted language; may be empty.
    pub locale: String,
    /// What it is filled with.
    pub params: Params,
}

/// A name fit for a greeting, or nothing.
#[must_use]
pub fn greeting_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    let looks_like_address = name.contains("://") || name.contains("www.") || name.contains('@') || name.contains('/');
    if looks_like_address || name.chars().count() > NAME_MAX { String::new() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_carries_a_message_is_left_out() {
        assert_eq!(greeting_name(" Ada\r\nLovelace "), "Ada  Lovelace");
        for bad in ["win http://evil.example", "www.evil.example now", "a/b", &"x".repeat(61)] {
            assert_eq!(greeting_name(bad), "", "{bad}");
        }
    }
}
