//! Pieces that pages are made of: facts, tables, forms, notes. A page lists its pieces; one template draws them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::idempotency::IdempotencyKey;
use crate::problem::Refusal;

/// How something is meant; colour is never the only sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    #[default]
    Neutral,
    /// Worth a look.
    Info,
    /// As it should be.
    Good,
    /// Needs attention.
    Warn,
    /// Wrong, or destructive.
    Bad,
}

impl Tone {
    /// As CSS class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Info => "info",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A link that says where it leads.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// What it says.
    pub label: String,
    /// Where it leads.
    pub href: String,
    /// The page being shown.
    pub is_current: bool,
}

impl Link {
    /// A link.
    pub fn new(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self { label: label.into(), href: href.into(), is_current: false }
    }
}

/// One value in a table or a list of facts.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Smaller, below.
    pub note: String,
    /// Where it leads; empty for nowhere.
    pub href: String,
    /// Class: empty, `number`, `code`.
    pub class: &'static str,
    /// Shown as a badge of this tone.
    pub badge: Option<Tone>,
    /// With a button that copies it.
    pub is_copied: bool,
}

impl Cell {
    /// Plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number or amount: aligned, tabular figures.
    pub fn number(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "number", ..Self::default() }
    }

    /// An id, address or other text for machines.
    pub fn code(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "code", ..Self::default() }
    }

    /// A state.
    pub fn badge(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), badge: Some(tone), ..Self::default() }
    }

    /// Leads there.
    #[must_use]
    pub fn to(self, href: impl Into<String>) -> Self {
        Self { href: href.into(), ..self }
    }

    /// With a smaller line below.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// With a button that copies it.
    #[must_use]
    pub fn copied(self) -> Self {
        Self { is_copied: true, ..self }
    }
}

/// Rows of equal things.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Heading; empty when the page's title says it.
    pub title: String,
    /// Heads of the columns; the class aligns them.
    pub columns: Vec<Cell>,
    /// Cells by row.
    pub rows: Vec<Vec<Cell>>,
    /// Said instead of an empty table.
    pub empty: String,
    /// What one does first; absent when there is nothing to do.
    pub first: Option<Link>,
    /// The following page.
    pub next: String,
}

impl Table {
    /// A table without rows yet.
    pub fn new(title: impl Into<String>, columns: &[&str], empty: impl Into<String>) -> Self {
        let column = |name: &&str| match name.strip_prefix('#') {
            Some(name) => Cell::number(name),
            None => Cell::text(*name),
        };
        Self {
            title: title.into(),
            columns: columns.iter().map(column).collect(),
            empty: empty.into(),
            ..Self::default()
        }
    }

    /// With these rows.
    #[must_use]
    pub fn rows(self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        Self { rows: rows.into_iter().collect(), ..self }
    }

    /// With a first action for when it is empty.
    #[must_use]
    pub fn first(self, link: Link) -> Self {
        Self { first: Some(link), ..self }
    }

    /// With the way to the following page, when there is one.
    #[must_use]
    pub fn next(self, base: &str, cursor: &str) -> Self {
        if cursor.is_empty() {
            return self;
        }
        let cursor: String = form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        let mark = if base.contains('?') { '&' } else { '?' };
        Self { next: format!("{base}{mark}cursor={cursor}"), ..self }
    }
}

/// How much of a row a field takes on wide screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// All of it.
    #[default]
    Whole,
    /// Half, beside its neighbour.
    Half,
    /// A quarter, as one of the parts of one thing.
    Quarter,
}

impl Width {
    /// As CSS class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Half => "half",
            Self::Quarter => "quarter",
        }
    }
}

/// One input of a form.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// Name, also how services call it in problems.
    pub name: String,
    /// What it asks for.
    pub label: String,
    /// `text`, `email`, `password`, `number`, `textarea`, `select`, `checkbox`, `hidden`, `color`, `datetime-local`.
    pub kind: &'static str,
    /// What is in it.
    pub value: String,
    /// Below it.
    pub help: String,
    /// What is wrong with it.
    pub error: String,
    /// Whether it must be filled.
    pub is_required: bool,
    /// Value of the `autocomplete` attribute.
    pub autocomplete: &'static str,
    /// Value of the `inputmode` attribute: which keys a phone shows.
    pub inputmode: &'static str,
    /// Values and labels of a select.
    pub options: Vec<(String, String)>,
    /// Rows of a textarea.
    pub rows: u32,
    /// Shows what kind of value is expected.
    pub placeholder: String,
    /// How much of a row it takes.
    pub width: Width,
}

