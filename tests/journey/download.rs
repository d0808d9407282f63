//! A download saves the whole video or nothing.

use std::collections::VecDeque;
use std::error::Error as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use veo_core::{
    Access, BoxFuture, Capabilities, Client, Downloads, Error, ErrorKind, JobRef, Kie, Model,
    Offer, Provider, Reason, Saved, State, Video,
};
use veo_core::{Submission, UniAll, VideoRequest};
use veo_sim::Sim;
use veo_tests::{KEY, recorder, serve_json, texts_of_replies};

use crate::FORMS;
use crate::spans::record;

/// A video of one second.
const CLIP: &[u8] = include_bytes!("../../crates/veo-sim/media/3840x2160.mp4");
const SHA256: &str = "a232377892d5ac4cd150ca4b7194923d9d87c185eac3f875cc898017fb118116";
/// The length after which broken transfers break off.
const CUT: usize = 9000;

/// The behaviour of a media host on one connection.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes the connection.
    Send(Vec<u8>),
    /// Sends these bytes and then nothing more.
    Stall(Vec<u8>),
}

/// A media host that follows a script, and repeats its last line for ever.
pub(crate) struct Host {
    pub(crate) url: String,
    /// The requests so far, in lower case.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// Starts a host. Its address replaces `{host}` in a reply.
    pub(crate) async fn start(script: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/v/kite.mp4?signature=secret",
            listener.local_addr().unwrap()
        );
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (mut script, log) = (VecDeque::from(script.to_vec()), asked.clone());
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = socket.read(&mut request).await.unwrap();
                log.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&request[..read]).to_lowercase());
                let next = if script.len() > 1 {
                    script.pop_front().unwrap()
                } else {
                    script[0].clone()
                };
                let (Reply::Send(bytes) | Reply::Stall(bytes)) = &next;
                // The client may close the connection before the end.
                let _ = socket.write_all(bytes).await;
                if matches!(next, Reply::Stall(_)) {
                    open.push(socket);
                }
            }
        });
        Self { url, asked }
    }

    /// Returns the requested ranges, each with the condition of its request.
    fn ranges(&self) -> Vec<String> {
        let line = |request: &str, name: &str| {
            let lines = request
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::to_owned));
            lines.unwrap_or_default()
        };
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|asked| format!("{}{}", line(asked, "range: "), line(asked, "if-range")))
            .collect()
    }
}

pub(crate) fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    [
        format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes(),
        body,
    ]
    .concat()
}

pub(crate) fn send(head: &str, body: &[u8]) -> Reply {
    Reply::Send(reply(head, body))
}

/// Returns a reply that announces its length.
pub(crate) fn whole(body: &[u8]) -> Reply {
    send(&format!("200 OK\r\ncontent-length: {}", body.len()), body)
}

/// Returns a reply that announces the whole clip, breaks off, and has one more header.
fn cut(header: &str) -> Reply {
    send(
        &format!("200 OK\r\ncontent-length: {}{header}", CLIP.len()),
        &CLIP[..CUT],
    )
}

/// Returns the end of the clip as a part of a file of `total` bytes.
fn rest_of(first: usize, total: usize) -> Reply {
    let head = format!("206 Partial Content\r\ncontent-range: bytes {first}-/{total}");
    send(&head, &CLIP[CUT..])
}

/// Returns the end of the clip as a part from `first` on, with one more header.
fn rest(first: usize, header: &str) -> Reply {
    let (length, last, total) = (CLIP.len() - CUT, CLIP.len() - 1, CLIP.len());
    let head = format!(
        "206 Partial Content\r\ncontent-range: bytes {first}-{last}/{total}\r\ncontent-length: {length}"
    );
    send(&format!("{head}{header}"), &CLIP[CUT..])
}

/// Returns the first bytes of the clip as a part of it.
fn part_from_start(length: usize) -> Reply {
    let (last, total) = (length - 1, CLIP.len());
    let head = format!(
        "206 Partial Content\r\ncontent-range: bytes 0-{last}/{total}\r\ncontent-length: {length}"
    );
    send(&head, &CLIP[..length])
}

