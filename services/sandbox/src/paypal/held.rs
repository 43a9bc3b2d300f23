//! What this PayPal holds, and what it answers.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::trouble::Troubles;

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Method and path.
    pub call: String,
    /// Its idempotency key.
    pub key: String,
    /// Its body; null when it is no JSON.
    pub body: Value,
}

/// All of it, for whoever looks behind its back.
#[derive(Debug, Default)]
pub struct Held {
    /// Orders by id.
    pub orders: BTreeMap<String, Value>,
    /// Saved wallets by id.
    pub vault: BTreeMap<String, Value>,
    /// Wallets that are to be saved without an order, by id.
    pub setups: BTreeMap<String, Value>,
    /// Disputes by id.
    pub disputes: BTreeMap<String, Value>,
    /// Whatever happened, the oldest first.
    pub events: Vec<Value>,
    /// How the next captures end; empty: with money.
    pub capture_status: String,
    /// A word with which charges are refused.
    pub refusal: String,
    /// What signs webhooks, in PEM.
    pub certificate: Vec<u8>,
    /// How often it was fetched.
    pub certificates_asked: usize,
    /// Tokens handed out.
    pub tokens_made: usize,
    /// No token is taken until another one was made.
    pub is_token_old: bool,
    /// Lists of events that were asked for until some time.
    pub windows: usize,
    /// The account may save no wallets.
    pub has_no_vault: bool,
    /// A word with which customers are refused; empty: they are known.
    pub customer_gone: String,
    /// Wallets are saved only after the order was captured.
    pub saves_late: bool,
    /// Calls, the oldest first.
    pub seen: Vec<Seen>,
    /// Answers that are not as described, and calls that should not be.
    pub wrong: Vec<String>,
    pub(super) by_key: HashMap<String, (u16, Value)>,
    pub(super) troubles: Troubles,
    count: usize,
}

pub(super) type Answer = (u16, Value);

pub(super) fn problem(status: u16, issue: &str) -> Answer {
    let name = match status {
        404 => "RESOURCE_NOT_FOUND",
        422 => "UNPROCESSABLE_ENTITY",
        _ => "INTERNAL_SERVER_ERROR",
    };
    (
        status,
        json!({"name": name, "message": "words for people", "debug_id": "d1", "details": [{"issue": issue}], "links": []}),
    )
}

impl Held {
    pub(super) fn captures(&self) -> impl Iterator<Item = &Value> {
        self.orders
            .values()
            .flat_map(|order| order["purchase_units"][0]["payments"]["captures"].as_array().into_iter().flatten())
    }

    /// Whether a caller shows a token that was handed out, be it to another process.
    pub(super) fn knows_token(&self, authorization: &str) -> bool {
        let told = authorization.strip_prefix("Bearer A21-").and_then(|number| number.parse::<usize>().ok());
        told.is_some_and(|number| (1..=self.tokens_made).contains(&number))
    }

    /// What comes again is not known any more.
    pub fn forget_keys(&mut self) {
        self.by_key.clear();
    }

    fn name(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{}", self.count)
    }

    fn create(&mut self, body: &Value) -> Answer {
        let wallet = &body["payment_source"]["paypal"];
        let vaulted = wallet["vault_id"].as_str().map(ToOwned::to_owned);
        if let Some(vault) = &vaulted {
            if !self.vault.contains_key(vault) {
                return problem(422, "TOKEN_ID_NOT_FOUND");
            }
            if !self.refusal.is_empty() {
                return problem(422, &self.refusal);
            }
        }
        if self.has_no_vault && wallet["attributes"].get("vault").is_some() {
            return problem(422, "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE");
        }
        if wallet["attributes"].get("customer").is_some() && !self.customer_gone.is_empty() {
            return problem(422, &self.customer_gone);
        }
        let id = self.name("ORDER");
        let mut unit = body["purchase_units"][0].clone();
        unit["reference_id"] = json!("default");
        let mut paypal = json!({"email_address": "ada@example.com", "account_id": "QYR5Z8XDVJNXQ"});
        if wallet["attributes"].get("vault").is_some() {
            paypal["attributes"] = json!({"vault": {"status": "APPROVED"}});
        }
        let page = json!([{"href": format!("https://www.paypal.com/checkoutnow?token={id}"), "rel": "payer-action", "method": "GET"}]);
        let order = json!({"id": id, "intent": "CAPTURE", "status": "PAYER_ACTION_REQUIRED", "purchase_units": [unit],
            "payment_source": {"paypal": paypal}, "links": page});
        self.orders.insert(id.clone(), order);
        match vaulted {
            Some(_) => self.capture(&id),
            None => (200, self.orders[&id].clone()),
        }
    }

