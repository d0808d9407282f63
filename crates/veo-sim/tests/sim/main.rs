//! The simulator as its users meet it: over HTTP, with a client that knows nothing of the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod callbacks;
mod faults;
mod hostile;
mod jobs;
mod ledger;
mod program;
mod providers;
mod time;

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use shiguredo_mp4::Decode;
use shiguredo_mp4::boxes::{FtypBox, MoovBox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use veo_sim::{Scenario, Sim};

/// A time far longer than any step here takes. A test that reaches it has failed.
const LONG: Duration = Duration::from_secs(20);
/// The time without a byte after which a test assumes that nothing more comes.
const SILENCE: Duration = Duration::from_millis(200);

/// The width, height and seconds that a video has in its header.
type Size = (i16, i16, u64);

/// A client of both providers with its own API key.
struct User<'a> {
    sim: &'a Sim,
    http: Client,
    key: String,
}

impl<'a> User<'a> {
    fn new(sim: &'a Sim, key: &str) -> User<'a> {
        User {
            sim,
            http: Client::builder().no_proxy().build().unwrap(),
            key: key.to_owned(),
        }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.sim.url() + path);
        request.bearer_auth(&self.key).header("user-agent", "test")
    }

    async fn get(&self, path: &str) -> Value {
        exchange(self.call(Method::GET, path)).await.1
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        exchange(self.call(Method::POST, path).json(&body)).await.1
    }

    /// Sends the request of a row. It is a GET if there is no body.
    async fn send(&self, path: &str, body: &str) -> (u16, Value) {
        let request = match body {
            "" => self.call(Method::GET, path),
            _ => self
                .call(Method::POST, path)
                .header("content-type", "application/json")
                .body(body.to_owned()),
        };
        exchange(request).await
    }

    async fn kie_task(&self, request: Value) -> String {
        let reply = self.post("/api/v1/veo/generate", request).await;
        let id = reply["data"]["taskId"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"));
        assert_eq!(
            reply,
            json!({ "code": 200, "msg": "success", "data": { "taskId": id } })
        );
        id.to_owned()
    }

    /// The record of a task at kie.ai.
    async fn record(&self, id: &str) -> Value {
        self.data(&format!("/api/v1/veo/record-info?taskId={id}"))
            .await
    }

    /// The data of a successful reply of kie.ai.
    async fn data(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(
            (&reply["code"], &reply["msg"]),
            (&json!(200), &json!("success")),
            "{reply}"
        );
        reply["data"].clone()
    }

    /// Asks kie.ai until the task has ended.
    async fn kie_end(&self, id: &str) -> Value {
        loop {
            let record = self.record(id).await;
            if record["successFlag"] != 0 {
                return record;
            }
        }
    }

    /// Makes a video at kie.ai, and returns its task and the `response` of its record.
    async fn kie_video(&self, request: Value) -> (String, Value) {
        let id = self.kie_task(request).await;
        let record = self.kie_end(&id).await;
        (id, record["response"].clone())
    }

    /// Starts a task in kie.ai's current form.
    async fn create_task(&self, model: &str, input: Value) -> String {
        let request = json!({ "model": model, "input": input });
        let reply = self.post("/api/v1/jobs/createTask", request).await;
        let id = reply["data"]["taskId"]
            .as_str()
            .unwrap_or_else(|| panic!("{reply}"));
        let data = json!({ "taskId": id, "recordId": id });
        assert_eq!(
            reply,
            json!({ "code": 200, "msg": "success", "data": data })
        );
        id.to_owned()
    }

    /// The record of a task in kie.ai's current form.
    async fn task(&self, id: &str) -> Value {
        self.data(&format!("/api/v1/jobs/recordInfo?taskId={id}"))
            .await
    }

    /// Asks kie.ai's current form until the task has ended.
    async fn task_end(&self, id: &str) -> Value {
        loop {
            let record = self.task(id).await;
            if record["state"] != "waiting" {
                return record;
            }
        }
    }

    async fn uniall_task(&self) -> String {
        let request = json!({ "model": "veo3.1-fast-video-720p", "prompt": "A kite" });
        let job = self.post("/v1/video/generations", request).await;
        job["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{job}"))
            .to_owned()
    }

    /// Asks UniAll until the task has ended.
    async fn uniall_end(&self, id: &str) -> Value {
        loop {
            let job = self.get(&format!("/v1/videos/{id}")).await;
            if !["queued", "in_progress"].contains(&job["status"].as_str().unwrap()) {
                return job;
            }
        }
    }

