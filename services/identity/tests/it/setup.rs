use ottery_kit::grpc::Code;
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;

use crate::world::{HOME, STAFF_PASSWORD, call, device, reason, world};

fn wish(token: &str) -> CompleteSetupRequest {
    CompleteSetupRequest {
        setup_token: token.to_owned(),
        email: "mallory@operator.example".to_owned(),
        password: STAFF_PASSWORD.to_owned(),
        display_name: String::new(),
        device: device("Firefox", HOME),
    }
}

#[tokio::test]
async fn secure_s36_setup_works_once_and_closes_for_ever() {
    let world = world().await;
    let open =
        || async { world.api.get_setup(call(&world.stranger(), GetSetupRequest {})).await.unwrap().into_inner().open };
    assert!(!open().await, "no token was minted yet");
    let owner = world.owner().await;
    assert!(!open().await);
    assert!(identity::setup_token(&world.database.pool).await.unwrap().is_none(), "never minted again");
    let refused = world.api.complete_setup(call(&world.stranger(), wish("anything"))).await.unwrap_err();
    assert_eq!((refused.code(), reason(refused)), (Code::FailedPrecondition, "SETUP_CLOSED".to_owned()));
    for attack in ["UPDATE setup SET closed_at = NULL, account_id = NULL", "DELETE FROM setup"] {
        sqlx::query(attack).execute(&world.database.pool).await.expect_err("not even the database opens it again");
    }
    let known = world.authenticate_in(&world.stranger(), Realm::Staff, &owner.session).await.unwrap();
    assert_eq!(known.actor.unwrap().permissions, ["*"]);
}

#[tokio::test]
async fn secure_s36_the_token_is_printed_once_and_stored_as_a_hash() {
    let world = world().await;
    let token = identity::setup_token(&world.database.pool).await.unwrap().unwrap();
    assert!(identity::setup_token(&world.database.pool).await.unwrap().is_none());
    let row: String =
        sqlx::query_scalar("SELECT s::text FROM setup s").fetch_one(&world.database.admin_pool).await.unwrap();
    assert!(!row.contains(token.expose()));
    let refused = world.api.complete_setup(call(&world.stranger(), wish("not the token"))).await.unwrap_err();
    assert_eq!(reason(refused), "SETUP_TOKEN_WRONG");
    let weak = CompleteSetupRequest { password: "Password1234567".to_owned(), ..wish(token.expose()) };
    let refused = world.api.complete_setup(call(&world.stranger(), weak)).await.unwrap_err();
    assert_eq!(reason(refused), "PASSWORD_COMMON");
    world.api.complete_setup(call(&world.stranger(), wish(token.expose()))).await.expect("the token is still good");
}

#[tokio::test]
async fn secure_s36_two_who_hold_the_token_make_one_owner() {
    let world = world().await;
    let token = identity::setup_token(&world.database.pool).await.unwrap().unwrap();
    let attempt = |name: &str| {
        let request = CompleteSetupRequest { email: format!("{name}@operator.example"), ..wish(token.expose()) };
        world.api.complete_setup(call(&world.stranger(), request))
    };
    let (one, other) = tokio::join!(attempt("olga"), attempt("mallory"));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    let owners: i64 =
        sqlx::query_scalar("SELECT count(*) FROM role_grant").fetch_one(&world.database.admin_pool).await.unwrap();
    assert_eq!(owners, 1);
}
