use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use ottery_kernel::BrandId;
use ottery_kit::broker::{Incoming, Sink as _, Verdict};
use ottery_kit::consume::{Delivery, HandleError, Handler, parked};
use sqlx::postgres::PgTransaction;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::consume::Fails;
use crate::stage::{Stage, brand, message, write_effect};

/// Notes which transaction applied what for whom.
#[derive(Default)]
struct Notes(Mutex<BTreeMap<String, BTreeSet<BrandId>>>);

#[async_trait]
impl Handler for Notes {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        write_effect(tx, delivery).await?;
        let transaction: String = sqlx::query_scalar("SELECT pg_current_xact_id()::text").fetch_one(&mut **tx).await?;
        self.0.lock().unwrap().entry(transaction).or_default().insert(delivery.brand()?);
        Ok(())
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("agg{number}")).collect()
}

#[tokio::test]
async fn what_waits_at_the_same_time_shares_a_transaction_with_its_brand_only() {
    let stage = Stage::new().await;
    let notes = Arc::new(Notes::default());
    let consumer = stage.consumer("listener", Arc::clone(&notes));
    let brands = [brand(), brand()];
    let messages: Vec<Incoming> = names(20)
        .iter()
        .enumerate()
        .map(|(place, name)| message(&stage.envelope(brands[place % 2], name, 1)))
        .collect();
    let verdicts = join_all(messages.iter().map(|message| consumer.deliver(message.clone()))).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done));

    let applied: BTreeSet<String> = stage.effects().await.into_iter().map(|(aggregate, _)| aggregate).collect();
    assert_eq!(applied, names(20).into_iter().collect());
    {
        let notes = notes.0.lock().unwrap();
        assert!(notes.len() <= 6, "20 messages in {} transactions", notes.len());
        assert!(notes.values().all(|brands| brands.len() == 1), "{notes:?}");
    }

    // The same again, in company: nothing is applied twice.
    join_all(messages.iter().map(|message| consumer.deliver(message.clone()))).await;
    assert_eq!(stage.effects().await.len(), 20);
}

#[tokio::test]
async fn one_that_fails_in_company_leaves_its_neighbours_applied_once() {
    let stage = Stage::new().await;
    let consumer = stage.consumer("listener", Fails::first(u32::MAX, "agg7", || HandleError::permanent("cannot be")));
    let brand = brand();
    let deliveries = names(20).into_iter().map(|name| consumer.deliver(message(&stage.envelope(brand, &name, 1))));
    let verdicts = join_all(deliveries).await;
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done));

    let mut applied: Vec<String> = stage.effects().await.into_iter().map(|(aggregate, _)| aggregate).collect();
    applied.sort();
    let mut expected = names(20);
    expected.retain(|name| name != "agg7");
    expected.sort();
    assert_eq!(applied, expected);
    let parked = parked::list(&stage.pool(), &parked::Filter::default(), 10).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.aggregate_id.as_str()).collect::<Vec<_>>(), ["agg7"]);
}

/// Applies each message when it is let go on.
struct Halts {
    entered: Semaphore,
    go_on: Semaphore,
}

#[async_trait]
impl Handler for Halts {
    async fn handle(&self, tx: &mut PgTransaction<'_>, delivery: &Delivery) -> Result<(), HandleError> {
        self.entered.add_permits(1);
        self.go_on.acquire().await.unwrap().forget();
        write_effect(tx, delivery).await?;
        Ok(())
    }
}

#[tokio::test]
async fn who_was_gathered_waits_for_its_answer_and_takes_no_more_turns() {
    let stage = Stage::new().await;
    let halts = Arc::new(Halts { entered: Semaphore::new(0), go_on: Semaphore::new(0) });
    let consumer = Arc::new(stage.consumer("listener", Arc::clone(&halts)));
    let (brand, polls) = (brand(), Arc::new(AtomicUsize::new(0)));
    // Logging in to the database yields hundreds of times; that is done before anything is counted.
    let pool = stage.pool();
    drop(join_all((0..3).map(|_| pool.acquire())).await);
    let deliver = |name: &str| {
        let (consumer, polls) = (Arc::clone(&consumer), Arc::clone(&polls));
        let message = message(&stage.envelope(brand, name, 1));
        tokio::spawn(async move {
            let mut delivering = pin!(consumer.deliver(message));
            std::future::poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                delivering.as_mut().poll(context)
            })
            .await
        })
    };
    let first = deliver("first");
    halts.entered.acquire().await.unwrap().forget();
    let others: Vec<_> = names(10).iter().map(|name| deliver(name)).collect();
    halts.entered.acquire().await.unwrap().forget();
    // One turn is free again; the ten are with the other one.
    halts.go_on.add_permits(1);
    assert_eq!(first.await.unwrap(), Verdict::Done);
    let before = polls.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let polled = polls.load(Ordering::Relaxed) - before;
    assert!(polled <= 200, "ten that only wait were looked at {polled} times");

    halts.go_on.add_permits(20);
    for other in others {
        assert_eq!(other.await.unwrap(), Verdict::Done);
    }
    assert_eq!(stage.effects().await.len(), 11);
}

#[tokio::test]
async fn a_busy_group_that_gathers_takes_few_transactions() {
    let stage = Stage::new().await;
    let notes = Arc::new(Notes::default());
    let consumer = Arc::new(stage.consumer_of(stage.group("listener").gathers(), Arc::clone(&notes)));
    let brand = brand();
    let mut sent = 0;
    let mut send_for = async |time: Duration| {
        let (until, mut delivering) = (Instant::now() + time, JoinSet::new());
        while Instant::now() < until {
            let message = message(&stage.envelope(brand, &format!("agg{sent}"), 1));
            let consumer = Arc::clone(&consumer);
            delivering.spawn(async move { consumer.deliver(message).await });
            sent += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let came = delivering.len();
        assert!(delivering.join_all().await.iter().all(|verdict| *verdict == Verdict::Done));
        came
    };
    // After two seconds it is known to be busy.
    let before = send_for(Duration::from_millis(2_200)).await;
    let transactions = notes.0.lock().unwrap().len();
    let came = send_for(Duration::from_secs(1)).await;
    let transactions = notes.0.lock().unwrap().len() - transactions;
    assert!(2 * transactions <= came.max(80), "{came} messages in {transactions} transactions");
    assert_eq!(stage.effects().await.len(), before + came);
}
