//! Tests with the pages in `pages/`, one of each format.

use serde_json::json;

use super::changes::Change;
use super::*;
use crate::spec::GOOD;
use crate::surface::Surface;

const BLOCK: &str = include_str!("pages/block.md");
const TABLES: &str = include_str!("pages/tables.md");
const CALLBACK: &str = include_str!("pages/callback.md");
const ARRAY: &str = include_str!("pages/array.md");
const RAW: &str = include_str!("pages/raw.json");
const INDEX: &str = include_str!("pages/index.txt");

fn watched(place: Option<&str>, only: Option<&str>, model: Option<&str>) -> Watched {
    Watched {
        url: "https://docs.kites.example/page.md".to_owned(),
        place: place.map(str::to_owned),
        only: only.map(str::to_owned),
        model: model.map(str::to_owned),
    }
}

fn plain() -> Watched {
    watched(None, None, None)
}

/// The facts and the contradictions of a page as text.
fn stated(page: Page) -> String {
    let pages = vec![("page".to_owned(), page)];
    documented::text(&pages) + &changes::as_text("kites", &[], &pages)
}

#[test]
fn a_page_of_every_format_is_read() {
    let landed = watched(Some("POST /api/v1/kite callback"), None, None);
    let only = watched(None, Some("GET /pictures/{id} 200"), None);
    let of_model = watched(None, None, Some("kite/red"));
    let rows = [
        ("block", BLOCK, plain()),
        ("tables", TABLES, plain()),
        ("callback", CALLBACK, landed),
        ("array", ARRAY, of_model),
        ("raw", RAW, plain()),
        ("raw_only", RAW, only),
    ];
    for (name, text, watched) in rows {
        let page = page::read(text, &watched).unwrap();
        insta::assert_snapshot!(name, stated(page));
    }
    let watch = ["/kite-api/".to_owned(), "/common-api/".to_owned()];
    insta::assert_snapshot!("index", stated(page::index(INDEX, &watch).unwrap()));
}

#[test]
fn facts_in_a_file_are_read_back_unchanged() {
    let mut pages = Pages::new();
    for text in [BLOCK, TABLES, RAW] {
        let mut page = page::read(text, &plain()).unwrap();
        let places = std::mem::take(&mut page.surface.places);
        page.surface = Surface {
            places,
            ..Surface::default()
        };
        pages.push((format!("page {}", pages.len()), page));
    }
    let text = documented::text(&pages);
    assert_eq!(documented::parse(&text).unwrap(), pages);
    assert_eq!(
        documented::parse("{\"page\":\"a\",\"format\":\"b\"}\nelse").unwrap_err(),
        2
    );
}

#[test]
fn an_incomplete_page_is_unreadable() {
    let rows = [
        // The block has no end.
        (
            BLOCK.split("servers:").next().unwrap(),
            "cut off within a block",
        ),
        (
            TABLES.split("  \"seconds\"").next().unwrap(),
            "cut off within a block",
        ),
        (&RAW[..RAW.len() / 2], "has a block that cannot be read"),
        // The page is empty, or is a different page.
        ("", "has nothing to read"),
        ("# Not found\n\nSorry.\n", "has nothing to read"),
        (
            "```yaml\nopenapi: 3.0.1\npaths: {}\n```\n",
            "has nothing to read",
        ),
        (
            "```yaml\nopenapi: 3.0.1\npaths: {/a: {get: {}}}\n```\n",
            "has nothing to read",
        ),
        // The block is malformed or malicious.
        (
            "```yaml\nopenapi: 3.0.1\npaths: [\n```\n",
            "has a block that cannot be read",
        ),
        (
            "```yaml\nopenapi: 3.0.1\na: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n```\n",
            "has a block that cannot be read",
        ),
    ];
    for (text, says) in rows {
        let problem = page::read(text, &plain()).unwrap_err();
        assert!(problem.contains(says), "{text:?}: {problem}");
    }
    let nothing = page::index("# Kites\n", &["/kite-api/".to_owned()]);
    assert!(nothing.unwrap_err().contains("links to no page"));
}

