use chrono::TimeDelta;
use ottery_kernel::BrandId;
use ottery_kit::grpc::{Actor, ActorKind, Code};
use ottery_proto::identity::v1::identity_service_server::IdentityService as _;
use ottery_proto::identity::v1::*;

use crate::world::{call, reason, world};

fn grant(account_id: &str, role: &str, brand: Option<BrandId>) -> GrantRoleRequest {
    GrantRoleRequest {
        account_id: account_id.to_owned(),
        role: role.to_owned(),
        brand_id: brand.map(|brand| brand.to_string()).unwrap_or_default(),
    }
}

#[tokio::test]
async fn secure_s12_what_staff_may_depends_on_the_brand_of_the_call() {
    let world = world().await;
    let sibling = BrandId::new(world.now());
    let support = world.hire("sam@operator.example", "support_agent", Some(world.brand)).await;
    for (place, expected) in [(Some(world.brand), true), (Some(sibling), false), (None, false)] {
        let known = world.authenticate_in(&Actor::anonymous(place), Realm::Staff, &support.session).await.unwrap();
        let actor = known.actor.unwrap();
        assert_eq!(actor.permissions.contains(&"ticket.reply".to_owned()), expected, "{place:?}");
        assert!(!actor.permissions.contains(&"invoice.refund".to_owned()));
        assert_eq!((known.brand_ids, known.all_brands), (vec![world.brand.to_string()], false));
    }
}

#[tokio::test]
async fn secure_s12_nobody_hands_out_more_than_they_hold() {
    let world = world().await;
    let sibling = BrandId::new(world.now());
    let viewer = world.hire("vera@operator.example", "viewer", Some(world.brand)).await;
    let admin = world.staff("acc_admin", Some(world.brand), &["grant.manage", "order.read"]);
    let attempts = [
        (grant(&viewer.account, "owner", Some(world.brand)), "NOT_YOURS_TO_GIVE"),
        (grant(&viewer.account, "finance", Some(world.brand)), "NOT_YOURS_TO_GIVE"),
        (grant(&viewer.account, "viewer", Some(sibling)), "BRAND_NOT_FOUND"),
        (grant(&viewer.account, "viewer", None), "PLATFORM_ONLY"),
        (grant(&viewer.account, "customer", Some(world.brand)), "ROLE_UNKNOWN"),
    ];
    for (attempt, expected) in attempts {
        let refused = world.api.grant_role(call(&admin, attempt)).await.unwrap_err();
        assert_eq!(reason(refused), expected);
    }
    let powerless = world.staff("acc_viewer", Some(world.brand), &["order.read"]);
    let refused =
        world.api.grant_role(call(&powerless, grant(&viewer.account, "viewer", Some(world.brand)))).await.unwrap_err();
    assert_eq!(reason(refused), "PERMISSION_MISSING");
}