impl Field {
    /// A field of this kind.
    pub fn new(kind: &'static str, name: impl Into<String>, label: impl Into<String>) -> Self {
        Self { kind, name: name.into(), label: label.into(), rows: 5, ..Self::default() }
    }

    /// One line of text.
    pub fn text(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self::new("text", name, label)
    }

    /// Never shown, always sent.
    pub fn hidden(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new("hidden", name, "").value(value)
    }

    /// A choice.
    pub fn select(name: impl Into<String>, label: impl Into<String>, options: Vec<(String, String)>) -> Self {
        Self { options, ..Self::new("select", name, label) }
    }

    /// Yes or no; yes is sent as `on`.
    pub fn check(name: impl Into<String>, label: impl Into<String>, is_on: bool) -> Self {
        Self::new("checkbox", name, label).value(if is_on { "on" } else { "" })
    }

    /// A secret.
    pub fn password(name: impl Into<String>, label: impl Into<String>, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..Self::new("password", name, label) }
    }

    /// The code of a second factor.
    pub fn code(name: impl Into<String>, label: impl Into<String>) -> Self {
        Self { autocomplete: "one-time-code", inputmode: "numeric", ..Self::text(name, label) }
    }

    /// Holds this.
    #[must_use]
    pub fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    /// Explains.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// Shows an example.
    #[must_use]
    pub fn example(self, placeholder: impl Into<String>) -> Self {
        Self { placeholder: placeholder.into(), ..self }
    }

    /// Must be filled.
    #[must_use]
    pub fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// Stands beside its neighbour on wide screens.
    #[must_use]
    pub fn half(self) -> Self {
        Self { width: Width::Half, ..self }
    }

    /// One of the parts of one thing, all in a row on wide screens.
    #[must_use]
    pub fn quarter(self) -> Self {
        Self { width: Width::Quarter, ..self }
    }

    /// Whether leaving it empty is worth a word: a choice is always made, and the parts of one thing are left out together.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        !self.is_required && self.width != Width::Quarter && !matches!(self.kind, "select" | "color")
    }

    /// Whether the option is the chosen one.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.value == option
    }
}

/// Something a person sends.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Heading.
    pub title: String,
    /// What it does, or what follows from it.
    pub intro: String,
    /// Where it goes.
    pub action: String,
    /// Its inputs.
    pub fields: Vec<Field>,
    /// What the button says.
    pub submit: String,
    /// Of the button.
    pub tone: Tone,
    /// Folded away behind this text; empty: shown.
    pub folded_as: String,
    /// What is wrong with the whole.
    pub error: String,
    /// `get` for filters.
    pub is_get: bool,
    /// It sends a file.
    pub is_file: bool,
}

impl Form {
    /// A form.
    pub fn new(title: impl Into<String>, action: impl Into<String>, submit: impl Into<String>) -> Self {
        Self { title: title.into(), action: action.into(), submit: submit.into(), ..Self::default() }
    }

