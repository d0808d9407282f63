//! The page about `--json` names exactly what the program prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value};

use crate::sandbox::{PICTURE, Sandbox};

/// Commands that print every event, most of them with every field. Only the output of `veo ... --json` is compared.
const COMMANDS: &str = r#"
json() { veo "$@" --json; }
quiet() { veo "$@" 2> /dev/null; }
with() { (KIE_API_KEY=$1; shift; json generate --provider kie "$@"); }

job=$(quiet generate A --no-wait)
json status $job
json wait $job --receipt receipt.json
json status $job
json extend $job B
json upgrade $job --resolution 4k -o large.mp4
json status $job:4k
json download $job -o again.mp4
json generate A --provider uniall --image dog.png
json inspect receipt.json
json inspect again.mp4
json inspect dog.png

json generate --batch two.jsonl
json generate --batch two.jsonl
with image-refused --batch three.jsonl

with no-credits A --provider uniall
with upgrade-impossible A --resolution 1080p
with no-credits A
with busy-for-a-while A
with image-refused A
with no-audio A
with failed-but-charged A
with lost-reply A
key=$(quiet jobs --json | sed -n 's/.*"key":"\([^"]*\)","state":"unknown".*/\1/p')
json settle $key --not-taken
json jobs

json plan A --negative-prompt B
json plan A --model google/gemini-omni-flash-1-1
KIE_FORM=current json models
json credits
json upload dog.png
echo key | json auth kie
json sim --list
json sim --background | tee serving
kill $(sed 's/.*"pid":\([0-9]*\).*/\1/' serving)
json completions bash
"#;

/// Words that these commands cannot print. They are about a job that cannot be written down, an image that the provider
/// cannot fetch, and an internal error of the provider.
const RARE: [(&str, &str); 3] = [
    ("accepted job", "unrecorded"),
    ("error", "unusable_input"),
    ("error", "passing"),
];

#[test]
fn the_json_page_names_exactly_what_is_printed() {
    let sandbox = Sandbox::with_sim();
    fs::write(sandbox.path("dog.png"), PICTURE).unwrap();
    sandbox.write("two.jsonl", "{\"prompt\": \"A\"}\n{\"prompt\": \"B\"}\n");
    sandbox.write("three.jsonl", "{\"prompt\": \"C\"}\n");
    let run = sandbox.run_line(COMMANDS);

    let mut page = Page::read();
    for line in run.out.lines() {
        let mut event: Map<_, _> = serde_json::from_str(line).unwrap();
        let name = event.remove("event").unwrap();
        page.check(name.as_str().unwrap(), &Value::Object(event));
    }
    for line in run.err.lines() {
        let error = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        page.check("error", &error);
    }
    let rare = RARE.map(|(object, field)| (object.to_owned(), field.to_owned()));
    page.seen.extend(rare);
    let mut named = BTreeSet::new();
    for (object, fields) in &page.objects {
        named.extend(fields.keys().map(|field| (object.clone(), field.clone())));
    }
    let never: Vec<_> = named.difference(&page.seen).collect();
    assert!(
        never.is_empty(),
        "the page names what is not printed: {never:?}"
    );
}

/// The fields of each object of the page with their types, and the fields that were printed.
struct Page {
    text: String,
    objects: BTreeMap<String, BTreeMap<String, String>>,
    seen: BTreeSet<(String, String)>,
}

impl Page {
    fn read() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../veo-core/docs/json.md");
        let text = fs::read_to_string(file).unwrap();
        let mut objects = BTreeMap::<String, BTreeMap<String, String>>::new();
        let mut object = String::new();
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("### ") {
                object = heading.trim_matches('`').to_owned();
            }
            let cells: Vec<_> = line.split(" | ").collect();
            if let (Some(field), [_, kind, _]) = (line.strip_prefix("| `"), &cells[..]) {
                let (field, _) = field.split_once('`').unwrap();
                let fields = objects.entry(object.clone()).or_default();
                fields.insert(field.to_owned(), (*kind).to_owned());
            }
        }
        let seen = BTreeSet::new();
        Self {
            text,
            objects,
            seen,
        }
    }

    /// Checks that the page has all fields of an object.
    fn check(&mut self, object: &str, value: &Value) {
        for (field, value) in value.as_object().unwrap() {
            let fields = self.objects.get(object);
            let kind = fields.and_then(|fields| fields.get(field)).cloned();
            let kind = kind.unwrap_or_else(|| panic!("the page has no {object}.{field}: {value}"));
            self.seen.insert((object.to_owned(), field.clone()));
            if field == "kind" && object == "error" {
                let word = value.as_str().unwrap();
                assert!(self.text.contains(&format!("\n| `{word}` | ")), "{word}");
            }
            let path = format!("{object}.{field}");
            if let Some(kind) = kind.strip_prefix("list of ") {
                for value in value
                    .as_array()
                    .unwrap_or_else(|| panic!("{path}: {value}"))
                {
                    self.check_value(&path, kind, value);
                }
            } else {
                self.check_value(&path, &kind, value);
            }
        }
    }

    fn check_value(&mut self, path: &str, kind: &str, value: &Value) {
        let kind = match kind.strip_suffix(" or null") {
            Some(_) if value.is_null() => return,
            Some(kind) => kind,
            None => kind,
        };
        let is_right = match kind {
            "any" => true,
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            object => {
                self.check(object.trim_matches('`'), value);
                true
            }
        };
        assert!(is_right, "{path} is not a {kind}: {value}");
    }
}
