//! The forms we send: creation and the full state of an edit.
//!
//! An edit on this family is a replacement, not a patch: what is left out is reset. So every edit starts from a fresh
//! row, changes what is to change and sends everything.

use super::row;
use crate::driver::Secret;
use crate::driver::error::{PanelError, PermKind};
use crate::driver::model::{Expiry, LineSpec, LineState, OpTag, Output};
use crate::driver::rules::{check_credentials, check_limits};
use crate::driver::value::{self, ids_text};

/// Flags that count as set as soon as they are sent, whatever their value.
const PRESENCE_FLAGS: [&str; 5] = ["is_trial", "is_restreamer", ISP_LOCK, "is_stalker", "bypass_ua"];
/// Binds a line to the internet provider it is first used from.
const ISP_LOCK: &str = "is_isplock";
/// The one country a line plays from. A reseller key cannot write it: there it comes with the package.
const COUNTRY: &str = "forced_country";

/// Fields in the order in which they are sent.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// An action.
    #[must_use]
    pub fn action(name: &str) -> Self {
        Self(vec![("action".to_owned(), name.to_owned())])
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a list, one `name[]` per item.
    #[must_use]
    pub fn with_list<T: ToString>(mut self, name: &str, items: impl IntoIterator<Item = T>) -> Self {
        let name = format!("{name}[]");
        self.0.extend(items.into_iter().map(|item| (name.clone(), item.to_string())));
        self
    }

    /// The body, with the key in it and not in the address, so that it stays out of access logs.
    #[must_use]
    pub fn encode(&self, api_key: &Secret) -> String {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("api_key", api_key.expose());
        body.extend_pairs(&self.0);
        body.finish()
    }

    /// The field's value, for tests and for the call log of harmless fields.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn with_expiry(form: Form, expiry: Expiry) -> Form {
    match expiry {
        Expiry::Never => form.with("no_expire", 1),
        // A date string is read in the panel's zone; `@` and seconds is the same instant everywhere.
        Expiry::At(instant) => form.with("exp_date", format!("@{}", instant.timestamp())),
    }
}

/// `create_line` of the admin API.
///
/// # Errors
/// [`PermKind::InvalidInput`] before anything is sent.
pub fn admin_create(tag: &OpTag, line: &LineSpec) -> Result<Form, PanelError> {
    check_credentials(&line.username, &line.password)?;
    check_limits(line.connections, &line.outputs)?;
    let mut form =
        Form::action("create_line").with("username", &line.username).with("password", line.password.expose());
    form = with_expiry(form, line.expiry)
        .with("max_connections", line.connections)
        .with("enabled", 1)
        .with("admin_enabled", 1)
        .with("bouquets_selected", ids_text(&line.bouquets))
        .with_list("access_output", line.outputs.iter().map(|output| row::output_number(*output)))
        .with("admin_notes", tag);
    if let Some(package) = line.package.filter(|id| *id > 0) {
        form = form.with("package_id", package);
    }
    if line.trial {
        form = form.with("is_trial", 1);
    }
    if !line.country.is_empty() {
        form = form.with(COUNTRY, &line.country);
    }
    Ok(locked(form, line))
}

/// `create_line` of the reseller API: time and streams come with the package.
///
/// # Errors
/// [`PermKind::InvalidInput`] before anything is sent.
pub fn reseller_create(tag: &OpTag, line: &LineSpec) -> Result<Form, PanelError> {
    check_credentials(&line.username, &line.password)?;
    let package = line
        .package
        .filter(|id| *id > 0)
        .ok_or_else(|| PanelError::permanent(PermKind::BrokenMapping, "a reseller key needs the plan's package"))?;
    let mut form = Form::action("create_line")
        .with("package", package)
        .with("username", &line.username)
        .with("password", line.password.expose())
        .with("reseller_notes", tag)
        .with_list("bouquets_selected", &line.bouquets);
    if line.trial {
        form = form.with("trial", 1);
    }
    Ok(locked(form, line))
}

fn locked(form: Form, line: &LineSpec) -> Form {
    if line.isp_lock { form.with(ISP_LOCK, 1) } else { form }
}

/// What an edit changes; the rest is sent as it was read.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// New expiry.
    pub expiry: Option<Expiry>,
    /// New number of streams.
    pub connections: Option<u32>,
    /// New bouquets.
    pub bouquets: Option<Vec<i64>>,
    /// New formats.
    pub outputs: Option<Vec<Output>>,
    /// New package label.
    pub package: Option<i64>,
    /// New password.
    pub password: Option<Secret>,
    /// Whether it is bound to an internet provider from now on.
    pub isp_lock: Option<bool>,
    /// The one country it plays from, empty for any.
    pub country: Option<String>,
}

