//! Compares the documented facts with our specification. Requests must be equal, and replies must be readable.
//!
//! A request is closed, so every difference counts: if we are stricter than the page, we refuse valid requests, and if
//! we are looser, we send invalid ones. A reply is open, so a difference counts only if we could not read a documented
//! value. `x-basis` says where a fact comes from. A fact without `x-basis` has to be documented. A fact whose `x-basis`
//! is `observed` or `inferred` must not be documented.
//!
//! A [`Surface`] has the facts of each place of an API. A place is an operation, or a field of a request or of a reply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::changes::described;
use super::documented::{Pages, file};
use super::watched::{Accepted, FILE, Provider};
use crate::spec::{Spec, list};
use crate::surface::{self, Facts, Side, Surface};
use crate::value;

/// The facts of a request that have to be equal.
const OF_REQUESTS: [&str; 15] = [
    "default",
    "deprecated",
    "enum",
    "format",
    "maximum",
    "maxItems",
    "maxLength",
    "media",
    "minimum",
    "minItems",
    "minLength",
    "multipleOf",
    "pattern",
    "required",
    "type",
];

/// The name of a difference: we have the place, and no page has it.
const UNDOCUMENTED: &str = "gone";
/// The name of a difference: a page has the place, and we do not.
const LACKING: &str = "lacking";
/// The name of a difference: we have fields of a body, and no page names any field of it.
const FIELDS: &str = "fields";

/// A difference between a documented fact and ours.
#[derive(Debug, PartialEq)]
struct Difference {
    at: String,
    /// The fact that differs, or [`UNDOCUMENTED`], [`LACKING`] or [`FIELDS`].
    what: String,
    documented: Value,
    ours: Value,
}

/// The problems of a provider. There are none if each difference is accepted.
pub(super) fn problems(spec: &Spec, pages: &Pages, provider: &Provider) -> Vec<String> {
    let ours = Surface::of(&spec.root);
    let documented = Documented::of(pages);
    let mut differences = documented.against(&ours);
    let mut problems = Vec::new();
    for accepted in &provider.accept {
        let found = differences.iter().position(|it| it.is(accepted));
        match found {
            Some(index) => drop(differences.remove(index)),
            None => problems.push(stale(accepted, &documented)),
        }
    }
    for difference in differences {
        problems.push(difference.problem(&spec.file));
    }
    for at in outdated_marks(&ours, &documented) {
        problems.push(format!(
            "{} at {at}: this is documented now; remove x-basis, or set it to documented\n",
            spec.file
        ));
    }
    let known: BTreeSet<&String> = provider.pages.iter().map(|page| &page.url).collect();
    for (url, _) in pages {
        if !known.contains(url) && provider.index.as_ref() != Some(url) {
            let file = file(spec.provider());
            problems.push(format!(
                "{file}: {FILE} does not have {url}; add it there, or run cargo xtask drift --accept\n"
            ));
        }
    }
    problems
}

/// The problem of an accepted difference that no longer exists, with its block in the file, which has to be deleted.
fn stale(accepted: &Accepted, documented: &Documented) -> String {
    let Accepted { at, what, .. } = accepted;
    let is_fact = what != UNDOCUMENTED && what != LACKING && what != FIELDS;
    let now = match documented.facts.get(at) {
        None => "nothing is documented there".to_owned(),
        Some(facts) if is_fact => {
            let value = facts.get(what.as_str()).and_then(Option::as_ref);
            format!("{what} is documented as {}", value::shown(value))
        }
        Some(_) => "it is documented there".to_owned(),
    };
    format!(
        "{FILE}: this difference no longer exists, {now}; delete\n{}",
        block(at, what, &accepted.documented, &accepted.why)
    )
}

/// An accepted difference as a block of the file.
fn block(at: &str, what: &str, documented: &Value, why: &str) -> String {
    let mut text = format!("    - at: {at}\n      what: {what}\n");
    if !documented.is_null() {
        text.push_str(&format!("      documented: {documented}\n"));
    }
    text.push_str(&format!("      why: {why}\n"));
    text
}

impl Difference {
    fn is(&self, accepted: &Accepted) -> bool {
        (&self.at, &self.what, &self.documented)
            == (&accepted.at, &accepted.what, &accepted.documented)
    }