    /// Takes the money of an order.
    pub fn capture(&mut self, id: &str) -> Answer {
        let Some(order) = self.orders.get(id).cloned() else { return problem(404, "INVALID_RESOURCE_ID") };
        let unit = &order["purchase_units"][0];
        if self.captures().any(|known| known["invoice_id"] == unit["invoice_id"] && known["status"] == "COMPLETED") {
            return problem(422, "DUPLICATE_INVOICE_ID");
        }
        let status = if self.capture_status.is_empty() { "COMPLETED".to_owned() } else { self.capture_status.clone() };
        let capture = json!({"id": self.name("CAPTURE"), "status": status, "amount": unit["amount"], "final_capture": true,
            "custom_id": unit["custom_id"], "invoice_id": unit["invoice_id"],
            "seller_receivable_breakdown": {"gross_amount": unit["amount"],
                "paypal_fee": {"currency_code": unit["amount"]["currency_code"], "value": "0.74"}}});
        let is_saved = order["payment_source"]["paypal"].get("attributes").is_some();
        let vault = is_saved.then(|| self.name("vault"));
        if let Some(vault) = &vault {
            let token = json!({"id": vault, "customer": {"id": "cust1"},
                "payment_source": {"paypal": {"email_address": "ada@example.com"}}});
            self.vault.insert(vault.clone(), token);
        }
        let order = self.orders.get_mut(id).expect("there");
        order["status"] = json!("COMPLETED");
        order["purchase_units"][0]["payments"] = json!({"captures": [capture]});
        if let Some(vault) = vault
            && !self.saves_late
        {
            order["payment_source"]["paypal"]["attributes"] =
                json!({"vault": {"id": vault, "status": "VAULTED", "customer": {"id": "cust1"}}});
        }
        (201, order.clone())
    }

    fn refund(&mut self, capture: &str, body: &Value) -> Answer {
        let Some(order) = self.order_of(capture) else { return problem(404, "INVALID_RESOURCE_ID") };
        let id = self.name("REFUND");
        let up = format!("https://api-m.paypal.com/v2/payments/captures/{capture}");
        let refund = json!({"id": id, "status": "COMPLETED", "amount": body["amount"], "custom_id": body["custom_id"],
            "links": [{"href": up, "rel": "up", "method": "GET"}]});
        let payments = &mut self.orders.get_mut(&order).expect("there")["purchase_units"][0]["payments"];
        payments["captures"][0]["status"] = json!("PARTIALLY_REFUNDED");
        match payments["refunds"].as_array_mut() {
            Some(refunds) => refunds.push(refund.clone()),
            None => payments["refunds"] = json!([refund]),
        }
        (201, refund)
    }

    fn order_of(&self, capture: &str) -> Option<String> {
        let holds = |order: &Value| order["purchase_units"][0]["payments"]["captures"][0]["id"] == capture;
        self.orders.iter().find(|(_, order)| holds(order)).map(|(id, _)| id.clone())
    }

    fn read_capture(&self, id: &str) -> Answer {
        let Some(order) = self.order_of(id) else { return problem(404, "INVALID_RESOURCE_ID") };
        let mut capture = self.orders[&order]["purchase_units"][0]["payments"]["captures"][0].clone();
        capture["supplementary_data"] = json!({"related_ids": {"order_id": order}});
        (200, capture)
    }

    /// Two at a time, in short, with the address of what follows. PayPal names no empty list.
    fn list_disputes(&self, query: &str) -> Answer {
        let query: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let place: usize = query.get("next_page_token").map_or(0, |token| token.parse().expect("a token of ours"));
        assert!(place > 0 || query.contains_key("update_time_after"), "of a span of time");
        let items: Vec<Value> = self.disputes.keys().skip(place).take(2).map(|id| json!({"dispute_id": id})).collect();
        let mut page = json!({});
        if !items.is_empty() {
            page["items"] = json!(items);
        }
        if place + 2 < self.disputes.len() {
            let href = format!("https://api-m.paypal.com/v1/customer/disputes?next_page_token={}", place + 2);
            page["links"] = json!([{"href": href, "rel": "next", "method": "GET"}]);
        }
        (200, page)
    }

