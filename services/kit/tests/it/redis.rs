//! Cache and rate limits with a real Redis: working, flushed, slow, gone and back.

use std::future::Future;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottery_kernel::BrandId;
use ottery_kit::cache::{Cache, CacheKey, RedisCache, RedisLink};
use ottery_kit::limit::{Decision, Limiter, Rate, RedisLimiter};
use ottery_kit::secret::Secret;
use ottery_testkit::proxy::{Proxy, Toxic};
use ottery_testkit::services::{redis, redis_alone, unique};
use url::Url;
use uuid::Uuid;

/// Generous, because the machine that runs the tests may be busy; what a budget does is tested with a short one.
const PATIENT: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(60);
const ONE: NonZeroU32 = NonZeroU32::MIN;

async fn link(address: &str) -> RedisLink {
    RedisLink::connect_with_budget(&Secret::from(address), PATIENT).await.unwrap()
}

/// A proxy in front of the Redis at `address`, and the address through it.
async fn behind_proxy(address: &str) -> (Proxy, String) {
    let mut url = Url::parse(address).unwrap();
    let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let proxy = Proxy::start(upstream).await.unwrap();
    url.set_port(Some(proxy.port())).unwrap();
    (proxy, url.to_string())
}

async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    for _ in 0..300 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test]
async fn a_value_is_shared_by_all_links_and_kept_within_its_brand() {
    let address = redis().await;
    let writer = RedisCache::new(link(&address).await);
    let reader = RedisCache::new(link(&address).await);
    let name = unique("theme");
    let [one, two] = [1, 2].map(|brand| CacheKey::of_brand(BrandId::from_uuid(Uuid::from_u128(brand)), "theme", &name));
    writer.set(&one, Bytes::from_static(b"\x00red\xff"), TTL).await;
    assert_eq!(reader.get(&one).await.as_deref(), Some(b"\x00red\xff".as_slice()));
    assert_eq!(reader.get(&two).await, None);
    writer.delete(&one).await;
    assert_eq!(reader.get(&one).await, None);
    writer.set(&two, Bytes::from_static(b"short"), Duration::from_millis(1)).await;
    eventually("the value ends with its time", async || reader.get(&two).await.is_none()).await;
    writer.set(&two, Bytes::from_static(b"no time at all"), Duration::ZERO).await;
    assert_eq!(reader.get(&two).await, None);
}

#[tokio::test]
async fn replicas_share_one_bucket() {
    let address = redis().await;
    let key = unique("login");
    let rate = Rate::per_hour(5);
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(RedisLimiter::new(link(&address).await, ONE));
    }
    let attempts = (0..40).map(|attempt| replicas[attempt % 4].check(&key, rate));
    let decisions = futures::future::join_all(attempts).await;
    assert_eq!(decisions.iter().filter(|decision| decision.is_allowed()).count(), 5);
    match replicas[0].check(&key, rate).await {
        Decision::Denied { retry_after } => assert!(retry_after <= Duration::from_secs(720), "{retry_after:?}"),
        allowed => panic!("{allowed:?}"),
    }
    // A bucket that was emptied fills again at the rate.
    let quick = unique("quick");
    let rate = Rate::new(1, Duration::from_millis(50));
    assert_eq!(replicas[0].check(&quick, rate).await, Decision::Allowed { remaining: 0 });
    eventually("the token comes back", async || replicas[1].check(&quick, rate).await.is_allowed()).await;
}

#[tokio::test]
async fn fault_f22_a_flush_is_a_miss_and_a_redis_that_goes_is_found_again() {
    let (address, running) = redis_alone().await;
    let (proxy, address) = behind_proxy(&address).await;
    let link = link(&address).await;
    let cache = RedisCache::new(link.clone());
    let limiter = RedisLimiter::new(link.clone(), NonZeroU32::new(2).unwrap());
    let key = CacheKey::of_platform("host", "a");
    cache.set(&key, Bytes::from_static(b"v"), TTL).await;
    assert!(cache.get(&key).await.is_some());

    let flushed = ::redis::Client::open(running.redis_url().unwrap()).unwrap();
    let mut connection = flushed.get_multiplexed_async_connection().await.unwrap();
    ::redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(cache.get(&key).await, None);
    cache.set(&key, Bytes::from_static(b"refilled"), TTL).await;
    assert_eq!(cache.get(&key).await.as_deref(), Some(b"refilled".as_slice()));

    proxy.set(Toxic::Refuse);
    proxy.cut();
    eventually("the link notices", async || cache.get(&key).await.is_none() && !link.is_up()).await;
    // Limits hold meanwhile, with this replica's half of the burst.
    let rate = Rate::per_hour(10);
    let mut allowed = 0;
    for _ in 0..20 {
        allowed += u32::from(limiter.check("login:a", rate).await.is_allowed());
    }
    assert_eq!(allowed, 5);

    proxy.set(Toxic::None);
    eventually("the link comes back", async || cache.get(&key).await.is_some()).await;
    assert!(link.is_up());
    running.stop().await.unwrap();
}

#[tokio::test]
async fn fault_f23_a_slow_redis_costs_its_budget_and_is_then_left_alone() {
    let (proxy, address) = behind_proxy(&redis().await).await;
    let slow = Duration::from_secs(30);
    let link = RedisLink::connect_with_budget(&Secret::from(address), Duration::from_secs(1)).await.unwrap();
    let cache = RedisCache::new(link.clone());
    let key = CacheKey::of_platform("host", unique("slow"));
    cache.set(&key, Bytes::from_static(b"v"), TTL).await;
    assert!(link.is_up());

    proxy.set(Toxic::Delay(slow));
    let before = Instant::now();
    let misses = futures::future::join_all((0..50).map(|_| cache.get(&key))).await;
    assert!(misses.iter().all(Option::is_none));
    assert!(!link.is_up());
    // Fifty more cost nothing: nobody waits for a Redis that is being left alone.
    for _ in 0..50 {
        assert_eq!(cache.get(&key).await, None);
    }
    assert!(before.elapsed() < slow, "callers waited for the slow Redis: {:?}", before.elapsed());

    proxy.set(Toxic::None);
    proxy.cut();
    eventually("the link comes back", async || cache.get(&key).await.is_some()).await;
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_holds_up_nobody() {
    let link = RedisLink::connect(&Secret::from("redis://127.0.0.1:1/")).await.unwrap();
    assert!(!link.is_up());
    let limiter = RedisLimiter::new(link.clone(), ONE);
    assert_eq!(limiter.check("a", Rate::per_hour(2)).await, Decision::Allowed { remaining: 1 });
    assert_eq!(RedisCache::new(link).get(&CacheKey::of_platform("host", "a")).await, None);
    assert!(RedisLink::connect(&Secret::from("http://:hunter2@x")).await.is_err());
}