    /// The balance at kie.ai.
    async fn balance(&self) -> f64 {
        self.get("/api/v1/chat/credit").await["data"]
            .as_f64()
            .unwrap()
    }

    async fn fetch(&self, url: &Value) -> reqwest::Response {
        self.http
            .get(url.as_str().unwrap_or_else(|| panic!("{url}")))
            .send()
            .await
            .unwrap()
    }

    async fn download(&self, url: &Value) -> Vec<u8> {
        let reply = self.fetch(url).await;
        assert_eq!(reply.status(), 200, "{url}");
        reply.bytes().await.unwrap().to_vec()
    }

    async fn size(&self, url: &Value) -> Size {
        let file = self.download(url).await;
        let mut at = 0;
        FtypBox::decode_at(&file, &mut at).unwrap();
        let index = MoovBox::decode_at(&file, &mut at).unwrap();
        let movie = index.mvhd_box;
        let size = &index.trak_boxes[0].tkhd_box;
        (
            size.width.integer,
            size.height.integer,
            movie.duration / u64::from(movie.timescale.get()),
        )
    }
}

async fn exchange(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    let text = reply.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")),
    )
}

/// Starts a simulator in which one scenario applies to everything.
async fn start(scenario: Scenario) -> Sim {
    Sim::builder().scenario(scenario).start().await.unwrap()
}

/// Returns a scenario from TOML, with a name if it has none.
fn toml(text: &str) -> Scenario {
    Scenario::from_toml(&format!("name = \"test\"\ndescription = \"\"\n{text}")).unwrap()
}

/// The bytes that came over a connection, and its end.
#[derive(Debug)]
struct Raw {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Closed,
    Reset,
    /// Nothing more comes, but the connection stays open.
    Silent,
}

impl Raw {
    /// Sends these bytes, and reads until the connection ends.
    async fn exchange(sim: &Sim, request: impl AsRef<[u8]>) -> Raw {
        let mut socket = connect(sim).await;
        // If a request is refused early, the simulator may not read it to its end.
        let _ = socket.write_all(request.as_ref()).await;
        Raw::read(&mut socket, LONG).await
    }

    /// Sends these bytes, and reads until the simulator sends nothing more.
    async fn exchange_until_silent(sim: &Sim, request: impl AsRef<[u8]>) -> Raw {
        let mut socket = connect(sim).await;
        socket.write_all(request.as_ref()).await.unwrap();
        Raw::read(&mut socket, SILENCE).await
    }

    async fn read(socket: &mut TcpStream, silence: Duration) -> Raw {
        let mut bytes = Vec::new();
        let end = loop {
            let silence = if bytes.is_empty() {
                silence * 3
            } else {
                silence
            };
            match timeout(silence, socket.read_buf(&mut bytes)).await {
                Ok(Ok(0)) => break End::Closed,
                Ok(Ok(_)) => {}
                Ok(Err(_)) => break End::Reset,
                Err(_) => break End::Silent,
            }
        };
        Raw { bytes, end }
    }

    /// The head, if it is whole, and the bytes of the body that came.
    fn parts(&self) -> Option<(&str, &[u8])> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        Some((
            std::str::from_utf8(&self.bytes[..end]).unwrap(),
            &self.bytes[end + 4..],
        ))
    }

    fn status(&self) -> Option<u16> {
        self.parts()?.0.split(' ').nth(1)?.parse().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.parts()?.0.lines();
        lines
            .find_map(|line| line.split_once(": ").filter(|(it, _)| *it == name))
            .map(|(_, value)| value)
    }

    fn body(&self) -> &[u8] {
        self.parts().map_or(&[], |(_, body)| body)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body())
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.bytes)))
    }
}

async fn connect(sim: &Sim) -> TcpStream {
    TcpStream::connect(sim.url().strip_prefix("http://").unwrap())
        .await
        .unwrap()
}

/// Returns a request as bytes, after which the connection is closed.
fn request(method: &str, path: &str, key: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "content-type: application/json\r\n"
    };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nuser-agent: test\r\nauthorization: Bearer {key}\r\n\
         connection: close\r\n{kind}content-length: {length}\r\n\r\n{body}"
    )
}

/// Returns the cells of a table with one row to a line.
fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let lines = table.lines().filter(|line| line.contains(" | "));
    lines.map(|line| {
        let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
        cells.try_into().unwrap_or_else(|_| panic!("{line}"))
    })
}