#[tokio::test]
async fn secure_s02_a_change_of_what_somebody_may_ends_their_sessions() {
    let world = world().await;
    let viewer = world.hire("vera@operator.example", "viewer", None).await;
    let root = world.staff("acc_owner", None, &["*"]);
    let is_in = || async { world.authenticate_in(&world.stranger(), Realm::Staff, &viewer.session).await.is_ok() };
    world.api.grant_role(call(&root, grant(&viewer.account, "viewer", None))).await.expect("saying it again");
    world.api.grant_role(call(&root, grant(&viewer.account, "viewer", Some(world.brand)))).await.expect("nothing new");
    assert!(is_in().await);
    let finance =
        world.api.grant_role(call(&root, grant(&viewer.account, "finance", None))).await.unwrap().into_inner();
    assert!(!is_in().await);
    let list = ListGrantsRequest { account_id: viewer.account.clone() };
    assert_eq!(world.api.list_grants(call(&root, list.clone())).await.unwrap().into_inner().grants.len(), 3);
    world.api.revoke_grant(call(&root, RevokeGrantRequest { grant_id: finance.id.clone() })).await.unwrap();
    assert_eq!(world.api.list_grants(call(&root, list)).await.unwrap().into_inner().grants.len(), 2);
    let gone = world.api.revoke_grant(call(&root, RevokeGrantRequest { grant_id: finance.id })).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn the_last_owner_stays() {
    let world = world().await;
    let owner = world.owner().await;
    let me = world.staff(&owner.account, None, &["*"]);
    let list = ListGrantsRequest { account_id: owner.account.clone() };
    let grants = world.api.list_grants(call(&me, list)).await.unwrap().into_inner().grants;
    let request = RevokeGrantRequest { grant_id: grants[0].id.clone() };
    assert_eq!(reason(world.api.revoke_grant(call(&me, request.clone())).await.unwrap_err()), "LAST_OWNER");
    world.hire("otto@operator.example", "owner", None).await;
    world.api.revoke_grant(call(&me, request)).await.unwrap();
}

#[tokio::test]
async fn secure_s12_a_brands_admin_cannot_weaken_the_platforms_owner() {
    let world = world().await;
    let owner = world.owner().await;
    let admin = world.staff("acc_admin", Some(world.brand), &["account.manage", "account.read"]);
    let account_id = owner.account.clone();
    let get = GetAccountRequest { account_id: account_id.clone() };
    world.api.get_account(call(&admin, get)).await.expect("who may act in the brand is no secret to its admin");
    let remove =
        world.api.remove_totp(call(&admin, RemoveTotpRequest { account_id: account_id.clone() })).await.unwrap_err();
    assert_eq!(reason(remove), "NOT_YOURS_TO_GIVE");
    let out = world.api.sign_out_everywhere(call(&admin, SignOutEverywhereRequest { account_id })).await.unwrap_err();
    assert_eq!(reason(out), "NOT_YOURS_TO_GIVE");
}

#[tokio::test]
async fn staff_of_another_brand_are_invisible_to_a_brands_admin() {
    let world = world().await;
    let sibling = BrandId::new(world.now());
    let own = world.hire("sam@operator.example", "viewer", Some(world.brand)).await;
    let other = world.hire("zoe@operator.example", "viewer", Some(sibling)).await;
    let admin = world.staff("acc_admin", Some(world.brand), &["account.read"]);
    let list = ListAccountsRequest { realm: Realm::Staff.into(), ..Default::default() };
    let seen = world.api.list_accounts(call(&admin, list.clone())).await.unwrap().into_inner().accounts;
    assert_eq!(seen.iter().map(|account| &account.id).collect::<Vec<_>>(), [&own.account]);
    let hidden =
        world.api.get_account(call(&admin, GetAccountRequest { account_id: other.account })).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    let root = world.staff("acc_owner", None, &["*"]);
    assert_eq!(world.api.list_accounts(call(&root, list)).await.unwrap().into_inner().accounts.len(), 2);
}

#[tokio::test]
async fn an_invitation_sets_the_first_password_for_48_hours() {
    let world = world().await;
    let root = world.staff("acc_owner", None, &["*"]);
    let invite =
        InviteStaffRequest { email: "new@operator.example".into(), role: "viewer".into(), ..Default::default() };
    let first = world.api.invite_staff(call(&root, invite.clone())).await.unwrap().into_inner().account_id;
    let again = world.api.invite_staff(call(&root, invite)).await.unwrap().into_inner().account_id;
    assert_eq!(first, again);
    let token = world.link(None, mail_requested::Purpose::StaffInvitation).await;
    let short = world.reset(&world.stranger(), &token, "river-canvas").await.unwrap_err();
    assert_eq!(reason(short), "PASSWORD_TOO_SHORT", "staff need 15 characters");
    world.advance(TimeDelta::hours(48));
    assert_eq!(reason(world.reset(&world.stranger(), &token, "violet harbour engine").await.unwrap_err()), "LINK_DEAD");
    let refused = world.staff_sign_in("new@operator.example", "").await.unwrap_err();
    assert_eq!(reason(refused), "SIGN_IN_FAILED", "no password is not an empty password");
}

#[tokio::test]
async fn roles_are_listed_with_what_they_allow() {
    let world = world().await;
    let roles = world.api.list_roles(call(&world.stranger(), ListRolesRequest {})).await.unwrap().into_inner().roles;
    let names: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["owner", "brand_admin", "support_agent", "finance", "viewer", "customer"]);
    assert_eq!(roles[0].permissions, ["*"]);
}

#[tokio::test]
async fn secure_s12_managing_customers_needs_the_permission_in_their_brand() {
    let world = world().await;
    let (account, secret) = world.sign_up("ann@example.org").await;
    let everywhere = SignOutEverywhereRequest { account_id: account.clone() };
    let looking = world.staff("acc_1", Some(world.brand), &["account.read"]);
    let refused = world.api.sign_out_everywhere(call(&looking, everywhere.clone())).await.unwrap_err();
    assert_eq!(reason(refused), "PERMISSION_MISSING");
    let platform = world.staff("acc_1", None, &["*"]);
    let refused = world.api.sign_out_everywhere(call(&platform, everywhere.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "customers are looked after inside their brand");
    let key = Actor::new(ActorKind::ApiKey, "key_1", Some(world.brand)).with_permissions(["account.read"]);
    world.api.get_account(call(&key, GetAccountRequest { account_id: account })).await.unwrap();
    let managing = world.staff("acc_1", Some(world.brand), &["account.manage"]);
    world.api.sign_out_everywhere(call(&managing, everywhere)).await.unwrap();
    assert!(world.authenticate(&secret).await.is_err());
}
