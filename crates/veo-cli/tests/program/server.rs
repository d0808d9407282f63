//! A provider that sends exactly the bytes that a test sets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::batch::video;

/// A link to a video of eight seconds at the same server.
pub(crate) const VIDEO: &str = "{origin}/video.mp4";

/// Returns a link to the video of [`VIDEO`] for one task only. The task is in the file too.
pub(crate) fn video_of(task: &str) -> String {
    format!("{VIDEO}?of={task}")
}

/// A server on the loopback interface, which runs as long as the test.
pub(crate) struct Server {
    url: String,
    arrived: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server. `answer` gets the first line and the body of each request. It returns JSON, in which `{origin}`
    /// is the address of the server, or a whole reply that begins with `HTTP/`. For `None` the connection is closed
    /// without a reply. For [`VIDEO`] the server sends the video without calling `answer`.
    pub(crate) fn start(
        answer: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer, origin) = (arrived.clone(), Arc::new(answer), url.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, answer, origin) = (seen.clone(), answer.clone(), origin.clone());
                thread::spawn(move || serve(stream, &origin, &seen, &*answer));
            }
        });
        Self { url, arrived }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.arrived.lock().unwrap().clear();
    }

    /// The number of requests whose first line has this text.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.arrived
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(path))
            .count()
    }
}

/// Answers the one request of a connection, as [`Server::start`] does. A client that was killed is no failure.
pub(crate) fn serve(
    mut stream: impl Read + Write,
    origin: &str,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str, &str) -> Option<String>,
) {
    let Some((head, body)) = read(&mut stream) else {
        return;
    };
    let line = head.lines().next().unwrap_or_default().to_owned();
    let (kind, reply) = if line.contains("/video.mp4") {
        let task = line.split_once("?of=").map_or("", |(_, task)| task);
        ("video/mp4", with_a_note(task))
    } else {
        seen.lock().unwrap().push(line.clone());
        let Some(reply) = answer(&line, &body) else {
            return;
        };
        let reply = reply.replace("{origin}", origin);
        if reply.starts_with("HTTP/") {
            let _ = stream.write_all(reply.as_bytes());
            return;
        }
        ("application/json", reply.into_bytes())
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    let _ = write!(stream, "{head}content-length: {}\r\n\r\n", reply.len())
        .and_then(|()| stream.write_all(&reply));
}

/// Returns the video with a text in a box at its end, which players skip.
fn with_a_note(text: &str) -> Vec<u8> {
    let mut video = video().to_vec();
    if !text.is_empty() {
        let length = u32::try_from(8 + text.len()).unwrap();
        video.extend(length.to_be_bytes());
        video.extend(b"free");
        video.extend(text.as_bytes());
    }
    video
}

/// Reads a request. A body can be an image, so its bytes are counted and not its characters.
fn read(stream: &mut impl Read) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let (head, body) = (
                String::from_utf8_lossy(&bytes[..end]).into_owned(),
                &bytes[end + 4..],
            );
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head, String::from_utf8_lossy(body).into_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend(&buffer[..count]),
            _ => return None,
        }
    }
}

/// The prompt of a paid request.
pub(crate) fn prompt(body: &str) -> Option<String> {
    serde_json::from_str::<Value>(body).ok()?["prompt"]
        .as_str()
        .map(str::to_owned)
}

/// The task that a question is about.
pub(crate) fn task(line: &str) -> &str {
    let rest = line.split_once("taskId=").map_or("", |(_, rest)| rest);
    rest.split([' ', '&']).next().unwrap_or_default()
}

/// The answer of kie.ai to a request that it accepts.
pub(crate) fn accepted(task: &str) -> String {
    format!(r#"{{"code":200,"msg":"success","data":{{"taskId":"{task}"}}}}"#)
}

/// The answer of kie.ai to a request that it refuses.
pub(crate) fn refused(code: u16, words: &str) -> String {
    format!(r#"{{"code":{code},"msg":"{words}","data":null}}"#)
}

/// A whole reply, with headers that end with a line break.
pub(crate) fn whole(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// The answer of kie.ai about a job. `flag` is 0 for a running job, 1 for a finished one, and 3 for a failed one.
pub(crate) fn record(task: &str, flag: u8, url: &str) -> String {
    let error = if flag == 3 {
        r#","errorCode":501,"errorMessage":"the model gave up""#
    } else {
        ""
    };
    let data = format!(
        r#"{{"taskId":"{task}","successFlag":{flag},"response":{{"resultUrls":["{url}"]}}{error}}}"#
    );
    format!(r#"{{"code":200,"msg":"success","data":{data}}}"#)
}
