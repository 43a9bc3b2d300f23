//! PayPal's words for a refusal, and what they mean for the next try.

use serde::Deserialize;

use crate::domain::decline::{Advice, CEILING, Consequence};
use crate::domain::payment::{Decline, DeclineClass};

/// The customer has to agree.
const ACTION: [&str; 3] = ["ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"];
/// Another try may work.
const SOFT: [&str; 4] = ["INSTRUMENT_DECLINED", "PAYER_CANNOT_PAY", "TRANSACTION_LIMIT_EXCEEDED", REFUSED];
/// PayPal does not say why; another try is worth little.
const REFUSED: &str = "TRANSACTION_REFUSED";
/// This method will not work.
const HARD: [&str; 9] = [
    REVOKED,
    "BILLING_AGREEMENT_NOT_FOUND",
    "COMPLIANCE_VIOLATION",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
    "PAYER_ACCOUNT_RESTRICTED",
    "REFERENCED_CARD_EXPIRED",
    "TOKEN_ID_NOT_FOUND",
    "TRANSACTION_BLOCKED_BY_PAYEE",
];
/// The payer took the permission back.
const REVOKED: &str = "AGREEMENT_ALREADY_CANCELLED";
/// Charges of one method for one invoice after a word that says nothing: the first and one more.
const WEAK_CHARGES: u32 = 2;

/// What the processor of a card said to a capture.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Processor {
    pub response_code: Option<String>,
    /// The network's advice: `01`, `02`, `03`, `21`.
    pub payment_advice_code: Option<String>,
}

/// The refusal an issue stands for; none when it is no refusal but something else that is wrong.
pub fn of_issue(issue: &str) -> Option<Decline> {
    let class = class_of(issue)?;
    Some(Decline { class, code: issue.to_ascii_lowercase() })
}

fn class_of(issue: &str) -> Option<DeclineClass> {
    if ACTION.contains(&issue) {
        Some(DeclineClass::Action)
    } else if SOFT.contains(&issue) {
        Some(DeclineClass::Soft)
    } else if HARD.contains(&issue) {
        Some(DeclineClass::Hard)
    } else {
        None
    }
}

/// Whether a refusal, as we keep it, says that PayPal saves no methods for this account (yet).
pub fn is_without_vault(code: &str) -> bool {
    code.starts_with("not_enabled") && code.contains("vault")
}

/// What a capture means that was declined: the network's advice, else another try.
pub fn of_capture(processor: Option<&Processor>) -> Decline {
    let told = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let advice = processor.and_then(|processor| told(processor.payment_advice_code.as_ref()));
    let class = match advice.as_deref() {
        Some("01" | "03" | "21") => DeclineClass::Hard,
        Some(_) | None => DeclineClass::Soft,
    };
    let code = processor.and_then(|processor| told(processor.response_code.as_ref()));
    Decline { class, code: code.map_or_else(|| "capture_declined".to_owned(), |code| format!("processor_{code}")) }
}

/// What a word, as we keep it, asks for beyond its class.
pub fn advice(code: &str) -> Advice {
    let issue = code.to_ascii_uppercase();
    let consequence = if issue == REVOKED { Consequence::StopCharging } else { Consequence::None };
    let is_weak = issue == REFUSED || class_of(&issue).is_none();
    Advice { charges_max: is_weak.then_some(WEAK_CHARGES), ceiling: Some(CEILING), consequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_063_paypals_words_have_their_classes() {
        let class = |issue: &str| of_issue(issue).map(|decline| decline.class);
        assert_eq!(class("PAYER_ACTION_REQUIRED"), Some(DeclineClass::Action));
        assert_eq!(class("INSTRUMENT_DECLINED"), Some(DeclineClass::Soft));
        assert_eq!(class("TOKEN_ID_NOT_FOUND"), Some(DeclineClass::Hard));
        // What we did wrong, or have not been allowed, is nobody's refusal.
        assert_eq!((class("NOT_ENABLED_FOR_VAULTING"), class("CURRENCY_MISMATCH")), (None, None));
        assert_eq!(of_issue("INSTRUMENT_DECLINED").unwrap().code, "instrument_declined");
        assert!(is_without_vault("not_enabled_to_vault_payment_source"));
        assert!(
            !is_without_vault("not_enabled_for_card_processing") && !is_without_vault("vault_instruction_required")
        );
    }

    #[test]
    fn case_063_a_word_that_says_nothing_is_tried_once_more_and_no_method_beyond_the_ceiling() {
        assert_eq!(advice("transaction_refused").charges_max, Some(2));
        assert_eq!(advice("a_word_of_tomorrow").charges_max, Some(2));
        assert_eq!(advice("instrument_declined").charges_max, None);
        assert_eq!(advice("instrument_declined").ceiling, Some(CEILING));
        assert_eq!(advice("agreement_already_cancelled").consequence, Consequence::StopCharging);
    }

    #[test]
    fn the_networks_advice_about_a_card_is_followed() {
        let told = |advice: &str| {
            let processor = Processor { response_code: Some("5120".into()), payment_advice_code: Some(advice.into()) };
            of_capture(Some(&processor)).class
        };
        assert_eq!(["01", "03", "21"].map(told), [DeclineClass::Hard; 3]);
        assert_eq!(["02", ""].map(told), [DeclineClass::Soft; 2]);
        assert_eq!(of_capture(None).code, "capture_declined");
    }
}
