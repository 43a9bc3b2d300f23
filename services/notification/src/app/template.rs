//! Wordings: looking at them, trying them, keeping a brand's own.

use ottery_kernel::{BrandId, Locale};
use ottery_kit::audit;
use ottery_kit::db::{Scope, begin};
use ottery_kit::grpc::Actor;
use serde_json::json;

use super::{App, AppError};
use crate::domain::defaults::{self, LANGUAGES, Wording};
use crate::domain::kind::Kind;
use crate::domain::render::{self, Rendered};
use crate::store::template::{self, Own};

/// A wording as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    /// Which mail.
    pub kind: Kind,
    /// Language tag.
    pub locale: String,
    /// What it says.
    pub wording: Wording,
    /// The brand's own, or the embedded one.
    pub is_own: bool,
    /// Of the brand's own; 0 for the embedded one.
    pub version: i64,
}

/// A wording somebody wrote.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which mail.
    pub name: String,
    /// Language tag.
    pub locale: String,
    /// What it says.
    pub wording: Wording,
}

impl Draft {
    fn checked(&self) -> Result<(Kind, String), AppError> {
        let kind = Kind::from_name(&self.name).ok_or(AppError::NotFound("template"))?;
        let locale: Locale = self.locale.parse().map_err(|error: ottery_kernel::LocaleError| AppError::Field {
            field: "template.locale",
            reason: error.to_string(),
        })?;
        Ok((kind, locale.to_string()))
    }
}

impl App {
    /// Every wording of a brand: its own, and the embedded ones where it has none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn templates(&self, brand: BrandId) -> Result<Vec<TemplateView>, AppError> {
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let own = template::list(&mut tx).await?;
        let mut views: Vec<TemplateView> = own
            .into_iter()
            .filter_map(|own| {
                let kind = Kind::from_name(&own.name)?;
                Some(TemplateView {
                    kind,
                    locale: own.locale,
                    wording: own.wording,
                    is_own: true,
                    version: own.version,
                })
            })
            .collect();
        for kind in Kind::ALL.iter().copied() {
            for language in LANGUAGES {
                let has_own = views.iter().any(|view| view.kind == kind && view.locale == language);
                if let Some(wording) = defaults::wording(kind, language).filter(|_| !has_own) {
                    let (locale, wording) = (language.to_owned(), wording.clone());
                    views.push(TemplateView { kind, locale, wording, is_own: false, version: 0 });
                }
            }
        }
        views.sort_by(|a, b| (a.kind.as_str(), &a.locale).cmp(&(b.kind.as_str(), &b.locale)));
        Ok(views)
    }

    /// Renders a draft with made-up values in the brand's frame.
    ///
    /// # Errors
    /// The draft does not become a mail; the error names field and line.
    pub async fn preview(&self, brand: BrandId, draft: &Draft) -> Result<Rendered, AppError> {
        let (kind, locale) = draft.checked()?;
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let profile = self.profile(&mut tx, brand).await?.ok_or(AppError::BrandUnknown)?;
        let values = render::sample(kind, &profile, self.config.public.base(&profile.host), &locale);
        Ok(render::render(&draft.wording, &values)?)
    }

    /// Keeps a brand's own wording when it renders; one without any words brings the embedded one back.
    /// `expected_version` is the version somebody read, 0 for the embedded one.
    ///
    /// # Errors
    /// It does not become a mail, or somebody else changed it.
    pub async fn put_template(
        &self,
        brand: BrandId,
        actor: &Actor,
        draft: Draft,
        expected_version: u64,
    ) -> Result<TemplateView, AppError> {
        let (kind, locale) = draft.checked()?;
        let words = &draft.wording;
        let is_reset = words.subject.is_empty() && words.body_text.is_empty() && words.body_html.is_empty();
        if !is_reset {
            self.preview(brand, &draft).await?;
        }
        let mut tx = begin(&self.pool, Scope::Brand(brand)).await?;
        let before = template::lock_version(&mut tx, kind, &locale).await?;
        if u64::try_from(before) != Ok(expected_version) {
            return Err(AppError::Changed(before));
        }
        let view = if is_reset {
            template::delete(&mut tx, kind, &locale).await?;
            let wording = defaults::wording(kind, &locale).or_else(|| defaults::wording(kind, "en"));
            let wording = wording.ok_or(AppError::NotFound("template"))?.clone();
            TemplateView { kind, locale: locale.clone(), wording, is_own: false, version: 0 }
        } else {
            let own = Own {
                name: kind.as_str().to_owned(),
                locale: locale.clone(),
                wording: draft.wording,
                version: before + 1,
            };
            template::put(&mut tx, brand, &own, self.clock().now()).await?;
            TemplateView { kind, locale: locale.clone(), wording: own.wording, is_own: true, version: own.version }
        };
        let target = format!("{}/{locale}", kind.as_str());
        let told = |version: i64| Some(json!({ "version": version }));
        audit::append(&mut tx, actor, "template.update", target, told(before), told(view.version)).await?;
        tx.commit().await?;
        Ok(view)
    }
}
