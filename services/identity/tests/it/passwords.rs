use chrono::TimeDelta;
use ottery_kit::grpc::{Actor, Code, Problem};
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::mail_requested::Purpose;
use ottery_proto::identity::v1::*;

use crate::world::{HOME, PASSWORD, World, call, config, device, reason, session, world};

const NEW_PASSWORD: &str = "seven quiet lanterns";

async fn stored(world: &World) -> String {
    sqlx::query_scalar("SELECT password_hash FROM account").fetch_one(&world.database.admin_pool).await.unwrap()
}

async fn forget(world: &World, email: &str) {
    let request = RequestPasswordResetRequest { realm: Realm::Customer.into(), email: email.to_owned() };
    world.api.request_password_reset(call(&world.visitor(), request)).await.unwrap();
}

#[tokio::test]
async fn secure_s06_signing_in_stores_the_password_under_todays_parameters() {
    let world = world().await;
    let (_, secret) = world.sign_up("ann@example.org").await;
    assert!(stored(&world).await.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let costlier = identity::Config { password_memory_kib: 20_480, password_passes: 3, ..config() };
    let api = world.reconfigured(&costlier);
    let request = |password: &str| SignInRequest {
        realm: Realm::Customer.into(),
        email: "ann@example.org".to_owned(),
        password: password.to_owned(),
        device: device("Firefox", HOME),
    };
    api.sign_in(call(&world.visitor(), request("wrong"))).await.unwrap_err();
    assert!(stored(&world).await.contains("m=19456"), "a wrong password changes nothing");
    api.sign_in(call(&world.visitor(), request(PASSWORD))).await.unwrap();
    assert!(stored(&world).await.starts_with("$argon2id$v=19$m=20480,t=3,p=1$"));
    api.sign_in(call(&world.visitor(), request(PASSWORD))).await.expect("it is still the same password");
    world.authenticate(&secret).await.expect("sessions stay");
    world.healthy().await;
}

#[tokio::test]
async fn secure_s07_a_refused_password_names_field_and_reason() {
    let world = world().await;
    for (password, expected) in
        [("short", "PASSWORD_TOO_SHORT"), ("Password1234", "PASSWORD_COMMON"), ("lighthouse99", "PASSWORD_OWN_WORDS")]
    {
        let request = SignUpRequest {
            email: "lighthouse@example.org".to_owned(),
            password: password.to_owned(),
            ..SignUpRequest::default()
        };
        let problem = Problem::from(world.api.sign_up(call(&world.visitor(), request)).await.unwrap_err());
        assert_eq!((problem.reason.as_ref(), problem.field.as_deref()), (expected, Some("password")));
    }
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM account").fetch_one(&world.database.admin_pool).await.unwrap();
    assert_eq!(accounts, 0);
}

#[tokio::test]
async fn secure_s11_a_reset_works_once_signs_nobody_in_and_ends_every_session() {
    let world = world().await;
    let (account, old) = world.sign_up("ann@example.org").await;
    forget(&world, "ann@example.org").await;
    let token = world.link(Some(world.brand), Purpose::ResetPassword).await;
    let refused = world.reset(&world.visitor(), &token, "Password1234").await.unwrap_err();
    assert_eq!(reason(refused), "PASSWORD_COMMON");
    let reply =
        world.reset(&world.visitor(), &token, NEW_PASSWORD).await.expect("the link stays good for a better password");
    assert_eq!(reply.account_id, account);
    assert!(world.authenticate(&old).await.is_err());
    let again = world.reset(&world.visitor(), &token, NEW_PASSWORD).await.unwrap_err();
    assert_eq!(reason(again), "LINK_DEAD");
    assert_eq!(reason(world.sign_in("ann@example.org", PASSWORD, None).await.unwrap_err()), "SIGN_IN_FAILED");
    session(world.sign_in("ann@example.org", NEW_PASSWORD, None).await.unwrap());
    assert_eq!(world.mails(Purpose::PasswordChanged).await.len(), 1);
    world.healthy().await;
}

#[tokio::test]
async fn secure_s11_reset_links_end_after_30_minutes_with_the_password_and_when_replaced() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let brand = Some(world.brand);
    forget(&world, "ann@example.org").await;
    let late = world.link(brand, Purpose::ResetPassword).await;
    world.advance(TimeDelta::minutes(30));
    assert_eq!(reason(world.reset(&world.visitor(), &late, NEW_PASSWORD).await.unwrap_err()), "LINK_DEAD");

    forget(&world, "ann@example.org").await;
    let first = world.link(brand, Purpose::ResetPassword).await;
    let second = world.link(brand, Purpose::ResetPassword).await;
    assert_ne!(first, second);
    assert_eq!(
        reason(world.reset(&world.visitor(), &first, NEW_PASSWORD).await.unwrap_err()),
        "LINK_DEAD",
        "minted anew"
    );

    let change = ChangePasswordRequest {
        session_secret: secret,
        current_password: PASSWORD.to_owned(),
        new_password: NEW_PASSWORD.to_owned(),
    };
    world.api.change_password(call(&world.customer(&account), change)).await.unwrap();
    assert_eq!(reason(world.reset(&world.visitor(), &second, "another long sentence").await.unwrap_err()), "LINK_DEAD");
}

