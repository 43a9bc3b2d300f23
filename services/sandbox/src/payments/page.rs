//! The hosted checkout page.

use askama::Template;
use http::StatusCode;

use super::{
    Payments,
    book::Attempt,
    card::{CARDS, Outcome},
    model::{Card, Checkout, Decline},
};
use crate::{
    form::Form,
    http::{Reply, Request},
    store::Change,
};

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage<'a> {
    id: &'a str,
    merchant: &'a str,
    amount: String,
    reference: &'a str,
    email: &'a str,
    is_setup: bool,
    save_method: bool,
    error: Option<&'a str>,
    cards: &'a [(&'a str, &'a str)],
}

#[derive(Template)]
#[template(path = "challenge.html")]
struct ChallengePage<'a> {
    id: &'a str,
    merchant: &'a str,
    amount: String,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage<'a> {
    heading: &'a str,
    text: &'a str,
    link: Option<&'a str>,
}

impl Payments {
    /// `/checkout/<id>` and the forms on it.
    pub fn page(&self, request: &Request, id: &str, rest: &[&str]) -> Reply {
        let Some(checkout) = self.state().checkouts.get(id).cloned() else {
            return notice(
                StatusCode::NOT_FOUND,
                "No such checkout",
                "The address is wrong or the sandbox was reset.",
                None,
            );
        };
        let form = Form::read(None, &request.body);
        match (request.method.as_str(), rest) {
            _ if checkout.status == "complete" => see_other(&finished(&checkout)),
            _ if checkout.status == "expired" => {
                let back = Some(checkout.cancel_url.as_str());
                notice(
                    StatusCode::GONE,
                    "This checkout has expired",
                    "Nothing was charged. Start again in the shop.",
                    back,
                )
            }
            ("GET", []) => self.show(&checkout, StatusCode::OK, None),
            ("POST", ["pay"]) => {
                match Card::read(form.get("number").unwrap_or_default(), form.get("expiry").unwrap_or_default()) {
                    Ok(card) => self.try_card(checkout, card, false),
                    Err(hint) => self.show(&checkout, StatusCode::UNPROCESSABLE_ENTITY, Some(hint)),
                }
            }
            ("POST", ["authenticate"]) => match checkout.challenged.clone() {
                Some(card) if form.get("decision") == Some("confirm") => self.try_card(checkout, card, true),
                Some(card) => self.refused_to_confirm(checkout, card),
                None => see_other(&format!("{}/checkout/{id}", self.public_url)),
            },
            ("POST", ["cancel"]) => see_other(&checkout.cancel_url),
            _ => notice(StatusCode::NOT_FOUND, "No such page", "The address is wrong.", None),
        }
    }

    fn try_card(&self, checkout: Checkout, card: Card, is_confirmed: bool) -> Reply {
        let outcome = card.outcome(false, is_confirmed);
        let mut state = self.state();
        // Somebody may have paid in another tab meanwhile.
        let Some(mut checkout) = state.checkouts.get(&checkout.id).filter(|current| current.status == "open").cloned()
        else {
            drop(state);
            return see_other(&format!("{}/checkout/{}", self.public_url, checkout.id));
        };
        let mut change = Change::default();
        if outcome == Outcome::Challenge {
            checkout.challenged = Some(card);
            self.save_checkout(&mut state, &mut change, &checkout);
            self.context.store.commit(change);
            drop(state);
            return self.challenge(&checkout);
        }
        let is_good = !matches!(outcome, Outcome::Declined(_));
        if is_good && checkout.save_method {
            let method = self.save_method(&mut state, &mut change, &checkout.account, &card, &checkout.customer_email);
            checkout.payment_method = Some(method.id.clone());
            if checkout.amount.minor == 0 {
                let mut object = method.json();
                object["checkout"] = checkout.id.clone().into();
                object["reference"] = checkout.reference.clone().into();
                self.emit(&mut state, &mut change, &checkout.account, "payment_method.saved", object);
            }
        }
        let mut decline = None;
        if checkout.amount.minor > 0 {
            let attempt = Attempt {
                account: checkout.account.clone(),
                reference: checkout.reference.clone(),
                amount: checkout.amount.clone(),
                checkout: Some(checkout.id.clone()),
                payment_method: checkout.payment_method.clone(),
                off_session: false,
                card,
            };
            let payment = self.pay(&mut state, &mut change, attempt, outcome);
            checkout.payment = Some(payment.id);
            decline = payment.decline;
        } else if let Outcome::Declined(code) = outcome {
            decline = Some(Decline::of(code));
        }
        checkout.challenged = None;
        if is_good {
            checkout.status = "complete".into();
        }
        self.save_checkout(&mut state, &mut change, &checkout);
        self.context.store.commit(change);
        drop(state);
        match decline {
            Some(decline) => self.show(&checkout, StatusCode::PAYMENT_REQUIRED, Some(&decline.message)),
            None => see_other(&finished(&checkout)),
        }
    }

    fn refused_to_confirm(&self, mut checkout: Checkout, card: Card) -> Reply {
        let mut state = self.state();
        let mut change = Change::default();
        checkout.challenged = None;
        if checkout.amount.minor > 0 {
            let attempt = Attempt {
                account: checkout.account.clone(),
                reference: checkout.reference.clone(),
                amount: checkout.amount.clone(),
                checkout: Some(checkout.id.clone()),
                payment_method: None,
                off_session: false,
                card,
            };
            checkout.payment = Some(self.pay(&mut state, &mut change, attempt, Outcome::Challenge).id);
        }
        self.save_checkout(&mut state, &mut change, &checkout);
        self.context.store.commit(change);
        drop(state);
        self.show(&checkout, StatusCode::PAYMENT_REQUIRED, Some("You refused to confirm; nothing was charged."))
    }

    fn merchant(&self, checkout: &Checkout) -> String {
        self.state().accounts.get(&checkout.account).map(|account| account.name.clone()).unwrap_or_default()
    }

    fn show(&self, checkout: &Checkout, status: StatusCode, error: Option<&str>) -> Reply {
        let page = CheckoutPage {
            id: &checkout.id,
            merchant: &self.merchant(checkout),
            amount: checkout.amount.text(),
            reference: &checkout.reference,
            email: &checkout.customer_email,
            is_setup: checkout.amount.minor == 0,
            save_method: checkout.save_method,
            error,
            cards: CARDS,
        };
        render(status, &page)
    }

    fn challenge(&self, checkout: &Checkout) -> Reply {
        let page =
            ChallengePage { id: &checkout.id, merchant: &self.merchant(checkout), amount: checkout.amount.text() };
        render(StatusCode::OK, &page)
    }
}

/// Where the customer goes afterwards; `{CHECKOUT_ID}` in the address is replaced.
fn finished(checkout: &Checkout) -> String {
    checkout.success_url.replace("{CHECKOUT_ID}", &checkout.id).replace("%7BCHECKOUT_ID%7D", &checkout.id)
}

fn see_other(location: &str) -> Reply {
    Reply::redirect(StatusCode::SEE_OTHER, location)
}

fn notice(status: StatusCode, heading: &str, text: &str, link: Option<&str>) -> Reply {
    render(status, &NoticePage { heading, text, link })
}

fn render(status: StatusCode, page: &impl Template) -> Reply {
    match page.render() {
        Ok(html) => Reply::html(status, html)
            .with(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
            )
            .with("cache-control", "no-store")
            .with("referrer-policy", "no-referrer"),
        Err(error) => {
            tracing::error!(%error, "checkout page not rendered");
            Reply::html(StatusCode::INTERNAL_SERVER_ERROR, "SANDBOX: page not rendered")
        }
    }
}
