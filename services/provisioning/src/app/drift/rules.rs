//! Rules: per panel, else per brand, else a person is asked.

use ottery_kernel::{BrandId, PanelId};
use ottery_kit::audit;
use ottery_kit::db::{self, Scope};
use ottery_kit::grpc::{Actor, Problem};
use serde_json::json;
use sqlx::postgres::PgTransaction;
use uuid::Uuid;

use crate::app::App;
use crate::domain::drift::{Kind, Rule};
use crate::store::drift_rule::{self, Row};
use crate::store::{drift_scan, panel};

/// The rules that hold for one panel.
pub struct Rules(Vec<Row>);

impl Rules {
    /// Reads them.
    pub async fn load(tx: &mut PgTransaction<'_>) -> sqlx::Result<Self> {
        drift_rule::all(tx).await.map(Self)
    }

    /// What is done with a difference.
    #[must_use]
    pub fn of(&self, panel: Uuid, kind: Kind) -> Rule {
        let rule = |panel: Uuid| {
            let row = self.0.iter().find(|row| row.panel_id == panel && row.kind == kind.as_str())?;
            Rule::parse(&row.action)
        };
        rule(panel).or_else(|| rule(Uuid::nil())).unwrap_or(Rule::Ask)
    }
}

/// Every rule of the brand.
///
/// # Errors
/// The database.
pub async fn all(app: &App, brand: BrandId) -> Result<Vec<Row>, Problem> {
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    let rows = drift_rule::all(&mut tx).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Sets a rule, of a panel or of the brand. It holds from the next scan on; what was decided stays decided.
///
/// # Errors
/// Names the field and the rule; no such panel.
pub async fn put(
    app: &App,
    actor: &Actor,
    brand: BrandId,
    panel: Option<PanelId>,
    (kind, action): (&str, &str),
) -> Result<Row, Problem> {
    let kind = kind_of("rule.kind", kind)?;
    let rule = Rule::parse(action).ok_or_else(|| {
        Problem::invalid("rule.action", "DRIFT_RULE_INVALID", "the action is one of repair, adopt, ignore and ask")
    })?;
    if !rule.fits(kind) {
        return Err(Problem::invalid(
            "rule.action",
            "DRIFT_STRANGER",
            "nothing is deleted or changed on a panel because nobody here knows it: a rule ignores strangers or asks",
        ));
    }
    let mut tx = db::begin(&app.pool, Scope::Brand(brand)).await?;
    if let Some(id) = panel
        && panel::get(&mut tx, id).await?.is_none()
    {
        return Err(Problem::not_found("PANEL_NOT_FOUND", format!("there is no panel {id} in this brand")));
    }
    let id = panel.map_or(Uuid::nil(), |id| id.as_uuid());
    let before =
        drift_rule::all(&mut tx).await?.into_iter().find(|row| row.panel_id == id && row.kind == kind.as_str());
    if let Some(row) = before.as_ref().filter(|row| row.action == rule.as_str()) {
        return Ok(row.clone());
    }
    let row = Row {
        panel_id: id,
        kind: kind.as_str().to_owned(),
        action: rule.as_str().to_owned(),
        updated_by: actor.subject.clone(),
        updated_at: drift_scan::now(&mut tx).await?,
    };
    drift_rule::put(&mut tx, brand, &row).await?;
    let target = panel.map_or_else(|| brand.to_string(), |panel| panel.to_string());
    let told = |row: &Row| json!({ "kind": row.kind, "action": row.action });
    audit::append(&mut tx, actor, "drift.rule", target, before.as_ref().map(told), Some(told(&row))).await?;
    tx.commit().await?;
    Ok(row)
}

/// A kind by its word.
///
/// # Errors
/// Names the field and the words.
pub fn kind_of(field: &'static str, text: &str) -> Result<Kind, Problem> {
    Kind::parse(text).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::as_str).join(", ");
        Problem::invalid(field, "DRIFT_KIND_INVALID", format!("the kind is one of {words}"))
    })
}
