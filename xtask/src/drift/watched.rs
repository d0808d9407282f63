//! `openapi/pages.yaml`: which pages are read, and which differences from them are accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// The file, below the workspace.
pub(super) const FILE: &str = "openapi/pages.yaml";

/// What is read of one provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// The page that links to all others.
    pub(super) index: Option<String>,
    /// The folders whose pages in the index are facts.
    #[serde(default)]
    pub(super) watch: Vec<String>,
    /// The pages, in the order of trust: where two state the same, the first is right.
    pub(super) pages: Vec<Watched>,
    #[serde(default)]
    pub(super) accept: Vec<Accepted>,
}

/// A page that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    pub(super) url: String,
    /// The place that the page is about, where nothing in it names that.
    pub(super) place: Option<String>,
    /// The place whose facts count; the others are of another model.
    pub(super) only: Option<String>,
    /// The alternative of the body that the page is about.
    pub(super) model: Option<String>,
}

/// A difference between what is documented and our specification, with the reason for it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Accepted {
    pub(super) at: String,
    pub(super) what: String,
    /// What is documented; nothing where nothing is.
    #[serde(default)]
    pub(super) documented: Value,
    pub(super) why: String,
}

/// Reads the file.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(workspace: &Path) -> Result<BTreeMap<String, Provider>, String> {
    let text = std::fs::read_to_string(workspace.join(FILE))
        .map_err(|error| format!("{FILE} cannot be read: {error}\n"))?;
    parse(&text)
}

/// Parses the text of the file.
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
                return Err(format!("{FILE}: {url} of {name} stands there twice\n"));
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

/// Whether an address can be asked, and be a path of a folder that does not leave it.
fn is_plain(url: &str) -> bool {
    let is_word = |word: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !word.is_empty() && !word.starts_with('.') && word.chars().all(is_plain)
    };
    let path = url.strip_prefix("https://");
    path.is_some_and(|path| path.contains('/') && path.split('/').all(is_word))
}
