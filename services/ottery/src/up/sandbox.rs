//! The simulated surroundings of the demo: a panel, a payment provider, a mail sink.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use ottery_sandbox::{AccountSpec, PanelSpec, PaymentsSpec, Sandbox, SandboxConfig};
use toml::Value;

use super::Setting;
use super::entrance::Entrance;
use super::state::{DataFolder, SandboxState};

impl SandboxState {
    fn address(&self, n: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports[n]).into()
    }

    /// Admin API of the panel, below its access code.
    pub fn panel_url(&self) -> String {
        format!("http://{}/{}", self.address(0), self.panel_code)
    }

    /// Where players connect.
    pub fn player_url(&self) -> String {
        format!("http://{}", self.address(0))
    }

    /// The payment provider's API.
    pub fn payments_url(&self) -> String {
        format!("http://{}", self.address(1))
    }

    /// Where mails can be read.
    pub fn mail_url(&self) -> String {
        format!("http://{}/", self.address(3))
    }

    /// The control API.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.address(4))
    }
}

/// What the surroundings consist of: the demo's panel and provider, and the operator's own panels beside them. What they
/// know survives in a journal.
pub fn config(wanted: &SandboxState, folder: &DataFolder, own: Option<SandboxConfig>) -> SandboxConfig {
    let demo = PanelSpec { code: wanted.panel_code.clone(), api_key: wanted.panel_key.clone(), ..PanelSpec::default() };
    let panels = std::iter::once(demo).chain(own.into_iter().flat_map(|own| own.panels)).collect();
    SandboxConfig {
        panel_listen: wanted.address(0),
        payments_listen: wanted.address(1),
        smtp_listen: wanted.address(2),
        mail_listen: wanted.address(3),
        control_listen: wanted.address(4),
        journal: Some(folder.join("sandbox.journal")),
        panels,
        payments: PaymentsSpec {
            accounts: vec![AccountSpec {
                id: "acct_demo".to_owned(),
                name: "Demo merchant".to_owned(),
                api_key: wanted.payments_key.clone(),
                webhook_url: None,
                webhook_secrets: vec![wanted.webhook_secret.clone()],
            }],
            ..PaymentsSpec::default()
        },
        ..SandboxConfig::default()
    }
}

/// Starts the surroundings in this process.
///
/// # Errors
/// A port that was taken meanwhile.
pub async fn start(
    wanted: &SandboxState,
    folder: &DataFolder,
    own: Option<SandboxConfig>,
) -> anyhow::Result<ottery_sandbox::Running> {
    Sandbox::start(config(wanted, folder, own)).await.with_context(|| {
        format!(
            "cannot start the sandbox on its ports {:?}; free them, or delete `sandbox` from {}",
            wanted.ports,
            folder.join("state.toml").display()
        )
    })
}

/// Settings of services that talk to the surroundings: loopback is closed to them otherwise.
pub fn overrides(wanted: &SandboxState, entrance: Entrance) -> Vec<Setting> {
    let loopback = || Value::Array(vec![Value::String("127.0.0.0/8".to_owned())]);
    vec![
        ("provisioning.http.allow", loopback()),
        ("billing.allow_networks", loopback()),
        // Everybody who tries a demo out comes from this machine; the gateway's own limit (240 an hour) stays.
        ("identity.sign_ups_per_address_per_hour", Value::Integer(240)),
        ("notification.smtp.host", Value::String("127.0.0.1".to_owned())),
        ("notification.smtp.port", Value::Integer(wanted.ports[2].into())),
        ("notification.smtp.tls", Value::String("none".to_owned())),
        ("notification.public.scheme", Value::String(entrance.scheme().to_owned())),
        ("notification.public.port", Value::Integer(entrance.address.port().into())),
        ("notification.platform.host", Value::String("127.0.0.1".to_owned())),
    ]
}
