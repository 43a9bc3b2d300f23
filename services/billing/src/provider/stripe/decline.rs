//! Stripe's words for a refusal, and what they mean for the next try.
//!
//! In this order: whether the customer has to confirm, the network's advice, Stripe's table, a default.

use serde::Deserialize;

use crate::domain::decline::{Advice, CEILING, Consequence};
use crate::domain::payment::{Decline, DeclineClass};

/// Stripe's error object, as far as it is used. Every field may be missing, and every word may be new.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct StripeError {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub code: Option<String>,
    pub decline_code: Option<String>,
    pub advice_code: Option<String>,
    pub network_decline_code: Option<String>,
    pub network_advice_code: Option<String>,
    /// The payment it is about; an object, of which the id is enough.
    pub payment_intent: Option<Named>,
}

/// An object of which only the id is read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Named {
    pub id: String,
}

/// The customer has to confirm; the last one says that they began to and did not come to an end.
const ACTION: [&str; 3] =
    ["authentication_not_handled", "authentication_required", "payment_intent_authentication_failure"];
/// Another try may work.
const SOFT: [&str; 9] = [
    "approve_with_id",
    "card_velocity_exceeded",
    "insufficient_funds",
    "issuer_not_available",
    "no_action_taken",
    "processing_error",
    "reenter_transaction",
    "try_again_later",
    "withdrawal_count_limit_exceeded",
];
/// The bank does not say why; another try is worth little.
const WEAK: [&str; 4] = ["call_issuer", "do_not_honor", "generic_decline", "service_not_allowed"];
/// This card will not work.
const HARD: [&str; 24] = [
    "card_not_supported",
    "currency_not_supported",
    "do_not_try_again",
    "expired_card",
    "fraudulent",
    "incorrect_cvc",
    "incorrect_number",
    "invalid_account",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "lost_card",
    "merchant_blacklist",
    "new_account_information_available",
    "not_permitted",
    "pickup_card",
    "restricted_card",
    "security_violation",
    "stolen_card",
    "testmode_decline",
    "transaction_not_allowed",
    // The cardholder took the permission back.
    "revocation_of_authorization",
    "stop_payment_order",
];
/// As the last two, for everything the cardholder ever permitted.
const REVOKED: [&str; 3] = ["revocation_of_all_authorizations", "revocation_of_authorization", "stop_payment_order"];
/// Charges of one method for one invoice after a weak or unknown word: the first and one more.
const WEAK_CHARGES: u32 = 2;

impl StripeError {
    /// The most telling word of it.
    pub fn word(&self) -> &str {
        let words = [&self.decline_code, &self.code, &self.kind];
        words.into_iter().flatten().map(String::as_str).find(|word| !word.is_empty()).unwrap_or("declined")
    }

    /// What it means.
    pub fn decline(&self) -> Decline {
        let code = self.word().to_owned();
        let needs_action = |word: &Option<String>| word.as_deref().is_some_and(|word| ACTION.contains(&word));
        let class = if needs_action(&self.code) || needs_action(&self.decline_code) {
            DeclineClass::Action
        } else {
            match self.advice_code.as_deref() {
                Some("try_again_later") => DeclineClass::Soft,
                Some("confirm_card_data" | "do_not_try_again") => DeclineClass::Hard,
                Some(_) | None => class_of(&code),
            }
        };
        Decline { class, code }
    }
}

fn class_of(word: &str) -> DeclineClass {
    if HARD.contains(&word) || REVOKED.contains(&word) { DeclineClass::Hard } else { DeclineClass::Soft }
}

/// What a word asks for beyond its class.
pub fn advice(word: &str) -> Advice {
    let consequence = match word {
        "fraudulent" => Consequence::FraudHold,
        word if REVOKED.contains(&word) => Consequence::StopCharging,
        _ => Consequence::None,
    };
    let is_known = SOFT.contains(&word) || ACTION.contains(&word) || class_of(word) == DeclineClass::Hard;
    let is_weak = WEAK.contains(&word) || !is_known;
    Advice { charges_max: is_weak.then_some(WEAK_CHARGES), ceiling: Some(CEILING), consequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: serde_json::Value) -> StripeError {
        serde_json::from_value(json).unwrap()
    }

    fn class(json: serde_json::Value) -> DeclineClass {
        error(json).decline().class
    }

    #[test]
    fn case_062_authentication_comes_before_everything_else() {
        let told = serde_json::json!({"type": "card_error", "code": "authentication_required",
            "decline_code": "authentication_required", "advice_code": "do_not_try_again"});
        assert_eq!(class(told), DeclineClass::Action);
        let elsewhere = serde_json::json!({"code": "card_declined", "decline_code": "authentication_not_handled"});
        assert_eq!(class(elsewhere), DeclineClass::Action);
    }

    #[test]
    fn case_063_the_networks_advice_comes_before_the_table() {
        let told = |advice: &str, word: &str| {
            class(serde_json::json!({"code": "card_declined", "decline_code": word, "advice_code": advice}))
        };
        assert_eq!(told("try_again_later", "stolen_card"), DeclineClass::Soft);
        assert_eq!(told("do_not_try_again", "insufficient_funds"), DeclineClass::Hard);
        assert_eq!(told("confirm_card_data", "generic_decline"), DeclineClass::Hard);
        assert_eq!(told("something_new", "expired_card"), DeclineClass::Hard);
    }

    #[test]
    fn case_063_every_word_of_the_table_has_its_class_and_its_ceiling() {
        let told = |word: &str| class(serde_json::json!({"code": "card_declined", "decline_code": word}));
        for word in SOFT {
            assert_eq!((told(word), advice(word).charges_max), (DeclineClass::Soft, None), "{word}");
        }
        for word in WEAK {
            assert_eq!((told(word), advice(word).charges_max), (DeclineClass::Soft, Some(2)), "{word}");
        }
        for word in HARD {
            assert_eq!((told(word), advice(word).charges_max), (DeclineClass::Hard, None), "{word}");
        }
        for word in REVOKED {
            assert_eq!(
                (told(word), advice(word).consequence),
                (DeclineClass::Hard, Consequence::StopCharging),
                "{word}"
            );
        }
        assert_eq!(advice("fraudulent").consequence, Consequence::FraudHold);
    }

    #[test]
    fn an_unknown_word_is_tried_once_more_and_then_final() {
        // As localstripe says it: no decline code, and the type of another error.
        let bare =
            error(serde_json::json!({"code": "card_declined", "type": "invalid_request_error", "charge": "ch_1"}));
        assert_eq!(bare.decline(), Decline { class: DeclineClass::Soft, code: "card_declined".into() });
        assert_eq!(advice("card_declined").charges_max, Some(2));
        assert_eq!(advice("invented_in_2031").charges_max, Some(2));
        assert_eq!(error(serde_json::json!({})).word(), "declined");
    }
}
