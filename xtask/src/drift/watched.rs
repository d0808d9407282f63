//! `openapi/pages.yaml`: the pages that are read, and the accepted differences from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// The path of the file in the workspace.
pub(super) const FILE: &str = "openapi/pages.yaml";

/// The pages of one provider, and the accepted differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// The index, which links to all other pages.
    pub(super) index: Option<String>,
    /// The folders whose links in the index count as facts.
    #[serde(default)]
    pub(super) watch: Vec<String>,
    /// The pages in the order of trust. If two pages state the same fact, the first page wins.
    pub(super) pages: Vec<Watched>,
    #[serde(default)]
    pub(super) accept: Vec<Accepted>,
}

/// A page that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    pub(super) url: String,
    /// The place that the page is about, if nothing on the page names it.
    pub(super) place: Option<String>,
    /// The only place whose facts count. The other places are about another model.
    pub(super) only: Option<String>,
    /// The alternative of the request body that the page is about.
    pub(super) model: Option<String>,
}

/// An accepted difference between the pages and our specification, with the reason.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepted {
    pub(super) at: String,
    pub(super) what: String,
    /// The documented value. Null if the pages state none.
    #[serde(default)]
    pub(super) documented: Value,
    pub(super) why: String,
}

/// Reads the file. The error is a sentence about what is wrong with it.
pub(super) fn read(workspace: &Path) -> Result<BTreeMap<String, Provider>, String> {
    let text = std::fs::read_to_string(workspace.join(FILE))
        .map_err(|error| format!("{FILE} cannot be read: {error}\n"))?;
    parse(&text)
}

pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Provider>, String> {
    let providers: BTreeMap<String, Provider> =
        serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
            .map_err(|error| format!("{FILE}: {}\n", error.without_snippet()))?;
    for (name, provider) in &providers {
        let pages = provider.pages.iter().map(|page| &page.url);
        let mut seen = BTreeSet::new();
        for url in pages.chain(&provider.index) {
            if !is_plain(url) {
                return Err(format!(
                    "{FILE}: {url} of {name} is no plain https address; write one without a query\n"
                ));
            }
            if !seen.insert(url) {
                return Err(format!("{FILE}: {url} of {name} is listed twice\n"));
            }
        }
        for accepted in &provider.accept {
            if accepted.why.trim().is_empty() {
                let at = &accepted.at;
                return Err(format!("{FILE}: say why {at} is accepted\n"));
            }
        }
    }
    Ok(providers)
}

/// Returns whether an address is a plain https address that is also a safe path below a folder.
fn is_plain(url: &str) -> bool {
    let is_word = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !word.is_empty() && !word.starts_with('.') && word.chars().all(is_plain)
    };
    let path = url.strip_prefix("https://");
    path.is_some_and(|path| path.contains('/') && path.split('/').all(is_word))
}
