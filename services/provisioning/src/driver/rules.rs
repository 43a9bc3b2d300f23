//! What holds for a line on every panel; checked before anything is sent.

use super::Secret;
use super::error::{PanelError, PermKind};
use super::model::Output;

/// Longest name and password that fit the panel's columns and a player's address.
const NAME_MAX: usize = 50;
/// Shorter names are refused by most user groups.
const NAME_MIN: usize = 4;

/// Names and passwords travel in the paths of players' addresses, so they are plain.
///
/// # Errors
/// Names the field and the rule.
pub fn check_credentials(username: &str, password: &Secret) -> Result<(), PanelError> {
    let plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    for (field, text) in [("username", username), ("password", password.expose())] {
        if !(NAME_MIN..=NAME_MAX).contains(&text.len()) {
            return Err(invalid(format!("{field} must have {NAME_MIN} to {NAME_MAX} characters")));
        }
        if !plain(text) {
            return Err(invalid(format!("{field} may only have letters, digits, `_`, `-` and `.`")));
        }
    }
    Ok(())
}

/// A line without a limit or without a format is never what was sold.
///
/// # Errors
/// Names the field and the rule.
pub fn check_limits(connections: u32, outputs: &[Output]) -> Result<(), PanelError> {
    if connections == 0 {
        return Err(invalid("connections must be 1 or more: 0 would sell unlimited streams".to_owned()));
    }
    if outputs.is_empty() {
        return Err(invalid("outputs must not be empty: the line could play nothing".to_owned()));
    }
    Ok(())
}

fn invalid(detail: String) -> PanelError {
    PanelError::permanent(PermKind::InvalidInput, detail)
}
