use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::contract::{Contract, Operation};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const JSON: Option<&str> = Some("application/json");

#[test]
fn exactly_the_specified_operations_are_found() {
    let contract = Contract::shared();
    let mut known = Vec::new();
    for (provider, specification) in specifications() {
        for (path, item) in specification["paths"].as_object().unwrap() {
            for method in METHODS {
                let path = path.replace("{task_id}", "task_7");
                let found = contract.operation(method, &path);
                let Some(wanted) = item.get(method.to_lowercase()) else {
                    assert!(found.is_none(), "{method} {path}");
                    continue;
                };
                let found = found.unwrap_or_else(|| panic!("{method} {path} is not found"));
                let found = (found.provider, found.id, found.billable);
                let id = wanted["operationId"].as_str().unwrap();
                assert_eq!(
                    found,
                    (provider, id, wanted["x-billable"].as_bool().unwrap()),
                    "{method} {path}"
                );
                known.push(id.to_owned());
            }
        }
    }
    known.sort();
    let mut listed: Vec<_> = contract
        .operations()
        .iter()
        .map(|operation| operation.id)
        .collect();
    listed.sort();
    assert_eq!(listed, known);

    for call in [
        "GET ",
        "GET /",
        "POST /api/v1/veo/generate/",
        "POST //api/v1/veo/generate",
        "POST /api/v1/veo/Generate",
        "POST /api/v1/veo/generate?a=b",
        "post /api/v1/veo/generate",
        "POST api/v1/veo/generate",
        "POST /api/v1/veo",
        "POST /api/v1/veo/generate/x",
        "GET /v1/videos",
        "GET /v1/videos/",
        "GET /v1/videos/a/b",
        "GET /v1/videos/a/",
        "GET /v1//a",
    ] {
        let (method, path) = call.split_once(' ').unwrap();
        assert!(contract.operation(method, path).is_none(), "{call}");
    }
}

#[test]
fn every_example_of_a_request_fits() {
    let mut count = 0;
    let mut fits = |id: &str, query: &str, content_type: Option<&str>, body: &str| {
        assert_eq!(
            mismatches(id, query, content_type, body),
            [""; 0],
            "{id} {query} {body}"
        );
        count += 1;
    };
    for (_, specification) in specifications() {
        let resolve = |value: &'_ Value| match value["$ref"].as_str() {
            Some(target) => specification.pointer(&target[1..]).unwrap().clone(),
            None => value.clone(),
        };
        for item in specification["paths"].as_object().unwrap().values() {
            for operation in METHODS
                .into_iter()
                .filter_map(|method| item.get(method.to_lowercase()))
            {
                let id = operation["operationId"].as_str().unwrap();
                let parameters = operation["parameters"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let mut query = form_urlencoded::Serializer::new(String::new());
                for parameter in parameters
                    .iter()
                    .map(resolve)
                    .filter(|it| it["in"] == "query")
                {
                    let example = &parameter["example"];
                    let text = example
                        .as_str()
                        .map_or_else(|| example.to_string(), str::to_owned);
                    query.append_pair(parameter["name"].as_str().unwrap(), &text);
                }
                let query = query.finish();
                match operation.pointer("/requestBody/content") {
                    None => fits(id, &query, None, ""),
                    Some(content) => {
                        for (media_type, media) in content.as_object().unwrap() {
                            for example in media["examples"].as_object().unwrap().values() {
                                fits(id, &query, Some(media_type), &example["value"].to_string());
                            }
                        }
                    }
                }
            }
        }
    }
    for (provider, id) in [("kie", "generate"), ("uniall", "create_video")] {
        let folder = repository()
            .join("tests/fixtures")
            .join(provider)
            .join("requests");
        for entry in fs::read_dir(folder).unwrap() {
            fits(
                id,
                "",
                JSON,
                &fs::read_to_string(entry.unwrap().path()).unwrap(),
            );
        }
    }
    assert!(count >= 20, "there are only {count} examples");
}

