use std::collections::BTreeSet;

use chrono::TimeDelta;
use ottery_kernel::BrandId;
use ottery_kit::grpc::Code;
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::mail_requested::Purpose;
use ottery_proto::identity::v1::*;
use sqlx::AssertSqlSafe;

use crate::world::{HOME, PASSWORD, STAFF_PASSWORD, World, call, code, device, world};

async fn verify(world: &World, brand: Option<BrandId>) -> VerifyAuditReply {
    let root = world.staff("acc_owner", None, &["*"]);
    let request = VerifyAuditRequest { brand_id: brand.map(|brand| brand.to_string()).unwrap_or_default() };
    world.api.verify_audit(call(&root, request)).await.unwrap().into_inner()
}

#[tokio::test]
async fn secure_s28_every_deed_is_in_the_chain() {
    let world = world().await;
    let brand = Some(world.brand);

    let (account, secret) = world.sign_up("ann@example.org").await;
    let me = world.customer(&account);
    let token = world.link(brand, Purpose::VerifyEmail).await;
    world.api.verify_email(call(&world.visitor(), VerifyEmailRequest { token })).await.unwrap();
    world.sign_in("ann@example.org", "a wrong guess", device("Firefox", HOME)).await.unwrap_err();
    world.sign_in("ann@example.org", PASSWORD, device("Firefox", HOME)).await.unwrap();
    let proof = |password: &str| ReauthenticateRequest {
        session_secret: secret.clone(),
        password: password.to_owned(),
        code: String::new(),
    };
    world.api.reauthenticate(call(&me, proof("a wrong guess"))).await.unwrap_err();
    world.api.reauthenticate(call(&me, proof(PASSWORD))).await.unwrap();
    let change = ChangePasswordRequest {
        session_secret: secret.clone(),
        current_password: PASSWORD.to_owned(),
        new_password: "seven quiet lanterns".to_owned(),
    };
    let fresh = world.api.change_password(call(&me, change)).await.unwrap().into_inner().session.unwrap();
    world.api.revoke_session(call(&me, RevokeSessionRequest { session_id: fresh.id })).await.unwrap();
    let forget = RequestPasswordResetRequest { realm: Realm::Customer.into(), email: "ann@example.org".to_owned() };
    world.api.request_password_reset(call(&world.visitor(), forget)).await.unwrap();
    let token = world.link(brand, Purpose::ResetPassword).await;
    world.reset(&world.visitor(), &token, "eight quiet lanterns").await.unwrap();
    let reply = world.sign_in("ann@example.org", "eight quiet lanterns", device("Firefox", HOME)).await.unwrap();
    let session_secret = crate::world::session(reply).secret;
    world.api.sign_out(call(&me, SignOutRequest { session_secret })).await.unwrap();
    world.api.sign_out_everywhere(call(&me, SignOutEverywhereRequest { account_id: account })).await.unwrap();
    let of_brand: BTreeSet<String> = world.actions(brand).await.into_iter().collect();
    let expected = [
        "account.sign_up",
        "account.verify_email",
        "password.change",
        "password.reset",
        "session.proof_failed",
        "session.reauthenticate",
        "session.revoke",
        "session.revoke_all",
        "session.sign_in",
        "session.sign_in_failed",
        "session.sign_out",
    ];
    assert_eq!(of_brand.iter().map(String::as_str).collect::<Vec<_>>(), expected);

    let owner = world.owner().await;
    let root = world.staff(&owner.account, None, &["*"]);
    let viewer = world.hire("vera@operator.example", "viewer", None).await;
    let list = ListGrantsRequest { account_id: viewer.account.clone() };
    let grants = world.api.list_grants(call(&root, list)).await.unwrap().into_inner().grants;
    world.api.revoke_grant(call(&root, RevokeGrantRequest { grant_id: grants[0].id.clone() })).await.unwrap();
    let key = CreateApiKeyRequest { name: "x".into(), permissions: vec!["order.read".into()], expires_at: None };
    let key_id = world.api.create_api_key(call(&root, key)).await.unwrap().into_inner().key.unwrap().id;
    world.api.revoke_api_key(call(&root, RevokeApiKeyRequest { key_id })).await.unwrap();
    world.advance(TimeDelta::minutes(1));
    let root = world.staff(&owner.account, None, &["*"]);
    let outcome = world.staff_sign_in("olga@operator.example", STAFF_PASSWORD).await.unwrap().outcome.unwrap();
    let sign_in_reply::Outcome::Totp(challenge) = outcome else { panic!("{outcome:?}") };
    for code in ["000000".to_owned(), code(&owner.totp, world.now())] {
        let request =
            SignInTotpRequest { challenge: challenge.challenge.clone(), code, device: device("Firefox", HOME) };
        let _ = world.api.sign_in_totp(call(&world.stranger(), request)).await;
    }
    world.api.remove_totp(call(&root, RemoveTotpRequest { account_id: viewer.account })).await.unwrap();
    let of_platform: BTreeSet<String> = world.actions(None).await.into_iter().collect();
    let expected = [
        "apikey.create",
        "apikey.revoke",
        "grant.create",
        "grant.revoke",
        "password.choose",
        "session.code_failed",
        "session.sign_in",
        "setup.complete",
        "staff.invite",
        "totp.enrol",
        "totp.remove",
    ];
    assert_eq!(of_platform.iter().map(String::as_str).collect::<Vec<_>>(), expected);

    let text: String = sqlx::query_scalar("SELECT string_agg(e::text, '') FROM audit_entry e")
        .fetch_one(&world.database.admin_pool)
        .await
        .unwrap();
    for secret in [PASSWORD, STAFF_PASSWORD, "quiet lanterns", "a wrong guess", &secret, &owner.totp, "ann@example.org"]
    {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.contains("req-1") && text.contains(HOME));
    world.healthy().await;
}

