//! Fetching what a mail needs and nobody may keep.

use ottery_kernel::BrandId;
use ottery_kit::grpc::{CallContext, Code, Problem, Status};
use ottery_proto::billing::v1::MintPayLinkRequest;
use ottery_proto::billing::v1::dunning_service_client::DunningServiceClient;
use ottery_proto::identity::v1::MintMailTokenRequest;
use ottery_proto::identity::v1::identity_service_client::IdentityServiceClient;
use ottery_proto::provisioning::v1::RevealCredentialsRequest;
use ottery_proto::provisioning::v1::provisioning_service_client::ProvisioningServiceClient;

use super::App;
use crate::domain::mail::SecretNeeded;
use crate::domain::profile::outside;
use crate::domain::render::Credentials;
use crate::smtp::Fault;

/// What was fetched; it lives as long as the mail is composed.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Goes to the end of the link.
    pub token: Token,
    /// A line's.
    pub credentials: Option<Credentials>,
}

/// The token of a link; shows nothing of itself.
#[derive(Clone, Default)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// What is not there any more will not come back; everything else may.
fn fault(of: &str, status: &Status) -> Fault {
    let problem = Problem::from_status(status);
    let text = format!("{of}: {} ({})", problem.message, problem.reason);
    if problem.code == Code::NotFound { Fault::Never(text) } else { Fault::Later(text) }
}

impl App {
    pub(super) async fn secrets(&self, brand: BrandId, needed: &SecretNeeded) -> Result<Secrets, Fault> {
        let context = outside(brand).map_or_else(CallContext::service, CallContext::brand);
        match needed {
            SecretNeeded::None => Ok(Secrets::default()),
            SecretNeeded::LinkToken { request } => {
                let mut client = IdentityServiceClient::new(self.host.client_channel("identity").with(&context));
                let asked = MintMailTokenRequest { mail_request_id: request.clone() };
                let minted = client.mint_mail_token(asked).await.map_err(|status| fault("link", &status))?;
                Ok(Secrets { token: Token(minted.into_inner().token), credentials: None })
            }
            SecretNeeded::PayLink { invoice } => {
                let mut client = DunningServiceClient::new(self.host.client_channel("billing").with(&context));
                let asked = MintPayLinkRequest { invoice_id: invoice.clone() };
                let minted = client.mint_pay_link(asked).await.map_err(|status| fault("link to pay", &status))?;
                Ok(Secrets { token: Token(minted.into_inner().token), credentials: None })
            }
            SecretNeeded::Credentials { service } => {
                let mut client =
                    ProvisioningServiceClient::new(self.host.client_channel("provisioning").with(&context));
                let asked = RevealCredentialsRequest { service_id: service.clone() };
                let revealed =
                    client.reveal_credentials(asked).await.map_err(|status| fault("credentials", &status))?;
                let revealed = revealed.into_inner();
                let credentials = Credentials {
                    username: revealed.username,
                    password: revealed.password,
                    server_url: revealed.server_url,
                    playlist_url: revealed.playlist_url,
                    epg_url: revealed.epg_url,
                };
                Ok(Secrets { token: Token::default(), credentials: Some(credentials) })
            }
        }
    }
}
