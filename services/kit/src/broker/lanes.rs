//! Handling side by side without mixing up the order within an aggregate.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Incoming, Sink, Verdict};

/// Pause before asking again whether a missing dependency is back.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Lanes of one group in one process; an aggregate always takes the same lane.
pub(super) struct Lanes<T> {
    senders: Vec<mpsc::Sender<(Incoming, T)>>,
    tasks: JoinSet<()>,
}

impl<T: Send + 'static> Lanes<T> {
    /// `done` gets the receipts of messages to acknowledge. After `stop` a lane finishes what it is at and drops the
    /// rest, which the broker hands out again.
    pub(super) fn start(
        count: usize,
        depth: usize,
        sink: &Arc<dyn Sink>,
        done: &mpsc::Sender<T>,
        stop: &CancellationToken,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let senders = (0..count.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(depth.max(1));
                tasks.spawn(lane(receiver, Arc::clone(sink), done.clone(), stop.clone()));
                sender
            })
            .collect();
        Self { senders, tasks }
    }

    /// Puts a message in its lane; false once the lanes have stopped.
    pub(super) async fn send(&self, message: Incoming, receipt: T) -> bool {
        let mut hasher = DefaultHasher::new();
        message.aggregate_id().hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % self.senders.len() as u64).expect("less than the number of lanes");
        self.senders[lane].send((message, receipt)).await.is_ok()
    }

    /// Waits for the messages at work.
    pub(super) async fn finish(mut self) {
        self.senders.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn lane<T>(
    mut messages: mpsc::Receiver<(Incoming, T)>,
    sink: Arc<dyn Sink>,
    done: mpsc::Sender<T>,
    stop: CancellationToken,
) {
    loop {
        let (message, receipt) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            next = messages.recv() => match next {
                Some(next) => next,
                None => return,
            },
        };
        if !handle(&message, &*sink, &stop).await || done.send(receipt).await.is_err() {
            return;
        }
    }
}

/// Hands the message out until it is dealt with; waiting here, and not in the queue, keeps its place in the order
/// and costs no delivery. False when stopped before.
async fn handle(message: &Incoming, sink: &dyn Sink, stop: &CancellationToken) -> bool {
    let mut pause = PAUSE;
    loop {
        if sink.deliver(message.clone()).await == Verdict::Done {
            return true;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
            if sink.ready().await {
                break;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
