//! What the bench and its generator say to each other: one JSON object in, one out.

use serde::{Deserialize, Serialize};

/// What the generator is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Where webhooks go.
    pub webhook_url: String,
    /// Signs them.
    pub webhook_secret: String,
    /// Webhooks a second, evenly spaced, whatever becomes of the ones before.
    pub per_second: f64,
    /// What is sent, in this order.
    pub webhooks: Vec<Webhook>,
    /// Control API of the simulated panels.
    pub control_url: String,
    /// Panels to watch, by access code.
    pub panels: Vec<String>,
    /// Where players connect.
    pub player_url: String,
    /// Seconds to wait after the last webhook for what is still missing.
    pub patience_s: u64,
}

/// A provider's event about one payment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// The payment, as we named it to the provider.
    pub reference: String,
    /// The bytes that are signed and sent.
    pub body: String,
}

/// What the generator saw. Times are microseconds since it began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// In the order of the plan.
    pub sent: Vec<Sent>,
    /// Lines a player was let in with.
    pub lines: Vec<Line>,
    /// When it stopped looking.
    pub ended_us: u64,
    /// The first answer that was not 2xx, in words.
    pub refusal: Option<String>,
}

/// One webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// See [`Webhook::reference`].
    pub reference: String,
    /// When it was due.
    pub due_us: u64,
    /// When it was answered with 2xx; none when it never was.
    pub answered_us: Option<u64>,
    /// How often it had to be sent.
    pub tries: u32,
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its name on the panel.
    pub username: String,
    /// When a player was let in with name and password for the first time.
    pub accepted_us: u64,
}