fn chunked(body: &[u8]) -> Reply {
    let chunks = body
        .chunks(5000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    send(
        "200 OK\r\ntransfer-encoding: chunked",
        &chunks.chain(*b"0\r\n\r\n").collect::<Vec<u8>>(),
    )
}

fn status(status: &str) -> Reply {
    send(&format!("{status}\r\ncontent-length: 0"), b"")
}

fn redirect(to: &str) -> Reply {
    send(
        &format!("302 Found\r\nlocation: {to}\r\ncontent-length: 0"),
        b"",
    )
}

/// Returns settings without pauses that allow links to this machine.
pub(crate) fn impatient() -> Downloads {
    let stalled_after = Duration::from_millis(200);
    Downloads::default()
        .stalled_after(stalled_after)
        .pause(Duration::ZERO)
        .allow_loopback(true)
        .max_bytes(100_000)
}

pub(crate) fn client(downloads: Downloads) -> Client {
    let provider = Links {
        state: None,
        fresh: None,
    };
    Client::new(provider)
        .unwrap()
        .with_downloads(downloads)
        .unwrap()
}

pub(crate) fn video(url: &str) -> Video {
    Video::new(JobRef::new("kie", "t1"), vec![url.to_owned()])
}

/// A provider that has new links for a video.
#[derive(Debug)]
struct Links {
    state: Option<String>,
    fresh: Option<String>,
}

impl Provider for Links {
    fn name(&self) -> &'static str {
        "kie"
    }

    fn models(&self) -> &[Model] {
        &[]
    }

    fn offer(&self, _: &Model, _: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Err(Vec::new())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn submit<'a>(&'a self, _: &'a Offer) -> BoxFuture<'a, Submission> {
        panic!("this provider makes no videos")
    }

    fn state<'a>(&'a self, _: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        let unknown = || Error::new(ErrorKind::Unavailable, "the job is not known");
        let state = self
            .state
            .as_deref()
            .map(|url| State::Finished(Box::new(video(url))));
        Box::pin(async move { state.ok_or_else(unknown) })
    }

    fn fresh_link<'a>(
        &'a self,
        _: &'a JobRef,
        url: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        let newest = self.state.as_deref().unwrap_or(url);
        assert_eq!(url, newest, "the link as the job has it now");
        Box::pin(async { Ok(self.fresh.clone()) })
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Downloads over an older file. Checks that the file is the whole video, or the older one after an error.
async fn outcome(client: &Client, url: &str, case: &str) -> Result<Saved, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kite.mp4");
    std::fs::write(&file, "an older video").unwrap();
    let mut last = 0;
    let result = client
        .download_with(&video(url), &file, |received, _| last = received)
        .await;
    let bytes = std::fs::read(&file).unwrap();
    let part = folder.path().join("kite.mp4.part");
    let is_kept = part.exists();
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1 + usize::from(is_kept),
        "{case} leaves something behind"
    );
    match result {
        Ok(saved) => {
            assert!(bytes == CLIP && !is_kept, "{case}");
            assert_eq!(
                (saved.path.as_path(), saved.bytes, last),
                (file.as_path(), bytes.len() as u64, saved.bytes)
            );
            assert_eq!(saved.sha256, SHA256, "{case}");
            let media = &saved.media;
            assert_eq!(
                (media.width, media.height, media.seconds, media.has_audio),
                (3840, 2160, 1.0, true),
                "{case}"
            );
            Ok(saved)
        }
        Err(error) => {
            assert_eq!(bytes, b"an older video", "{case}");
            let names_part = error.to_string().contains(&part.display().to_string());
            assert_eq!(names_part, is_kept, "{case}: {error}");
            assert!(
                error.kind() == ErrorKind::Download && error.job().is_some(),
                "{case}: {error:?}"
            );
            let causes: Vec<_> =
                std::iter::successors(error.source(), |error| (*error).source()).collect();
            assert!(
                !format!("{error} {error:?} {causes:?}").contains("secret"),
                "{case}: {error:?}"
            );
            Err(error.to_string())
        }
    }
}

fn matches(result: &Result<Saved, String>, wanted: Result<(), &str>, case: &str) {
    match (result, wanted) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err(wanted)) if error.contains(wanted) => {}
        _ => panic!("{case}: {result:?} instead of {wanted:?}"),
    }
}

