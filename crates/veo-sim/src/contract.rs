//! The operations of both providers in the specifications.
//!
//! `contract.json` is written by `cargo xtask codegen` from `openapi/*.yaml`, so nothing here reads YAML.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

#[cfg(feature = "contract")]
use crate::check::RequestSchema;

/// All operations of both providers.
pub(crate) struct Contract {
    operations: Vec<Operation>,
}

/// One operation of a provider.
#[derive(Deserialize)]
pub(crate) struct Operation {
    /// The provider: `kie` or `uniall`.
    #[serde(skip)]
    pub(crate) provider: &'static str,
    /// The operation id of the specification, such as `record_info`.
    pub(crate) id: &'static str,
    /// The HTTP method in capitals.
    pub(crate) method: &'static str,
    /// The path with the names of its parameters, as in `/v1/videos/{task_id}`.
    pub(crate) path: &'static str,
    /// True if a call can cost money.
    pub(crate) billable: bool,
    #[cfg(feature = "contract")]
    #[serde(flatten)]
    request: RequestSchema,
}

#[derive(Deserialize)]
#[serde(bound = "'de: 'static")]
struct ProviderContract {
    operations: Vec<Operation>,
    #[cfg(feature = "contract")]
    #[serde(rename = "$defs")]
    definitions: serde_json::Value,
}

impl Contract {
    /// The one contract of the process.
    pub(crate) fn shared() -> &'static Contract {
        static SHARED: LazyLock<Contract> = LazyLock::new(|| {
            // A test finds every operation of the specifications in this text, so it can be read.
            let providers: BTreeMap<&'static str, ProviderContract> =
                serde_json::from_str(include_str!("contract.json")).unwrap_or_default();
            let mut operations = Vec::new();
            for (name, provider) in providers {
                for mut operation in provider.operations {
                    operation.provider = name;
                    #[cfg(feature = "contract")]
                    operation.request.define(&provider.definitions);
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

    /// Finds the operation of a request by its method in capitals and its path without the query.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        self.operations
            .iter()
            .find(|operation| operation.method == method && operation.is_at(path))
    }
}

impl Operation {
    /// Describes every difference of a request. Empty if the request fits, or without the feature `contract`.
    #[cfg(feature = "contract")]
    pub(crate) fn mismatches(
        &self,
        query: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Vec<String> {
        self.request.mismatches(query, content_type, body)
    }

    /// Describes the fields of a request that the specification does not have. Empty without the feature `contract`.
    #[cfg(feature = "contract")]
    pub(crate) fn unknown_fields(&self, query: &str, body: &[u8]) -> Vec<String> {
        self.request.unknown_fields(query, body)
    }

    #[cfg(not(feature = "contract"))]
    pub(crate) fn unknown_fields(&self, _query: &str, _body: &[u8]) -> Vec<String> {
        Vec::new()
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
        let wanted = self.path.split('/');
        let mut given = path.split('/');
        for wanted in wanted {
            let Some(given) = given.next() else {
                return false;
            };
            let is_parameter = wanted.starts_with('{') && !given.is_empty();
            if wanted != given && !is_parameter {
                return false;
            }
        }
        given.next().is_none()
    }
}
