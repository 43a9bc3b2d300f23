//! What an invoice says where no tax is charged.

use super::Treatment;
use crate::domain::line::Line;

/// What article 226 (11a) of Directive 2006/112/EC has an invoice say when the buyer owes the tax, in the words of the
/// directive's own editions.
#[must_use]
pub fn reverse_charge(language: &str) -> &'static str {
    match language {
        "de" => "Steuerschuldnerschaft des Leistungsempfängers (reverse charge)",
        "es" => "Inversión del sujeto pasivo (reverse charge)",
        "fr" => "Autoliquidation (reverse charge)",
        "pt" => "Autoliquidação (reverse charge)",
        _ => "Reverse charge: the customer accounts for the tax",
    }
}

/// Why lines carry no tax, one reason a line; none when nothing has to be said.
#[must_use]
pub fn words(lines: &[Line], language: &str) -> Option<String> {
    let mut said: Vec<&str> = Vec::new();
    for line in lines {
        let why = match &line.treatment {
            Treatment::Rate => continue,
            Treatment::ReverseCharge => reverse_charge(language),
            Treatment::Exempt { reason } | Treatment::OutOfScope { reason } => reason,
        };
        if !said.contains(&why) {
            said.push(why);
        }
    }
    (!said.is_empty()).then(|| said.join("\n"))
}