#[test]
fn a_body_that_does_not_fit_is_reported_with_its_place() {
    // In JSON Schema 8.0 is an integer. A wrong `aspect_ratio` is an additional property here.
    for (id, body, expected) in rows(
        r#"
        generate | {"prompt":"A kite"} |
        generate | {} | body /prompt: is missing
        generate | {"prompt":null} | body /prompt: null is not of type "string"
        generate | {"prompt":""} | body /prompt: "" is shorter than 1 character
        generate | {"prompt":["A kite"]} | body /prompt: ["A kite"] is not of type "string"
        generate | {"prompt":"A kite","model":"veo2"} | body /model: "veo2" is not one of "veo3", "veo3_fast" or "veo3_lite"
        generate | {"prompt":"A kite","duration":"8"} | body /duration: "8" is not of type "integer" && body /duration: "8" is not one of 4, 6 or 8
        generate | {"prompt":"A kite","duration":5} | body /duration: 5 is not one of 4, 6 or 8
        generate | {"prompt":"A kite","duration":8.0} |
        generate | {"prompt":"A kite","duration":8.5} | body /duration: 8.5 is not of type "integer" && body /duration: 8.5 is not one of 4, 6 or 8
        generate | {"prompt":"A kite","aspectRatio":"4:3"} | body /aspectRatio: "4:3" is not one of "16:9", "9:16" or "Auto"
        generate | {"prompt":"A kite","aspectRatio":"16:9","aspect_ratio":"4:3"} |
        generate | {"prompt":"A kite","of_tomorrow":{"a":[1]}} |
        generate | {"prompt":"A kite","seeds":10000} |
        generate | {"prompt":"A kite","seeds":9999} | body /seeds: 9999 is less than the minimum of 10000
        generate | {"prompt":"A kite","seeds":100000} | body /seeds: 100000 is greater than the maximum of 99999
        generate | {"prompt":"A kite","seeds":1e300} | body /seeds: 1e+300 is greater than the maximum of 99999
        generate | {"prompt":"A kite","imageUrls":["a","b","c"]} |
        generate | {"prompt":"A kite","imageUrls":["a","b","c","d"]} | body /imageUrls: ["a","b","c","d"] has more than 3 items
        generate | {"prompt":"A kite","imageUrls":["a",7]} | body /imageUrls/1: 7 is not of type "string"
        generate | {"prompt":"A kite","imageUrls":"a"} | body /imageUrls: "a" is not of type "array"
        generate | {"prompt":"A kite","enableTranslation":"false"} | body /enableTranslation: "false" is not of type "boolean"
        generate | [] | body: [] is not of type "object"
        generate | null | body: null is not of type "object"
        generate |  | body: is missing
        generate | { | body: is not JSON, EOF while parsing an object at line 1 column 1
        generate | {} {} | body: is not JSON, trailing characters at line 1 column 4
        generate | prompt=A+kite | body: is not JSON, expected value at line 1 column 1
        extend | {} | body /prompt: is missing && body /taskId: is missing
        extend | {"taskId":"","prompt":"On","model":"veo3_fast"} | body /model: "veo3_fast" is not one of "fast", "quality" or "lite" && body /taskId: "" is shorter than 1 character
        get_4k_video | {"taskId":"a","index":"0"} | body /index: "0" is not of type "integer"
        get_4k_video | {"task_id":"a"} | body /taskId: is missing
        create_task | {"model":"veo-3-1","input":{"prompt":"A kite"}} |
        create_task | {"model":"veo-3-1","input":{}} | body /input/prompt: is missing
        create_task | {"model":"veo-3-1"} | body /input: is missing
        create_task | {"model":"veo-3-1","input":{"prompt":"A kite","duration":"8"}} | body /input/duration: "8" is not of type "integer" && body /input/duration: "8" is not one of 4, 6 or 8
        create_task | {"model":"veo/extend","input":{"prompt":"On","seeds":1}} | body /input/seeds: 1 is less than the minimum of 10000 && body /input/task_id: is missing
        create_task | {"model":"veo/get-1080p-video","input":{"task_id":"a","index":0}} | body /input/index: 0 is not of type "string" && body /input/taskId: is missing
        create_task | {"model":"google/gemini-omni-flash-1-1","input":{"prompt":"A kite","duration":4}} | body /input/duration: 4 is not of type "string" && body /input/duration: 4 is not one of "4", "6" or 2 other candidates
        create_task | {"input":{"prompt":"A kite"}} | body /model: is missing
        create_task | {"model":"veo3","input":{}} | body /model: "veo3" is not one of "google/gemini-omni-flash-1-1" && body /model: "veo3" is not one of "veo-3-1" && body /model: "veo3" is not one of "veo/extend" && body /model: "veo3" is not one of "veo/get-1080p-video" && body /model: "veo3" is not one of "veo/get-4k-video"
        download_url | {"url":7} | body /url: 7 is not of type "string"
        upload_base64 | {"uploadPath":"in"} | body /base64Data: is missing
        upload_url | {"fileUrl":"a","uploadPath":"","fileName":""} | body /fileName: "" is shorter than 1 character && body /uploadPath: "" is shorter than 1 character
        create_video | {"model":"veo3.1-video-720p"} |
        create_video | {"prompt":"A kite"} | body /model: is missing
        create_video | {"model":"veo3_fast"} | body /model: "veo3_fast" is not one of "veo3.1-video-720p", "veo3.1-video-1080p" or 4 other candidates
        create_video | {"model":"veo3.1-video-4k","size":"4K"} | body /size: "4K" is not one of "720p", "1080p" or "4k"
        create_video | {"model":"veo3.1-video-4k","aspect_ratio":"Auto"} | body /aspect_ratio: "Auto" is not one of "16:9" or "9:16"
        create_video | {"model":"veo3.1-video-4k","images":["a"]} | body /images: ["a"] has less than 2 items
        create_video | {"model":"veo3.1-video-4k","images":["a","b","c","d"]} | body /images: ["a","b","c","d"] has more than 3 items
        create_video | {"model":"veo3.1-video-4k","duration":"8"} | body /duration: "8" is not of type "integer" && body /duration: "8" is not one of 4, 6 or 8
        create_video | {"model":"veo3.1-video-4k","extra_body":"{}"} | body /extra_body: "{}" is not of type "object"
        create_video | {"model":"veo3.1-video-4k","extra_body":{"seed":"7","generate_audio":null,"of_tomorrow":1}} | body /extra_body/generate_audio: null is not of type "boolean" && body /extra_body/seed: "7" is not of type "integer"
        "#,
    ) {
        assert_eq!(mismatches(id, "", JSON, body), expected, "{id} {body}");
    }
    let bytes = mismatches("generate", "", JSON, b"{\"prompt\":\"\xff\"}");
    assert!(
        matches!(&bytes[..], [only] if only.starts_with("body: is not JSON, ")),
        "{bytes:?}"
    );
}

#[test]
fn an_unknown_field_is_reported_with_its_place() {
    for (id, body, expected) in rows(
        r#"
        generate | {"prompt":"A kite","of_tomorrow":{"a":[1]}} | body /of_tomorrow: is not in the specification
        create_task | {"model":"veo-3-1","input":{"prompt":"A kite","seeds":10000}} | body /input/seeds: is not in the specification
        create_task | {"model":"veo/extend","input":{"prompt":"On","task_id":"a","seeds":10000}} |
        create_task | {"model":"veo/extend","prompt":"On","input":{"taskId":"a"}} | body /input/taskId: is not in the specification && body /prompt: is not in the specification
        create_task | {"model":"veo3","input":{"seeds":10000}} |
        "#,
    ) {
        let found = operation(id).unknown_fields("", body.as_bytes());
        assert_eq!(found, expected, "{id} {body}");
    }
}

#[test]
fn a_query_that_does_not_fit_is_reported_with_its_place() {
    for (id, query, expected) in rows(
        r#"
        record_info | taskId=a |
        record_info | taskId=7&other=b |
        record_info | task%49d=a |
        record_info |  | query taskId: is missing
        record_info | task_id=a&taskid=b&&= | query taskId: is missing
        record_info | taskId=a&taskId=b&taskId=c | query taskId: is given more than once
        get_1080p_video | taskId=a&index=0 |
        get_1080p_video | taskId=a&index=-1 |
        get_1080p_video | index=first | query index: "first" is not of type "integer" && query taskId: is missing
        get_1080p_video | taskId=a&index= | query index: "" is not of type "integer"
        get_1080p_video | taskId=a&index=1.5 | query index: 1.5 is not of type "integer"
        get_1080p_video | taskId=a&index=null | query index: null is not of type "integer"
        account_credits | a=b |
        query_video | a=b |
        "#,
    ) {
        // The operation has no body, so neither the content type nor the body matters.
        assert_eq!(mismatches(id, query, None, ""), expected, "{id} {query}");
        assert_eq!(
            mismatches(id, query, Some("text/plain"), "{"),
            expected,
            "{id} {query}"
        );
    }
}

#[test]
fn a_content_type_outside_the_specification_is_reported() {
    let json = r#"{"prompt":"A kite"}"#;
    for (id, content_type, body, expected) in [
        (
            "generate",
            Some("application/json; charset=utf-8"),
            json,
            &[][..],
        ),
        (
            "generate",
            Some("Application/JSON;charset=UTF-8"),
            json,
            &[],
        ),
        (
            "generate",
            None,
            json,
            &["content type: is missing, has to be application/json"],
        ),
        (
            "generate",
            Some(""),
            json,
            &[r#"content type: is "", has to be application/json"#],
        ),
        (
            "generate",
            Some("text/plain"),
            json,
            &[r#"content type: is "text/plain", has to be application/json"#],
        ),
        (
            "generate",
            Some("application/x-www-form-urlencoded"),
            "prompt=A+kite",
            &[
                "body: is not JSON, expected value at line 1 column 1",
                r#"content type: is "application/x-www-form-urlencoded", has to be application/json"#,
            ],
        ),
        (
            "generate",
            None,
            "",
            &[
                "body: is missing",
                "content type: is missing, has to be application/json",
            ],
        ),
        (
            "upload_stream",
            Some("multipart/form-data; boundary=x"),
            "not looked at",
            &[],
        ),
        (
            "upload_stream",
            Some("multipart/form-data; boundary=x"),
            "",
            &["body: is missing"],
        ),
        (
            "upload_stream",
            Some("application/json"),
            "{}",
            &[r#"content type: is "application/json", has to be multipart/form-data"#],
        ),
    ] {
        assert_eq!(
            mismatches(id, "", content_type, body),
            expected,
            "{id} {content_type:?} {body}"
        );
    }
}

#[test]
fn a_report_about_a_large_request_is_short() {
    let many = json!({ "prompt": "x".repeat(100_000), "imageUrls": vec![7; 100_000] }).to_string();
    let found = mismatches("generate", "", JSON, &many);
    assert_eq!(found.len(), MAX_MISMATCHES);

    let long = json!({ "prompt": "A kite", "model": "ü".repeat(100_000) }).to_string();
    let shown = "ü".repeat(MAX_SHOWN - 1);
    let expected =
        format!(r#"body /model: "{shown}… is not one of "veo3", "veo3_fast" or "veo3_lite""#);
    assert_eq!(mismatches("generate", "", JSON, &long), [expected]);

    let query = "taskId=a&".repeat(10_000);
    assert_eq!(
        mismatches("record_info", &query, None, ""),
        ["query taskId: is given more than once"]
    );
}

/// A mutation of a body: a position, the number of bytes to remove there, and the bytes to insert.
fn mutation() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let token = prop::sample::select(vec![
        "null",
        "true",
        "{",
        "}",
        "[",
        "]",
        "[[",
        "{}",
        ",",
        ":",
        "\"",
        "\\",
        "\\ud800",
        "-0",
        "1e308",
        "1e999",
        "99999999999999999999999",
        "0.1",
        "&",
        "=",
        "%",
        "%ff",
        "+",
        "\u{0}",
        "ü",
        ";",
        "/",
        "\"prompt\"",
    ]);
    let put = prop_oneof![
        token.prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4)
    ];
    (any::<prop::sample::Index>(), 0..6_usize, put)
}

fn mutated(text: &str, mutations: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (at, length, put) in mutations {
        let at = at.index(bytes.len() + 1);
        bytes.splice(at..(at + length).min(bytes.len()), put.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_request_breaks_the_check(
        id in prop::sample::select(Contract::shared().operations().iter().map(|it| &it.id).collect::<Vec<_>>()),
        body in prop::sample::select(vec![
            r#"{"prompt":"A kite","imageUrls":["a"],"model":"veo3","seeds":12345,"watermark":"a","duration":8}"#,
            r#"{"model":"veo3.1-video-4k","images":["a","b"],"extra_body":{"seed":7,"generate_audio":true}}"#,
            r#"{"taskId":"a","prompt":"On","index":0,"url":"a","base64Data":"a","fileUrl":"a","uploadPath":"a"}"#,
        ]),
        query in prop::collection::vec(mutation(), 0..4),
        content_type in prop::option::of(prop::collection::vec(mutation(), 0..4)),
        changes in prop::collection::vec(mutation(), 0..8),
    ) {
        let query = String::from_utf8_lossy(&mutated("taskId=a&index=0", &query)).into_owned();
        let content_type = content_type.map(|it| mutated("application/json; charset=utf-8", &it));
        let content_type = content_type.as_deref().map(String::from_utf8_lossy);
        let body = mutated(body, &changes);
        let found = mismatches(id, &query, content_type.as_deref(), &body);
        let places = ["body: ", "body /", "query taskId: ", "query index: ", "content type: "];
        for sentence in &found {
            prop_assert!(places.iter().any(|place| sentence.starts_with(place)), "{sentence}");
            prop_assert!(sentence.chars().count() < 400, "{sentence}");
        }
        prop_assert_eq!(&found, &mismatches(id, &query, content_type.as_deref(), &body));
    }
}

/// The rows of a table: an operation, a part of a request, and its sentences, which ` && ` separates.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
    let lines = table.lines().filter(|line| line.contains('|'));
    lines.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let sentences = cells[2].split(" && ").filter(|cell| !cell.is_empty());
        (cells[0], cells[1], sentences.collect())
    })
}

fn mismatches(
    id: &str,
    query: &str,
    content_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Vec<String> {
    operation(id).mismatches(query, content_type, body.as_ref())
}

fn operation(id: &str) -> &'static Operation {
    let mut operations = Contract::shared().operations().iter();
    operations.find(|operation| operation.id == id).unwrap()
}

fn specifications() -> [(&'static str, Value); 2] {
    ["kie", "uniall"].map(|provider| {
        let text =
            fs::read_to_string(repository().join(format!("openapi/{provider}.yaml"))).unwrap();
        (provider, serde_saphyr::from_str(&text).unwrap())
    })
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