#[tokio::test]
async fn a_broken_transfer_resumes_where_the_host_allows_it() {
    let (etag, date) = (
        "\r\netag: \"v1\"",
        "\r\nlast-modified: Fri, 02 Oct 2026 10:00:00 GMT",
    );
    let by_etag = "bytes=9000-: \"v1\"";
    let by_date = "bytes=9000-: fri, 02 oct 2026 10:00:00 gmt";
    let stalled = Reply::Stall(reply(
        &format!("200 OK\r\ncontent-length: {}{etag}", CLIP.len()),
        &CLIP[..CUT],
    ));
    let (broken, total) = ("the download broke off", CLIP.len());
    let by_whole = format!("bytes={total}-");
    let by_whole = by_whole.as_str();
    let (weak, by_length) = ("\r\netag: W/\"v1\"", "bytes=9000-");
    // Each row has the script, the requested ranges, and the outcome.
    let table = [
        ("whole", vec![whole(CLIP)], vec![""], Ok(())),
        ("of unknown length", vec![chunked(CLIP)], vec![""], Ok(())),
        (
            "cut, with an ETag",
            vec![cut(etag), rest(CUT, etag)],
            vec!["", by_etag],
            Ok(()),
        ),
        (
            "cut, with a date",
            vec![cut(date), rest(CUT, date)],
            vec!["", by_date],
            Ok(()),
        ),
        (
            "cut, with both",
            vec![cut(&format!("{etag}{date}")), rest(CUT, "")],
            vec!["", by_etag],
            Ok(()),
        ),
        (
            "changed, and said so",
            vec![cut(etag), whole(CLIP)],
            vec!["", by_etag],
            Ok(()),
        ),
        (
            "changed, and resumed all the same",
            vec![cut(etag), rest(CUT, "\r\netag: \"v2\""), whole(CLIP)],
            vec!["", by_etag, ""],
            Ok(()),
        ),
        (
            "cut, with only the length to recognise the file by",
            vec![cut(""), rest(CUT, "")],
            vec!["", by_length],
            Ok(()),
        ),
        (
            "cut, and sent from the beginning",
            vec![cut(""), whole(CLIP)],
            vec!["", by_length],
            Ok(()),
        ),
        (
            "another length",
            vec![cut(""), rest_of(CUT, total + 1), whole(CLIP)],
            vec!["", by_length, ""],
            Ok(()),
        ),
        (
            "a length that is not repeated",
            vec![
                cut(""),
                send(
                    "206 Partial Content\r\ncontent-range: bytes 9000-/*",
                    &CLIP[CUT..],
                ),
                whole(CLIP),
            ],
            vec!["", by_length, ""],
            Ok(()),
        ),
        (
            "the same length, and another file",
            vec![
                cut(""),
                send(
                    &format!("206 Partial Content\r\ncontent-range: bytes 9000-/{total}"),
                    &vec![0; total - CUT],
                ),
                whole(CLIP),
            ],
            vec!["", by_length, ""],
            Ok(()),
        ),
        (
            "cut, with a weak ETag",
            vec![cut(weak), rest(CUT, weak)],
            vec!["", by_length],
            Ok(()),
        ),
        (
            "cut, with a weak ETag that changes",
            vec![cut(weak), rest(CUT, "\r\netag: W/\"v2\""), whole(CLIP)],
            vec!["", by_length, ""],
            Ok(()),
        ),
        (
            "cut, and of unknown length",
            vec![
                send("200 OK\r\ntransfer-encoding: chunked", b"5\r\nabcde\r\n"),
                whole(CLIP),
            ],
            vec!["", ""],
            Ok(()),
        ),
        (
            "the wrong part",
            vec![cut(etag), rest(CUT - 1, etag), whole(CLIP)],
            vec!["", by_etag, ""],
            Ok(()),
        ),
        (
            "no such part",
            vec![cut(etag), status("416 No"), whole(CLIP)],
            vec!["", by_etag, ""],
            Ok(()),
        ),
        (
            "a part that was not requested",
            vec![rest(CUT, etag), whole(CLIP)],
            vec!["", ""],
            Ok(()),
        ),
        (
            "the whole file as a part that was not requested",
            vec![part_from_start(total)],
            vec![""],
            Ok(()),
        ),
        (
            "the first part, which was not requested",
            vec![part_from_start(CUT), rest(CUT, "")],
            vec!["", by_length],
            Ok(()),
        ),
        (
            "with another status of success",
            vec![send(
                &format!("201 Created\r\ncontent-length: {total}"),
                CLIP,
            )],
            vec![""],
            Ok(()),
        ),
        (
            "whole, with a length that is too large",
            vec![send(
                &format!("200 OK\r\ncontent-length: {}", total + 9),
                CLIP,
            )],
            [vec![""], vec![by_whole; 5]].concat(),
            Ok(()),
        ),
        (
            "less than was asked for",
            vec![
                cut(etag),
                send(
                    &format!("206 Partial Content\r\ncontent-range: bytes 9000-9999/{total}"),
                    &CLIP[CUT..10_000],
                ),
                whole(CLIP),
            ],
            vec!["", by_etag, "bytes=10000-: \"v1\""],
            Ok(()),
        ),
        (
            "more than was announced",
            vec![
                cut(etag),
                send(
                    &format!("206 Partial Content\r\ncontent-range: bytes 9000-/{total}"),
                    &[&CLIP[CUT..], b"more"].concat(),
                ),
            ],
            vec!["", by_etag],
            Err("more than it had announced"),
        ),
        (
            "stalled",
            vec![stalled, rest(CUT, etag)],
            vec!["", by_etag],
            Ok(()),
        ),
        (
            "silent",
            vec![Reply::Stall(Vec::new()), whole(CLIP)],
            vec!["", ""],
            Ok(()),
        ),
        (
            "busy",
            vec![status("503 Busy"), status("429 Busy"), whole(CLIP)],
            vec!["", "", ""],
            Ok(()),
        ),
        (
            "gone in the middle",
            vec![cut(etag), Reply::Send(Vec::new()), rest(CUT, "")],
            vec!["", by_etag, by_etag],
            Ok(()),
        ),
        (
            "always cut",
            vec![cut("")],
            [vec![""], vec![by_length; 5]].concat(),
            Err(broken),
        ),
        (
            "always cut when resumed",
            vec![cut(etag), status("500 No")],
            [vec![""], vec![by_etag; 5]].concat(),
            Err("HTTP 500"),
        ),
        (
            "a media host that never answers",
            vec![Reply::Send(Vec::new())],
            vec![""; 5],
            Err("the media host cannot be reached"),
        ),
        (
            "forbidden otherwise",
            vec![status("418 No")],
            vec![""],
            Err("the media host answered HTTP 418"),
        ),
    ];
    for (case, script, ranges, wanted) in table {
        let host = Host::start(&script).await;
        let result = outcome(&client(impatient()), &host.url, case).await;
        matches(&result, wanted, case);
        assert_eq!(host.ranges(), ranges, "{case}");
    }
}

