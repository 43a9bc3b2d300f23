use chrono::TimeDelta;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind};
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;
use tonic::Status;

use crate::world::{HOME, World, call, reason, world};

async fn create(world: &World, actor: &Actor, permissions: &[&str]) -> Result<CreateApiKeyReply, Status> {
    let request = CreateApiKeyRequest {
        name: "reports".to_owned(),
        permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(),
        expires_at: None,
    };
    world.api.create_api_key(call(actor, request)).await.map(|reply| reply.into_inner())
}

async fn enter(world: &World, actor: &Actor, secret: &str) -> Result<AuthenticateReply, Status> {
    let request = AuthenticateApiKeyRequest { secret: secret.to_owned(), client_ip: HOME.to_owned() };
    world.api.authenticate_api_key(call(actor, request)).await.map(|reply| reply.into_inner())
}

#[tokio::test]
async fn a_brands_key_works_in_its_brand_and_nowhere_else() {
    let world = world().await;
    let admin = world.hire("bea@operator.example", "brand_admin", Some(world.brand)).await;
    let maker = world.staff(&admin.account, Some(world.brand), &["apikey.manage", "order.read", "ticket.read"]);
    let made = create(&world, &maker, &["order.read"]).await.unwrap();
    assert!(made.secret.starts_with("otk_"));
    for place in [Some(world.brand), None] {
        let actor = enter(&world, &Actor::anonymous(place), &made.secret).await.unwrap().actor.unwrap();
        assert_eq!((actor.brand_id, actor.permissions), (world.brand.to_string(), vec!["order.read".to_owned()]));
    }
    let sibling = Actor::anonymous(Some(BrandId::new(world.now())));
    assert_eq!(reason(enter(&world, &sibling, &made.secret).await.unwrap_err()), "API_KEY_INVALID");
    let mut forged = made.secret.clone();
    forged.pop();
    for wrong in [forged.as_str(), "otk_", "", "otk_00000000000000000000000000000000_x"] {
        assert_eq!(reason(enter(&world, &world.visitor(), wrong).await.unwrap_err()), "API_KEY_INVALID", "{wrong}");
    }
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT k::text FROM api_key k").fetch_all(&world.database.admin_pool).await.unwrap();
    assert!(rows.iter().all(|row| !row.contains(&made.secret)));
    let listed = world.api.list_api_keys(call(&maker, ListApiKeysRequest {})).await.unwrap().into_inner().keys;
    assert!(listed.len() == 1 && listed[0].last_used_at.is_some());
}

#[tokio::test]
async fn a_key_never_holds_more_than_its_maker() {
    let world = world().await;
    let admin = world.hire("bea@operator.example", "brand_admin", Some(world.brand)).await;
    let maker = world.staff(&admin.account, Some(world.brand), &["apikey.manage", "order.read"]);
    assert_eq!(reason(create(&world, &maker, &["invoice.refund"]).await.unwrap_err()), "NOT_YOURS_TO_GIVE");
    assert_eq!(reason(create(&world, &maker, &["*"]).await.unwrap_err()), "PERMISSION_UNKNOWN");
    assert_eq!(reason(create(&world, &maker, &[]).await.unwrap_err()), "MISSING");
    let made = create(&world, &maker, &["order.read", "apikey.manage"]).await.unwrap();
    let root = world.staff("acc_owner", None, &["*"]);
    let list = ListGrantsRequest { account_id: admin.account.clone() };
    let grant = world.api.list_grants(call(&root, list)).await.unwrap().into_inner().grants.remove(0);
    let viewer =
        GrantRoleRequest { account_id: admin.account, role: "viewer".into(), brand_id: world.brand.to_string() };
    world.api.grant_role(call(&root, viewer)).await.unwrap();
    world.api.revoke_grant(call(&root, RevokeGrantRequest { grant_id: grant.id })).await.unwrap();
    let actor = enter(&world, &world.visitor(), &made.secret).await.unwrap().actor.unwrap();
    assert_eq!(actor.permissions, ["order.read"], "what its maker lost, it lost");
}

#[tokio::test]
async fn secure_s03_a_key_makes_no_keys_and_gives_and_takes_no_roles() {
    let world = world().await;
    let owner = world.owner().await;
    let key =
        Actor { kind: ActorKind::ApiKey, subject: "key_1".to_owned(), ..world.staff(&owner.account, None, &["*"]) };
    assert_eq!(reason(create(&world, &key, &["order.read"]).await.unwrap_err()), "STAFF_ONLY");
    let viewer = world.hire("vera@operator.example", "viewer", Some(world.brand)).await;
    let role = GrantRoleRequest { account_id: viewer.account.clone(), role: "viewer".into(), brand_id: String::new() };
    assert_eq!(reason(world.api.grant_role(call(&key, role)).await.unwrap_err()), "STAFF_ONLY");
    let list = ListGrantsRequest { account_id: viewer.account };
    let grant = world.api.list_grants(call(&key, list)).await.unwrap().into_inner().grants.remove(0);
    let revoke = RevokeGrantRequest { grant_id: grant.id };
    assert_eq!(reason(world.api.revoke_grant(call(&key, revoke)).await.unwrap_err()), "STAFF_ONLY");
}

#[tokio::test]
async fn a_key_says_what_it_is_called() {
    let world = world().await;
    let owner = world.owner().await;
    let made = create(&world, &world.staff(&owner.account, None, &["*"]), &["order.read"]).await.unwrap();
    assert_eq!(enter(&world, &world.visitor(), &made.secret).await.unwrap().api_key_name, "reports");
}

#[tokio::test]
async fn a_key_ends_in_time_or_by_hand() {
    let world = world().await;
    let owner = world.owner().await;
    let maker = world.staff(&owner.account, None, &["*"]);
    let first = create(&world, &maker, &["order.read"]).await.unwrap();
    let anywhere = enter(&world, &world.visitor(), &first.secret).await.unwrap();
    assert!(anywhere.all_brands);
    assert_eq!(anywhere.actor.unwrap().brand_id, world.brand.to_string(), "a platform's key works in any brand");
    let request = RevokeApiKeyRequest { key_id: first.key.unwrap().id };
    world.api.revoke_api_key(call(&maker, request)).await.unwrap();
    assert_eq!(reason(enter(&world, &world.visitor(), &first.secret).await.unwrap_err()), "API_KEY_INVALID");
    let second = create(&world, &maker, &["order.read"]).await.unwrap();
    world.advance(TimeDelta::days(90));
    assert_eq!(reason(enter(&world, &world.visitor(), &second.secret).await.unwrap_err()), "API_KEY_INVALID");
}