#[tokio::test]
async fn secure_s27_the_application_can_only_add() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    let brand = format!("SET ottery.brand = '{}'", world.brand.as_uuid());
    for attack in [
        "UPDATE audit_entry SET action = 'x'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
    ] {
        for pool in [&world.database.pool, &world.database.admin_pool] {
            let is_head_by_admin = attack.contains("head") && std::ptr::eq(pool, &world.database.admin_pool);
            let mut connection = pool.acquire().await.unwrap();
            sqlx::query(AssertSqlSafe(brand.clone())).execute(&mut *connection).await.unwrap();
            let outcome = sqlx::query(attack).execute(&mut *connection).await;
            assert!(outcome.is_err() || is_head_by_admin, "{attack}");
            sqlx::query("RESET ottery.brand").execute(&mut *connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn secure_s27_tampering_behind_our_back_is_found() {
    let world = world().await;
    let brand = Some(world.brand);
    for person in 0..6 {
        world.sign_up(&format!("ann{person}@example.org")).await;
    }
    let clean = verify(&world, brand).await;
    assert_eq!((clean.intact, clean.entries, clean.first_broken_sequence), (true, 6, 0));
    let admin = &world.database.admin_pool;
    sqlx::query("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_history").execute(admin).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT * FROM audit_entry").execute(admin).await.unwrap();
    for (attack, broken) in [
        ("UPDATE audit_entry SET after_json = '{}' WHERE sequence = 4", 4),
        ("UPDATE audit_entry SET occurred_at = occurred_at + interval '1 second' WHERE sequence = 1", 1),
        ("DELETE FROM audit_entry WHERE sequence = 2", 2),
        ("UPDATE audit_entry SET sequence = 100 - sequence WHERE sequence IN (2, 3)", 2),
        ("DELETE FROM audit_entry WHERE sequence > 4", 5),
    ] {
        sqlx::query(attack).execute(admin).await.unwrap();
        let found = verify(&world, brand).await;
        assert_eq!((found.intact, found.first_broken_sequence), (false, broken), "{attack}");
        let findings = identity::invariants(&world.database.pool).await.unwrap();
        assert!(findings.iter().any(|finding| finding.invariant == "audit chain intact"), "{attack}");
        sqlx::query("DELETE FROM audit_entry").execute(admin).await.unwrap();
        sqlx::query("INSERT INTO audit_entry SELECT * FROM kept").execute(admin).await.unwrap();
    }
    assert!(verify(&world, brand).await.intact);
}

#[tokio::test]
async fn chains_of_brands_are_apart_and_read_in_pages() {
    let world = world().await;
    let sibling = BrandId::new(world.now());
    for person in 0..5 {
        world.sign_up(&format!("ann{person}@example.org")).await;
    }
    let auditor = world.staff("acc_1", Some(world.brand), &["audit.read"]);
    let page = |cursor: String| {
        let page = Some(ottery_proto::common::v1::PageRequest { cursor, limit: 2 });
        world.api.list_audit(call(&auditor, ListAuditRequest { page }))
    };
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let reply = page(cursor).await.unwrap().into_inner();
        seen.extend(reply.entries.into_iter().map(|entry| entry.sequence));
        cursor = reply.page.unwrap().next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let other = VerifyAuditRequest { brand_id: sibling.to_string() };
    let refused = world.api.verify_audit(call(&auditor, other)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(verify(&world, Some(sibling)).await.entries, 0);
}

#[tokio::test]
async fn a_busy_brand_keeps_one_chain_without_gaps() {
    let world = world().await;
    let people: Vec<String> = (0..12).map(|person| format!("ann{person}@example.org")).collect();
    futures::future::join_all(people.iter().map(|email| world.sign_up(email))).await;
    let verdict = verify(&world, Some(world.brand)).await;
    assert_eq!((verdict.intact, verdict.entries), (true, 12));
}