#[tokio::test]
async fn only_a_whole_video_is_saved() {
    let with = |at: usize, bytes: &[u8]| [&CLIP[..at], bytes, &CLIP[at + bytes.len()..]].concat();
    let (not_mp4, broken) = ("is not an MP4 file", "is truncated or corrupted");
    let long = "the video is longer than 100000 bytes; set a higher limit";
    let table = [
        ("a page", whole(b"<html>expired</html> "), not_mp4),
        (
            "a long page",
            whole(b"<!DOCTYPE html><html>expired</html>"),
            not_mp4,
        ),
        (
            "a page behind a mark",
            whole(b"\xef\xbb\xbf<html>expired</html>"),
            not_mp4,
        ),
        ("JSON", whole(br#"{"code":404,"msg":"Not Found"}"#), not_mp4),
        ("a list", whole(br#"[{"code":404}]"#), not_mp4),
        ("a sentence", whole(b"Not found at all"), not_mp4),
        ("nothing", whole(b""), not_mp4),
        ("half of a length", whole(b"\0\0"), not_mp4),
        (
            "a picture",
            whole(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            not_mp4,
        ),
        (
            "only the first box",
            whole(b"\0\0\0\x14ftypisom\0\0\0\0isom"),
            "a part of it is missing",
        ),
        (
            "truncated, with an honest length",
            whole(&CLIP[..CLIP.len() - 1]),
            broken,
        ),
        (
            "truncated, without a length",
            send("200 OK", &CLIP[..CUT]),
            broken,
        ),
        (
            "a wrong length of a box",
            whole(&with(0, &[0, 0, 1])),
            broken,
        ),
        (
            "no index",
            whole(&with(
                CLIP.windows(4).position(|w| w == b"moov").unwrap(),
                b"free",
            )),
            "is missing",
        ),
        (
            "no track",
            whole(&with(
                CLIP.windows(4).position(|w| w == b"vide").unwrap(),
                b"none",
            )),
            "index cannot be read",
        ),
        (
            "announced too long",
            send("200 OK\r\ncontent-length: 100001", b""),
            long,
        ),
        ("too long", chunked(&[CLIP; 8].concat()), long),
    ];
    for (case, reply, wanted) in table {
        let host = Host::start(&[reply]).await;
        let result = outcome(&client(impatient()), &host.url, case).await;
        matches(&result, Err(wanted), case);
    }
}

#[tokio::test]
async fn an_expired_link_is_renewed_in_two_ways() {
    let fresh = Host::start(&[whole(CLIP)]).await;
    let inline = format!("data:video/mp4;base64,{}", base64(CLIP));
    let half = Host::start(&[
        cut("\r\netag: \"v1\""),
        status("403 No"),
        cut("\r\netag: \"v1\""),
        status("403 No"),
    ])
    .await;
    let never_ready = Host::start(&[status("400 No")]).await;
    let expired: Vec<Host> = vec![
        Host::start(&[status("401 No")]).await,
        Host::start(&[status("403 No")]).await,
        Host::start(&[status("404 No")]).await,
        Host::start(&[status("410 No")]).await,
    ];
    let (good, bad) = (fresh.url.as_str(), expired[1].url.as_str());
    let mut table = vec![
        ("the job has another", bad, Some(good), None, Ok(())),
        (
            "the provider makes another",
            bad,
            Some(bad),
            Some(good),
            Ok(()),
        ),
        (
            "never ready",
            never_ready.url.as_str(),
            Some(good),
            None,
            Ok(()),
        ),
        (
            "never ready, and the provider has no other link",
            never_ready.url.as_str(),
            Some(never_ready.url.as_str()),
            None,
            Err("HTTP 400, and there is no other link that works"),
        ),
        (
            "expired in the middle",
            half.url.as_str(),
            Some(good),
            None,
            Ok(()),
        ),
        (
            "expired in the middle, then inside its link",
            half.url.as_str(),
            Some(inline.as_str()),
            None,
            Ok(()),
        ),
        (
            "none works",
            bad,
            Some(bad),
            Some(bad),
            Err("HTTP 403, and there is no other link that works"),
        ),
        (
            "the provider has no other link",
            bad,
            Some(bad),
            None,
            Err("HTTP 403, and there is no other link that works"),
        ),
        (
            "another link that may not be followed",
            bad,
            Some("ftp://example.net"),
            None,
            Err("neither http nor https"),
        ),
    ];
    table.extend(
        expired
            .iter()
            .map(|host| ("each status", host.url.as_str(), Some(good), None, Ok(()))),
    );
    for (case, url, state, fresh, wanted) in table {
        let links = Links {
            state: state.map(str::to_owned),
            fresh: fresh.map(str::to_owned),
        };
        let client = Client::new(links)
            .unwrap()
            .with_downloads(impatient())
            .unwrap();
        matches(&outcome(&client, url, case).await, wanted, case);
    }
    assert!(
        fresh.ranges().iter().all(String::is_empty),
        "another link need not lead to the same file"
    );
}

/// A record can have several links to a video, and at UniAll the API itself has one more.
#[tokio::test]
async fn every_link_is_tried_until_one_leads_to_the_video() {
    let page = || whole(b"<html>Gone</html>");
    // Each row has the replies of each link, and the outcome.
    let table = [
        (vec![vec![status("404 No")], vec![whole(CLIP)]], Ok(())),
        (
            vec![vec![status("403 No")], vec![page()], vec![whole(CLIP)]],
            Ok(()),
        ),
        (vec![vec![status("418 No")], vec![whole(CLIP)]], Ok(())),
        (vec![vec![status("503 No")], vec![whole(CLIP)]], Ok(())),
        (
            vec![vec![Reply::Send(Vec::new())], vec![whole(CLIP)]],
            Ok(()),
        ),
        (vec![vec![whole(&CLIP[..CUT])], vec![whole(CLIP)]], Ok(())),
        (
            vec![vec![send("200 OK", &CLIP[..CUT])], vec![whole(CLIP)]],
            Ok(()),
        ),
        (
            vec![vec![redirect("ftp://example.net")], vec![whole(CLIP)]],
            Ok(()),
        ),
        (
            vec![vec![cut(""), status("403 No")], vec![whole(CLIP)]],
            Ok(()),
        ),
        // No other link is tried after one has led to the video.
        (vec![vec![whole(CLIP)], vec![]], Ok(())),
        // After a failure of the network no other link is tried, since that link would fail too.
        (
            vec![vec![cut(""), Reply::Send(Vec::new())], vec![]],
            Err(vec!["cannot be reached"]),
        ),
        (
            vec![vec![status("404 No")], vec![page()]],
            Err(vec![
                "no link leads to the video",
                "/v/kite.mp4: the media host answered HTTP 404; ",
                "/v/kite.mp4: what the media host sent is not an MP4 file; ",
                "videos are kept for some days only",
            ]),
        ),
    ];
    for (number, (scripts, wanted)) in table.into_iter().enumerate() {
        let mut hosts = Vec::new();
        for script in &scripts {
            let script = if script.is_empty() {
                vec![status("500 Unasked")]
            } else {
                script.clone()
            };
            hosts.push(Host::start(&script).await);
        }
        let urls = hosts.iter().map(|host| host.url.clone()).collect();
        let video = Video::new(JobRef::new("kie", "t1"), urls);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kite.mp4");
        let result = client(impatient()).download(&video, &file).await;
        match (result, wanted) {
            (Ok(_), Ok(())) => assert!(std::fs::read(&file).unwrap() == CLIP, "{number}"),
            (Err(error), Err(wanted)) => {
                let said = error.to_string();
                for part in wanted {
                    assert!(said.contains(part), "{number}: {said}");
                }
                assert!(!said.contains("secret"), "{said}");
            }
            (result, wanted) => panic!("{number}: {result:?} instead of {wanted:?}"),
        }
        for (host, script) in hosts.iter().zip(&scripts) {
            assert!(!script.is_empty() || host.ranges().is_empty(), "{number}");
        }
    }
}

/// The gateway serves the video itself, if the request has the API key.
#[tokio::test]
async fn uniall_serves_the_video_itself_if_no_link_works() {
    for media in [status("404 No"), whole(b"<html>Gone</html>")] {
        let media = Host::start(&[media]).await;
        let api = Host::start(&[status("500 No"), whole(CLIP)]).await;
        let base = &api.url[..api.url.find("/v/").unwrap()];
        let uniall = UniAll::new(Access::new("a/secret+key").base_url(base)).unwrap();
        let client = Client::new(uniall)
            .unwrap()
            .with_downloads(impatient())
            .unwrap();
        let video = Video::new(JobRef::new("uniall", "t1"), vec![media.url.clone()]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kite.mp4");
        client.download(&video, &file).await.unwrap();
        assert!(std::fs::read(&file).unwrap() == CLIP);
        let asked = api.asked.lock().unwrap();
        let lines: Vec<_> = asked
            .iter()
            .filter_map(|asked| asked.lines().next())
            .collect();
        // The program first asks about the job, since the record may have another link.
        assert_eq!(
            lines,
            [
                "get /v1/videos/t1 http/1.1",
                "get /v1/videos/t1/content http/1.1"
            ]
        );
        let key = "authorization: bearer a/secret+key";
        assert!(
            asked[1].contains(key)
                && !media
                    .asked
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|asked| asked.contains(key))
        );
    }
}

/// kie.ai makes another link for a video that it has made itself.
#[tokio::test]
async fn kie_makes_a_new_link_for_its_own_video() {
    for (form, _) in FORMS {
        let sim = Sim::start().await.unwrap();
        let kie = Kie::new(Access::new("key").base_url(sim.url())).unwrap();
        let kie = kie.form(form);
        let error = kie
            .fresh_link(
                &JobRef::new("kie", "t1"),
                "https://elsewhere.example.net/kite.mp4?signature=secret",
            )
            .await
            .unwrap_err();
        assert!(
            error.kind() == ErrorKind::Download && !format!("{error:?}").contains("secret"),
            "{error:?}"
        );

        let client = Client::new(kie.clone()).unwrap();
        let Submission::Accepted(job) = client
            .submit(&VideoRequest::text("A red kite").seconds(4))
            .await
        else {
            panic!()
        };
        let client = client.with_poll(
            veo_core::Poll::default()
                .first(Duration::ZERO)
                .every(Duration::ZERO),
        );
        let made = client.wait(&job).await.unwrap();
        let link = kie
            .fresh_link(&made.job, &made.urls[0])
            .await
            .unwrap()
            .unwrap();
        assert_ne!(link, made.urls[0]);
        let client = client.with_downloads(impatient()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let saved = client
            .download(&video(&link), folder.path().join("kite.mp4"))
            .await
            .unwrap();
        assert_eq!(saved.media.seconds, 4.0);
    }
}

#[tokio::test]
async fn links_into_private_networks_are_not_followed() {
    let host = Host::start(&[whole(CLIP)]).await;
    let port = host.url.split([':', '/']).nth(4).unwrap();
    let public = impatient().allow_loopback(false);
    for name in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "10.0.0.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
    ] {
        let result = outcome(
            &client(public.clone()),
            &format!("http://{name}:{port}/kite.mp4?secret"),
            name,
        )
        .await;
        matches(
            &result,
            Err("it leads to this machine or into a private network"),
            name,
        );
    }
    assert_eq!(host.ranges().len(), 0, "no media host was asked");
    for name in ["127.0.0.1", "127.1", "localhost"] {
        outcome(
            &client(impatient()),
            &format!("http://{name}:{port}/kite.mp4"),
            name,
        )
        .await
        .unwrap();
    }

    let table = [
        (
            "http://user:secret@127.0.0.1/kite.mp4",
            "it holds a user name or a password",
        ),
        (
            "http://secret@127.0.0.1/kite.mp4",
            "it holds a user name or a password",
        ),
        ("file:///etc/secret", "it is neither http nor https"),
        ("ftp://example.net/secret", "it is neither http nor https"),
        ("secret", "is not a URL"),
        ("", "is not a URL"),
    ];
    for (url, wanted) in table {
        matches(
            &outcome(&client(impatient()), url, url).await,
            Err(wanted),
            url,
        );
    }
    // A redirect may not lead to such a link either.
    let table = [
        (
            "http://user:secret@127.0.0.1/kite.mp4",
            "it holds a user name or a password",
        ),
        ("file://host/secret", "it is neither http nor https"),
        ("file:///etc/secret", "the media host answered HTTP 302"),
        ("ftp://example.net/secret", "it is neither http nor https"),
    ];
    for (url, wanted) in table {
        let host = Host::start(&[redirect(url)]).await;
        matches(
            &outcome(&client(impatient()), &host.url, url).await,
            Err(wanted),
            url,
        );
    }
}

#[tokio::test]
async fn five_redirects_are_followed_without_key_and_cookies() {
    let end = Host::start(&[whole(CLIP)]).await;
    for (steps, wanted) in [
        (1, Ok(())),
        (5, Ok(())),
        (6, Err("it is redirected too often")),
    ] {
        let mut url = end.url.clone();
        let mut hosts = Vec::new();
        for _ in 0..steps {
            hosts.push(Host::start(&[redirect(&url)]).await);
            url = hosts.last().unwrap().url.clone();
        }
        matches(
            &outcome(&client(impatient()), &url, "redirects").await,
            wanted,
            &format!("{steps} redirects"),
        );
    }
    for asked in end.asked.lock().unwrap().iter() {
        let unwanted = ["authorization", "key", "referer", "cookie"]
            .iter()
            .find(|header| asked.contains(*header));
        assert_eq!(unwanted, None, "{asked}");
    }
}

/// A link to the API itself is requested with the API key. No other host gets the API key, not even through a redirect.
#[tokio::test]
async fn only_the_api_gets_the_api_key() {
    let cut_clip = || cut("\r\netag: \"v1\"");
    let rest_of_clip = || rest(CUT, "\r\netag: \"v1\"");
    let elsewhere = Host::start(&[whole(CLIP)]).await;
    // The script of the API, whether each request to it has the API key, and whether the media host gets a request.
    let table = [
        ("at the API", vec![whole(CLIP)], vec![true], false),
        (
            "cut at the API",
            vec![cut_clip(), rest_of_clip()],
            vec![true, true],
            false,
        ),
        (
            "redirected elsewhere",
            vec![redirect(&elsewhere.url)],
            vec![true],
            true,
        ),
        (
            "redirected within the API",
            vec![redirect("/v1/other"), whole(CLIP)],
            vec![true, false],
            false,
        ),
    ];
    let has_key = |host: &Host| -> Vec<bool> {
        let mut asked = host.asked.lock().unwrap();
        asked
            .drain(..)
            .map(|asked| asked.contains("authorization: bearer a/secret+key"))
            .collect()
    };
    // The permission for links to this machine is not needed, since the caller has chosen the address of the API.
    let of_api = |url: &str| {
        let base = &url[..url.find("/v/").unwrap()];
        let access = Access::new("a/secret+key").base_url(base.to_owned());
        Client::new(Kie::new(access).unwrap()).unwrap()
    };
    for (case, script, with_key, leads_on) in table {
        let api = Host::start(&script).await;
        let client = of_api(&api.url)
            .with_downloads(impatient().allow_loopback(case != "at the API"))
            .unwrap();
        outcome(&client, &api.url, case).await.unwrap();
        assert_eq!(has_key(&api), with_key, "{case}");
        let wanted = if leads_on { vec![false] } else { Vec::new() };
        assert_eq!(has_key(&elsewhere), wanted, "{case}");
    }

    // Each link differs from the origin of the API: in the port, in the name of the host, or by a redirect.
    let api = Host::start(&[whole(CLIP)]).await;
    let client = of_api(&api.url).with_downloads(impatient()).unwrap();
    let by_name = api.url.replace("127.0.0.1", "localhost");
    let by_redirect = Host::start(&[redirect(&api.url)]).await;
    for (case, url) in [
        ("another port", &elsewhere.url),
        ("another name", &by_name),
        ("by a redirect", &by_redirect.url),
    ] {
        outcome(&client, url, case).await.unwrap();
        let keys = [has_key(&api), has_key(&elsewhere), has_key(&by_redirect)].concat();
        assert!(
            !keys.contains(&true) && !keys.is_empty(),
            "{case}: {keys:?}"
        );
    }
    // Upper and lower case are the same in the name of a host.
    let client = of_api(&by_name).with_downloads(impatient()).unwrap();
    let upper = by_name.replace("http://localhost", " HTTP://LOCALHOST");
    outcome(&client, &upper, "another case").await.unwrap();
    assert_eq!(has_key(&api), [true]);
}

#[tokio::test]
async fn a_video_inside_its_link_is_saved_under_the_same_checks() {
    let text = base64(CLIP);
    let long = base64(&[CLIP; 8].concat());
    let table = [
        (format!("data:video/mp4;base64,{text}"), Ok(())),
        (
            format!("data:video/mp4;base64,{}", base64(&CLIP[..CUT])),
            Err("is truncated or corrupted"),
        ),
        (
            format!("data:video/mp4;base64,{}", base64(b"a secret")),
            Err("is not an MP4 file"),
        ),
        (
            format!("data:video/mp4;base64,secret{text}"),
            Err("inside its link, but not as base64"),
        ),
        (
            format!(" DATA:application/octet-stream;BASE64,{text} "),
            Ok(()),
        ),
        (format!("data:video/mp4,{text}"), Ok(())),
        (
            format!(
                "data:video/mp4;codecs=\"avc1, mp4a\";base64,{}",
                text.replace('/', "_").replace('+', "-")
            ),
            Ok(()),
        ),
        (
            format!("data:video/mp4;base64,{}", text.replace('/', "%2F\r\n")),
            Ok(()),
        ),
        (
            "data:secret".to_owned(),
            Err("inside its link, but not as base64"),
        ),
        (
            format!("data:video/mp4;base64,{long}"),
            Err("the video is longer than 100000 bytes"),
        ),
    ];
    for (url, wanted) in table {
        let case = &url[..url.len().min(40)];
        matches(
            &outcome(&client(impatient()), &url, case).await,
            wanted,
            case,
        );
    }
}

/// A long video inside its link is not stored with the job, so the provider is asked for the video again.
#[tokio::test]
async fn a_long_video_inside_its_link_is_asked_for_again() {
    let free = 1_u32 << 20;
    let mut file = [CLIP, &free.to_be_bytes(), b"free"].concat();
    file.resize(CLIP.len() + free as usize, 0);
    let server = recorder().await;
    let url = format!("data:video/mp4;base64,{}", base64(&file));
    let task = serde_json::json!({ "id": "t1", "status": "completed", "video_url": url });
    serve_json(&server, &task).await;
    let uniall = UniAll::new(Access::new(KEY).base_url(server.uri())).unwrap();
    let made = uniall.state(&JobRef::new("uniall", "t1")).await.unwrap();
    let State::Finished(made) = made else {
        panic!("{made:?}")
    };
    let stored: Video = serde_json::from_value(serde_json::to_value(&made).unwrap()).unwrap();
    let client = Client::new(uniall)
        .unwrap()
        .with_downloads(impatient().max_bytes(4 << 20))
        .unwrap();
    for video in [*made, stored] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("kite.mp4");
        client.download(&video, &place).await.unwrap();
        assert!(std::fs::read(&place).unwrap() == file);
    }
}

/// The log that `--verbose` shows says where a transfer goes. Nothing in the log lets others download the video.
#[tokio::test]
async fn a_transfer_is_logged_without_signatures_or_content() {
    let etag = "\r\netag: \"v1\"";
    let end = Host::start(&[cut(etag), rest(CUT, etag)]).await;
    let host = Host::start(&[
        redirect(&end.url.replace("://", "://me:secret@")),
        redirect(&end.url),
    ])
    .await;
    let (log, recording) = record();
    outcome(&client(impatient()), &end.url, "logged")
        .await
        .unwrap();
    let refused = outcome(&client(impatient()), &host.url, "refused").await;
    drop(recording);
    matches(
        &refused,
        Err("it holds a user name or a password"),
        "refused",
    );

    let shown = |url: &str| url.replace("signature=secret", "...");
    let (end, host) = (shown(&end.url), shown(&host.url));
    let log = log.take();
    let wire: Vec<_> = log
        .lines()
        .filter_map(|line| line.split_once("veo::wire: "))
        .map(|(_, said)| said)
        .collect();
    let wanted = [
        format!("request method=\"GET\" url=\"{end}\""),
        format!("reply status=200 url=\"{end}\""),
        "no whole reply error=the download broke off cause=".to_owned(),
        format!("request method=\"GET\" url=\"{end}\" range=\"bytes=9000-\""),
        format!("reply status=206 url=\"{end}\""),
        format!("request method=\"GET\" url=\"{host}\""),
    ];
    assert_eq!(wire.len(), wanted.len(), "{wire:#?}");
    for (said, wanted) in wire.iter().zip(&wanted) {
        assert!(
            said.starts_with(wanted) && said.len() < 400,
            "{said} is not {wanted}"
        );
    }
    assert!(!log.contains("secret"), "{log}");
}

#[tokio::test]
async fn an_unwritable_target_is_named_in_the_error() {
    let host = Host::start(&[whole(CLIP)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("kite.mp4");
    // The future can move to another thread.
    let (client, video, place) = (client(impatient()), video(&host.url), file.clone());
    let result = tokio::spawn(async move { client.download(&video, &place).await })
        .await
        .unwrap();
    let error = result.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("kite.mp4 cannot be written; choose another place"),
        "{error}"
    );
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_signature_is_not_in_the_debug_text_of_a_video() {
    let video = video("https://example.net/kite.mp4?signature=secret");
    let inline = Video::new(
        video.job.clone(),
        vec!["data:video/mp4;base64,secret".to_owned()],
    );
    let text = format!(
        "{video:?} {inline:?} {:?}",
        State::Finished(Box::new(video.clone()))
    );
    assert!(
        text.contains("https://example.net/kite.mp4") && !text.contains("secret"),
        "{text}"
    );
}

/// UniAll's own API serves a video at this address.
#[tokio::test]
async fn each_known_failure_of_the_video_route_is_reported() {
    let server = recorder().await;
    let uniall = UniAll::new(Access::new(KEY).base_url(server.uri())).unwrap();
    let client = Client::new(uniall)
        .unwrap()
        .with_downloads(impatient())
        .unwrap();
    let url = format!("{}/v1/videos/task_x/content", server.uri());
    let video = Video::new(JobRef::new("uniall", "task_x"), vec![url]);
    let folder = tempfile::tempdir().unwrap();
    let texts = texts_of_replies(&server, "uniall", uniall_api::OPERATIONS, async |fixture| {
        if fixture.operation != "video_content" {
            return None;
        }
        let error = client
            .download(&video, folder.path().join("kite.mp4"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Download, "{}", fixture.name);
        let requests = server.received_requests().await.unwrap();
        let key = format!("Bearer {KEY}");
        for request in &requests {
            assert_eq!(request.headers["authorization"], *key, "{}", fixture.name);
        }
        let of_video = requests
            .iter()
            .filter(|request| request.url.path().ends_with("/content"))
            .count();
        // The folder in the message is different in every run.
        let message = error.to_string();
        let message = message.split("; the incomplete file is").next().unwrap();
        Some(format!(
            "{}, asked {of_video} times\n   {message}\n",
            fixture.name
        ))
    });
    let texts = texts.await;
    insta::assert_snapshot!("uniall_video_content_outcomes", texts["video_content"]);
}
