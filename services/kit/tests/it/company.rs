use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::join_all;
use ottery_kernel::BrandId;
use ottery_kit::broker::{Incoming, Sink as _, Verdict};
use ottery_kit::consume::{Delivery, HandleError, Handler, parked};
use sqlx::postgres::PgTransaction;

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