    /// With an explanation.
    #[must_use]
    pub fn intro(self, intro: impl Into<String>) -> Self {
        Self { intro: intro.into(), ..self }
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// With more fields.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Its button in this tone.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Folded away until asked for, because it should not be pressed by accident.
    #[must_use]
    pub fn folded(self, summary: impl Into<String>) -> Self {
        Self { folded_as: summary.into(), ..self }
    }

    /// With a key, so that sending it twice moves money once.
    #[must_use]
    pub fn keyed(self) -> Self {
        self.field(Field::hidden("idempotency_key", IdempotencyKey::fresh()))
    }

    /// Shows again what was sent, and what is wrong with it.
    #[must_use]
    pub fn refused(mut self, failed: Option<&Failed>) -> Self {
        let Some(failed) = failed.filter(|failed| failed.action == self.action || failed.action.is_empty()) else {
            return self;
        };
        self.folded_as.clear();
        for field in &mut self.fields {
            if field.kind != "password"
                && let Some(sent) = failed.sent.find(&field.name)
            {
                sent.clone_into(&mut field.value);
            } else if field.kind == "checkbox" {
                field.value.clear();
            }
        }
        let named = failed.refusal.field.as_deref().unwrap_or_default();
        let wrong = self
            .fields
            .iter_mut()
            .find(|field| !named.is_empty() && field.kind != "hidden" && is_named(&field.name, named));
        match wrong {
            Some(field) => field.error = sentence(&failed.refusal.detail),
            None => self.error = sentence(&failed.refusal.detail),
        }
        self
    }

    /// The id of one of its inputs: several forms of a page may ask for the same.
    #[must_use]
    pub fn id_of(&self, field: &Field) -> String {
        let form = self.action.rsplit('/').next().unwrap_or_default();
        format!("{form}-{}", field.name)
    }

    /// Whether any field is wrong.
    #[must_use]
    pub fn wrong(&self) -> Vec<&Field> {
        self.fields.iter().filter(|field| !field.error.is_empty()).collect()
    }
}

/// Services name fields by their path in a message, forms by its last part.
fn is_named(field: &str, path: &str) -> bool {
    field == path
        || path.rsplit('.').next() == Some(field)
        || path.strip_prefix("brand.").is_some_and(|rest| rest == field)
}

/// The text with a capital letter and a full stop, and with quotation marks in the place of those for machines.
#[must_use]
pub fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let text: String = parts
        .map(|(at, part)| match at {
            0 => part.to_owned(),
            _ if at % 2 == 1 => format!("“{part}"),
            _ => format!("”{part}"),
        })
        .collect();
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}

/// A form that was sent and refused.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which form; empty when the page has one only.
    pub action: String,
    /// What was sent.
    pub sent: Sent,
    /// Why not.
    pub refusal: Refusal,
}

/// What a form sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Vec<(String, String)>")]
pub struct Sent(BTreeMap<String, String>);

impl From<Vec<(String, String)>> for Sent {
    fn from(pairs: Vec<(String, String)>) -> Self {
        // No browser sends a NUL, and no database keeps one.
        Self(pairs.into_iter().map(|(name, value)| (name, value.replace('\0', ""))).collect())
    }
}

