//! What became of each document, for people or for programs.

use std::collections::BTreeSet;

use operator::{Applied, ApplyError, Document, Mode};
use serde_json::{Value, json};

/// Collects what was done, and says it: a line at a time for people, one object in the end for programs.
pub struct Report {
    mode: Mode,
    is_json: bool,
    applied: Vec<Applied>,
}

impl Report {
    /// Nothing was done yet.
    pub fn new(mode: Mode, is_json: bool) -> Self {
        Self { mode, is_json, applied: Vec::new() }
    }

    /// One more document was applied.
    pub fn add(&mut self, applied: Applied) {
        if !self.is_json {
            println!("{}", self.line(&applied));
        }
        self.applied.push(applied);
    }

    /// As people read it. What would change matters before it is done; afterwards the name is enough.
    fn line(&self, applied: &Applied) -> String {
        let mut line = format!("{} {}", applied.what, applied.change);
        if self.mode.is_dry_run() {
            line.push_str(" (dry run)");
            for field in &applied.fields {
                line.push_str(&format!("\n  {field}"));
            }
        }
        line
    }

    /// Nothing more is done. Programs read what was; people did already.
    pub fn end(&self, error: Option<&anyhow::Error>) {
        if self.is_json {
            println!("{}", self.object(error));
        }
    }

    fn object(&self, error: Option<&anyhow::Error>) -> Value {
        let documents: Vec<Value> = self
            .applied
            .iter()
            .map(|one| {
                json!({
                    "document": one.what,
                    "file": one.place.source,
                    "number": one.place.number,
                    "id": Some(&one.id).filter(|id| !id.is_empty()),
                    "change": one.change,
                    "fields": one.fields,
                })
            })
            .collect();
        let error = error.map(|error| match error.downcast_ref::<ApplyError>() {
            Some(error) => json!({
                "file": error.place.source,
                "number": error.place.number,
                "document": error.what,
                "field": error.field,
                "code": error.cause.code(),
                "message": error.cause.to_string(),
            }),
            // Before a document was looked at: a file that is not there, a key that was not named.
            None => json!({ "code": "usage", "message": format!("{error:#}") }),
        });
        json!({ "ok": error.is_none(), "dry_run": self.mode.is_dry_run(), "documents": documents, "error": error })
    }

    /// The refusal, and how far it came.
    pub fn refused(&self, error: &ApplyError, documents: &[Document]) -> String {
        let done: BTreeSet<_> = self.applied.iter().map(|one| (&one.place.source, one.place.number)).collect();
        let open = documents
            .iter()
            .filter(|document| !done.contains(&(&document.place.source, document.place.number)))
            .filter(|document| document.place != error.place)
            .count();
        let applied = match (self.applied.as_slice(), self.mode) {
            (_, Mode::DryRun) => "nothing is changed by a dry run".to_owned(),
            ([], Mode::Apply) => "nothing was applied".to_owned(),
            (done, Mode::Apply) => {
                let names: Vec<String> = done.iter().map(|one| format!("{} {}", one.what, one.change)).collect();
                format!("before it: {}", names.join(", "))
            }
        };
        match open {
            0 => format!("{error} ({applied})"),
            open => format!("{error} ({applied}; not tried: {open} more)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use operator::apply::{Cause, Place};
    use operator::{Change, FieldChange};

    use super::*;

    fn place(number: usize) -> Place {
        Place { source: "shop.yaml".to_owned(), number }
    }

    fn applied(number: usize, what: &str, change: Change) -> Applied {
        let field = FieldChange {
            field: "spec.prices[0].amount".to_owned(),
            before: Some("7.99 EUR".to_owned()),
            after: Some("8.99 EUR".to_owned()),
        };
        let fields = if change == Change::Configured { vec![field] } else { Vec::new() };
        Applied { place: place(number), what: what.to_owned(), id: "pln_1".to_owned(), change, fields }
    }

    fn refusal() -> ApplyError {
        ApplyError {
            place: place(3),
            what: Some("plan/duo".to_owned()),
            field: Some("spec.name".to_owned()),
            cause: Cause::Invalid("needs 2 to 60 characters, has 1".to_owned()),
        }
    }

    #[test]
    fn people_read_a_line_per_document_and_the_fields_of_a_dry_run() {
        let solo = applied(2, "plan/solo", Change::Configured);
        assert_eq!(Report::new(Mode::Apply, false).line(&solo), "plan/solo configured");
        assert_eq!(
            Report::new(Mode::DryRun, false).line(&solo),
            "plan/solo configured (dry run)\n  spec.prices[0].amount: 7.99 EUR -> 8.99 EUR"
        );
    }

    #[test]
    fn a_refusal_says_what_was_applied_before_it() {
        let mut report = Report::new(Mode::Apply, true);
        report.add(applied(1, "brand/nord", Change::Created));
        report.add(applied(2, "plan/solo", Change::Unchanged));
        let said = report.refused(&refusal(), &[]);
        assert_eq!(
            said,
            "shop.yaml, document 3, plan/duo: spec.name: needs 2 to 60 characters, has 1 \
             (before it: brand/nord created, plan/solo unchanged)"
        );
        assert!(Report::new(Mode::Apply, true).refused(&refusal(), &[]).contains("(nothing was applied)"));
    }

    #[test]
    fn programs_read_one_object() {
        let mut report = Report::new(Mode::Apply, true);
        report.add(applied(2, "plan/solo", Change::Configured));
        let object = report.object(Some(&anyhow::Error::new(refusal()).context("and how far it came")));
        assert_eq!(object["ok"], false);
        assert_eq!(object["documents"][0]["change"], "configured");
        assert_eq!(object["documents"][0]["fields"][0]["after"], "8.99 EUR");
        assert_eq!(object["error"]["code"], "invalid");
        assert_eq!(object["error"]["number"], 3);
        assert!(report.object(None)["error"].is_null());
        assert_eq!(report.object(Some(&anyhow::anyhow!("no key")))["error"]["code"], "usage");
    }
}
