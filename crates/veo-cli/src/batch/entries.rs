//! Finds the entries of a batch in its ledger.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use veo_core::ledger::{Listed, Which};
use veo_core::{Client, JobRef};

use crate::batch::lines::BatchLine;
use crate::failure::Failure;
use crate::store::Store;

pub(super) struct Entries(HashMap<Arc<str>, Listed>);

impl Entries {
    /// Lists the entries. Fails if the batch was begun at other addresses, such as a simulator's.
    pub(super) async fn of(
        store: &Store,
        lines: &[BatchLine],
        client: &Client,
    ) -> Result<Self, Failure> {
        let mut listed = store.list(Which::All).await?;
        if store.is_shared() {
            listed.retain(belongs_to(lines));
        }
        check_addresses(&listed, client)?;
        let mut entries = HashMap::with_capacity(listed.len());
        for listed in listed {
            entries.insert(listed.key.clone(), listed);
        }
        Ok(Self(entries))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Listed> {
        self.0.values()
    }

    /// The entry of the last try of a line. This entry decides whether the line may be sent.
    pub(super) fn of_line(&self, line: &BatchLine) -> Option<&Listed> {
        let mut last = self.0.get(&*line.key);
        for number in 2.. {
            match self.0.get(&*format!("{}/{number}", line.key)) {
                Some(further) => last = Some(further),
                None => break,
            }
        }
        last
    }
}

/// Returns a filter for the entries of these lines.
pub(super) fn belongs_to(lines: &[BatchLine]) -> impl Fn(&Listed) -> bool {
    let keys: HashSet<&str> = lines.iter().map(|line| &*line.key).collect();
    move |listed| keys.contains(first_key(&listed.key))
}

/// The key of a line, from the key of any of its tries.
fn first_key(key: &str) -> &str {
    match key.split_once('/') {
        Some((first, _)) => first,
        None => key,
    }
}

fn check_addresses(entries: &[Listed], client: &Client) -> Result<(), Failure> {
    let mut checked = HashSet::new();
    for listed in entries {
        let Some(job) = listed.job.as_deref() else {
            continue;
        };
        let account = job.split(':').next();
        let base_url = listed.base_url.as_deref();
        // Jobs with the same account and address need only one check.
        if !checked.insert((account, base_url)) {
            continue;
        }
        let Ok(job) = job.parse::<JobRef>() else {
            continue;
        };
        if let Err(error) = client.check_address(&job, base_url) {
            let next = "Correct the base URL, or give the file another name to start a new batch; nothing was sent.";
            let failure = Failure::usage(format!("the batch was begun elsewhere: {error}"));
            return Err(failure.with_next(next));
        }
    }
    Ok(())
}
