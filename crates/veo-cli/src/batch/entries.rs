//! The entries that the ledger of a batch has.

use std::collections::{HashMap, HashSet};

use veo_core::ledger::{Listed, Which};
use veo_core::{Client, JobRef};

use crate::batch::lines::Line;
use crate::failure::Failure;
use crate::store::Store;

/// What the ledger of a batch knows.
pub(super) struct Ledger {
    pub(super) entries: HashMap<String, Listed>,
}

impl Ledger {
    /// All of it, if it was begun where the providers are now. What is done at a simulator is not done at the provider.
    pub(super) async fn of(store: &Store, client: &Client) -> Result<Self, Failure> {
        let listed = store.list(Which::All).await?;
        let mut checked = HashSet::new();
        for listed in &listed {
            let (account, base_url) = (
                listed.job.as_ref().and_then(|job| job.split(':').next()),
                listed.base_url.as_deref(),
            );
            if !checked.insert((account, base_url)) {
                continue;
            }
            let Some(Ok(job)) = listed.job.as_ref().map(|job| job.parse::<JobRef>()) else {
                continue;
            };
            if let Err(error) = client.check_place(&job, base_url) {
                let next = "Correct the base URL, or give the file another name to begin anew; nothing was sent.";
                let failure = Failure::usage(format!("the batch was begun elsewhere: {error}"));
                return Err(failure.with_next(next));
            }
        }
        drop(checked);
        let mut entries = HashMap::with_capacity(listed.len());
        for listed in listed {
            entries.insert(listed.key.clone(), listed);
        }
        Ok(Self { entries })
    }

    /// The entry of a line, or the last of its further tries.
    pub(super) fn of_line(&self, line: &Line) -> Option<&Listed> {
        let tries = (2..).map_while(|number| self.entries.get(&format!("{}/{number}", line.key)));
        tries.last().or_else(|| self.entries.get(&line.key))
    }
}
