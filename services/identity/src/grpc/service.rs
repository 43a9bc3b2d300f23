//! `IdentityService`.

use ottery_kernel::{AccountId, ApiKeyId, GrantId, SessionId};
use ottery_kit::grpc::{Problem, Request, Response, Status, actor};
use ottery_kit::secret::Secret;
use ottery_proto::common::v1::PageReply;
use ottery_proto::identity::v1::identity_service_server::IdentityService;
use ottery_proto::identity::v1::*;

use super::{convert, parse};
use crate::app::{App, SignUp};
use crate::domain::Role;
use crate::domain::mail::MailRequestId;

/// The gRPC face of the use cases.
#[derive(Clone, Debug)]
pub struct Api {
    app: App,
}

impl Api {
    /// A face for these use cases.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl IdentityService for Api {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let device = parse::device(&actor, request.device);
        let wish = SignUp {
            email: request.email,
            password: request.password.into(),
            locale: request.locale,
            country: request.country,
            display_name: request.display_name,
            device,
        };
        let session = self.app.sign_up(&actor, wish).await.map_err(Problem::from)?;
        Ok(Response::new(SignUpReply {
            created: session.is_some(),
            account_id: session.as_ref().map(|new| new.account.id.to_string()).unwrap_or_default(),
            session: session.as_ref().map(convert::session),
        }))
    }

    async fn verify_email(&self, request: Request<VerifyEmailRequest>) -> Result<Response<VerifyEmailReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let account = self.app.verify_email(&actor, &request.token.into()).await.map_err(Problem::from)?;
        Ok(Response::new(VerifyEmailReply { account_id: account.to_string() }))
    }

    async fn resend_verification(
        &self,
        request: Request<ResendVerificationRequest>,
    ) -> Result<Response<ResendVerificationReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        self.app.resend_verification(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(ResendVerificationReply {}))
    }

    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let realm = parse::realm(&actor, request.realm())?;
        let device = parse::device(&actor, request.device);
        let password = request.password.into();
        let outcome =
            self.app.sign_in(&actor, realm, &request.email, &password, &device).await.map_err(Problem::from)?;
        Ok(Response::new(convert::signed_in(&outcome)))
    }

    async fn sign_in_totp(&self, request: Request<SignInTotpRequest>) -> Result<Response<SignInReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let device = parse::device(&actor, request.device);
        let challenge = request.challenge.into();
        let session = self.app.sign_in_totp(&actor, &challenge, &request.code, &device).await.map_err(Problem::from)?;
        let outcome = Some(sign_in_reply::Outcome::Session(convert::session(&session)));
        Ok(Response::new(SignInReply { outcome }))
    }

    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Result<Response<AuthenticateReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let realm = parse::realm(&actor, request.realm())?;
        let secret = request.session_secret.into();
        let found = self.app.authenticate(&actor, realm, &secret, &request.client_ip).await.map_err(Problem::from)?;
        Ok(Response::new(convert::authenticated(&actor, found, request.client_ip)))
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        self.app.sign_out(&actor, &request.session_secret.into()).await.map_err(Problem::from)?;
        Ok(Response::new(SignOutReply {}))
    }

    async fn sign_out_everywhere(
        &self,
        request: Request<SignOutEverywhereRequest>,
    ) -> Result<Response<SignOutEverywhereReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let revoked = self.app.sign_out_everywhere(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(SignOutEverywhereReply { revoked }))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let sessions = self.app.list_sessions(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(ListSessionsReply { sessions: sessions.iter().map(convert::session_info).collect() }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: SessionId = parse::id("session_id", &request.session_id)?;
        self.app.revoke_session(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(RevokeSessionReply {}))
    }

    async fn reauthenticate(
        &self,
        request: Request<ReauthenticateRequest>,
    ) -> Result<Response<ReauthenticateReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let (secret, password): (Secret, Secret) = (request.session_secret.into(), request.password.into());
        let at = self.app.reauthenticate(&actor, &secret, &password, &request.code).await.map_err(Problem::from)?;
        Ok(Response::new(ReauthenticateReply { authenticated_at: Some(convert::instant(at)) }))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let realm = parse::realm(&actor, request.realm())?;
        self.app.request_password_reset(&actor, realm, &request.email).await.map_err(Problem::from)?;
        Ok(Response::new(RequestPasswordResetReply {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let (token, password): (Secret, Secret) = (request.token.into(), request.password.into());
        let account = self.app.reset_password(&actor, &token, &password).await.map_err(Problem::from)?;
        Ok(Response::new(ResetPasswordReply { account_id: account.to_string() }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let (secret, current): (Secret, Secret) = (request.session_secret.into(), request.current_password.into());
        let session = self
            .app
            .change_password(&actor, &secret, &current, &request.new_password.into())
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(ChangePasswordReply { session: Some(convert::session(&session)) }))
    }

    async fn enrol_totp(&self, request: Request<EnrolTotpRequest>) -> Result<Response<EnrolTotpReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let enrolment = self.app.enrol_totp(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(EnrolTotpReply {
            secret: enrolment.secret.expose().to_owned(),
            otpauth_url: enrolment.url.expose().to_owned(),
        }))
    }

    async fn confirm_totp(&self, request: Request<ConfirmTotpRequest>) -> Result<Response<ConfirmTotpReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let secret = request.session_secret.into();
        let (codes, session) =
            self.app.confirm_totp(&actor, id, &secret, &request.code).await.map_err(Problem::from)?;
        Ok(Response::new(ConfirmTotpReply {
            recovery_codes: codes.iter().map(|code| code.expose().to_owned()).collect(),
            session: Some(convert::session(&session)),
        }))
    }

    async fn remove_totp(&self, request: Request<RemoveTotpRequest>) -> Result<Response<RemoveTotpReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        self.app.remove_totp(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(RemoveTotpReply {}))
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let account = self.app.get_account(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(convert::account(&account)))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let is_staff = parse::is_staff(request.realm())?;
        let page = request.page.unwrap_or_default();
        let found = self
            .app
            .list_accounts(&actor, is_staff, &request.query, &page.cursor, page.limit)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(ListAccountsReply {
            accounts: found.items.iter().map(convert::account).collect(),
            page: Some(PageReply { next_cursor: found.next }),
        }))
    }

    async fn get_setup(&self, request: Request<GetSetupRequest>) -> Result<Response<GetSetupReply>, Status> {
        actor(&request)?;
        Ok(Response::new(GetSetupReply { open: self.app.is_setup_open().await.map_err(Problem::from)? }))
    }

    async fn complete_setup(
        &self,
        request: Request<CompleteSetupRequest>,
    ) -> Result<Response<CompleteSetupReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let device = parse::device(&actor, request.device);
        let (token, password): (Secret, Secret) = (request.setup_token.into(), request.password.into());
        let session = self
            .app
            .complete_setup(&actor, &token, &request.email, &password, &request.display_name, &device)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(CompleteSetupReply {
            account_id: session.account.id.to_string(),
            enrolment: Some(convert::session(&session)),
        }))
    }

    async fn invite_staff(&self, request: Request<InviteStaffRequest>) -> Result<Response<InviteStaffReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let held = parse::held(&request.role, &request.brand_id)?;
        let account =
            self.app.invite_staff(&actor, &request.email, &request.display_name, held).await.map_err(Problem::from)?;
        Ok(Response::new(InviteStaffReply { account_id: account.to_string() }))
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Result<Response<ListRolesReply>, Status> {
        actor(&request)?;
        Ok(Response::new(ListRolesReply { roles: Role::ALL.into_iter().map(convert::role).collect() }))
    }

    async fn grant_role(&self, request: Request<GrantRoleRequest>) -> Result<Response<Grant>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let held = parse::held(&request.role, &request.brand_id)?;
        let granted = self.app.grant_role(&actor, id, held).await.map_err(Problem::from)?;
        Ok(Response::new(convert::grant(&granted)))
    }

    async fn revoke_grant(&self, request: Request<RevokeGrantRequest>) -> Result<Response<RevokeGrantReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: GrantId = parse::id("grant_id", &request.grant_id)?;
        self.app.revoke_grant(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(RevokeGrantReply {}))
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: AccountId = parse::id("account_id", &request.account_id)?;
        let grants = self.app.list_grants(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(ListGrantsReply { grants: grants.iter().map(convert::grant).collect() }))
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let expires_at = parse::instant("expires_at", request.expires_at)?;
        let new = self
            .app
            .create_api_key(&actor, &request.name, request.permissions, expires_at)
            .await
            .map_err(Problem::from)?;
        Ok(Response::new(CreateApiKeyReply {
            key: Some(convert::api_key(&new.key)),
            secret: new.secret.expose().to_owned(),
        }))
    }

    async fn list_api_keys(&self, request: Request<ListApiKeysRequest>) -> Result<Response<ListApiKeysReply>, Status> {
        let actor = actor(&request)?;
        let keys = self.app.list_api_keys(&actor).await.map_err(Problem::from)?;
        Ok(Response::new(ListApiKeysReply { keys: keys.iter().map(convert::api_key).collect() }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: ApiKeyId = parse::id("key_id", &request.key_id)?;
        self.app.revoke_api_key(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(RevokeApiKeyReply {}))
    }

    async fn authenticate_api_key(
        &self,
        request: Request<AuthenticateApiKeyRequest>,
    ) -> Result<Response<AuthenticateReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let (key, caller) =
            self.app.authenticate_api_key(&actor, &request.secret.into()).await.map_err(Problem::from)?;
        Ok(Response::new(convert::authenticated_key(&key, &caller, request.client_ip)))
    }

    async fn mint_mail_token(
        &self,
        request: Request<MintMailTokenRequest>,
    ) -> Result<Response<MintMailTokenReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let id: MailRequestId = parse::id("mail_request_id", &request.mail_request_id)?;
        let minted = self.app.mint_mail_token(&actor, id).await.map_err(Problem::from)?;
        Ok(Response::new(MintMailTokenReply {
            token: minted.token.expose().to_owned(),
            expires_at: Some(convert::instant(minted.expires_at)),
            account_id: minted.account.to_string(),
        }))
    }

    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let page = request.page.unwrap_or_default();
        let found = self.app.list_audit(&actor, &page.cursor, page.limit).await.map_err(Problem::from)?;
        Ok(Response::new(ListAuditReply {
            entries: found.items.iter().map(convert::audit_entry).collect(),
            page: Some(PageReply { next_cursor: found.next }),
        }))
    }

    async fn verify_audit(&self, request: Request<VerifyAuditRequest>) -> Result<Response<VerifyAuditReply>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let brand = parse::brand("brand_id", &request.brand_id)?;
        let verdict = self.app.verify_audit(&actor, brand).await.map_err(Problem::from)?;
        Ok(Response::new(VerifyAuditReply {
            intact: verdict.first_broken.is_none(),
            entries: verdict.entries.unsigned_abs(),
            first_broken_sequence: verdict.first_broken.unwrap_or(0).unsigned_abs(),
        }))
    }
}