#[tokio::test]
async fn secure_s11_nobody_learns_whether_an_address_has_an_account() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    forget(&world, "nobody@example.org").await;
    assert!(world.mails(Purpose::ResetPassword).await.is_empty());
    for _ in 0..6 {
        forget(&world, "ann@example.org").await;
    }
    assert_eq!(world.mails(Purpose::ResetPassword).await.len(), 3, "and nobody's mailbox is flooded");
}

#[tokio::test]
async fn secure_s02_changing_the_password_ends_every_other_session() {
    let world = world().await;
    let (account, first) = world.sign_up("ann@example.org").await;
    let second = session(world.sign_in("ann@example.org", PASSWORD, device("Tablet", HOME)).await.unwrap()).secret;
    let change = |current: &str| ChangePasswordRequest {
        session_secret: first.clone(),
        current_password: current.to_owned(),
        new_password: NEW_PASSWORD.to_owned(),
    };
    let me = world.customer(&account);
    let refused = world.api.change_password(call(&me, change("guessed"))).await.unwrap_err();
    assert_eq!(reason(refused), "PROOF_FAILED");
    let fresh = world.api.change_password(call(&me, change(PASSWORD))).await.unwrap().into_inner().session.unwrap();
    assert!(world.authenticate(&first).await.is_err() && world.authenticate(&second).await.is_err());
    world.authenticate(&fresh.secret).await.unwrap();
    world.healthy().await;
}

#[tokio::test]
async fn an_address_is_proven_once_by_its_mail() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let brand = Some(world.brand);
    let token = world.link(brand, Purpose::VerifyEmail).await;
    let verify = VerifyEmailRequest { token: token.clone() };
    let reset = world.reset(&world.visitor(), &token, NEW_PASSWORD).await.unwrap_err();
    assert_eq!(reason(reset), "LINK_DEAD", "it proves the address and nothing else");
    world.api.verify_email(call(&world.visitor(), verify.clone())).await.unwrap();
    assert!(world.authenticate(&secret).await.unwrap().account.unwrap().email_verified);
    assert_eq!(reason(world.api.verify_email(call(&world.visitor(), verify)).await.unwrap_err()), "LINK_DEAD");
    let resend = ResendVerificationRequest { account_id: account.clone() };
    world.api.resend_verification(call(&world.customer(&account), resend)).await.unwrap();
    assert_eq!(world.mails(Purpose::VerifyEmail).await.len(), 1, "there is nothing left to prove");
}

#[tokio::test]
async fn a_verification_link_lasts_48_hours_and_a_new_mail_replaces_it() {
    let world = world().await;
    let (account, _) = world.sign_up("ann@example.org").await;
    let brand = Some(world.brand);
    let first = world.link(brand, Purpose::VerifyEmail).await;
    let resend = ResendVerificationRequest { account_id: account.clone() };
    world.api.resend_verification(call(&world.customer(&account), resend)).await.unwrap();
    let verify = |token: String| world.api.verify_email(call(&world.visitor(), VerifyEmailRequest { token }));
    assert_eq!(reason(verify(first).await.unwrap_err()), "LINK_DEAD");
    let second = world.link(brand, Purpose::VerifyEmail).await;
    world.advance(TimeDelta::hours(48));
    assert_eq!(reason(verify(second).await.unwrap_err()), "LINK_DEAD");
}

#[tokio::test]
async fn only_the_mailer_gets_tokens_and_only_for_mails_with_links() {
    let world = world().await;
    world.sign_up("ann@example.org").await;
    world.try_sign_up("ann@example.org").await.unwrap();
    let verify = world.mails(Purpose::VerifyEmail).await.pop().unwrap().mail_request_id;
    let linkless = world.mails(Purpose::AlreadyRegistered).await.pop().unwrap().mail_request_id;
    assert_eq!(reason(world.mint(Some(world.brand), &linkless).await.unwrap_err()), "MAIL_WITHOUT_LINK");
    assert_eq!(world.mint(None, &verify).await.unwrap_err().code(), Code::NotFound, "it is the brand's");
    let request = MintMailTokenRequest { mail_request_id: verify };
    for other in
        [Actor::service("billing", Some(world.brand)), world.staff("acc_1", Some(world.brand), &["*"]), world.visitor()]
    {
        let refused = world.api.mint_mail_token(call(&other, request.clone())).await.unwrap_err();
        assert_eq!(reason(refused), "MAILER_ONLY");
    }
    let tokens: i64 = sqlx::query_scalar("SELECT count(*) FROM mail_request WHERE token_hash IS NOT NULL")
        .fetch_one(&world.database.admin_pool)
        .await
        .unwrap();
    assert_eq!(tokens, 0);
}
