//! The rules for a specification. Without them, the generator could lose a part of it silently.

mod document;
mod example;
mod operation;
mod report;
mod schema;

use report::Findings;

use crate::spec::{Problem, Spec};

type Rule = fn(&Spec, &mut Findings);

/// The rules in stages. A stage runs only if the stages before it have found no problem.
const STAGES: [&[Rule]; 5] = [
    &[document::version],
    &[document::references],
    &[document::structure],
    &[
        document::keywords,
        document::nulls,
        document::key,
        document::servers,
        operation::paths,
        operation::operations,
        operation::bodies,
        schema::components,
        schema::uses,
    ],
    &[example::examples],
];

/// Returns the problems of the first stage that has any. If no stage has one, the client can be generated.
pub(crate) fn lint(spec: &Spec) -> Vec<Problem> {
    for stage in STAGES {
        let mut report = Findings::new(spec);
        for rule in stage {
            rule(spec, &mut report);
        }
        if !report.problems.is_empty() {
            return report.problems;
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::spec::{GOOD, SPECS};

    /// An edit that breaks [`GOOD`] in one place.
    #[derive(Deserialize)]
    struct Fault {
        /// The text that is replaced. Without it, the whole file is replaced.
        edit: Option<String>,
        to: String,
        /// The pointer to the problem.
        at: String,
        says: String,
    }

    fn problems(text: &str) -> Vec<String> {
        match Spec::parse("openapi/test.yaml", text) {
            Ok(spec) => lint(&spec).iter().map(ToString::to_string).collect(),
            Err(problem) => vec![problem.to_string()],
        }
    }

    #[test]
    fn a_correct_specification_has_no_problems() {
        assert_eq!(problems(GOOD), [""; 0]);
    }

    #[test]
    fn every_fault_is_reported_with_its_place_and_remedy() {
        let faults: Vec<Fault> = serde_saphyr::from_str(include_str!("faults.yaml")).unwrap();
        for Fault { edit, to, at, says } in faults {
            let edit = edit.as_deref().unwrap_or(GOOD);
            assert!(GOOD.contains(edit), "good.yaml does not have {edit:?}");
            let found = problems(&GOOD.replacen(edit, &to, 1));
            let place = format!("openapi/test.yaml at {at}: ");
            let is_wanted =
                |problem: &String| problem.starts_with(&place) && problem.contains(&says);
            assert!(
                found.iter().any(is_wanted),
                "{edit:?} -> {to:?}\nwanted {place}... {says}\nfound {found:#?}",
            );
        }
    }

    #[test]
    fn our_specifications_have_no_problems() {
        let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (name, _) in SPECS {
            let text = std::fs::read_to_string(workspace.join("openapi").join(name)).unwrap();
            assert_eq!(problems(&text), [""; 0], "{name}");
        }
    }
}
