use chrono::TimeDelta;
use ottery_kit::grpc::Actor;
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;
use tonic::Status;

use crate::world::{HOME, PASSWORD, STAFF_PASSWORD, World, call, code, device, reason, session, world};

async fn challenge(world: &World) -> String {
    match world.staff_sign_in("olga@operator.example", STAFF_PASSWORD).await.unwrap().outcome.unwrap() {
        sign_in_reply::Outcome::Totp(challenge) => challenge.challenge,
        other => panic!("no challenge but {other:?}"),
    }
}

async fn answer(world: &World, challenge: &str, code: &str) -> Result<Session, Status> {
    let request =
        SignInTotpRequest { challenge: challenge.to_owned(), code: code.to_owned(), device: device("Firefox", HOME) };
    world.api.sign_in_totp(call(&world.stranger(), request)).await.map(|reply| session(reply.into_inner()))
}

#[tokio::test]
async fn secure_s09_a_code_works_once() {
    let world = world().await;
    let owner = world.owner().await;
    let used = code(&owner.totp, world.now());
    let first = challenge(&world).await;
    assert_eq!(reason(answer(&world, &first, &used).await.unwrap_err()), "CODE_WRONG", "enrolling used it up");
    world.advance(TimeDelta::seconds(30));
    let fresh = code(&owner.totp, world.now());
    let entered = answer(&world, &first, &fresh).await.unwrap();
    assert_eq!(reason(answer(&world, &first, &fresh).await.unwrap_err()), "CHALLENGE_ENDED");
    let second = challenge(&world).await;
    assert_eq!(reason(answer(&world, &second, &fresh).await.unwrap_err()), "CODE_WRONG", "a replay");
    world.advance(TimeDelta::seconds(30));
    answer(&world, &second, &code(&owner.totp, world.now() - TimeDelta::seconds(30)))
        .await
        .expect_err("older than the last one");
    answer(&world, &second, &code(&owner.totp, world.now() + TimeDelta::seconds(30)))
        .await
        .expect("a clock that is a step ahead");
    let known = world.authenticate_in(&world.stranger(), Realm::Staff, &entered.secret).await.unwrap();
    assert!(!known.enrolment_only && known.all_brands);
    assert_eq!(known.actor.unwrap().permissions, ["*"]);
    world.healthy().await;
}

#[tokio::test]
async fn secure_s09_a_code_used_twice_at_once_works_once() {
    let world = world().await;
    let owner = world.owner().await;
    world.advance(TimeDelta::seconds(60));
    let (first, second) = (challenge(&world).await, challenge(&world).await);
    let fresh = code(&owner.totp, world.now());
    let (one, other) = tokio::join!(answer(&world, &first, &fresh), answer(&world, &second, &fresh));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
}

#[tokio::test]
async fn secure_s09_recovery_codes_are_ten_work_once_and_are_stored_as_hashes() {
    let world = world().await;
    let owner = world.owner().await;
    assert_eq!(owner.recovery.len(), 10);
    let first = challenge(&world).await;
    answer(&world, &first, &owner.recovery[3].to_uppercase()).await.unwrap();
    let second = challenge(&world).await;
    assert_eq!(reason(answer(&world, &second, &owner.recovery[3]).await.unwrap_err()), "CODE_WRONG");
    answer(&world, &second, &owner.recovery[4]).await.unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT r::text FROM recovery_code r").fetch_all(&world.database.admin_pool).await.unwrap();
    assert!(rows.iter().all(|row| !row.contains(&owner.recovery[0])));
}

#[tokio::test]
async fn secure_s09_five_wrong_codes_make_the_next_one_wait() {
    let world = world().await;
    let owner = world.owner().await;
    world.advance(TimeDelta::minutes(1));
    let first = challenge(&world).await;
    for _ in 0..5 {
        assert_eq!(reason(answer(&world, &first, "000000").await.unwrap_err()), "CODE_WRONG");
    }
    let right = code(&owner.totp, world.now());
    assert_eq!(reason(answer(&world, &first, &right).await.unwrap_err()), "TOO_MANY_TRIES");
    let another = challenge(&world).await;
    assert_eq!(reason(answer(&world, &another, &right).await.unwrap_err()), "TOO_MANY_TRIES", "not per challenge");
    world.advance(TimeDelta::seconds(31));
    answer(&world, &another, &code(&owner.totp, world.now())).await.unwrap();
}

#[tokio::test]
async fn secure_s09_a_challenge_lasts_five_minutes() {
    let world = world().await;
    let owner = world.owner().await;
    let first = challenge(&world).await;
    world.advance(TimeDelta::minutes(5));
    assert_eq!(reason(answer(&world, &first, &code(&owner.totp, world.now())).await.unwrap_err()), "CHALLENGE_ENDED");
}

