//! The memory of a wait, and of replies with the greatest length and any content. These tests are a separate process,
//! since the system reports the highest memory use only for a whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use veo_core::ledger::FileLedger;
use veo_core::{
    Access, Client, Error, JobRef, Kie, Poll, Resolution, State, Submission, UniAll, VideoRequest,
};

const MIB: usize = 1 << 20;

/// The most memory that this process has used so far, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}

/// Answers every request with the file that was named last, in pieces. Counts the requests.
fn serve(body: Arc<Mutex<PathBuf>>, asked: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            asked.fetch_add(1, Ordering::SeqCst);
            let path = body.lock().unwrap().clone();
            answer(&mut socket.unwrap(), &path);
        }
    });
    url
}

fn answer(socket: &mut TcpStream, body: &Path) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    // Every request here ends with a brace, and no read ends with another brace.
    let is_whole = |request: &[u8]| {
        request.ends_with(if request.starts_with(b"GET") {
            b"\r\n\r\n"
        } else {
            b"}"
        })
    };
    while !is_whole(&request) {
        match socket.read(&mut chunk) {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    let mut file = File::open(body).unwrap();
    let length = file.metadata().unwrap().len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    // A client that has read enough may close the connection.
    let _ = socket
        .write_all(head.as_bytes())
        .and_then(|()| std::io::copy(&mut file, socket));
}

/// Writes a file that begins with `start`, repeats `middle` while there is room, and ends with `end`.
fn file(folder: &Path, name: &str, size: usize, [start, middle, end]: [&str; 3]) -> PathBuf {
    let path = folder.join(name);
    let mut file = BufWriter::new(File::create(&path).unwrap());
    file.write_all(start.as_bytes()).unwrap();
    for _ in 0..(size - start.len() - end.len()) / middle.len() {
        file.write_all(middle.as_bytes()).unwrap();
    }
    file.write_all(end.as_bytes()).unwrap();
    file.flush().unwrap();
    path
}

/// Writes a reply with a finished video in it that is a little longer than `mebibytes`.
fn video(folder: &Path, mebibytes: usize) -> PathBuf {
    let free = mebibytes * MIB;
    let clip = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/veo-sim/media/1280x720.mp4"),
    )
    .unwrap();
    let mut bytes = clip;
    bytes.extend_from_slice(&u32::try_from(8 + free).unwrap().to_be_bytes());
    bytes.extend_from_slice(b"free");
    // Only zeros follow. If the length is a multiple of three, base64 has the same four letters for each three zeros.
    while !bytes.len().is_multiple_of(3) {
        bytes.push(0);
    }
    let path = folder.join("video");
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let start = STANDARD.encode(&bytes);
    write!(
        file,
        r#"{{"id":"t1","status":"completed","url":"data:video/mp4;base64,{start}"#
    )
    .unwrap();
    for _ in 0..free / 3 {
        file.write_all(b"AAAA").unwrap();
    }
    file.write_all(br#""}"#).unwrap();
    file.flush().unwrap();
    path
}

/// Returns the kind of an error, after a check that none of its texts is long.
fn kind(error: &Error) -> String {
    let reply = error.reply().map_or(0, str::len);
    let length = format!("{error} {error:?}").len();
    assert!(
        reply <= 4100 && length < 20_000,
        "{reply} bytes of a reply, and {length} of what is said about it"
    );
    format!("{:?}", error.kind())
}

fn shown(result: Result<State, Error>) -> String {
    match result {
        Ok(State::Finished(video)) => {
            assert!(video.raw.len() <= 4100, "{}", video.raw.len());
            format!("finished with {}", video.urls.len())
        }
        Ok(State::Failed(error)) => format!("failed {}", kind(&error)),
        Ok(state) => format!("{state:?}"),
        Err(error) => kind(&error),
    }
}

/// Asks the provider everything that a client can ask, and returns the answers.
async fn ask(client: &Client, provider: &str) -> String {
    let submission = match client.submit(&VideoRequest::text("A red kite")).await {
        Submission::Accepted(job) => format!("accepted {}", job.reference),
        Submission::Rejected(error) => kind(&error),
        Submission::Unknown(unknown) => kind(&unknown.error).replace("OutcomeUnknown", "unknown"),
    };
    let job = JobRef::new(provider, "t1");
    let state = shown(client.state(&job).await);
    let upgrades = [Resolution::P1080, Resolution::K4]
        .into_iter()
        .filter(|_| provider == "kie");
    let mut upgraded = String::new();
    for to in upgrades {
        let video = client.upgrade(&job, to).await;
        upgraded += &format!(
            ", {}",
            shown(video.map(|video| State::Finished(Box::new(video))))
        );
    }
    let credits = match client.credits(provider).await {
        Ok(credits) => credits.to_string(),
        Err(error) => kind(&error),
    };
    format!("{submission}, {state}{upgraded}, {credits}")
}

#[test]
fn a_long_reply_takes_a_bounded_amount_of_memory() {
    let folder = tempfile::tempdir().unwrap();
    let body = Arc::new(Mutex::new(PathBuf::new()));
    let asked = Arc::new(AtomicUsize::new(0));
    let url = serve(body.clone(), asked.clone());
    let none = Duration::ZERO;
    let poll = Poll::default()
        .first(none)
        .every(none)
        .every_upgrade(none)
        .give_up_after(none)
        .forgive_for(none);
    let access = Access::new("key").base_url(&url);
    let kie = Client::new(Kie::new(access.clone()).unwrap())
        .unwrap()
        .with_poll(poll.clone());
    let uniall = Client::new(UniAll::new(access).unwrap())
        .unwrap()
        .with_poll(poll);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();

    let unclear = [
        "unknown, Unavailable, OutcomeUnknown, TimedOut, NotSent",
        "unknown, Unavailable, InvalidRequest",
    ];
    // Each row has the length of the reply and the memory that it may take, both in MiB; then its beginning, its
    // repeated part and its end. The last part has the answers of each provider about a paid request, a job, the
    // upgrades of its video and the balance.
    let table = [
        // JSON inside a text.
        (
            (8, 100),
            [
                r#"{"code":200,"data":{"taskId":"t1","successFlag":1,"resultUrls":"["#,
                "[],",
                r#"0]","response":"[]"}}"#,
            ],
            [
                "accepted kie:t1, Download, TimedOut, TimedOut, NotSent",
                unclear[1],
            ],
        ),
        // A list that is not JSON.
        (
            (8, 100),
            [
                r#"{"code":200,"data":{"id":"t1","successFlag":1,"status":"done","resultUrls":"["#,
                "/a,",
                r#"]"}}"#,
            ],
            [
                "unknown, finished with 1, finished with 200, finished with 200, NotSent",
                "accepted uniall:t1, finished with 1, InvalidRequest",
            ],
        ),
        // A text of very many words.
        (
            (8, 100),
            [
                r#"{"code":500,"msg":""#,
                "no ",
                r#"","message":"","data":null}"#,
            ],
            unclear,
        ),
        (
            (8, 100),
            [r#"{"code":500,"message":""#, "no", r#"","data":null}"#],
            unclear,
        ),
        (
            (8, 100),
            [
                r#"{"code":500,"error":{"code":""#,
                "no ",
                r#""},"msg":[],"data":""}"#,
            ],
            unclear,
        ),
        // Values in the place of an id that are no ids, in a reply that is not JSON.
        (
            (8, 100),
            ["", r#""taskId":"","id":1.5,"data":[],"#, ""],
            unclear,
        ),
        // As many small values as fit.
        (
            (32, 200),
            [
                r#"{"code":500,"msg":"x","error":{"message":"x"},"data":["#,
                r#"{"a":0},"#,
                "0]}",
            ],
            unclear,
        ),
        (
            (32, 200),
            [
                r#"{"code":200,"msg":"x","data":{"x":["#,
                r#"{"a":0},"#,
                r#"0],"taskId":"t1","successFlag":0,"id":"t1","status":"running"}}"#,
            ],
            [
                "accepted kie:t1, Running { percent: None }, TimedOut, TimedOut, NotSent",
                "accepted uniall:t1, Running { percent: None }, InvalidRequest",
            ],
        ),
    ];
    for (index, ((size, most), [start, middle, end], wanted)) in table.into_iter().enumerate() {
        *body.lock().unwrap() = file(
            folder.path(),
            &index.to_string(),
            size * MIB,
            [start, middle, end],
        );
        for ((provider, client), wanted) in
            [("kie", &kie), ("uniall", &uniall)].into_iter().zip(wanted)
        {
            let found = runtime.block_on(ask(client, provider));
            assert_eq!(found, wanted, "{provider}: {start}{middle}..{end}");
            assert!(
                peak() < most * MIB,
                "{} MiB after {provider}: {start}{middle}..{end}",
                peak() / MIB
            );
        }
    }

    // A video of usual size, and the longest that is read from a reply. The provider is asked once.
    for mebibytes in [25, 127] {
        *body.lock().unwrap() = video(folder.path(), mebibytes);
        asked.store(0, Ordering::SeqCst);
        let file = folder.path().join("kite.mp4");
        let saved = runtime.block_on(async {
            let video = uniall.wait(JobRef::new("uniall", "t1")).await.unwrap();
            uniall.download(&video, &file).await.unwrap()
        });
        assert!(saved.bytes > (mebibytes * MIB) as u64, "{saved:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{mebibytes} MiB");
        assert!(
            peak() < 200 * MIB,
            "{} MiB for a video of {mebibytes} MiB inside a reply",
            peak() / MIB
        );
    }
    // A longer video is downloaded from its address instead.
    *body.lock().unwrap() = video(folder.path(), 129);
    let longer = runtime.block_on(uniall.wait(JobRef::new("uniall", "t1")));
    let urls = longer.unwrap().urls;
    assert_eq!(urls, [format!("{url}/v1/videos/t1/content")]);
    assert!(
        peak() < 200 * MIB,
        "{} MiB for what is too long",
        peak() / MIB
    );
}

#[test]
fn a_ledger_keeps_a_short_excerpt_of_a_long_reply() {
    let folder = tempfile::tempdir().unwrap();
    let start = r#"{"code":500,"msg":"x","error":{"message":"x"},"data":["#;
    let reply = file(
        folder.path(),
        "reply",
        32 * MIB,
        [start, r#"{"a":0},"#, "0]}"],
    );
    let url = serve(Arc::new(Mutex::new(reply)), Arc::default());
    let path = folder.path().join("jobs.ledger");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let submission = runtime.block_on(async {
        let kie = Kie::new(Access::new("key").base_url(&url)).unwrap();
        let ledger = FileLedger::open(&path).await.unwrap();
        let client = Client::new(kie).unwrap().with_ledger(ledger);
        client.submit(&VideoRequest::text("A red kite")).await
    });
    assert!(
        matches!(submission, Submission::Unknown(_)),
        "{submission:?}"
    );
    let ledger = std::fs::read_to_string(&path).unwrap();
    assert!(ledger.contains(r#""state":"unknown""#), "{ledger}");
    let longest = ledger.lines().map(|line| line.trim_end().len()).max();
    assert!(longest < Some(64 << 10), "{longest:?}");
}

/// An application may wait for many jobs, each in a Tokio task with its own client.
#[test]
fn a_waiting_task_takes_less_than_1024_bytes() {
    let client = Client::new(Kie::new("the API key").unwrap()).unwrap();
    let job = JobRef::new("kie", "t1");
    let bytes = size_of_val(&client) + size_of_val(&client.wait(&job));
    assert!(bytes < 1024, "{bytes} bytes");
}
