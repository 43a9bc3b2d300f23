use chrono::TimeDelta;
use ottery_kit::grpc::Code;
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;

use crate::world::{HOME, PASSWORD, call, device, reason, session, world};

#[tokio::test]
async fn a_customer_signs_up_is_known_and_signs_out() {
    let world = world().await;
    let (account, secret) = world.sign_up(" Ann@Example.org ").await;
    let known = world.authenticate(&secret).await.unwrap();
    let actor = known.actor.unwrap();
    assert_eq!((actor.subject.as_str(), actor.brand_id), (account.as_str(), world.brand.to_string()));
    assert!(actor.permissions.is_empty(), "what is their own needs no permission");
    assert_eq!(known.account.unwrap().email, "ann@example.org");
    assert!(!known.enrolment_only);
    let request = SignOutRequest { session_secret: secret.clone() };
    world.api.sign_out(call(&world.customer(&account), request.clone())).await.unwrap();
    world.api.sign_out(call(&world.visitor(), request)).await.expect("signing out twice is fine");
    assert_eq!(reason(world.authenticate(&secret).await.unwrap_err()), "SESSION_ENDED");
    world.healthy().await;
}

#[tokio::test]
async fn a_taken_address_answers_quietly_and_its_owner_is_told() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    for _ in 0..5 {
        let again = world.try_sign_up("ANN@example.org").await.unwrap();
        assert!(!again.created && again.session.is_none() && again.account_id.is_empty());
    }
    let told = world.mails(mail_requested::Purpose::AlreadyRegistered).await;
    assert_eq!(told.len(), 3, "a flood of sign-ups is not a flood of mails");
    assert_eq!(told[0].email, "ann@example.org");
}

#[tokio::test]
async fn secure_s01_the_database_holds_no_usable_session() {
    let world = world().await;
    let (_, secret) = world.sign_up("ann@example.org").await;
    assert_eq!(secret.len(), 43);
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT s::text FROM session s").fetch_all(&world.database.admin_pool).await.unwrap();
    assert!(rows.iter().all(|row| !row.contains(&secret)));
    let hash: Vec<u8> =
        sqlx::query_scalar("SELECT secret_hash FROM session").fetch_one(&world.database.admin_pool).await.unwrap();
    assert!(world.authenticate(&hex::encode(&hash)).await.is_err());
    // A customer's secret is nothing on the staff's side.
    assert!(world.authenticate_in(&world.stranger(), Realm::Staff, &secret).await.is_err());
}

#[tokio::test]
async fn secure_s02_a_customers_session_ends_after_14_idle_and_90_days() {
    let world = world().await;
    let (_, secret) = world.sign_up("ann@example.org").await;
    world.advance(TimeDelta::days(14) - TimeDelta::seconds(1));
    world.authenticate(&secret).await.expect("a day before the idle end");
    for _ in 0..7 {
        world.advance(TimeDelta::days(10));
        world.authenticate(&secret).await.expect("use moves the idle end");
    }
    world.advance(TimeDelta::days(6) + TimeDelta::seconds(1));
    assert!(world.authenticate(&secret).await.is_err(), "90 days are the end");

    let idle = session(world.sign_in("ann@example.org", PASSWORD, device("Firefox", HOME)).await.unwrap()).secret;
    world.advance(TimeDelta::days(14));
    assert!(world.authenticate(&idle).await.is_err());
    world.healthy().await;
}

#[tokio::test]
async fn secure_s02_a_staff_session_ends_after_30_idle_minutes_and_12_hours() {
    let world = world().await;
    let owner = world.owner().await;
    let known = |session: String| {
        let world = &world;
        async move { world.authenticate_in(&world.stranger(), Realm::Staff, &session).await.is_ok() }
    };
    for _ in 0..24 {
        world.advance(TimeDelta::minutes(29));
        assert!(known(owner.session.clone()).await);
    }
    world.advance(TimeDelta::minutes(24));
    assert!(!known(owner.session.clone()).await, "12 hours are the end");
}

#[tokio::test]
async fn secure_s02_a_staff_session_left_alone_ends_after_30_minutes() {
    let world = world().await;
    let owner = world.owner().await;
    world.advance(TimeDelta::minutes(30));
    assert!(world.authenticate_in(&world.stranger(), Realm::Staff, &owner.session).await.is_err());
}

