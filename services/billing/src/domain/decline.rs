//! What a refused charge asks for beyond its class.

use super::payment::{Decline, DeclineClass};

/// What a provider's word for a refusal means beyond "not now" and "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Charges of one method for one invoice, the first included; further ones are pointless. None: dunning alone decides.
    pub charges_max: Option<u32>,
    /// How often one method may be refused within [`CEILING_DAYS`], whatever it was charged for. None: no network is asked.
    pub ceiling: Option<u32>,
    /// What else is to be done.
    pub consequence: Consequence,
}

/// What else a refusal asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing.
    #[default]
    None,
    /// The cardholder took the permission to charge back: the customer's methods at that account are charged no more.
    StopCharging,
    /// Somebody looks at the customer before anything else is taken from the card.
    FraudHold,
}

/// Card networks count the refusals of a card and fine those who go on: Visa from 15 in this many days. We stop well before.
pub const CEILING_DAYS: i64 = 30;
/// Where we stop.
pub const CEILING: u32 = 8;

/// How often a method was refused before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// For the same invoice.
    pub of_invoice: u32,
    /// Within the last [`CEILING_DAYS`] days.
    pub of_method: u32,
}

/// A refusal after which nobody tries again, when the provider's advice or the networks' ceiling says so.
#[must_use]
pub fn capped(decline: Decline, advice: Advice, before: Refusals) -> Decline {
    let is_spent = advice.charges_max.is_some_and(|most| before.of_invoice + 1 >= most);
    let is_over = advice.ceiling.is_some_and(|most| before.of_method + 1 >= most);
    if decline.class == DeclineClass::Soft && (is_spent || is_over) {
        Decline { class: DeclineClass::Hard, ..decline }
    } else {
        decline
    }
}

/// Words that tell a thief what the bank knows. Customers read the general one.
const NOT_FOR_CUSTOMERS: [&str; 6] =
    ["fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "security_violation", "stolen_card"];

/// The code as a customer may read it.
#[must_use]
pub fn public_code(code: &str) -> &str {
    if NOT_FOR_CUSTOMERS.contains(&code) { "card_declined" } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soft() -> Decline {
        Decline { class: DeclineClass::Soft, code: "do_not_honor".into() }
    }

    #[test]
    fn case_063_a_weak_refusal_is_tried_as_often_as_advised_and_no_method_more_than_the_ceiling() {
        let card = Advice { ceiling: Some(CEILING), ..Advice::default() };
        let twice = Advice { charges_max: Some(2), ..card };
        let class = |advice, of_invoice, of_method| capped(soft(), advice, Refusals { of_invoice, of_method }).class;
        assert_eq!(class(twice, 0, 0), DeclineClass::Soft);
        assert_eq!(class(twice, 1, 1), DeclineClass::Hard);
        assert_eq!(class(card, 6, 6), DeclineClass::Soft);
        assert_eq!(class(card, 0, 7), DeclineClass::Hard);
    }

    #[test]
    fn a_customer_who_has_to_confirm_is_asked_however_often() {
        let action = Decline { class: DeclineClass::Action, code: "authentication_required".into() };
        let many = Refusals { of_invoice: 9, of_method: 9 };
        assert_eq!(capped(action.clone(), Advice { charges_max: Some(1), ..Advice::default() }, many), action);
    }

    #[test]
    fn a_thief_learns_nothing() {
        assert_eq!(public_code("stolen_card"), "card_declined");
        assert_eq!(public_code("insufficient_funds"), "insufficient_funds");
    }
}
