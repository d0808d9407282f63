//! A download is all of the video or nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use veo_core::{Client, ErrorKind, JobRef, Kie, Video};

/// A media host that answers once with the given bytes and closes, and what it was asked.
async fn host(reply: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v/kite.mp4?signature=secret", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = socket.read(&mut request).await.unwrap();
        socket.write_all(&reply).await.unwrap();
        String::from_utf8_lossy(&request[..read]).to_lowercase()
    });
    (url, asked)
}

fn client() -> Client {
    Client::new(Kie::new("key").unwrap()).unwrap()
}

fn video(url: &str) -> Video {
    Video::new(JobRef::new("kie", "t1"), vec![url.to_owned()])
}

#[tokio::test]
async fn a_failed_download_leaves_nothing_and_says_why() {
    let table = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\0\0\0\x18ftypisom and then no more", "the download broke off"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc\r\n\0\0\0\x18ftypisom\r\n", "the download broke off"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n<html>expired</html> ", "is not an MP4 file"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "is not an MP4 file"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "answered HTTP 403"),
        ("", "cannot be reached"),
    ];
    for (reply, wanted) in table {
        let (url, _) = host(reply.as_bytes().to_vec()).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kite.mp4");
        std::fs::write(&file, "an older video").unwrap();

        let error = client().download(&video(&url), &file, |_, _| {}).await.unwrap_err();
        let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
        assert!(error.kind() == ErrorKind::Download && error.to_string().contains(wanted), "{error}");
        assert!(error.job().is_some());
        assert!(!format!("{error} {error:?} {cause}").contains("signature"), "{error:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "an older video");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{reply}");
    }
}

#[tokio::test]
async fn a_download_takes_the_place_of_an_older_file_and_tells_nobody_the_key() {
    let (url, asked) = host(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\0\0\0\x18ftypisom".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kite.mp4");
    std::fs::write(&file, "an older video").unwrap();

    assert_eq!(client().download(&video(&url), &file, |_, _| {}).await.unwrap(), 12);
    assert_eq!(std::fs::read(&file).unwrap(), b"\0\0\0\x18ftypisom");
    let asked = asked.await.unwrap();
    assert!(!asked.contains("authorization") && !asked.contains("key"), "{asked}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let (url, _) = host(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\0\0\0\x18ftypisom".to_vec()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("missing").join("kite.mp4");
    let error = client().download(&video(&url), &file, |_, _| {}).await.unwrap_err();
    assert!(error.to_string().contains("kite.mp4 cannot be written; choose another place"), "{error}");
}
