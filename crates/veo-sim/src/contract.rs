//! The operations of both providers, as the specifications have them.
//!
//! `contract.json` is written by `cargo xtask codegen` from `openapi/*.yaml`, so nothing here reads YAML.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[cfg(feature = "contract")]
use crate::check::Expected;

/// All operations of both providers.
pub(crate) struct Contract {
    operations: Vec<Operation>,
}

/// One operation of a provider.
#[derive(Deserialize)]
pub(crate) struct Operation {
    /// `kie` or `uniall`.
    #[serde(skip)]
    pub(crate) provider: &'static str,
    /// The operation id of the specification, such as `record_info`.
    pub(crate) id: &'static str,
    /// In capitals.
    pub(crate) method: &'static str,
    /// With the names of its parameters, as in `/v1/videos/{task_id}`.
    pub(crate) path: &'static str,
    /// Whether a call can cost money.
    pub(crate) billable: bool,
    #[cfg(feature = "contract")]
    #[serde(flatten)]
    expected: Expected,
}

/// The form of `contract.json`: this for each provider.
#[derive(Deserialize)]
#[serde(bound = "'de: 'static")]
struct Provider {
    operations: Vec<Operation>,
    #[cfg(feature = "contract")]
    #[serde(rename = "$defs")]
    definitions: serde_json::Value,
}

impl Contract {
    /// The one contract of the process. It never changes.
    pub(crate) fn shared() -> &'static Contract {
        static SHARED: LazyLock<Contract> = LazyLock::new(|| {
            // The text is part of the program, and a test finds every operation of the specifications in it.
            let providers: BTreeMap<&'static str, Provider> =
                serde_json::from_str(include_str!("contract.json")).unwrap_or_default();
            let mut operations = Vec::new();
            for (name, provider) in providers {
                for mut operation in provider.operations {
                    operation.provider = name;
                    #[cfg(feature = "contract")]
                    operation.expected.define(&provider.definitions);
                    operations.push(operation);
                }
            }
            Contract { operations }
        });
        &SHARED
    }

    /// All operations, provider by provider, in the order of the specifications.
    pub(crate) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operation that a request is for, by its method in capitals and its path without the query.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.method == method && operation.is_at(path))
    }
}

impl Operation {
    /// Every way in which a request does not fit, in sentences; nothing if it fits, or if nobody checks.
    #[cfg(feature = "contract")]
    pub(crate) fn mismatches(
        &self,
        query: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Vec<String> {
        self.expected.mismatches(query, content_type, body)
    }

    #[cfg(not(feature = "contract"))]
    pub(crate) fn mismatches(
        &self,
        _query: &str,
        _content_type: Option<&str>,
        _body: &[u8],
    ) -> Vec<String> {
        Vec::new()
    }

    fn is_at(&self, path: &str) -> bool {
        let fits = |(wanted, given): (&str, &str)| {
            wanted == given || wanted.starts_with('{') && !given.is_empty()
        };
        self.path.split('/').count() == path.split('/').count()
            && self.path.split('/').zip(path.split('/')).all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::is_about;

    /// Otherwise a scenario about paid requests would leave it out, and a test would not count it.
    #[test]
    fn whatever_can_cost_money_is_a_submit_or_an_upgrade() {
        for operation in Contract::shared().operations() {
            let is_in_group = ["submit", "upgrade"]
                .into_iter()
                .any(|group| is_about(group, operation.id));
            assert_eq!(is_in_group, operation.billable, "{}", operation.id);
        }
    }
}