#[tokio::test]
async fn secure_s09_staff_without_a_second_factor_can_only_enrol_one() {
    let world = world().await;
    let owner = world.owner().await;
    let root = world.staff("acc_owner", None, &["*"]);
    let account_id = owner.account.clone();
    world.api.remove_totp(call(&root, RemoveTotpRequest { account_id: account_id.clone() })).await.unwrap();
    assert!(
        world.authenticate_in(&world.stranger(), Realm::Staff, &owner.session).await.is_err(),
        "every session ended"
    );
    let outcome = world.staff_sign_in("olga@operator.example", STAFF_PASSWORD).await.unwrap().outcome.unwrap();
    let sign_in_reply::Outcome::Enrolment(session) = outcome else { panic!("{outcome:?}") };
    let known = world.authenticate_in(&world.stranger(), Realm::Staff, &session.secret).await.unwrap();
    assert!(known.enrolment_only && !known.all_brands);
    assert!(known.actor.unwrap().permissions.is_empty());

    let me = world.staff(&account_id, None, &[]);
    let refused =
        world.api.list_sessions(call(&me, ListSessionsRequest { account_id: account_id.clone() })).await.unwrap_err();
    assert_eq!(reason(refused), "ENROLMENT_REQUIRED");
    let change = ChangePasswordRequest {
        session_secret: session.secret.clone(),
        current_password: STAFF_PASSWORD.to_owned(),
        new_password: "another long sentence".to_owned(),
    };
    assert_eq!(reason(world.api.change_password(call(&me, change)).await.unwrap_err()), "ENROLMENT_REQUIRED");
    let (_, confirmed) = world.enrol(&me, &session.secret).await;
    assert!(world.authenticate_in(&world.stranger(), Realm::Staff, &session.secret).await.is_err(), "replaced");
    let full = confirmed.session.unwrap().secret;
    assert!(!world.authenticate_in(&world.stranger(), Realm::Staff, &full).await.unwrap().enrolment_only);
    world.healthy().await;
}

#[tokio::test]
async fn secure_s09_a_customers_second_factor_counts_at_sign_in_and_after_a_reset() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let me = world.customer(&account);
    let (totp, confirmed) = world.enrol(&me, &secret).await;
    assert!(world.authenticate(&secret).await.is_err(), "a change of factors ends every session");
    world.authenticate(&confirmed.session.unwrap().secret).await.unwrap();
    let forget = RequestPasswordResetRequest { realm: Realm::Customer.into(), email: "ann@example.org".to_owned() };
    world.api.request_password_reset(call(&world.visitor(), forget)).await.unwrap();
    let token = world.link(Some(world.brand), mail_requested::Purpose::ResetPassword).await;
    world.reset(&world.visitor(), &token, "seven quiet lanterns").await.unwrap();
    let outcome = world
        .sign_in("ann@example.org", "seven quiet lanterns", device("Firefox", HOME))
        .await
        .unwrap()
        .outcome
        .unwrap();
    let sign_in_reply::Outcome::Totp(challenge) = outcome else {
        panic!("the second factor still counts: {outcome:?}")
    };
    world.advance(TimeDelta::seconds(30));
    let request = SignInTotpRequest {
        challenge: challenge.challenge,
        code: code(&totp, world.now()),
        device: device("Firefox", HOME),
    };
    session(world.api.sign_in_totp(call(&world.visitor(), request)).await.unwrap().into_inner());
}

#[tokio::test]
async fn secure_s03_with_a_second_factor_the_password_alone_proves_nothing() {
    let world = world().await;
    let owner = world.owner().await;
    world.advance(TimeDelta::minutes(1));
    let me = world.staff(&owner.account, None, &["*"]);
    let request = |code: &str| ReauthenticateRequest {
        session_secret: owner.session.clone(),
        password: STAFF_PASSWORD.to_owned(),
        code: code.to_owned(),
    };
    for wrong in ["", "000000"] {
        assert_eq!(reason(world.api.reauthenticate(call(&me, request(wrong))).await.unwrap_err()), "PROOF_FAILED");
    }
    world.api.reauthenticate(call(&me, request(&code(&owner.totp, world.now())))).await.unwrap();
}

#[tokio::test]
async fn secure_s17_a_second_factor_moved_to_another_account_does_not_open() {
    let world = world().await;
    let owner = world.owner().await;
    let other = world.hire("vera@operator.example", "viewer", None).await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT f::text FROM second_factor f").fetch_all(&world.database.admin_pool).await.unwrap();
    let bytes = totp_rs::Secret::Encoded(owner.totp.clone()).to_bytes().unwrap();
    assert!(rows.iter().all(|row| !row.contains(&owner.totp) && !row.contains(&hex::encode(&bytes))));

    // Vera knows her own secret; put into Olga's row it would open Olga's account.
    sqlx::query("UPDATE second_factor SET secret_sealed = (SELECT secret_sealed FROM second_factor WHERE account_id = $1) WHERE account_id = $2")
        .bind(uuid(&other.account))
        .bind(uuid(&owner.account))
        .execute(&world.database.admin_pool)
        .await
        .unwrap();
    world.advance(TimeDelta::minutes(1));
    let first = challenge(&world).await;
    let refused = answer(&world, &first, &code(&other.totp, world.now())).await.unwrap_err();
    assert_eq!(reason(refused), "INTERNAL");
}

#[tokio::test]
async fn enrolling_is_for_oneself_only() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let (stranger, _) = world.sign_up("bob@example.org").await;
    let enrol = EnrolTotpRequest { account_id: account.clone() };
    let others: [Actor; 3] = [
        world.customer(&stranger),
        world.staff("acc_1", Some(world.brand), &["*"]),
        Actor::service("billing", Some(world.brand)),
    ];
    for other in others {
        assert_eq!(reason(world.api.enrol_totp(call(&other, enrol.clone())).await.unwrap_err()), "ACCOUNT_NOT_FOUND");
    }
    let confirm = ConfirmTotpRequest { account_id: account.clone(), session_secret: secret, code: "000000".to_owned() };
    let me = world.customer(&account);
    assert_eq!(reason(world.api.confirm_totp(call(&me, confirm)).await.unwrap_err()), "NOT_ENROLLING");
    let outcome = world.sign_in("ann@example.org", PASSWORD, None).await.unwrap();
    session(outcome);
}

fn uuid(id: &str) -> uuid::Uuid {
    id.parse::<ottery_kernel::AccountId>().unwrap().as_uuid()
}
