//! One tab: goes to pages, types and presses as a person would, and keeps everything the browser complains about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::chromium::{Event, Wire};

const LOAD_LIMIT: Duration = Duration::from_secs(30);
/// What happens by itself may have to be told twice on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Colours the system asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

pub struct Tab {
    wire: Arc<Wire>,
    session: String,
    events: Receiver<Arc<Event>>,
    complaints: Vec<String>,
    /// The browser's own name for the page being shown, and whether all of it is there.
    page: String,
    is_loaded: bool,
    /// Of the page being shown, names in small letters.
    headers: BTreeMap<String, String>,
    /// Of the page being shown.
    pub status: u16,
}

impl Tab {
    pub(super) async fn open(wire: Arc<Wire>) -> Self {
        let events = wire.events();
        let ask = async |method, params| wire.call("", method, params).await.unwrap();
        let context = ask("Target.createBrowserContext", json!({})).await;
        let wanted = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = ask("Target.createTarget", wanted).await;
        let wanted = json!({ "targetId": target["targetId"], "flatten": true });
        let session = ask("Target.attachToTarget", wanted).await["sessionId"].as_str().unwrap().to_owned();
        let tab = Self {
            wire,
            session,
            events,
            complaints: Vec::new(),
            page: String::new(),
            is_loaded: false,
            headers: BTreeMap::new(),
            status: 0,
        };
        for domain in ["Page", "Runtime", "Network", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({})).await;
        }
        tab.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true })).await;
        tab
    }

    pub async fn call(&self, method: &str, params: Value) -> Value {
        self.wire.call(&self.session, method, params).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Goes there; the status it was answered with.
    pub async fn goto(&mut self, url: &str) -> u16 {
        self.note_all();
        let answer = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(answer["errorText"], Value::Null, "{url}");
        self.loaded().await
    }

    /// Presses something that leads to another page.
    pub async fn press(&mut self, selector: &str) -> u16 {
        self.note_all();
        self.click(selector).await;
        self.loaded().await
    }

    /// Presses something that stays on the page, or leads away in more than one step.
    pub async fn click(&self, selector: &str) {
        let pressed: bool = self
            .eval(&format!(
                "(() => {{ const it = document.querySelector({}); it?.click(); return Boolean(it); }})()",
                quoted(selector)
            ))
            .await;
        assert!(pressed, "nothing to press at `{selector}` on {}", self.url().await);
    }

    pub async fn fill(&self, selector: &str, text: &str) {
        let filled: bool = self
            .eval(&format!(
                "(() => {{ const it = document.querySelector({}); if (it) it.value = {}; return Boolean(it); }})()",
                quoted(selector),
                quoted(text)
            ))
            .await;
        assert!(filled, "nothing to fill at `{selector}` on {}", self.url().await);
    }

    /// Sends the form around something as it stands, without the browser's own look at it.
    pub async fn send(&mut self, selector: &str) -> u16 {
        self.note_all();
        let form = format!("document.querySelector({}).closest('form')", quoted(selector));
        self.run(&format!("HTMLFormElement.prototype.submit.call({form})")).await;
        self.loaded().await
    }

    /// Sends a form of our own making from the page being shown, as somebody would who changed the page.
    pub async fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> u16 {
        self.note_all();
        let script = format!(
            "(() => {{ const form = document.createElement('form'); form.method = 'post'; form.action = {}; \
             for (const [name, value] of {}) {{ const field = document.createElement('textarea'); field.name = name; \
             field.value = value; form.append(field); }} document.body.append(form); HTMLFormElement.prototype.submit.call(form); }})()",
            quoted(action),
            json!(fields)
        );
        self.run(&script).await;
        self.loaded().await
    }

    /// The value of an expression; promises are waited for.
    pub async fn eval<T: DeserializeOwned>(&self, expression: &str) -> T {
        serde_json::from_value(self.run(expression).await).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    async fn run(&self, expression: &str) -> Value {
        let asked = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", asked).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{expression}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true, over as many pages as it takes.
    pub async fn until(&mut self, condition: &str) {
        let began = Instant::now();
        loop {
            let asked = json!({ "expression": format!("Boolean({condition})"), "returnByValue": true });
            // A page that is just being left has nothing to say.
            let answer = self.wire.call(&self.session, "Runtime.evaluate", asked).await.unwrap_or_default();
            if answer["result"]["value"] == true {
                self.note_all();
                return;
            }
            if began.elapsed() > PATIENCE {
                let text: String = self.eval("document.body.innerText").await;
                panic!("`{condition}` never became true on {}:\n{text}", self.url().await);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A header of the page being shown; empty when it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The cookie of that name for the page being shown, as the browser keeps it.
    pub async fn cookie(&self, name: &str) -> Value {
        let all = self.call("Network.getCookies", json!({})).await;
        let found = all["cookies"].as_array().unwrap().iter().find(|cookie| cookie["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("no cookie {name} among {}", all["cookies"]))
    }

    /// Takes certificates that nobody vouches for.
    pub async fn trust_everybody(&self) {
        self.call("Security.setIgnoreCertificateErrors", json!({ "ignore": true })).await;
    }

    pub async fn url(&self) -> String {
        self.eval("location.href").await
    }

    /// What people read on the page.
    pub async fn text(&self) -> String {
        self.eval("document.body.innerText").await
    }

    pub async fn size(&self, width: u32, height: u32) {
        let wanted = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", wanted).await;
    }

    pub async fn scheme(&self, scheme: Scheme) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// From now on such addresses have nothing to show, so that the page that leads there by itself can be looked at.
    pub async fn stay_away_from(&self, addresses: &str) {
        let (mut events, wire, session) = (self.wire.events(), self.wire.clone(), self.session.clone());
        self.call("Fetch.enable", json!({ "patterns": [{ "urlPattern": addresses }] })).await;
        tokio::spawn(async move {
            while let Ok(event) = events.recv().await {
                if event.session == session && event.method == "Fetch.requestPaused" {
                    // A browser that is told that there is no content stays where it is.
                    let nothing = json!({ "requestId": event.params["requestId"], "responseCode": 204 });
                    let _ = wire.call(&session, "Fetch.fulfillRequest", nothing).await;
                }
            }
        });
    }

    /// Everything may be shown again.
    pub async fn go_anywhere(&self) {
        self.call("Fetch.disable", json!({})).await;
    }

    /// Whether pages may run scripts from the next page on.
    pub async fn scripts(&self, are_allowed: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !are_allowed })).await;
    }

    /// A PNG of the window, or of the whole page.
    pub async fn picture(&self, is_whole: bool) -> Vec<u8> {
        let answer =
            self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": is_whole })).await;
        STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }

    /// Everything the browser complained about since the last time: scripts, the security policy, parts that did not load.
    pub fn complaints(&mut self) -> Vec<String> {
        self.note_all();
        std::mem::take(&mut self.complaints)
    }

    /// Waits until another page than the one that was there is loaded.
    async fn loaded(&mut self) -> u16 {
        let before = self.page.clone();
        let loaded = async {
            while self.page == before || !self.is_loaded {
                let event = self.events.recv().await.expect("a browser that goes on talking");
                self.note(&event);
            }
        };
        tokio::time::timeout(LOAD_LIMIT, loaded).await.expect("a page that loads in time");
        self.status
    }

    fn note_all(&mut self) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.note(&event),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
                Err(TryRecvError::Lagged(_)) => panic!("more events between two looks than are kept"),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        if event.session != self.session {
            return;
        }
        let params = &event.params;
        match event.method.as_str() {
            "Page.frameNavigated" if params["frame"]["parentId"].is_null() => {
                self.page = params["frame"]["loaderId"].as_str().unwrap_or_default().to_owned();
                self.is_loaded = false;
            }
            "Page.lifecycleEvent" if params["name"] == "load" && params["loaderId"] == self.page.as_str() => {
                self.is_loaded = true;
            }
            "Network.responseReceived" => {
                let status = params["response"]["status"].as_u64().unwrap_or_default();
                if params["type"] == "Document" {
                    let headers = params["response"]["headers"].as_object().into_iter().flatten();
                    self.headers = headers
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap_or_default().to_owned()))
                        .collect();
                    self.status = u16::try_from(status).unwrap_or_default();
                } else if status >= 400 {
                    self.complaints.push(format!("{} answered {status}", params["response"]["url"]));
                }
            }
            "Network.loadingFailed" if params["canceled"] != true && params["errorText"] != "net::ERR_ABORTED" => {
                self.complaints.push(format!("a part did not load: {}", params["errorText"]));
            }
            "Runtime.exceptionThrown" => {
                self.complaints.push(format!("a script failed: {}", params["exceptionDetails"]));
            }
            "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "assert" | "warning")) => {
                self.complaints.push(format!("the console says: {}", params["args"]));
            }
            // What did not load is told by the network as well, and there with its status.
            "Log.entryAdded" if params["entry"]["level"] == "error" && params["entry"]["source"] != "network" => {
                self.complaints.push(format!("{}: {}", params["entry"]["source"], params["entry"]["text"]));
            }
            _ => {}
        }
    }
}

/// Text as it stands in a script.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