    fn problem(&self, file: &str) -> String {
        let Self { at, what, .. } = self;
        let documented = value::shown(Some(&self.documented));
        let ours = value::shown(Some(&self.ours));
        let text = match (what.as_str(), surface::side(at)) {
            (UNDOCUMENTED, Side::Operation) => "no page documents this operation".to_owned(),
            (UNDOCUMENTED, _) => "no page has this".to_owned(),
            (FIELDS, _) => "no page says what is in this".to_owned(),
            (LACKING, Side::Operation) => "this is documented, and we lack it".to_owned(),
            (LACKING, _) => format!("this is documented ({documented}), and we lack it"),
            _ => format!("{what} is documented as {documented}, ours is {ours}"),
        };
        let way_out = match what.as_str() {
            UNDOCUMENTED | FIELDS => "remove it, name its source with x-basis",
            _ => "change the specification",
        };
        format!(
            "{file} at {at}: {text}; {way_out}, or accept it in {FILE}:\n{}",
            block(at, what, &self.documented, "...")
        )
    }
}

/// The documented facts of a place. `None` means that a page of this kind would state the fact, and does not. A missing
/// key means that no page would state the fact.
type Stated = BTreeMap<String, Option<Value>>;

/// The facts that all pages of a provider state together.
struct Documented {
    facts: BTreeMap<String, Stated>,
    /// The places of `facts`, without their facts.
    places: Surface,
}

impl Documented {
    fn of(pages: &Pages) -> Self {
        let mut facts: BTreeMap<String, Stated> = BTreeMap::new();
        let mut places = Surface::default();
        for (_, page) in pages {
            if page.format == "index" {
                continue;
            }
            for (at, stated) in &page.surface.places {
                places.places.entry(at.clone()).or_default();
                let facts = facts.entry(at.clone()).or_default();
                for (what, value) in stated {
                    facts
                        .entry(what.clone())
                        .or_insert_with(|| Some(value.clone()));
                }
                for what in OF_REQUESTS {
                    let is_covered = match &page.covers {
                        None => true,
                        Some(covers) => covers.contains(what),
                    };
                    if is_covered {
                        facts.entry(what.to_owned()).or_insert(None);
                    }
                }
            }
        }
        Self { facts, places }
    }

    fn against(&self, ours: &Surface) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (at, facts) in &self.facts {
            match ours.facts(&ours_of(at, ours)) {
                Some(own) => self.compare(at, facts, own, ours, &mut differences),
                None => differences.extend(self.missing_from_ours(at, facts, ours)),
            }
        }
        differences.extend(self.beyond(ours));
        differences
    }

    /// The places in our specification that no page has, although they count as documented.
    fn beyond(&self, ours: &Surface) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut said = BTreeSet::new();
        for at in surface::missing_from(ours, &self.places) {
            let (operation, part) = surface::split(at);
            // Pages do not have the default reply, and have no separate entry for the items of a list.
            let needs_no_page = part.starts_with("default") || at.ends_with("[]");
            if needs_no_page || !is_documented(ours, at) || self.is_documented_elsewhere(at, ours) {
                continue;
            }
            let above = surface::parent(at).unwrap_or(operation);
            // A field of a body is directly below the body, as in `200.data`.
            let is_field_of_body = above != operation && surface::parent(above) == Some(operation);
            let (at, what) = match is_field_of_body && !self.places.has_parts(above) {
                true => (above, FIELDS),
                false => (at, UNDOCUMENTED),
            };
            // A body without any documented field, and a property at several places, are each reported once.
            let origin = ours.origins.get(at).map_or(at, String::as_str);
            if said.insert(origin) {
                differences.push(Difference {
                    at: at.to_owned(),
                    what: what.to_owned(),
                    documented: Value::Null,
                    ours: Value::Null,
                });
            }
        }
        differences
    }

    /// Returns whether the property of a schema at this place is documented at another place.
    fn is_documented_elsewhere(&self, at: &str, ours: &Surface) -> bool {
        let Some(origin) = ours.origins.get(at) else {
            return false;
        };
        let mut same = ours.origins.iter().filter(|(_, other)| *other == origin);
        same.any(|(at, _)| self.facts.contains_key(at))
    }

    /// The difference for a documented place that we lack. `None` if we lack its container too, or accept any content
    /// in it.
    fn missing_from_ours(&self, at: &str, facts: &Stated, ours: &Surface) -> Option<Difference> {
        let above = surface::parent(at).map(|above| ours_of(above, ours));
        if let Some(above) = above {
            let facts = ours.facts(&above)?;
            let accepts_all = surface::types(facts).is_empty() || facts.contains_key("x-rust-type");
            if accepts_all && surface::side(&above) != Side::Operation {
                return None;
            }
        }
        let mut documented = Value::Null;
        if surface::side(at) != Side::Operation {
            let stated = facts.iter();
            let stated = stated.filter_map(|(what, value)| Some((what.clone(), value.clone()?)));
            documented = json!(described(&Value::Object(stated.collect())));
        }
        Some(Difference {
            at: at.to_owned(),
            what: LACKING.to_owned(),
            documented,
            ours: Value::Null,
        })
    }

    fn compare(
        &self,
        at: &str,
        facts: &Stated,
        own: &Facts,
        ours: &Surface,
        differences: &mut Vec<Difference>,
    ) {
        // A fact that comes from another source may differ from the pages.
        if !is_documented(ours, &ours_of(at, ours)) {
            return;
        }
        let mut push = |what: &str, documented: &Option<Value>, ours: Option<&Value>| {
            differences.push(Difference {
                at: at.to_owned(),
                what: what.to_owned(),
                documented: documented.clone().unwrap_or_default(),
                ours: ours.cloned().unwrap_or_default(),
            });
        };
        match surface::side(at) {
            Side::Operation => {
                if let Some(server) = facts.get("server")
                    && server.as_ref() != own.get("server")
                {
                    push("server", server, own.get("server"));
                }
            }
            Side::Request => {
                for what in OF_REQUESTS {
                    let Some(documented) = facts.get(what) else {
                        continue;
                    };
                    // A page can contradict itself: its example has another type (`shown`) than the page states. Then
                    // the type of the example counts. A required field always has a value, so its default is ignored.
                    let is_shown = what == "type" && has_value(facts, "shown", own.get(what));
                    let is_set =
                        what == "default" && has_value(facts, "required", Some(&json!(true)));
                    let is_met = is_met(what, documented.as_ref(), own.get(what));
                    if !is_met && !is_shown && !is_set {
                        push(what, documented, own.get(what));
                    }
                }
            }
            Side::Reply => {
                let kind = facts.get("type").unwrap_or(&None);
                let shown = facts.get("shown").and_then(Option::as_ref);
                let holds_shown = shown.is_some() && can_hold(shown, own);
                if !can_hold(kind.as_ref(), own) && !holds_shown {
                    push("type", kind, own.get("type"));
                }
                if let (Some(Some(words)), Some(known)) = (facts.get("enum"), own.get("enum"))
                    && list(words).any(|word| !list(known).any(|it| it == word))
                {
                    push("enum", &Some(words.clone()), Some(known));
                }
            }
        }
    }
}

