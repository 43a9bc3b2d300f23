//! A mail sink: SMTP in, a web page and JSON out. Nothing is ever sent on.

mod mime;
mod smtp;
mod web;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::smtp::serve_smtp;
use crate::{Context, clock, store::Change};

/// Mails kept; older ones are forgotten first.
const KEPT: usize = 5_000;

/// A mail as it arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mail {
    pub id: u64,
    pub at: DateTime<Utc>,
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Headers and body; bytes that are not UTF-8 are replaced.
    pub raw: String,
}

/// All mails.
pub struct Mails {
    size_max: usize,
    context: Arc<Context>,
    kept: Mutex<VecDeque<Mail>>,
}

impl Mails {
    pub fn new(size_max: usize, context: &Arc<Context>) -> Self {
        let kept = context.store.load::<Mail>("mail/").into_iter().map(|(_, mail)| mail).collect();
        Self { size_max, context: context.clone(), kept: Mutex::new(kept) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Mail>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, from: &str, to: &[String], raw: &[u8]) {
        let mut kept = self.lock();
        let id = kept.back().map_or(1, |mail| mail.id + 1);
        let mail = Mail {
            id,
            at: clock::now(),
            from: from.to_owned(),
            to: to.to_vec(),
            raw: String::from_utf8_lossy(raw).into_owned(),
        };
        let mut change = Change::default();
        change.put(format!("mail/{id:012}"), &mail);
        kept.push_back(mail);
        if kept.len() > KEPT
            && let Some(oldest) = kept.pop_front()
        {
            change.delete(format!("mail/{:012}", oldest.id));
        }
        self.context.store.commit(change);
    }

    /// Forgets every mail.
    pub fn reset(&self) {
        let mut kept = self.lock();
        let mut change = Change::default();
        for mail in kept.drain(..) {
            change.delete(format!("mail/{:012}", mail.id));
        }
        self.context.store.commit(change);
    }

    /// How many are kept.
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}