impl Sent {
    /// What was sent under this name, without surrounding space; empty when nothing was.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.find(name).map(str::trim).unwrap_or_default()
    }

    /// Exactly what was sent, when it was.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Exactly what was sent: passwords may begin with a space.
    #[must_use]
    pub fn raw(&self, name: &str) -> String {
        self.find(name).unwrap_or_default().to_owned()
    }

    /// What was sent, as a string of its own.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.get(name).to_owned()
    }

    /// Whether a checkbox was on.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }

    /// A whole number; empty counts as zero.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn number<T: std::str::FromStr + Default>(&self, name: &str) -> Result<T, Refusal> {
        match self.get(name) {
            "" => Ok(T::default()),
            text => text.parse().map_err(|_| {
                Refusal::invalid(name, "number_invalid", format!("`{text}` is not a number that fits here"))
            }),
        }
    }

    /// The parts of a list written with commas, spaces or lines between them.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        self.get(name)
            .split([',', '\n', ' ', '\r'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The lines that hold something.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        self.get(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The key made when the form was shown.
    ///
    /// # Errors
    /// 400 when the form lost it.
    pub fn key(&self) -> Result<IdempotencyKey, Refusal> {
        IdempotencyKey::parse(self.get("idempotency_key"))
    }

    /// Every name and value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Something to know before reading on.
#[derive(Clone, Debug)]
pub struct Note {
    /// How it is meant.
    pub tone: Tone,
    /// What it is.
    pub title: String,
    /// What it means.
    pub text: String,
    /// What to do.
    pub link: Option<Link>,
    /// What can be done right here: the button's text, and where it is sent.
    pub press: Option<(String, String)>,
}

/// A number worth a place at the top.
#[derive(Clone, Debug)]
pub struct Stat {
    /// What is counted.
    pub label: String,
    /// How much.
    pub value: String,
    /// As of when, of what.
    pub note: String,
    /// Where the rest is; empty for nowhere.
    pub href: String,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who wrote it.
    pub author: String,
    /// When.
    pub at: String,
    /// What.
    pub text: String,
    /// `theirs`, `ours`, `internal`.
    pub side: &'static str,
}

/// One step on the way.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens in it.
    pub title: String,
    /// How it stands, in words.
    pub text: String,
    /// `done`, `now`, `next`, `wait`, `bad`.
    pub state: &'static str,
    /// When it was done.
    pub at: String,
}

impl Step {
    /// How it stands, for those who do not see the mark.
    #[must_use]
    pub fn spoken(&self) -> &'static str {
        match self.state {
            "done" => "Done",
            "now" => "In progress",
            "wait" => "Waiting",
            "bad" => "Needs attention",
            _ => "Not started",
        }
    }
}

/// A piece of a page.
#[derive(Clone, Debug)]
pub enum Block {
    /// Names and values.
    Facts(String, Vec<(String, Cell)>),
    /// Rows.
    Table(Table),
    /// Inputs.
    Form(Form),
    /// A notice.
    Note(Note),
    /// Numbers.
    Stats(Vec<Stat>),
    /// A conversation.
    Thread(Vec<Message>),
    /// A way with steps.
    Steps(String, Vec<Step>),
    /// Forms of one button each, side by side.
    Actions(Vec<Form>),
    /// A QR code as SVG path in a square of so many units, and the text it holds.
    Code(QrCode),
    /// Codes to keep.
    Codes(Vec<String>),
    /// A sample of a brand's look: the address of its style sheet is in the page's frame.
    Sample,
}

/// A QR code.
#[derive(Clone, Debug)]
pub struct QrCode {
    /// Side of the square, in modules, with its quiet zone.
    pub side: i32,
    /// SVG path of the dark modules.
    pub path: String,
    /// For typing in by hand.
    pub secret: String,
    /// A link a wallet opens; empty for the key of an authenticator.
    pub link: String,
    /// Read by banks' apps.
    pub is_transfer: bool,
}

impl Block {
    /// A notice.
    pub fn note(tone: Tone, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Note(Note { tone, title: title.into(), text: text.into(), link: None, press: None })
    }

    /// A notice with something to do.
    pub fn advice(tone: Tone, title: impl Into<String>, text: impl Into<String>, link: Link) -> Self {
        Self::Note(Note { tone, title: title.into(), text: text.into(), link: Some(link), press: None })
    }

    /// A notice with a button.
    pub fn offer(
        tone: Tone,
        title: impl Into<String>,
        text: impl Into<String>,
        press: (impl Into<String>, impl Into<String>),
    ) -> Self {
        let press = Some((press.0.into(), press.1.into()));
        Self::Note(Note { tone, title: title.into(), text: text.into(), link: None, press })
    }

    /// Names and values; empty values are left out.
    pub fn facts(title: impl Into<String>, facts: Vec<(&str, Cell)>) -> Self {
        let kept = facts.into_iter().filter(|(_, cell)| !cell.text.is_empty());
        Self::Facts(title.into(), kept.map(|(name, cell)| (name.to_owned(), cell)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_form_keeps_what_was_sent_and_names_the_field() {
        let sent =
            Sent::from(vec![("email".to_owned(), "a@b".to_owned()), ("password".to_owned(), "secret".to_owned())]);
        let failed = Failed {
            action: "/x".into(),
            sent,
            refusal: Refusal::invalid("account.email", "email_invalid", "this is no e-mail address"),
        };
        let form = Form::new("", "/x", "Go")
            .field(Field::new("email", "email", "E-mail"))
            .field(Field::password("password", "Password", "new-password"))
            .refused(Some(&failed));
        assert_eq!(form.fields[0].value, "a@b");
        assert_eq!(form.fields[0].error, "This is no e-mail address.");
        assert_eq!(form.fields[1].value, "", "a password is never sent back");
        assert!(form.error.is_empty());
    }

    #[test]
    fn two_forms_that_ask_for_the_same_have_different_ids() {
        let field = Field::new("email", "email", "E-mail");
        let (one, other) = (Form::new("", "/checkout/account", "Go"), Form::new("", "/checkout/sign-in", "Go"));
        assert_eq!(one.id_of(&field), "account-email");
        assert_ne!(one.id_of(&field), other.id_of(&field));
    }

    #[test]
    fn what_services_say_becomes_a_sentence() {
        assert_eq!(sentence("`a lot` is no amount; write `10.00`"), "“a lot” is no amount; write “10.00”.");
        assert_eq!(sentence("not now!"), "Not now!");
    }

    #[test]
    fn a_problem_without_a_field_belongs_to_the_whole_form() {
        let failed = Failed { action: String::new(), sent: Sent::default(), refusal: Refusal::denied("no", "not now") };
        assert_eq!(Form::new("", "/x", "Go").refused(Some(&failed)).error, "Not now.");
    }
}