/// `edit_line` of the admin API: the fresh row with the change in it, whole.
///
/// # Errors
/// Refuses when the row does not say what would be lost by sending less.
pub fn admin_edit(tag: &OpTag, fresh: &LineState, change: &Change) -> Result<Form, PanelError> {
    let unreadable = |field: &str| {
        PanelError::permanent(PermKind::Conflict, format!("the panel did not show {field}; an edit would erase it"))
    };
    let raw = &fresh.raw.0;
    let password = change.password.as_ref().unwrap_or(&fresh.password);
    if password.is_empty() {
        return Err(unreadable("the password"));
    }
    let expiry = match (change.expiry, fresh.expires_at) {
        (Some(expiry), _) => expiry,
        (None, Some(at)) => Expiry::At(at),
        (None, None) => {
            return Err(PanelError::permanent(
                PermKind::Conflict,
                "the line never expires on the panel, which is not what was sold; set its expiry",
            ));
        }
    };
    let bouquets = change.bouquets.as_ref().or(fresh.bouquets.as_ref()).ok_or_else(|| unreadable("the bouquets"))?;
    let outputs = change.outputs.as_ref().or(fresh.outputs.as_ref()).ok_or_else(|| unreadable("the formats"))?;
    let connections = change.connections.unwrap_or(fresh.connections);
    if let Some(wanted) = change.connections {
        check_limits(wanted, outputs)?;
    }
    let texts = |name: &str| raw.get(name).and_then(value::texts);
    let text = |name: &str| raw.get(name).and_then(value::text).filter(|text| !text.is_empty());

    let mut form = Form::action("edit_line")
        .with("id", &fresh.id)
        .with("username", &fresh.username)
        .with("password", password.expose());
    form = with_expiry(form, expiry)
        .with("max_connections", connections)
        .with("enabled", u8::from(fresh.enabled))
        .with("admin_enabled", u8::from(!fresh.banned))
        .with("bouquets_selected", ids_text(bouquets))
        .with_list("access_output", outputs.iter().map(|output| row::output_number(*output)))
        .with_list("allowed_ips", texts("allowed_ips").ok_or_else(|| unreadable("the allowed addresses"))?)
        .with_list("allowed_ua", texts("allowed_ua").ok_or_else(|| unreadable("the allowed players"))?);
    if let Some(member) = fresh.member {
        form = form.with("member_id", member);
    }
    if let Some(package) = change.package.or(fresh.package) {
        form = form.with("package_id", package);
    }
    let notes = match text("admin_notes") {
        Some(notes) if fresh.has_tag(tag) => notes,
        Some(notes) => format!("{notes}\n{tag}"),
        None if fresh.has_tag(tag) => String::new(),
        None => tag.to_string(),
    };
    form = form.with("admin_notes", notes);
    for name in ["reseller_notes", "contact", "force_server_id", "isp_desc"] {
        if let Some(text) = text(name) {
            form = form.with(name, text);
        }
    }
    // A text that is left out stays, so a lock ends by sending it empty. What means the same stays as it is written.
    let country = change.country.clone().filter(|wanted| fresh.country.as_ref() != Some(wanted));
    if let Some(country) = country.or_else(|| text(COUNTRY)) {
        form = form.with(COUNTRY, country);
    }
    for name in PRESENCE_FLAGS {
        let was_set = raw.get(name).and_then(value::flag) == Some(true);
        if change.isp_lock.filter(|_| name == ISP_LOCK).unwrap_or(was_set) {
            form = form.with(name, 1);
        }
    }
    Ok(form)
}

/// `edit_line` of the reseller API without buying: everything it would blank is sent again.
#[must_use]
pub fn reseller_edit(tag: &OpTag, fresh: &LineState, password: &Secret) -> Form {
    let text = |name: &str| fresh.raw.0.get(name).and_then(value::text).unwrap_or_default();
    let notes = text("reseller_notes");
    let notes = match (notes.is_empty(), fresh.has_tag(tag)) {
        (_, true) => notes,
        (true, false) => tag.to_string(),
        (false, false) => format!("{notes}\n{tag}"),
    };
    let mut form = Form::action("edit_line")
        .with("id", &fresh.id)
        .with("username", &fresh.username)
        .with("password", password.expose())
        .with("reseller_notes", notes)
        .with("contact", text("contact"))
        .with_list("bouquets_selected", fresh.bouquets.iter().flatten());
    for name in ["allowed_ips", "allowed_ua"] {
        form = form.with_list(name, fresh.raw.0.get(name).and_then(value::texts).unwrap_or_default());
    }
    for name in [ISP_LOCK, "bypass_ua"] {
        if fresh.raw.0.get(name).and_then(value::flag) == Some(true) {
            form = form.with(name, 1);
        }
    }
    form
}
