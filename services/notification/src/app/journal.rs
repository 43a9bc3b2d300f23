//! Writing down how attempts begin and how they end.
//!
//! What comes within a moment shares a transaction: nobody waits for a mail that is some milliseconds later, but every commit
//! waits for the disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ottery_kernel::BrandId;
use ottery_kit::db::{Scope, begin_by_key};
use tokio::sync::{mpsc, oneshot};

use super::App;
use crate::domain::delivery::State;
use crate::events::publish;
use crate::store::delivery::{self, Delivery};
use crate::store::due::Claim;

/// Lines of one transaction at most.
const TOGETHER_MAX: usize = 64;
/// How long lines gather.
const GATHER: Duration = Duration::from_millis(20);

/// The database, told so by everyone whose line it did not take.
pub(super) type Trouble = Arc<sqlx::Error>;

/// What is written down of a mail.
enum Line {
    /// Its text leaves now; the state after that.
    Begins(State),
    /// It is in the state it says for good, since then.
    Ends(DateTime<Utc>),
}

struct Entry {
    claim: Claim,
    delivery: Delivery,
    line: Line,
    answer: oneshot::Sender<Result<bool, Trouble>>,
}

/// Where attempts write.
#[derive(Clone)]
pub(super) struct Journal(mpsc::Sender<Entry>);

/// Who does the writing.
pub(super) struct Writer {
    app: App,
    entries: mpsc::Receiver<Entry>,
}

/// A journal and its writer, which works until nobody can write any more.
pub(super) fn open(app: App) -> (Journal, Writer) {
    let (sender, entries) = mpsc::channel(TOGETHER_MAX);
    (Journal(sender), Writer { app, entries })
}

impl Journal {
    /// The text of the mail leaves now. False when somebody else has the mail; then nothing was written.
    pub(super) async fn begins(&self, claim: Claim, delivery: Delivery, next: State) -> Result<bool, Trouble> {
        self.write(claim, delivery, Line::Begins(next)).await
    }

    /// The mail is in its final state since `at`. False when somebody else has the mail; then nothing was written.
    pub(super) async fn ends(&self, claim: Claim, delivery: Delivery, at: DateTime<Utc>) -> Result<bool, Trouble> {
        self.write(claim, delivery, Line::Ends(at)).await
    }

    async fn write(&self, claim: Claim, delivery: Delivery, line: Line) -> Result<bool, Trouble> {
        let (answer, answered) = oneshot::channel();
        let gone = || Trouble::new(sqlx::Error::WorkerCrashed);
        self.0.send(Entry { claim, delivery, line, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

impl Writer {
    pub(super) async fn run(mut self) {
        let mut gathered = Vec::with_capacity(TOGETHER_MAX);
        while self.entries.recv_many(&mut gathered, TOGETHER_MAX).await > 0 {
            tokio::time::sleep(GATHER).await;
            while gathered.len() < TOGETHER_MAX
                && let Ok(entry) = self.entries.try_recv()
            {
                gathered.push(entry);
            }
            let mut brands: HashMap<BrandId, Vec<Entry>> = HashMap::new();
            for entry in gathered.drain(..) {
                brands.entry(entry.claim.brand).or_default().push(entry);
            }
            for (brand, entries) in brands {
                let written = self.app.write(brand, &entries).await.map_err(Trouble::new);
                for (place, entry) in entries.into_iter().enumerate() {
                    let answer = written.as_ref().map(|held| held[place]).map_err(Arc::clone);
                    // Nobody waits any more when the attempt was given up; the lease runs out.
                    let _ = entry.answer.send(answer);
                }
            }
        }
    }
}

impl App {
    /// Writes lines of one brand; of each, whether its claim was still held.
    async fn write(&self, brand: BrandId, entries: &[Entry]) -> sqlx::Result<Vec<bool>> {
        let (mut begin_lines, mut end_lines, mut ended_at) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { claim, delivery, line, .. } in entries {
            match line {
                Line::Begins(next) => begin_lines.push((claim, delivery, *next)),
                Line::Ends(at) => {
                    end_lines.push((claim, delivery));
                    ended_at.push(*at);
                }
            }
        }
        let mut tx = begin_by_key(&self.pool, Scope::Brand(brand)).await?;
        let mut held = delivery::begin_all(&mut tx, &begin_lines, self.config.lease()).await?;
        let ended = delivery::end_all(&mut tx, &end_lines).await?;
        let changed = end_lines.iter().zip(&ended_at).filter(|((_, delivery), _)| ended.contains(&delivery.id));
        publish::changed(&mut tx, changed.map(|((_, delivery), at)| (*delivery, *at))).await?;
        tx.commit().await?;
        held.extend(ended);
        Ok(entries.iter().map(|entry| held.contains(&entry.delivery.id)).collect())
    }
}
