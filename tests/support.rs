//! The parts that all tests share: fixtures that are served as they are, and requests as text.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use veo_transport::Head;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// The API key that every test uses. No snapshot may contain it.
pub const KEY: &str = "sk-not-for-anybody";

/// A whole picture of 16 by 9 pixels.
pub const PNG: &[u8] = include_bytes!("media/kite.png");

/// A raw reply of a provider, from `tests/fixtures/<provider>/<operation>/<trust>/<name>.http`.
pub struct Fixture {
    /// The operation that the reply answers.
    pub operation: String,
    /// `<trust>/<name>`
    pub name: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Fixture {
    /// The body as an error stores it, if there is one.
    pub fn excerpt(&self) -> Option<String> {
        Some(veo_transport::excerpt(&self.body, 4096)).filter(|text| !text.is_empty())
    }

    /// Makes the server answer every request with this reply.
    async fn serve(&self, server: &MockServer) {
        let reply = ResponseTemplate::new(self.status).set_body_bytes(self.body.clone());
        let headers = self.headers.iter();
        let reply = headers.fold(reply, |reply, (name, value)| {
            reply.insert_header(name.as_str(), value.as_str())
        });
        answer(server, reply).await;
    }

    fn read(operation: &str, trust: &str, path: &Path) -> Self {
        let raw = std::fs::read(path).unwrap();
        let split = raw
            .windows(2)
            .position(|window| window == b"\n\n")
            .unwrap_or_else(|| panic!("{path:?} has no empty line"));
        let head = std::str::from_utf8(&raw[..split]).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let header = |line: &str| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .unwrap()
        };
        let stem = path.file_stem().unwrap().to_str().unwrap();
        Self {
            operation: operation.to_owned(),
            name: format!("{trust}/{stem}"),
            status,
            headers: lines.map(header).collect(),
            body: raw[split + 2..].to_vec(),
        }
    }
}

/// Returns all replies of a provider, in order. Fails if a file is read by no test, or if an operation has no reply.
fn fixtures(provider: &str, operations: &[&str]) -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(provider);
    let mut fixtures = Vec::new();
    for (operation, path) in entries(&folder)
        .into_iter()
        .filter(|(name, _)| !NOT_REPLIES.contains(&name.as_str()))
    {
        for (trust, path) in entries(&path) {
            assert!(
                ["documented", "observed", "inferred"].contains(&trust.as_str()),
                "nothing reads {path:?}"
            );
            for (name, path) in entries(&path) {
                assert!(name.ends_with(".http"), "nothing reads {path:?}");
                fixtures.push(Fixture::read(&operation, &trust, &path));
            }
        }
    }
    let covered: BTreeSet<&str> = fixtures
        .iter()
        .map(|fixture| fixture.operation.as_str())
        .collect();
    for operation in operations {
        assert!(
            covered.contains(operation),
            "openapi/{provider}.yaml has the operation {operation}, and no reply to it is known: put those of its page into \
             tests/fixtures/{provider}/{operation}/documented/, as tests/fixtures/README.md says"
        );
    }
    for operation in covered {
        assert!(
            operations.contains(&operation),
            "openapi/{provider}.yaml has no operation {operation} any more: remove tests/fixtures/{provider}/{operation}/"
        );
    }
    fixtures
}

/// Returns one text for each operation of a provider, with the result of `describe` for each reply, if there is one.
pub async fn texts_of_replies(
    server: &MockServer,
    provider: &str,
    operations: &[&str],
    describe: impl AsyncFn(&Fixture) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    for fixture in fixtures(provider, operations) {
        fixture.serve(server).await;
        if let Some(text) = describe(&fixture).await {
            texts.entry(fixture.operation).or_default().push_str(&text);
        }
    }
    texts
}

/// The bodies of kie.ai's callbacks, in order: `<trust>/<name>` and the raw bytes.
pub fn callbacks() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kie/callbacks");
    let mut callbacks = Vec::new();
    for (trust, path) in entries(&folder) {
        assert!(
            ["documented", "observed", "inferred"].contains(&trust.as_str()),
            "nothing reads {path:?}"
        );
        for (name, path) in entries(&path) {
            let stem = name
                .strip_suffix(".json")
                .unwrap_or_else(|| panic!("nothing reads {path:?}"));
            callbacks.push((format!("{trust}/{stem}"), std::fs::read(&path).unwrap()));
        }
    }
    callbacks
}

/// The request bodies of a provider's page, with their names.
pub fn requests(provider: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(provider)
        .join("requests");
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    entries(&folder)
        .into_iter()
        .map(|(name, path)| (name, read(&path)))
        .collect()
}

/// The folders of a provider that contain no replies.
const NOT_REPLIES: [&str; 2] = ["callbacks", "requests"];

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut entries: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    entries.sort();
    entries
}