/// Returns whether a fact is documented with this value.
fn has_value(facts: &Stated, what: &str, value: Option<&Value>) -> bool {
    let documented = facts.get(what).and_then(Option::as_ref);
    documented.is_some() && documented == value
}

/// Our place for a documented place. Our default reply is the place for each status that we do not name.
fn ours_of(at: &str, ours: &Surface) -> String {
    let (operation, part) = surface::split(at);
    let status = part.split(['.', '[']).next().unwrap_or_default();
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    if is_status && ours.facts(&format!("{operation} {status}")).is_none() {
        return format!("{operation} default{}", &part[status.len()..]);
    }
    at.to_owned()
}

/// Returns whether our place counts as documented: the nearest `x-basis` at or above it says so, or there is none.
fn is_documented(ours: &Surface, at: &str) -> bool {
    let mut place = Some(at);
    while let Some(at) = place {
        let facts = ours.facts(at);
        if let Some(basis) = facts.and_then(|facts| facts.get("x-basis")) {
            return basis == "documented";
        }
        place = surface::parent(at);
    }
    true
}

/// Returns whether a fact of a request agrees with the documented one.
fn is_met(what: &str, documented: Option<&Value>, own: Option<&Value>) -> bool {
    match what {
        // An empty required text makes no sense, so our own bound of 1 does not count as a difference.
        "minLength" if documented.is_none() => own.is_none() || own == Some(&json!(1)),
        // We use these two formats only. For any other format the generator would choose another Rust type.
        "format" => {
            let known = |format: Option<&Value>| {
                format
                    .filter(|it| **it == "int64" || **it == "binary")
                    .cloned()
            };
            known(documented) == known(own)
        }
        _ => documented == own,
    }
}

/// Returns whether our type of a reply allows the documented type.
fn can_hold(kind: Option<&Value>, own: &Facts) -> bool {
    let room = surface::types(own);
    if room.is_empty() {
        return true;
    }
    let documented = match kind {
        Some(Value::String(kind)) => vec![kind.as_str()],
        Some(kinds) => list(kinds).filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let has_room =
        |kind: &&str| room.contains(*kind) || *kind == "integer" && room.contains("number");
    documented.iter().all(has_room)
}

/// The places that we mark as observed or inferred although the pages document them.
fn outdated_marks(ours: &Surface, documented: &Documented) -> Vec<String> {
    let mut found = Vec::new();
    for (at, own) in &ours.places {
        let is_mark = own
            .get("x-basis")
            .is_some_and(|basis| basis != "documented");
        let Some(facts) = documented.facts.get(at).filter(|_| is_mark) else {
            continue;
        };
        // An operation has no type on either side, so its mark is outdated as soon as a page has the operation.
        if facts.get("type").and_then(Option::as_ref) == own.get("type") {
            found.push(at.clone());
        }
    }
    found
}
