//! Looks at one page after the other: in every size, in light and in dark, folded and unfolded.

use std::path::PathBuf;

use serde_json::Value;

use crate::browser::{Scheme, Tab};

/// The phone most people have, a desktop window, and the narrowest that a page must still fit (WCAG 1.4.10).
const SIZES: [(u32, u32); 3] = [(1280, 900), (390, 844), (NARROWEST, 640)];
const NARROWEST: u32 = 320;
const SCHEMES: [Scheme; 2] = [Scheme::Light, Scheme::Dark];
/// What audits share, and two of them: of the page in a window of some width, and of its colours.
const WORDS: &str = include_str!("words.js");
const LAYOUT: &str = include_str!("layout.js");
const COLOURS: &str = include_str!("colours.js");
const UNFOLD: &str = "document.querySelectorAll('details').forEach((it) => { it.open = true; })";
const FOLD: &str = "document.querySelectorAll('details').forEach((it) => { it.open = false; })";

/// A walk through the pages of one address.
pub struct Walk {
    pub tab: Tab,
    /// `http://host:port`
    pub origin: String,
    /// What was wrong, with its page.
    pub wrong: Vec<String>,
    /// How many pages were looked at.
    pub seen: usize,
}

impl Walk {
    pub fn new(tab: Tab, origin: String) -> Self {
        Self { tab, origin, wrong: Vec::new(), seen: 0 }
    }

    /// Goes to a page and looks at it.
    pub async fn look(&mut self, name: &str, path: &str) {
        self.look_as(name, path, 200).await;
    }

    /// The same for a page that is not answered with 200.
    pub async fn look_as(&mut self, name: &str, path: &str, status: u16) {
        self.visit(path).await;
        self.here(name, status).await;
    }

    pub async fn visit(&mut self, path: &str) -> u16 {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.origin) };
        self.tab.goto(&url).await
    }

    /// Looks at the page being shown.
    pub async fn here(&mut self, name: &str, status: u16) {
        self.seen += 1;
        let mut wrong = Vec::new();
        if self.tab.status != status {
            wrong.push(format!("answered {} instead of {status}", self.tab.status));
        }
        for (width, height) in SIZES {
            self.tab.size(width, height).await;
            wrong.extend(self.found(LAYOUT, width, &format!("{width} px")).await);
            self.tab.eval::<Value>(UNFOLD).await;
            wrong.extend(self.found(LAYOUT, width, &format!("{width} px, unfolded")).await);
            self.tab.eval::<Value>(FOLD).await;
            self.keep(name, width).await;
        }
        let (width, height) = SIZES[0];
        self.tab.size(width, height).await;
        for scheme in SCHEMES {
            self.tab.scheme(scheme).await;
            wrong.extend(self.found(COLOURS, width, scheme.name()).await);
        }
        wrong.extend(self.tab.complaints());
        let url = self.tab.url().await;
        self.wrong.extend(wrong.into_iter().map(|what| format!("{name} ({url}): {what}")));
    }

    async fn found(&self, audit: &str, width: u32, when: &str) -> Vec<String> {
        let found: Vec<String> = self.tab.eval(&format!("{{ {WORDS} ({audit})({width}) }}")).await;
        found.into_iter().map(|what| format!("{when}: {what}")).collect()
    }

    /// With `OTTERY_GALLERY=<folder>` every page is kept there, to be looked at.
    async fn keep(&self, name: &str, width: u32) {
        let Some(folder) = folder("OTTERY_GALLERY").filter(|_| width != NARROWEST) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        for scheme in SCHEMES {
            self.tab.scheme(scheme).await;
            let file = folder.join(format!("{name}-{width}-{}.png", scheme.name()));
            std::fs::write(file, self.tab.picture(true).await).unwrap();
        }
    }
}

/// A folder that somebody named for pictures; from the root of the repository when it is not absolute.
pub fn folder(variable: &str) -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::env::var_os(variable).map(|folder| PathBuf::from(root).join(folder))
}
