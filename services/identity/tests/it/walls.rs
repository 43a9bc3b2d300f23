use ottery_kernel::BrandId;
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::{Actor, ActorKind, Code};
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::mail_requested::Purpose;
use ottery_proto::identity::v1::*;

use crate::world::{PASSWORD, call, reason, session, world};

#[tokio::test]
async fn secure_s13_what_is_another_brands_does_not_exist() {
    let world = world().await;
    let sibling = BrandId::new(world.now());
    let (account, secret) = world.sign_up("ann@example.org").await;
    let session_id = world.authenticate(&secret).await.unwrap().session_id;
    let token = world.link(Some(world.brand), Purpose::VerifyEmail).await;
    let customer = Actor { brand: Some(sibling), ..world.customer("acc_0192f0c1a2b37c4d8e5f60718293a4b5") };
    let staff = world.staff("acc_0192f0c1a2b37c4d8e5f60718293a4b6", Some(sibling), &["*"]);
    let neighbour = world.customer("acc_0192f0c1a2b37c4d8e5f60718293a4b7");
    let impostor = Actor { brand: Some(sibling), ..world.customer(&account) };
    for actor in [customer, staff, neighbour, impostor] {
        let account_id = account.clone();
        let answers = [
            world.api.get_account(call(&actor, GetAccountRequest { account_id: account_id.clone() })).await.err(),
            world.api.list_sessions(call(&actor, ListSessionsRequest { account_id: account_id.clone() })).await.err(),
            world
                .api
                .sign_out_everywhere(call(&actor, SignOutEverywhereRequest { account_id: account_id.clone() }))
                .await
                .err(),
            world.api.revoke_session(call(&actor, RevokeSessionRequest { session_id: session_id.clone() })).await.err(),
            world
                .api
                .resend_verification(call(&actor, ResendVerificationRequest { account_id: account_id.clone() }))
                .await
                .err(),
            world.api.enrol_totp(call(&actor, EnrolTotpRequest { account_id: account_id.clone() })).await.err(),
            world.api.remove_totp(call(&actor, RemoveTotpRequest { account_id })).await.err(),
        ];
        for (place, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.expect("refused").code(), Code::NotFound, "call {place} by {actor:?}");
        }
    }
    let elsewhere = Actor::anonymous(Some(sibling));
    assert_eq!(reason(world.authenticate_in(&elsewhere, Realm::Customer, &secret).await.unwrap_err()), "SESSION_ENDED");
    let verify = VerifyEmailRequest { token };
    assert_eq!(reason(world.api.verify_email(call(&elsewhere, verify)).await.unwrap_err()), "LINK_DEAD");
    world.api.sign_out(call(&elsewhere, SignOutRequest { session_secret: secret.clone() })).await.unwrap();
    world.authenticate(&secret).await.expect("nothing of it reached the account");
}

#[tokio::test]
async fn one_address_may_be_a_customer_of_two_brands() {
    let mut world = world().await;
    let (first, _) = world.sign_up("ann@example.org").await;
    world.brand = BrandId::new(world.now());
    assert_eq!(reason(world.sign_in("ann@example.org", PASSWORD, None).await.unwrap_err()), "SIGN_IN_FAILED");
    let (second, _) = world.sign_up("ann@example.org").await;
    assert_ne!(first, second);
    session(world.sign_in("ann@example.org", PASSWORD, None).await.unwrap());
}

#[tokio::test]
async fn customers_see_themselves_and_no_lists() {
    let world = world().await;
    let (account, _) = world.sign_up("ann@example.org").await;
    let me = world.customer(&account);
    let own = world.api.get_account(call(&me, GetAccountRequest { account_id: account })).await.unwrap().into_inner();
    assert_eq!(own.email, "ann@example.org");
    let list = ListAccountsRequest { realm: Realm::Customer.into(), ..Default::default() };
    for actor in [me, world.visitor()] {
        let refused = world.api.list_accounts(call(&actor, list.clone())).await.unwrap_err();
        assert_eq!(reason(refused), "PERMISSION_MISSING");
    }
    let staff = world.staff("acc_1", Some(world.brand), &["account.read"]);
    world.sign_up("a_b@example.org").await;
    for (query, found) in [("", 2), ("ANN", 1), ("a_", 1), ("%", 0), ("nobody", 0)] {
        let list = ListAccountsRequest { query: query.to_owned(), ..list.clone() };
        let seen = world.api.list_accounts(call(&staff, list)).await.unwrap().into_inner().accounts;
        assert_eq!(seen.len(), found, "{query:?}");
    }
}

#[tokio::test]
async fn secure_s14_tenant_tables_are_walled_and_a_pooled_connection_forgets_its_brand() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    world.owner().await;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped \
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'brand_id' \
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity) \
           AND c.relname NOT IN ('idempotency', 'brand_clock', 'retry_delivery') AND c.relname NOT LIKE 'outbox%' ORDER BY 1",
    )
    .fetch_all(&world.database.admin_pool)
    .await
    .unwrap();
    assert_eq!(open, Vec::<String>::new(), "only the kit's platform tables are open");

    for table in ["account", "session", "mail_request", "known_device", "audit_entry"] {
        let count = format!("SELECT count(*) FROM {table} WHERE brand_id IS NOT NULL");
        for _ in 0..3 {
            let mut tx = begin(&world.database.pool, Scope::Brand(world.brand)).await.unwrap();
            let own: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone())).fetch_one(&mut *tx).await.unwrap();
            assert!(own > 0, "{table}");
            let staff: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table} WHERE brand_id IS NULL")))
                    .fetch_one(&mut *tx)
                    .await
                    .unwrap();
            assert_eq!(staff, 0, "a brand sees no staff in {table}");
            tx.commit().await.unwrap();
        }
        for scope in [Scope::Platform, Scope::Brand(BrandId::new(world.now()))] {
            let mut tx = begin(&world.database.pool, scope).await.unwrap();
            let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone())).fetch_one(&mut *tx).await.unwrap();
            assert_eq!(seen, 0, "{table} from {scope:?}");
        }
    }
    let mut tx = begin(&world.database.pool, Scope::Brand(BrandId::new(world.now()))).await.unwrap();
    let smuggled = sqlx::query("INSERT INTO brand_profile VALUES ($1, 1, 'x', 'x', 'en')")
        .bind(world.brand.as_uuid())
        .execute(&mut *tx)
        .await;
    assert!(smuggled.is_err(), "a row for another brand is refused");
}

#[tokio::test]
async fn a_call_without_a_brand_signs_no_customer_in() {
    let world = world().await;
    let request = SignInRequest {
        realm: Realm::Customer.into(),
        email: "ann@example.org".to_owned(),
        password: PASSWORD.to_owned(),
        device: None,
    };
    let refused = world.api.sign_in(call(&world.stranger(), request.clone())).await.unwrap_err();
    assert_eq!(reason(refused), "BRAND_MISSING");
    let unspecified = SignInRequest { realm: 0, ..request };
    assert_eq!(reason(world.api.sign_in(call(&world.visitor(), unspecified)).await.unwrap_err()), "MISSING");
    let service = Actor::new(ActorKind::Service, "billing", Some(world.brand));
    let malformed =
        world.api.get_account(call(&service, GetAccountRequest { account_id: "acc_1".into() })).await.unwrap_err();
    assert_eq!((malformed.code(), reason(malformed)), (Code::InvalidArgument, "ID_MALFORMED".to_owned()));
}
