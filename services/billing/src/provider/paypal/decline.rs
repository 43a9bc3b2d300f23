//! PayPal's words for a refusal, and what they mean for the next try.

use crate::domain::decline::{Advice, CEILING, Consequence};
use crate::domain::payment::{Decline, DeclineClass};

/// The payer has to do something.
const ACTION: [&str; 3] = ["ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"];
/// Another try may work.
const SOFT: [&str; 3] = ["INSTRUMENT_DECLINED", "PAYER_CANNOT_PAY", "TRANSACTION_LIMIT_EXCEEDED"];
/// PayPal does not say why; another try is worth little.
const WEAK: [&str; 1] = ["TRANSACTION_REFUSED"];
/// This method will not work.
const HARD: [&str; 10] = [
    "AGREEMENT_ALREADY_CANCELLED",
    "BILLING_AGREEMENT_NOT_FOUND",
    "COMPLIANCE_VIOLATION",
    "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
    "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
    "PAYER_ACCOUNT_RESTRICTED",
    "REFERENCED_CARD_EXPIRED",
    "TOKEN_ID_NOT_FOUND",
    "TRANSACTION_BLOCKED_BY_PAYEE",
    "VAULT_ID_NOT_FOUND",
];
/// It was done, or is being done, by an earlier call: what came of that is read back.
const UNSETTLED: [&str; 7] = [
    "CAPTURE_FULLY_REFUNDED",
    "DUPLICATE_INVOICE_ID",
    "DUPLICATE_REQUEST_ID",
    "ORDER_ALREADY_CAPTURED",
    "ORDER_ALREADY_COMPLETED",
    "ORDER_COMPLETION_IN_PROGRESS",
    "PREVIOUS_REQUEST_IN_PROGRESS",
];
/// Charges of one method for one invoice after a weak or unknown word: the first and one more.
const WEAK_CHARGES: u32 = 2;

/// Whether nothing was, or will be, done by the call that was refused with this word.
pub fn is_settled(word: &str) -> bool {
    !UNSETTLED.contains(&word)
}

/// The payer's refusal behind a word; none when it is no payer's but ours to mend.
pub fn of_word(word: &str) -> Option<Decline> {
    let class = if ACTION.contains(&word) {
        DeclineClass::Action
    } else if HARD.contains(&word) {
        DeclineClass::Hard
    } else if SOFT.contains(&word) || WEAK.contains(&word) {
        DeclineClass::Soft
    } else {
        return None;
    };
    Some(Decline { class, code: word.to_owned() })
}

/// What a capture that brought no money says: the network's advice first, the processor's code for people who look.
pub fn of_capture(status: &str, response_code: &str, advice_code: &str) -> Decline {
    let class = match advice_code {
        "01" | "03" | "21" => DeclineClass::Hard,
        _ => DeclineClass::Soft,
    };
    let code = match (advice_code, response_code) {
        ("01" | "02" | "03" | "21", _) => format!("advice_{advice_code}"),
        (_, "") => format!("CAPTURE_{status}"),
        (_, response_code) => format!("processor_{response_code}"),
    };
    Decline { class, code }
}

/// What a word asks for beyond its class.
pub fn advice(word: &str) -> Advice {
    let consequence = if word == "AGREEMENT_ALREADY_CANCELLED" { Consequence::StopCharging } else { Consequence::None };
    let is_known =
        ACTION.contains(&word) || SOFT.contains(&word) || HARD.contains(&word) || word.starts_with("advice_");
    Advice { charges_max: (!is_known).then_some(WEAK_CHARGES), ceiling: Some(CEILING), consequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(word: &str) -> Option<DeclineClass> {
        of_word(word).map(|decline| decline.class)
    }

    #[test]
    fn case_062_case_063_every_word_has_its_class_and_its_ceiling() {
        for word in ACTION {
            assert_eq!((class(word), advice(word).charges_max), (Some(DeclineClass::Action), None), "{word}");
        }
        for word in SOFT {
            assert_eq!((class(word), advice(word).charges_max), (Some(DeclineClass::Soft), None), "{word}");
        }
        for word in WEAK {
            assert_eq!((class(word), advice(word).charges_max), (Some(DeclineClass::Soft), Some(2)), "{word}");
        }
        for word in HARD {
            assert_eq!((class(word), advice(word).charges_max), (Some(DeclineClass::Hard), None), "{word}");
        }
        assert_eq!(advice("AGREEMENT_ALREADY_CANCELLED").consequence, Consequence::StopCharging);
        // Ours to mend, not the payer's.
        for word in ["CURRENCY_MISMATCH", "NOT_ENABLED_FOR_VAULT_PAYMENT_SOURCE", "DECIMALS_NOT_SUPPORTED"] {
            assert_eq!(class(word), None, "{word}");
        }
    }

    #[test]
    fn case_063_a_capture_without_money_follows_the_networks_advice() {
        let told = |code: &str, advice: &str| of_capture("DECLINED", code, advice);
        assert_eq!(told("5120", "02"), Decline { class: DeclineClass::Soft, code: "advice_02".into() });
        for advice in ["01", "03", "21"] {
            assert_eq!(told("5120", advice).class, DeclineClass::Hard, "{advice}");
        }
        assert_eq!(told("", "").code, "CAPTURE_DECLINED");
        assert_eq!(advice(&told("5120", "").code).charges_max, Some(2));
    }
}
