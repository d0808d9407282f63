//! The advice of the program for each text of `tests/fixtures/refusals.tsv`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};
use crate::server::{Server, task, whole};

const TABLE: &str = include_str!("../../../../tests/fixtures/refusals.tsv");

struct Row {
    /// A task that no other row has.
    task: String,
    provider: &'static str,
    place: &'static str,
    http: &'static str,
    /// A number or a word.
    code: Value,
    text: &'static str,
    /// The beginning of the advice.
    advice: &'static str,
}

impl Row {
    fn of((number, line): (usize, &'static str)) -> Self {
        let columns: Vec<&str> = line.split('\t').collect();
        let [provider, place, http, code, text, _, advice] = columns[..] else {
            panic!("not seven columns: {line}")
        };
        let numeric = code.parse::<i64>().ok();
        Self {
            task: format!("t{number}"),
            provider,
            place,
            http,
            code: numeric.map_or(json!(code), Value::from),
            text,
            advice,
        }
    }

    fn job(&self) -> String {
        format!("{}:{}", self.provider, self.task)
    }

    /// The reply with the text of the row.
    fn reply(&self) -> String {
        let Self {
            task, code, text, ..
        } = self;
        let body = match (self.provider, self.place) {
            ("kie", "create") => json!({ "code": code, "msg": text, "data": null }),
            ("kie", _) => {
                let data = json!({ "taskId": task, "successFlag": 3, "errorCode": code,
                                   "errorMessage": text });
                json!({ "code": 200, "msg": "success", "data": data })
            }
            (_, "create") => json!({ "code": code, "message": text, "data": null }),
            _ => {
                let error = json!({ "code": code, "message": text });
                json!({ "id": task, "status": "failed", "error": error })
            }
        };
        let status = format!("{} Status", self.http);
        let headers = "content-type: application/json\r\n";
        whole(&status, headers, &body.to_string())
    }

    /// Returns a message if the program gave other advice.
    fn mismatch(&self, error: Option<&Value>) -> Option<String> {
        let next = error.and_then(|error| error["next"].as_str());
        let next = next.unwrap_or_default();
        let fits = !self.advice.is_empty() && next.starts_with(self.advice);
        (!fits).then(|| format!("{next:?} and not {:?}: {}", self.advice, self.text))
    }
}

fn rows(place: &str) -> Vec<Row> {
    let rows = TABLE.lines().enumerate().skip(1).map(Row::of);
    rows.filter(|row| row.place == place).collect()
}

/// The errors of a run, by their jobs.
fn errors(run: &Run) -> BTreeMap<String, Value> {
    let mut errors = BTreeMap::new();
    for line in run.err.lines() {
        if let Ok(error) = serde_json::from_str::<Value>(line) {
            let job = error["job"].as_str().unwrap_or_default();
            errors.insert(job.to_owned(), error);
        }
    }
    errors
}

#[test]
fn each_refusal_has_its_advice() {
    let mut wrong = Vec::new();
    for row in rows("create") {
        let reply = row.reply();
        let server = Server::start(move |_, _| Some(reply.clone()));
        let sandbox = Sandbox::new().at(row.provider, server.url());
        let image = ["--image", "https://example.net/a.png"];
        let run = sandbox.run(&[&["generate", "A kite", "--json"], &image[..]].concat());
        wrong.extend(row.mismatch(errors(&run).get("")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_failure_of_a_job_has_its_advice() {
    let server = Server::start(|line, _| {
        let path = line.split(' ').nth(1).unwrap_or_default();
        let task = match path.strip_prefix("/v1/videos/") {
            Some(task) => task,
            None => task(line),
        };
        let row = rows("task").into_iter().find(|row| row.task == task)?;
        Some(row.reply())
    });
    let sandbox = Sandbox::new()
        .at("kie", server.url())
        .at("uniall", server.url());
    let rows = rows("task");
    let jobs: Vec<String> = rows.iter().map(Row::job).collect();
    let mut command = vec!["wait", "--json"];
    command.extend(jobs.iter().map(String::as_str));
    let printed = errors(&sandbox.run(&command));
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(row.mismatch(printed.get(&row.job())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