#[tokio::test]
async fn secure_s02_every_sign_in_mints_a_new_secret_and_none_can_be_planted() {
    let world = world().await;
    let (_, first) = world.sign_up("ann@example.org").await;
    let second = session(world.sign_in("ann@example.org", PASSWORD, device("Firefox", HOME)).await.unwrap()).secret;
    assert_ne!(first, second);
    assert!(world.authenticate("chosen-by-an-attacker").await.is_err());
    assert!(world.authenticate("").await.is_err());
}

#[tokio::test]
async fn secure_s02_sessions_are_listed_revoked_and_hinted_at() {
    let world = world().await;
    let (account, first) = world.sign_up("ann@example.org").await;
    let second = session(world.sign_in("ann@example.org", PASSWORD, device("Tablet", HOME)).await.unwrap());
    let me = world.customer(&account);
    let list = ListSessionsRequest { account_id: account.clone() };
    let sessions = world.api.list_sessions(call(&me, list)).await.unwrap().into_inner().sessions;
    let agents: Vec<_> = sessions.iter().map(|session| session.user_agent.as_str()).collect();
    assert_eq!(agents.len(), 2);
    assert!(agents.contains(&"Firefox") && agents.contains(&"Tablet"));

    let revoke = RevokeSessionRequest { session_id: second.id.clone() };
    world.api.revoke_session(call(&me, revoke.clone())).await.unwrap();
    assert!(world.authenticate(&second.secret).await.is_err(), "at once");
    world.authenticate(&first).await.expect("the other one stays");
    let gone = world.api.revoke_session(call(&me, revoke)).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);

    let everywhere = SignOutEverywhereRequest { account_id: account };
    let reply = world.api.sign_out_everywhere(call(&me, everywhere)).await.unwrap().into_inner();
    assert_eq!(reply.revoked, 1);
    assert!(world.authenticate(&first).await.is_err());
    let hints: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE kind = 'identity.session.revoked.v1' AND optional")
            .fetch_one(&world.database.admin_pool)
            .await
            .unwrap();
    assert_eq!(hints, 2);
}

#[tokio::test]
async fn secure_s03_a_proof_is_dated_and_renewed_by_password() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let signed_up = world.now();
    world.advance(TimeDelta::minutes(11));
    let proof = |reply: AuthenticateReply| reply.actor.unwrap().authenticated_at.unwrap().seconds;
    assert_eq!(proof(world.authenticate(&secret).await.unwrap()), signed_up.timestamp());
    let request = |password: &str| ReauthenticateRequest {
        session_secret: secret.clone(),
        password: password.to_owned(),
        code: String::new(),
    };
    let me = world.customer(&account);
    let refused = world.api.reauthenticate(call(&me, request("not the password"))).await.unwrap_err();
    assert_eq!(reason(refused), "PROOF_FAILED");
    world.api.reauthenticate(call(&me, request(PASSWORD))).await.unwrap();
    assert_eq!(proof(world.authenticate(&secret).await.unwrap()), world.now().timestamp());
}

#[tokio::test]
async fn secure_s03_what_needs_a_fresh_proof_refuses_an_old_one() {
    let world = world().await;
    let owner = world.owner().await;
    let mut stale = world.staff(&owner.account, None, &["*"]);
    stale.authenticated_at = Some(world.now() - TimeDelta::minutes(11));
    let account_id = owner.account.clone();
    let refusals = [
        world.api.remove_totp(call(&stale, RemoveTotpRequest { account_id: account_id.clone() })).await.err(),
        world.api.enrol_totp(call(&stale, EnrolTotpRequest { account_id: account_id.clone() })).await.err(),
        world
            .api
            .grant_role(call(&stale, GrantRoleRequest { account_id, role: "viewer".into(), brand_id: String::new() }))
            .await
            .err(),
        world
            .api
            .invite_staff(call(&stale, InviteStaffRequest { role: "viewer".into(), ..Default::default() }))
            .await
            .err(),
        world
            .api
            .create_api_key(call(
                &stale,
                CreateApiKeyRequest { name: "x".into(), permissions: vec!["order.read".into()], expires_at: None },
            ))
            .await
            .err(),
    ];
    for refusal in refusals {
        assert_eq!(reason(refusal.expect("refused")), "REAUTH_REQUIRED");
    }
}
