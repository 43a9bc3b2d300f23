use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::future::join_all;
use ottery_kit::grpc::{Code, Problem};
use ottery_proto::identity::v1::mail_requested::Purpose;

use crate::world::{HOME, PASSWORD, World, config, device, reason, session, world, world_with};

const ELSEWHERE: &str = "198.51.100.9";

async fn guess(world: &World, email: &str, times: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..times {
        answers.push(reason(world.sign_in(email, "a wrong guess", device("Bot", ELSEWHERE)).await.unwrap_err()));
    }
    answers
}

#[tokio::test]
async fn secure_s08_the_sixth_try_waits_while_the_owners_device_still_signs_in() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    assert_eq!(guess(&world, "ann@example.org", 5).await, ["SIGN_IN_FAILED"; 5]);
    let delayed =
        Problem::from(world.sign_in("ann@example.org", PASSWORD, device("Bot", ELSEWHERE)).await.unwrap_err());
    assert_eq!((delayed.code, delayed.reason.as_ref()), (Code::ResourceExhausted, "TOO_MANY_TRIES"));
    assert!(delayed.metadata.contains_key("retry_after_s"));
    session(world.sign_in("ann@example.org", PASSWORD, device("Firefox", HOME)).await.expect("a known device"));
    world.advance(TimeDelta::seconds(31));
    session(
        world
            .sign_in("ann@example.org", PASSWORD, device("Chrome", "192.0.2.1"))
            .await
            .expect("nobody is locked out for good"),
    );
}

#[tokio::test]
async fn secure_s08_guessing_from_a_known_device_waits_too() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    for _ in 0..5 {
        world.sign_in("ann@example.org", "a wrong guess", device("Firefox", HOME)).await.unwrap_err();
    }
    let delayed = world.sign_in("ann@example.org", PASSWORD, device("Firefox", HOME)).await.unwrap_err();
    assert_eq!(reason(delayed), "TOO_MANY_TRIES");
}

#[tokio::test]
async fn secure_s08_an_unknown_person_gets_the_same_answers() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    assert_eq!(guess(&world, "ann@example.org", 7).await, guess(&world, "nobody@example.org", 7).await);
    let known = world.sign_in("ann@example.org", "a wrong guess", device("Bot", ELSEWHERE)).await.unwrap_err();
    let unknown = world.sign_in("nobody@example.org", "a wrong guess", device("Bot", ELSEWHERE)).await.unwrap_err();
    assert_eq!(known.message(), unknown.message());
}

#[tokio::test]
async fn secure_s08_an_unknown_person_takes_as_long() {
    let world = world().await;
    for person in 0..4 {
        world.sign_up(&format!("ann{person}@example.org")).await;
    }
    // The best of several: what else runs on the machine only ever makes it slower.
    let best = async |prefix: &str| {
        let mut best = Duration::MAX;
        for person in 0..4 {
            for _ in 0..4 {
                let began = Instant::now();
                let email = format!("{prefix}{person}@example.org");
                world.sign_in(&email, "a wrong guess", device("Bot", ELSEWHERE)).await.unwrap_err();
                best = best.min(began.elapsed());
            }
        }
        best
    };
    let (known, unknown) = (best("ann").await, best("nobody").await);
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "known {known:?}, unknown {unknown:?}: one of them is not hashed");
}

#[tokio::test]
async fn secure_s08_a_hundred_tries_at_once_are_not_a_hundred_free_ones() {
    let world = world_with(identity::Config { password_queue: 200, ..config() }).await;
    world.sign_up("ann@example.org").await;
    let tries =
        join_all((0..40).map(|_| world.sign_in("ann@example.org", "a wrong guess", device("Bot", ELSEWHERE)))).await;
    let hashed =
        tries.into_iter().filter(|answer| answer.as_ref().is_err_and(|status| status.code() == Code::Unauthenticated));
    assert_eq!(hashed.count(), 5);
}

#[tokio::test]
async fn secure_s08_one_address_may_try_only_so_often() {
    let world = world_with(identity::Config { tries_per_address_per_minute: 3, ..config() }).await;
    for person in 0..3 {
        let email = format!("ann{person}@example.org");
        let refused = world.sign_in(&email, "a wrong guess", device("Bot", "2001:db8:1:2::7")).await.unwrap_err();
        assert_eq!(reason(refused), "SIGN_IN_FAILED");
    }
    let refused =
        world.sign_in("ann4@example.org", "a wrong guess", device("Bot", "2001:db8:1:2:ffff::1")).await.unwrap_err();
    assert_eq!(reason(refused), "TOO_MANY_TRIES", "the whole /64 counts as one");
    let other = world.sign_in("ann4@example.org", "a wrong guess", device("Bot", "2001:db8:1:3::1")).await.unwrap_err();
    assert_eq!(reason(other), "SIGN_IN_FAILED");
}

#[tokio::test]
async fn secure_s08_a_new_device_is_told_to_the_owner() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    for (agent, ip, mails) in
        [("Firefox", HOME, 0), ("Firefox", "203.0.200.1", 0), ("Bot", ELSEWHERE, 1), ("Bot", ELSEWHERE, 1)]
    {
        session(world.sign_in("ann@example.org", PASSWORD, device(agent, ip)).await.unwrap());
        assert_eq!(world.mails(Purpose::NewDevice).await.len(), mails, "{agent} at {ip}");
    }
}
