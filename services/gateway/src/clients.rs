//! The services behind the gateway. Each call names on whose behalf it is made.

use ottery_kit::Host;
use ottery_kit::grpc::{CallContext, Channel};
use ottery_proto::affiliate::v1::affiliate_service_client::AffiliateServiceClient;
use ottery_proto::analytics::v1::analytics_service_client::AnalyticsServiceClient;
use ottery_proto::billing::v1::billing_service_client::BillingServiceClient;
use ottery_proto::billing::v1::dunning_service_client::DunningServiceClient;
use ottery_proto::billing::v1::gift_service_client::GiftServiceClient;
use ottery_proto::billing::v1::reseller_service_client::ResellerServiceClient;
use ottery_proto::billing::v1::screening_service_client::ScreeningServiceClient;
use ottery_proto::billing::v1::time_machine_service_client::TimeMachineServiceClient;
use ottery_proto::catalog::v1::catalog_service_client::CatalogServiceClient;
use ottery_proto::identity::v1::identity_service_client::IdentityServiceClient;
use ottery_proto::notification::v1::notification_service_client::NotificationServiceClient;
use ottery_proto::provisioning::v1::provisioning_service_client::ProvisioningServiceClient;
use ottery_proto::support::v1::support_service_client::SupportServiceClient;

/// Channels to every service; connect when first used.
#[derive(Clone, Debug)]
pub struct Clients {
    identity: Channel,
    catalog: Channel,
    billing: Channel,
    provisioning: Channel,
    support: Channel,
    affiliate: Channel,
    analytics: Channel,
    notification: Channel,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $client:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(&self, context: &CallContext) -> $client<Channel> {
            $client::new(self.$name.with(context))
        }
    )*};
}

impl Clients {
    /// Channels of this process.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        Self {
            identity: host.client_channel("identity"),
            catalog: host.client_channel("catalog"),
            billing: host.client_channel("billing"),
            provisioning: host.client_channel("provisioning"),
            support: host.client_channel("support"),
            affiliate: host.client_channel("affiliate"),
            analytics: host.client_channel("analytics"),
            notification: host.client_channel("notification"),
        }
    }

    /// Campaigns, held suspensions and links to pay: billing's as well.
    #[must_use]
    pub fn dunning(&self, context: &CallContext) -> DunningServiceClient<Channel> {
        DunningServiceClient::new(self.billing.with(context))
    }

    /// Codes that are given away or sold: billing's as well.
    #[must_use]
    pub fn gifts(&self, context: &CallContext) -> GiftServiceClient<Channel> {
        GiftServiceClient::new(self.billing.with(context))
    }

    /// Resellers and their clients: billing's as well.
    #[must_use]
    pub fn resellers(&self, context: &CallContext) -> ResellerServiceClient<Channel> {
        ResellerServiceClient::new(self.billing.with(context))
    }

    /// Who may have a trial: billing's as well.
    #[must_use]
    pub fn screening(&self, context: &CallContext) -> ScreeningServiceClient<Channel> {
        ScreeningServiceClient::new(self.billing.with(context))
    }

    /// What would happen: billing's as well.
    #[must_use]
    pub fn time_machine(&self, context: &CallContext) -> TimeMachineServiceClient<Channel> {
        TimeMachineServiceClient::new(self.billing.with(context))
    }

    clients! {
        /// Accounts, sessions, roles, audit.
        identity: IdentityServiceClient;
        /// Brands and plans.
        catalog: CatalogServiceClient;
        /// Orders, subscriptions, invoices, payments, ledger.
        billing: BillingServiceClient;
        /// Panels and services.
        provisioning: ProvisioningServiceClient;
        /// Tickets.
        support: SupportServiceClient;
        /// Referrals and commissions.
        affiliate: AffiliateServiceClient;
        /// Recurring revenue.
        analytics: AnalyticsServiceClient;
        /// Mail.
        notification: NotificationServiceClient;
    }
}
