//! A sandbox on free ports and small clients for it.

use ottery_sandbox::{PackageSpec, PanelSpec, ResellerSpec, Running, Sandbox, SandboxConfig};
use serde_json::{Value, json};

pub const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";
pub const API_PASS: &str = "let-me-in";
pub const RESELLER_KEY: &str = "fedcba9876543210fedcba9876543210";

/// The panel of the golden transcripts.
pub fn config() -> SandboxConfig {
    let mut panel = PanelSpec {
        code: "PANELCODE".into(),
        api_key: ADMIN_KEY.into(),
        api_pass: API_PASS.into(),
        resellers: vec![ResellerSpec { api_key: RESELLER_KEY.into(), credits: 10.0, ..ResellerSpec::default() }],
        ..PanelSpec::default()
    };
    panel.packages.retain(|package: &PackageSpec| package.id != 3);
    panel.streams.retain(|stream| stream.id == 101);
    for bouquet in &mut panel.bouquets {
        bouquet.streams.retain(|stream| *stream == 101);
    }
    let mut config = SandboxConfig { panels: vec![panel], seed: Some(1), ..SandboxConfig::default() };
    config.payments.webhook_retry_ms = 50;
    config.payments.processing_ms = 50;
    config
}

pub struct Playground {
    pub running: Running,
    pub http: reqwest::Client,
}

pub async fn start() -> Playground {
    start_with(config()).await
}

pub async fn start_with(config: SandboxConfig) -> Playground {
    rustls::crypto::ring::default_provider().install_default().ok();
    let running = Sandbox::start(config).await.expect("the sandbox starts");
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    Playground { running, http }
}

impl Playground {
    pub fn panel(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addresses().panel)
    }

    pub fn payments(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addresses().payments)
    }

    pub async fn control(&self, path: &str, body: Value) -> Value {
        let url = format!("http://{}/control/{path}", self.running.addresses().control);
        let answer = self.http.post(url).json(&body).send().await.expect("control answers");
        let status = answer.status();
        let body: Value = answer.json().await.expect("control answers JSON");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub async fn look(&self, path: &str) -> Value {
        let url = format!("http://{}/control/{path}", self.running.addresses().control);
        self.http.get(url).send().await.expect("control answers").json().await.expect("control answers JSON")
    }

    pub async fn fault(&self, target: &str, action: &str, kind: &str, times: u64) {
        let rule = json!({"target": target, "action": action, "kind": kind, "times": times, "delay_ms": 200});
        self.control("faults", rule).await;
    }

    /// An admin action; an error when there was no answer.
    pub async fn admin(&self, form: &[(&str, &str)]) -> Result<Value, reqwest::Error> {
        self.call_panel("PANELCODE", ADMIN_KEY, form).await
    }

    pub async fn reseller(&self, form: &[(&str, &str)]) -> Result<Value, reqwest::Error> {
        self.call_panel("PANELCODER", RESELLER_KEY, form).await
    }

    async fn call_panel(&self, code: &str, key: &str, form: &[(&str, &str)]) -> Result<Value, reqwest::Error> {
        let mut all = vec![("api_key", key)];
        all.extend_from_slice(form);
        let answer = self.http.post(self.panel(&format!("/{code}/"))).form(&all).send().await?;
        let text = answer.text().await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}