#[test]
fn an_unusual_part_of_a_page_is_only_a_remark() {
    let circle = "allOf: [{$ref: '#/components/schemas/Spot'}, {type: object, properties: {inner: {$ref: '#/components/schemas/Place'}}}]";
    let rows = [
        (
            "anyOf: [{type: string}, {type: integer}, {type: 'null'}]",
            circle,
            "body.place.inner: it refers to itself",
        ),
        (
            "Place: {$ref: '#/components/schemas/Spot'}",
            "Place: {$ref: '#/components/schemas/None'}",
            "body.place: a reference leads nowhere",
        ),
        (
            "                wind: {",
            "                'wind ': {",
            "wind has an odd name",
        ),
        (
            "                wind: {",
            "                \"wi\\e[31mnd\": {",
            "body: odd-",
        ),
        (
            "colour: red}",
            "colour: red, old: 1}",
            "body.old: only an example has it",
        ),
        (
            "wind: 3,",
            "wind: strong,",
            "body.wind: type integer, an example has string",
        ),
        (
            "value is red.",
            "value is green.",
            "body.colour: default red, its text says green",
        ),
        (
            "[red, green]",
            "[red, blue]",
            "body.colour: one of blue red, its text lists green red",
        ),
        (
            "enum: [red, green]\n",
            "x: 1\n",
            "body.colour: only its text lists green red",
        ),
    ];
    let plain_page = page::read(BLOCK, &plain()).unwrap();
    assert_eq!(plain_page.surface.remarks, []);
    for (from, to, says) in rows {
        assert!(BLOCK.contains(from), "{from:?} is not there");
        let page = page::read(&BLOCK.replacen(from, to, 1), &plain()).unwrap();
        let count = page.surface.places.len();
        assert!(count >= plain_page.surface.places.len(), "{to}");
        let text = stated(page);
        assert!(text.contains(says), "{says}\n{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

/// A sentence of a page is never written to a file, wherever it is on the page.
#[test]
fn no_sentence_of_a_page_is_written_to_a_file() {
    let words = "These are the words of somebody else. ".repeat(9);
    let rows = [
        ("default: red", format!("default: '{words}'")),
        ("enum: [red, green]", format!("enum: ['{words}', red]")),
        ("What the kite looks like.", words.clone()),
        (
            "                wind: {",
            format!("                '{words}': {{"),
        ),
        ("minimum: 1", format!("minimum: {{a: '{words}'}}")),
    ];
    for (from, to) in rows {
        let page = page::read(&BLOCK.replacen(from, &to, 1), &plain()).unwrap();
        let text = documented::text(&vec![("page".to_owned(), page)]);
        assert!(!text.contains("somebody"), "{text}");
    }
}

/// The changes from one page to another.
fn lines(before: &Page, now: &Page) -> Vec<Change> {
    let url = "https://docs.kites.example/page.md".to_owned();
    changes::between(
        &vec![(url.clone(), before.clone())],
        &vec![(url, now.clone())],
    )
}

fn as_text(lines: &[Change]) -> String {
    changes::as_text("kites", lines, &Pages::new())
}

/// Every field of the page with a block is changed in every way. Each change is one line, and a new name is two lines.
#[test]
fn every_edit_of_a_block_is_one_line() {
    let before = page::read(BLOCK, &plain()).unwrap();
    let yaml = BLOCK.split("```yaml\n").nth(1).unwrap();
    let yaml = yaml.split("\n```\n</Tabs>").next().unwrap();
    let root = Spec::parse("page", yaml).unwrap().root;
    let page = |root: &Value| {
        let text = format!("```json\n{root:#}\n```\n");
        page::read(&text, &plain()).unwrap()
    };
    assert!(
        lines(&before, &page(&root)).is_empty(),
        "the order of keys and the form of a block say nothing"
    );

    let mut count = 0;
    let mut check = |what: &str, expected: usize, root: &Value| {
        let lines = lines(&before, &page(root));
        assert_eq!(lines.len(), expected, "{what}\n{}", as_text(&lines));
        count += 1;
    };
    let post = "/paths/~1api~1v1~1kite/post";
    let holders = [
        format!("{post}/requestBody/content/application~1json/schema"),
        format!("{post}/responses/200/content/application~1json/schema/allOf/1/properties/data"),
        format!(
            "{post}/callbacks/landed/{{$request.body#~1hook}}/post/requestBody/content/application~1json/schema"
        ),
    ];
    for holder in &holders {
        let fields = root.pointer(holder).unwrap()["properties"]
            .as_object()
            .unwrap();
        for (name, field) in fields {
            let edited = |edit: &dyn Fn(&mut Value)| {
                let mut root = root.clone();
                edit(&mut root.pointer_mut(holder).unwrap()["properties"][name]);
                root
            };
            let is_reference = field.get("$ref").is_some();
            let words = [
                ("type", json!("object")),
                ("format", json!("uri")),
                ("description", json!("Other words.")),
                ("default", json!("other")),
                ("enum", json!(["a", "b", "c"])),
                ("nullable", json!(true)),
                ("deprecated", json!(true)),
                ("minimum", json!(-7)),
                ("maximum", json!(70)),
                ("minLength", json!(17)),
                ("maxLength", json!(71)),
                ("minItems", json!(4)),
                ("maxItems", json!(7)),
                ("pattern", json!("^k")),
                ("multipleOf", json!(2)),
            ];
            for (word, value) in words {
                // A value that the field already has is removed.
                let is_present = field.get(word) == Some(&value);
                let is_null_already = is_reference && word == "nullable";
                let expected = usize::from(!is_null_already);
                let root = edited(&|field| {
                    let field = field.as_object_mut().unwrap();
                    match is_present {
                        true => drop(field.remove(word)),
                        false => drop(field.insert(word.to_owned(), value.clone())),
                    }
                });
                check(&format!("{name} {word}"), expected, &root);
            }
            let holder_edit = |edit: &dyn Fn(&mut Value)| {
                let mut root = root.clone();
                edit(root.pointer_mut(holder).unwrap());
                root
            };
            let root = holder_edit(&|holder| {
                holder["properties"].as_object_mut().unwrap().remove(name);
            });
            check(&format!("{name} is gone"), 1, &root);
            let root = holder_edit(&|holder| {
                let field = holder["properties"].as_object_mut().unwrap().remove(name);
                holder["properties"][format!("{name}2")] = field.unwrap();
            });
            check(&format!("{name} has another name"), 2, &root);
            let root = holder_edit(&|holder| {
                holder["properties"][format!("{name}_more")] = json!({ "type": "string" });
            });
            check(&format!("a field beside {name}"), 1, &root);
            let root = holder_edit(&|holder| {
                let mut required: Vec<Value> =
                    holder["required"].as_array().cloned().unwrap_or_default();
                let before = required.len();
                required.retain(|it| it != name);
                if required.len() == before {
                    required.push(json!(name));
                }
                holder["required"] = json!(required);
            });
            check(&format!("{name} is required or not"), 1, &root);
        }
    }
    // These rows change the operations themselves.
    let text = root.to_string();
    let rows = [
        ("\"/api/v1/kite\":", "\"/api/v2/kite\":", 4),
        ("\"post\":{\"callbacks\"", "\"put\":{\"callbacks\"", 2),
        ("\"500\":{\"content\"", "\"501\":{\"content\"", 2),
        ("\"name\":\"kiteId\"", "\"name\":\"kite_id\"", 2),
        (
            "\"name\":\"kiteId\",\"required\":true",
            "\"name\":\"kiteId\"",
            1,
        ),
        ("\"deprecated\":true,\"parameters\"", "\"parameters\"", 1),
        ("https://api.kites.example", "https://new.kites.example", 2),
        (
            "application/json\":{\"example\"",
            "multipart/form-data\":{\"example\"",
            1,
        ),
        ("\"callbacks\":", "\"x-callbacks\":", 1),
    ];
    let sorted: Value = serde_json::from_str(&text).unwrap();
    for (from, to, expected) in rows {
        let text = sorted_text(&sorted);
        assert!(text.contains(from), "{from} is not in {text}");
        let root = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        check(to, expected, &root);
    }
    assert!(count > 190, "{count}");
}

fn sorted_text(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            let members: Vec<String> = keys
                .iter()
                .map(|key| format!("{}:{}", json!(key), sorted_text(&object[*key])))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(sorted_text).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// Every row of the pages with tables is changed in every way.
#[test]
fn every_edit_of_a_table_is_one_line() {
    let landed = watched(Some("POST /api/v1/kite callback"), None, None);
    let mut count = 0;
    for (text, watched) in [(TABLES, plain()), (CALLBACK, landed)] {
        let before = page::read(text, &watched).unwrap();
        let mut check = |what: &str, expected: usize, text: &str| {
            let now = page::read(text, &watched).unwrap();
            let lines = lines(&before, &now);
            assert_eq!(lines.len(), expected, "{what}\n{}", as_text(&lines));
            count += 1;
        };
        check(
            "white space",
            0,
            &text.replace(" | ", "  |  ").replace("\n\n", "\n\n\n"),
        );
        for row in text.lines().filter(|row| {
            row.starts_with("| `") || row.starts_with("| **") || row.starts_with("| ∟")
        }) {
            let is_known = !row.contains("brush-1") && !row.contains("Authorization");
            if !is_known {
                continue;
            }
            let cells: Vec<&str> = row.split('|').collect();
            let with = |index: usize, cell: &str| {
                let mut cells = cells.clone();
                cells[index] = cell;
                text.replacen(row, &cells.join("|"), 1)
            };
            let name = cells[1].trim();
            let last = cells.len() - 2;
            let words = format!("{} and more ", cells[last]);
            check(&format!("{name} words"), 1, &with(last, &words));
            let values = " one of `1`, `2` ";
            check(&format!("{name} values"), 1, &with(last, values));
            check(&format!("{name} type"), 1, &with(2, " number/boolean "));
            if text == TABLES {
                let other = if cells[3].contains("Yes") {
                    " No "
                } else {
                    " Yes "
                };
                check(&format!("{name} required"), 1, &with(3, other));
            }
            let bare = name.trim_matches(['`', '*', '∟', ' ']);
            // The nested rows belong to the row above them, which gets another name.
            let without_row = text.replacen(&format!("{row}\n"), "", 1);
            let renamed = text.replacen(row, &row.replacen(bare, &format!("{bare}2"), 1), 1);
            if name != "**data**" {
                check(&format!("{name} is gone"), 1, &without_row);
                check(&format!("{name} has another name"), 2, &renamed);
            }
            let more = row.replacen(bare, &format!("{bare}_more"), 1);
            check(
                &format!("a row beside {name}"),
                1,
                &text.replacen(row, &format!("{more}\n{row}"), 1),
            );
        }
    }
    assert!(count > 50, "{count}");
}

/// The problems of a specification compared with a page, with accepted differences of `pages.yaml`.
fn problems_of(spec: &str, page: Page, accept: &str) -> String {
    let spec = Spec::parse("openapi/test.yaml", spec).unwrap();
    let file = format!("test: {{pages: [{{url: 'https://kites.example/p'}}], accept: [{accept}]}}");
    let providers = watched::parse(&file).unwrap();
    let pages = vec![("https://kites.example/p".to_owned(), page)];
    agreement::problems(&spec, &pages, &providers["test"]).concat()
}

/// A page that states everything of a specification.
fn page_of(text: &str) -> Page {
    let root = Spec::parse("openapi/test.yaml", text).unwrap().root;
    Page {
        format: "OpenAPI block".to_owned(),
        covers: None,
        surface: Surface::of(&root),
    }
}

#[test]
fn requests_have_to_match_and_replies_to_be_readable() {
    // An edit of the page, and the line that it causes, or none.
    let rows = [
        // Requests.
        (
            "seed: {type: integer,",
            "seed: {type: string,",
            "POST /task body.seed: type is documented as string, ours is integer",
        ),
        (
            "minimum: 1, maximum: 9,",
            "minimum: 1, maximum: 8,",
            "body.seed: maximum is documented as 8, ours is 9",
        ),
        (
            "minimum: 1, maximum: 9,",
            "",
            "body.seed: minimum is documented as none, ours is 1",
        ),
        (
            ", maxItems: 3",
            "",
            "body.parts: maxItems is documented as none, ours is 3",
        ),
        (
            "x-server-default: 5",
            "x-server-default: 6",
            "body.seed: default is documented as 6, ours is 5",
        ),
        (
            "enum: [4, 6]",
            "enum: [4, 6, 8]",
            "body.size: enum is documented as 4 6 8, ours is 4 6",
        ),
        (
            "enum: [4, 6]",
            "enum: [4]",
            "body.size: enum is documented as 4, ours is 4 6",
        ),
        (
            "required: [prompt]",
            "required: [prompt, seed]",
            "body.seed: required is documented as true, ours is none",
        ),
        (
            "required: [prompt]",
            "required: []",
            "body.prompt: required is documented as none, ours is true",
        ),
        (
            "seed: {type: integer,",
            "seed: {type: integer, deprecated: true,",
            "body.seed: deprecated is documented as true",
        ),
        (
            "seed: {type: integer,",
            "seed: {type: integer, format: int64,",
            "body.seed: format is documented as int64, ours is none",
        ),
        (
            "prompt: {type: string,",
            "prompt: {type: string, pattern: '^k',",
            "body.prompt: pattern is documented as ^k",
        ),
        (
            "prompt: {type: string,",
            "tone: {type: string, description: Its tone.}\n        prompt: {type: string,",
            "body.tone: this is documented (string), and we lack it",
        ),
        (
            "        parts: {",
            "        pieces: {",
            "body.parts: no page has this",
        ),
        (
            "name: part, in: query",
            "name: page, in: query",
            "GET /task/{id} query.page: this is documented (integer), and we lack it",
        ),
        (
            "name: part, in: query,",
            "name: part, in: query, required: true,",
            "query.part: required is documented as true",
        ),
        (
            "https://api.",
            "https://new.",
            "server is documented as https://new.example.net",
        ),
        (
            "prompt: {type: string,",
            "prompt: {type: string, format: uri,",
            "",
        ),
        (
            "prompt: {type: string,",
            "prompt: {type: string, nullable: true,",
            "",
        ),
        ("description: Its seed.", "description: A seed.", ""),
        // Replies.
        (
            "seconds: {type: number,",
            "seconds: {type: string,",
            "200.seconds: type is documented as string, ours is number",
        ),
        ("seconds: {type: number,", "seconds: {type: integer,", ""),
        (
            "[done]",
            "[done, gone]",
            "200.state: enum is documented as done gone, ours is done",
        ),
        ("[done]", "[]", ""),
        (
            "        taskId: {",
            "        note: {type: boolean, description: A note.}\n        taskId: {",
            "200.note: this is documented (boolean), and we lack it",
        ),
        (
            "        taskId: {type",
            "        id: {type",
            "200.taskId: no page has this",
        ),
        (
            "seconds: {type: number, nullable: true,",
            "seconds: {type: number,",
            "",
        ),
        (
            "      description: A task.\n",
            "      description: A task.\n      required: [taskId]\n",
            "",
        ),
        (
            "oneOf: [{type: integer}, {type: string}]",
            "type: integer",
            "",
        ),
        (
            "oneOf: [{type: integer}, {type: string}]",
            "type: boolean",
            "200.time: type is documented as boolean, ours is integer string",
        ),
        (
            "        default:\n          description: No task.",
            "        '404':\n          description: No task.",
            "",
        ),
        (
            "msg: {type: string, description: Words.}",
            "msg: {type: string, description: Words.}\n        code: {type: integer}",
            "default.code: this is documented (integer), and we lack it",
        ),
        // Operations.
        (
            "  /task/{id}:",
            "  /job/{id}:",
            "GET /task/{id}: no page documents this operation",
        ),
        (
            "  /task/{id}:",
            "  /job/{id}:",
            "GET /job/{id}: this is documented, and we lack it",
        ),
        (
            "      callbacks:",
            "      x-callbacks:",
            "POST /task callback: no page has this",
        ),
    ];
    assert_eq!(problems_of(GOOD, page_of(GOOD), ""), "");
    for (from, to, says) in rows {
        assert!(GOOD.contains(from), "{from:?} is not there");
        let problems = problems_of(GOOD, page_of(&GOOD.replace(from, to)), "");
        assert_eq!(problems.is_empty(), says.is_empty(), "{to}: {problems}");
        assert!(problems.contains(says), "{to}: {says}\n{problems}");
    }
}

#[test]
fn a_basis_that_is_wrong_is_a_problem() {
    let mark = |basis: &str| {
        GOOD.replace(
            "seed: {type: integer,",
            &format!("seed: {{type: integer, x-basis: {basis},"),
        )
    };
    let without = GOOD.replace("        seed: {type: integer, minimum: 1, maximum: 9, x-server-default: 5, description: Its seed.}\n", "");
    assert_ne!(without, GOOD);
    let otherwise = GOOD.replace("seed: {type: integer,", "seed: {type: number,");
    let rows = [
        ("documented", GOOD, ""),
        (
            "documented",
            without.as_str(),
            "body.seed: no page has this; remove it, name its source with x-basis",
        ),
        (
            "observed",
            GOOD,
            "body.seed: this is documented now; remove x-basis",
        ),
        ("observed", without.as_str(), ""),
        ("observed", otherwise.as_str(), ""),
        ("inferred", without.as_str(), ""),
    ];
    for (basis, page, says) in rows {
        let problems = problems_of(&mark(basis), page_of(page), "");
        assert_eq!(problems.is_empty(), says.is_empty(), "{basis}: {problems}");
        assert!(problems.contains(says), "{basis}: {problems}");
    }
    // The mark of a named schema applies to everything in it, wherever it is used.
    let marked = GOOD.replace("x-basis: documented", "x-basis: observed");
    let page = GOOD.replace("taskId: {type: string,", "id: {type: string,");
    let problems = problems_of(&marked, page_of(&page), "");
    assert!(!problems.contains("no page has this"), "{problems}");
}

#[test]
fn an_outdated_accepted_difference_is_a_problem() {
    let entry = "{at: POST /task body.seed, what: maximum, documented: 8, why: so be it}";
    let with = |maximum: &str| page_of(&GOOD.replace("maximum: 9", maximum));
    let gone = page_of(&GOOD.replace("        seed:", "        seeds:"));
    let rows = [
        (with("maximum: 8"), ""),
        (
            with("maximum: 7"),
            "this difference no longer exists, maximum is documented as 7; delete\n    - at: POST /task body.seed\n      what: maximum\n      documented: 8\n      why: so be it\n",
        ),
        (
            with("maximum: 9"),
            "this difference no longer exists, maximum is documented as 9; delete",
        ),
        (
            gone,
            "this difference no longer exists, nothing is documented there; delete",
        ),
    ];
    for (page, says) in rows {
        let problems = problems_of(GOOD, page, entry);
        assert_eq!(problems.is_empty(), says.is_empty(), "{problems}");
        assert!(problems.contains(says), "{problems}");
    }
    // The facts of a page that is no longer read are a problem.
    let spec = Spec::parse("openapi/test.yaml", GOOD).unwrap();
    let provider = &watched::parse("test: {pages: []}").unwrap()["test"];
    let pages = vec![("https://kites.example/p".to_owned(), page_of(GOOD))];
    let problems = agreement::problems(&spec, &pages, provider).concat();
    assert!(problems.contains("openapi/pages.yaml does not have https://kites.example/p"));

    // The printed block can be pasted into the file.
    let problems = problems_of(GOOD, with("maximum: 8"), "");
    let block = problems.split_once(":\n").unwrap().1;
    let entries: Vec<watched::Accepted> = serde_saphyr::from_str(block).unwrap();
    assert_eq!(
        (entries[0].what.as_str(), &entries[0].documented),
        ("maximum", &json!(8))
    );
}

#[test]
fn a_table_states_only_facts_of_its_columns() {
    let page = page::read(
        "```http\nPOST /task\n```\n# Request\n\n| Field | Type |\n| --- | --- |\n| prompt | string |\n| seed | string |\n",
        &plain(),
    );
    let problems = problems_of(GOOD, page.unwrap(), "");
    assert!(
        problems.contains("body.seed: type is documented as string"),
        "{problems}"
    );
    assert!(
        !problems.contains("maximum") && !problems.contains("body.prompt"),
        "{problems}"
    );
    assert!(
        problems.contains("body.size: no page has this"),
        "{problems}"
    );
}

#[test]
fn the_list_of_pages_is_checked() {
    let rows = [
        (
            "a: {pages: [{url: 'http://a.example/b'}]}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://a.example/../b'}]}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://a.example/.b'}]}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://a.example/b?c'}]}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://a.example'}]}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://me@a.example/b'}]}",
            "no plain https address",
        ),
        (
            "a: {index: 'https://a.example/$(b)', pages: []}",
            "no plain https address",
        ),
        (
            "a: {pages: [{url: 'https://a.example/b'}, {url: 'https://a.example/b'}]}",
            "is listed twice",
        ),
        (
            "a: {pages: [], accept: [{at: b, what: c, why: ' '}]}",
            "say why b is accepted",
        ),
        ("a: {pages: [], what: else}", "unknown field"),
    ];
    for (text, says) in rows {
        let problem = watched::parse(text).unwrap_err();
        assert!(problem.contains(says), "{text}: {problem}");
    }
}

/// The documented facts and our specifications agree, or `pages.yaml` has the reason.
#[test]
fn the_specifications_agree_with_the_documented_facts() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let problems = problems(&workspace);
    assert!(problems.is_empty(), "{}", problems.concat());
}

const LIST: &str = "\
kites:
  index: https://docs.kites.example/llms.txt
  watch: [/kite-api/]
  pages:
    - url: https://docs.kites.example/kite-api/landed.md
      place: POST /api/v1/kite callback
    - url: https://docs.kites.example/kite-api/fly.md
    - url: https://docs.kites.example/kite-api/again.md
";

/// A workspace and a folder of saved pages.
fn saved() -> (tempfile::TempDir, tempfile::TempDir) {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspace.path().join("openapi")).unwrap();
    std::fs::write(workspace.path().join(watched::FILE), LIST).unwrap();
    let pages = tempfile::tempdir().unwrap();
    let folder = pages.path().join("docs.kites.example/kite-api");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("landed.md"), CALLBACK).unwrap();
    std::fs::write(folder.join("fly.md"), BLOCK).unwrap();
    std::fs::write(
        folder.join("again.md"),
        BLOCK.replace("/api/v1/kite", "/api/v2/kite"),
    )
    .unwrap();
    std::fs::write(pages.path().join("docs.kites.example/llms.txt"), INDEX).unwrap();
    (workspace, pages)
}

#[test]
fn pages_are_read_compared_and_accepted() {
    let (workspace, pages) = saved();
    let folder = pages.path().join("docs.kites.example/kite-api");
    let file = workspace.path().join(documented::file("kites"));
    let from = pages.path().to_str().unwrap();
    let run = |more: &[&str]| {
        let options = Options::parse(&[&["--from", from], more].concat()).unwrap();
        run(workspace.path(), &options)
    };
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();

    assert_eq!(run(&[]).exit, 1, "nothing has been read before");
    assert!(!file.exists());
    assert_eq!(run(&["--accept"]).exit, 0);
    let first = std::fs::read_to_string(&file).unwrap();
    let report = run(&[]);
    assert_eq!((report.exit, report.problems.as_str()), (0, ""));
    assert!(
        report.text.ends_with("nothing has changed on 4 pages\n"),
        "{}",
        report.text
    );
    assert_eq!(run(&["--json"]).text, "[]\n");

    // The same change on two pages is one line, and a change on one page is another.
    let longer = BLOCK.replace("maxLength: 900", "maxLength: 90");
    write(
        "fly.md",
        &longer.replace("enum: [red, green]", "enum: [red, blue]"),
    );
    write("again.md", &longer.replace("/api/v1/kite", "/api/v2/kite"));
    let report = run(&[]);
    assert_eq!(report.exit, 1);
    insta::assert_snapshot!("changed", report.text);
    insta::assert_snapshot!("changed_in_markdown", run(&["--markdown"]).text);
    let json: Value = serde_json::from_str(&run(&["--json"]).text).unwrap();
    assert_eq!(
        json[2],
        json!({
            "page": "https://docs.kites.example/kite-api/again.md",
            "at": "POST /api/v2/kite body.prompt",
            "what": "maxLength",
            "was": 900,
            "is": 90,
        })
    );

    // A page that cannot be read does not count as a page without facts, and nothing is written.
    for (text, says) in [
        (None, "fly.md is not in the folder"),
        (Some("# Not found\n"), "fly.md has nothing to read"),
        (Some(&BLOCK[..900]), "fly.md is cut off"),
    ] {
        match text {
            Some(text) => write("fly.md", text),
            None => std::fs::remove_file(folder.join("fly.md")).unwrap(),
        }
        for options in [&[][..], &["--accept"]] {
            let report = run(options);
            assert_eq!(report.exit, UNREADABLE, "{says}");
            assert!(
                report.problems.contains(says),
                "{says}: {}",
                report.problems
            );
            assert!(!report.text.contains("  -  "), "{}", report.text);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    }
    assert!(run(&["--json"]).text.contains("\"unreadable\""));

    // A page that is no longer read is removed from the file.
    let list = LIST.replace(
        "    - url: https://docs.kites.example/kite-api/fly.md\n",
        "",
    );
    std::fs::write(workspace.path().join(watched::FILE), list).unwrap();
    let report = run(&["--accept"]);
    assert_eq!(report.exit, 0);
    assert!(report.text.contains("  -  "), "{}", report.text);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("\"page\":\"https://docs.kites.example/kite-api/fly.md\""));
}

/// Any text in a page gives a sentence. Nothing of it controls a terminal or is a mark of Markdown.
#[test]
fn no_page_causes_a_panic_or_controls_a_terminal() {
    let mut rows = Vec::new();
    for text in [BLOCK, TABLES, CALLBACK, ARRAY, RAW] {
        for (index, _) in text.char_indices().step_by(61) {
            let (before, behind) = text.split_at(index);
            rows.push(before.to_owned());
            rows.push(format!("{before}\u{1b}]8;;http://a\u{7}`@x<b>|{behind}"));
        }
        for line in text.lines() {
            rows.push(text.replacen(line, "", 1));
            rows.push(text.replacen(line, &line.replace(['{', '['], ""), 1));
        }
    }
    let spec = Spec::parse("openapi/test.yaml", GOOD).unwrap();
    let provider = &watched::parse("test: {pages: []}").unwrap()["test"];
    let before = page::read(BLOCK, &plain()).unwrap();
    for text in rows {
        let page = match page::read(&text, &watched(Some("POST /a callback"), None, Some("m"))) {
            Ok(page) => page,
            Err(problem) => {
                assert!(!problem.contains('\u{1b}'), "{problem}");
                continue;
            }
        };
        let lines = lines(&before, &page);
        let pages = vec![("https://a.example/b".to_owned(), page)];
        let text = changes::as_text("kites", &lines, &pages)
            + &agreement::problems(&spec, &pages, provider).concat();
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
        let text = changes::as_markdown("kites", &lines, &pages);
        assert!(!text.contains(['\u{1b}', '@', '<']), "{text}");
    }
}

#[test]
fn options_are_accepted_or_refused() {
    let parse = |arguments: &[&str]| Options::parse(arguments);
    let all = parse(&["--json", "--accept", "--from", "a"]).unwrap();
    assert_eq!(
        (all.from, all.accept, all.form),
        (Some("a".into()), true, Form::Json)
    );
    assert_eq!(parse(&[]), Some(Options::default()));
    for arguments in [&["--from"][..], &["--else"], &["a"]] {
        assert_eq!(parse(arguments), None, "{arguments:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let report = run(empty.path(), &Options::default());
    assert_eq!(report.exit, 2);
    assert!(
        report
            .problems
            .contains("openapi/pages.yaml cannot be read")
    );
}