/// Returns variations of a reply, with their names: each part in turn is left out, replaced by another value, or gets
/// an unknown field beside it. The part at `keep` is in all of them, since it has to survive.
pub fn variations(reply: &Value, keep: &str) -> Vec<(String, Value)> {
    let mut variations = Vec::new();
    for pointer in pointers(reply, String::new()) {
        if keep.starts_with(&pointer) {
            continue;
        }
        for wrong in [
            json!(null),
            json!(7),
            json!(-1.5),
            json!("7"),
            json!("surprise"),
            json!(true),
            json!([]),
            json!([null]),
            json!({}),
        ] {
            let mut reply = reply.clone();
            *reply.pointer_mut(&pointer).unwrap() = wrong.clone();
            variations.push((format!("{pointer} = {wrong}"), reply));
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut reply = reply.clone();
        if let Some(parent) = reply.pointer_mut(parent).unwrap().as_object_mut() {
            parent.remove(name);
            parent.insert("surprise".to_owned(), json!({ "code": 1, "taskId": null }));
            variations.push((format!("{pointer} left out"), reply));
        }
    }
    variations
}

fn pointers(value: &Value, at: String) -> Vec<String> {
    let below: Vec<_> = match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| pointers(value, format!("{at}/{name}")))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| pointers(value, format!("{at}/{index}")))
            .collect(),
        _ => Vec::new(),
    };
    std::iter::once(at).chain(below).collect()
}

/// Makes the server answer every request with these bytes.
pub async fn serve_bytes(server: &MockServer, status: u16, body: Vec<u8>) {
    answer(server, ResponseTemplate::new(status).set_body_bytes(body)).await;
}

/// Makes the server answer every request with these bytes and this content type.
pub async fn serve_typed(server: &MockServer, status: u16, content_type: &str, body: Vec<u8>) {
    let reply = ResponseTemplate::new(status)
        .set_body_bytes(body)
        .insert_header("content-type", content_type);
    answer(server, reply).await;
}

/// Makes the server answer every request with this JSON.
pub async fn serve_json(server: &MockServer, json: &Value) {
    answer(server, ResponseTemplate::new(200).set_body_json(json)).await;
}

/// Starts a server that accepts every request, and stores it for the test.
pub async fn recorder() -> MockServer {
    let server = MockServer::start().await;
    serve_json(
        &server,
        &json!({ "code": 200, "id": "task_1", "data": null }),
    )
    .await;
    server
}

/// Makes the server forget all requests, and give this reply from now on.
async fn answer(server: &MockServer, reply: ResponseTemplate) {
    server.reset().await;
    Mock::given(any()).respond_with(reply).mount(server).await;
    // tokio makes a busy task wait. The server waits when it is dropped, and without this pause it would wait for ever.
    tokio::task::yield_now().await;
}

/// Returns the last request as it was on the wire. Parts that differ from run to run are replaced by a name.
pub async fn last_request(server: &MockServer) -> String {
    request_text(server.received_requests().await.unwrap().last().unwrap())
}

/// The pause that the provider asks for, if any. The pause until a date differs from run to run, so it has no number.
pub fn retry_after(head: &Head) -> String {
    match head.retry_after {
        None => String::new(),
        Some(after) if after > Duration::from_secs(3600) => ", retry after a date".to_owned(),
        Some(after) => format!(", retry after {after:?}"),
    }
}

fn request_text(request: &Request) -> String {
    let query = request
        .url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let mut text = format!("{} {}{query}\n", request.method, request.url.path());
    let mut boundary = String::new();
    let mut headers: Vec<String> = Vec::new();
    for (name, value) in &request.headers {
        let value = value.to_str().unwrap();
        let value = match name.as_str() {
            "host" | "content-length" => "...".to_owned(),
            "authorization" => value.replace(KEY, "<key>"),
            "user-agent" => value.replace(env!("CARGO_PKG_VERSION"), "<version>"),
            "content-type" if value.starts_with("multipart/") => {
                boundary = value.split("boundary=").nth(1).unwrap().to_owned();
                value.replace(&boundary, "<boundary>")
            }
            _ => value.to_owned(),
        };
        headers.push(format!("{name}: {value}\n"));
    }
    headers.sort();
    text.extend(headers);
    if !request.body.is_empty() {
        let body = String::from_utf8_lossy(&request.body).replace("\r\n", "\n");
        let body = if boundary.is_empty() {
            body
        } else {
            body.replace(&boundary, "<boundary>")
        };
        let _ = writeln!(text, "\n{}", body.trim_end());
    }
    text
}

/// Checks the text of a file of the documentation, by its path in the repository. `INSTA_UPDATE=always` writes it.
pub fn published(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&file, text).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        text,
        published,
        "run with INSTA_UPDATE=always, and read the change of {}",
        file.display()
    );
}