    /// The newest first, two at a time.
    fn list_events(&mut self, query: &str) -> Answer {
        let asked = |name: &str| {
            let told = url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
            told.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (since, until, page) = (asked("start_time"), asked("end_time"), asked("page").parse().unwrap_or(0_usize));
        let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
        let is_asked = |event: &&Value| {
            let at = time(event["create_time"].as_str().unwrap_or_default());
            at >= time(&since) && (until.is_empty() || at <= time(&until))
        };
        let all: Vec<_> = self.events.iter().rev().filter(is_asked).cloned().collect();
        self.windows += usize::from(!until.is_empty());
        let until = if until.is_empty() { until } else { format!("&end_time={until}") };
        let next = format!(
            "https://api-m.paypal.com/v1/notifications/webhooks-events?start_time={since}{until}&page={}",
            page + 1
        );
        let links = if all.len() > (page + 1) * 2 {
            json!([{"href": next, "rel": "next", "method": "GET"}])
        } else {
            json!([])
        };
        let shown: Vec<_> = all.into_iter().skip(page * 2).take(2).collect();
        (200, json!({"count": shown.len(), "events": shown, "links": links}))
    }

    pub(super) fn answer(&mut self, method: &str, path: &str, query: &str, body: &Value) -> Answer {
        let found = |map: &BTreeMap<String, Value>, id: &str| match map.get(id) {
            Some(object) => (200, object.clone()),
            None => problem(404, "INVALID_RESOURCE_ID"),
        };
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("POST", ["v2", "checkout", "orders"]) => self.create(body),
            ("GET", ["v2", "checkout", "orders", id]) => found(&self.orders, id),
            ("POST", ["v2", "checkout", "orders", id, "capture"]) => {
                match self.orders.get(*id).map(|order| order["status"].clone()) {
                    Some(status) if status == "APPROVED" && !self.refusal.is_empty() => {
                        problem(422, &self.refusal.clone())
                    }
                    Some(status) if status == "APPROVED" => self.capture(id),
                    Some(status) if status == "COMPLETED" => problem(422, "ORDER_ALREADY_CAPTURED"),
                    Some(_) => problem(422, "ORDER_NOT_APPROVED"),
                    None => problem(404, "INVALID_RESOURCE_ID"),
                }
            }
            ("GET", ["v2", "payments", "captures", id]) => self.read_capture(id),
            ("POST", ["v2", "payments", "captures", id, "refund"]) => self.refund(id, body),
            ("GET", ["v2", "payments", "refunds", id]) => {
                let refunds = self
                    .orders
                    .values()
                    .filter_map(|order| order["purchase_units"][0]["payments"]["refunds"].as_array());
                match refunds.flatten().find(|refund| refund["id"] == *id) {
                    Some(refund) => (200, refund.clone()),
                    None => problem(404, "INVALID_RESOURCE_ID"),
                }
            }
            ("POST", ["v3", "vault", "setup-tokens"])
                if body.get("customer").is_some() && !self.customer_gone.is_empty() =>
            {
                problem(422, &self.customer_gone)
            }
            ("POST", ["v3", "vault", "setup-tokens"]) => {
                let id = self.name("setup");
                let page = json!([{"href": format!("https://www.paypal.com/agreements/approve?approval_session_id={id}"),
                    "rel": "approve", "method": "GET"}]);
                let made =
                    json!({"id": id, "status": "PAYER_ACTION_REQUIRED", "customer": {"id": "cust1"}, "links": page});
                self.setups.insert(id, made.clone());
                (201, made)
            }
            ("GET", ["v3", "vault", "setup-tokens", id]) => found(&self.setups, id),
            ("POST", ["v3", "vault", "payment-tokens"]) => {
                let token = &body["payment_source"]["token"];
                let setup = token["id"].as_str().and_then(|id| self.setups.get_mut(id));
                match setup {
                    Some(setup) if token["type"] == "SETUP_TOKEN" && setup["status"] == "APPROVED" => {
                        setup["status"] = json!("VAULTED");
                    }
                    Some(_) | None => return problem(422, "INVALID_PARAMETER_VALUE"),
                }
                let id = self.name("vault");
                let made = json!({"id": id, "customer": {"id": "cust1"},
                    "payment_source": {"paypal": {"email_address": "bob@example.com"}}});
                self.vault.insert(id, made.clone());
                (201, made)
            }
            ("GET", ["v3", "vault", "payment-tokens", id]) => found(&self.vault, id),
            ("DELETE", ["v3", "vault", "payment-tokens", id]) => match self.vault.remove(*id) {
                Some(_) => (204, Value::Null),
                None => problem(404, "INVALID_RESOURCE_ID"),
            },
            ("GET", ["v1", "customer", "disputes"]) => self.list_disputes(query),
            ("GET", ["v1", "customer", "disputes", id]) => found(&self.disputes, id),
            ("GET", ["v1", "notifications", "webhooks-events"]) => self.list_events(query),
            ("GET", ["v1", "notifications", "webhooks-events", id]) => {
                match self.events.iter().find(|event| event["id"] == *id) {
                    Some(event) => (200, event.clone()),
                    None => problem(404, "INVALID_RESOURCE_ID"),
                }
            }
            _ => problem(404, "INVALID_RESOURCE_ID"),
        }
    }
}
