//! The way to providers and media hosts: proxies, and names that lead to made-up addresses. Nothing leaves this
//! machine: a proxy of the test, or a separate network, plays the Internet.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::sandbox::{Run, Sandbox};
use crate::server::{accepted, record, serve};

/// An API key like real ones.
const KEY: &str = "sk-0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const VIDEO: &str = "https://media.example.net/video.mp4?signature=9f8e7d";

/// A CONNECT proxy behind which every host is the same server.
struct Proxy {
    port: u16,
    /// The heads of the requests for a tunnel.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy that answers with this status. Behind a success there are kie.ai and its media host.
    fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let log = log.clone();
                thread::spawn(move || {
                    log.lock().unwrap().push(head(&mut stream));
                    let _ = write!(stream, "HTTP/1.1 {status}\r\n\r\n");
                    if status.starts_with("200") {
                        serve_kie(stream);
                    }
                });
            }
        });
        Self { port, asked }
    }

    /// Returns the requests for a tunnel since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Reads the head of a request, and nothing after it.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.extend(byte);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Answers one request over TLS as kie.ai or as its media host.
fn serve_kie(stream: TcpStream) {
    serve_tls(stream, &Mutex::default(), &|line| {
        Some(match line.starts_with("POST") {
            true => accepted("t1"),
            false => record("t1", 1, VIDEO),
        })
    });
}

/// Answers one request over TLS, or reads it and closes the connection without a TLS close message.
fn serve_tls(
    stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> Option<String>,
) {
    let stream = StreamOwned::new(server_connection(), stream);
    serve(stream, "", seen, &|line, _| answer(line));
}

/// The side of the server, with the certificate of the tests.
pub(crate) fn server_connection() -> ServerConnection {
    let file = |name| certificates().join(name);
    let certificate = CertificateDer::from_pem_file(file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

pub(crate) fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tls")
}

/// Returns a sandbox with an API key for kie.ai at its real address, and with the certificates of the tests.
fn sandbox() -> Sandbox {
    let authority = certificates().join("authority.pem");
    Sandbox::new()
        .with("KIE_API_KEY", KEY)
        .with("SSL_CERT_FILE", authority.to_str().unwrap())
}

fn is_saved(sandbox: &Sandbox, run: &Run) -> bool {
    run.code == 0 && sandbox.path("dog.mp4").exists()
}

#[test]
fn every_request_goes_through_a_tunnel_of_the_proxy() {
    let proxy = Proxy::start("200 Connection established");
    let url = format!("http://me:pass@127.0.0.1:{}", proxy.port);
    let dead = "http://127.0.0.1:1";
    let table: [&[(&str, &str)]; 5] = [
        &[("HTTPS_PROXY", &url)],
        &[("https_proxy", &url)],
        &[("ALL_PROXY", &url)],
        &[
            ("ALL_PROXY", dead),
            ("HTTPS_PROXY", &url),
            ("HTTP_PROXY", dead),
        ],
        &[("all_proxy", &url), ("NO_PROXY", "localhost,example.com")],
    ];
    for variables in table {
        let mut sandbox = sandbox();
        for (variable, value) in variables {
            sandbox = sandbox.with(variable, value);
        }
        let sent = sandbox.run(&["-v", "generate", "A dog", "-o", "dog.mp4", "--no-wait"]);
        assert_eq!((sent.code, sent.out.trim()), (0, "kie:t1"), "{}", sent.err);
        let saved = sandbox.run(&["-v", "wait", "kie:t1"]);
        assert!(is_saved(&sandbox, &saved), "{variables:?}: {}", saved.err);
        let asked = proxy.asked();
        let hosts: Vec<_> = asked
            .iter()
            .filter_map(|head| head.lines().next())
            .collect();
        assert_eq!(
            hosts,
            [
                "CONNECT api.kie.ai:443 HTTP/1.1",
                "CONNECT api.kie.ai:443 HTTP/1.1",
                "CONNECT media.example.net:443 HTTP/1.1"
            ],
            "{variables:?}"
        );
        for head in asked {
            assert!(!head.contains(KEY), "{head}");
            let lower = head.to_lowercase();
            assert!(lower.contains("proxy-authorization: basic"), "{head}");
        }
        let shown = format!("{}{}{}{}", sent.out, sent.err, saved.out, saved.err);
        assert!(!shown.contains("pass"), "{shown}");
    }
}

#[test]
fn a_refusing_proxy_is_named_in_the_error() {
    let table = [
        ("403 Forbidden", "unsuccessful"),
        (
            "407 Proxy Authentication Required",
            "authorization required",
        ),
        ("502 Bad Gateway", "unsuccessful"),
    ];
    for (status, why) in table {
        let proxy = Proxy::start(status);
        let url = format!("me:pass@127.0.0.1:{}", proxy.port);
        let sandbox = sandbox().with("HTTPS_PROXY", &url);
        for verbose in [&["-v"][..], &["--json"], &[]] {
            let run = sandbox.run(&[verbose, &["generate", "A dog"]].concat());
            let wanted = format!(
                "there was no connection to api.kie.ai through the proxy http://127.0.0.1:{}, so nothing was sent",
                proxy.port
            );
            assert_eq!(run.code, 3, "{}", run.err);
            assert!(run.err.contains(&wanted), "{}", run.err);
            assert!(run.err.contains(why), "{}", run.err);
            assert!(!run.err.contains("pass"), "{}", run.err);
        }
        for head in proxy.asked() {
            assert!(head.starts_with("CONNECT api.kie.ai:443 "), "{head}");
            assert!(!head.contains(KEY), "{head}");
        }
    }
}

#[test]
fn an_invalid_proxy_is_refused_with_its_variable() {
    for (variable, url) in [
        ("HTTPS_PROXY", "ftp://me:pass@proxy.example.net"),
        ("ALL_PROXY", "http://me:pass@proxy.example.net:port"),
        ("http_proxy", "http://"),
    ] {
        let run = sandbox().with(variable, url).run(&["generate", "A dog"]);
        assert_eq!(run.code, 2, "{}", run.err);
        let name = variable.to_uppercase();
        assert!(run.err.contains(&name), "{}", run.err);
        assert!(!run.err.contains("pass"), "{}", run.err);
    }
}

#[test]
fn a_server_on_this_machine_is_reached_without_a_proxy() {
    let proxy = Proxy::start("502 Bad Gateway");
    let url = format!("http://127.0.0.1:{}", proxy.port);
    let sandbox = Sandbox::with_sim()
        .with("HTTPS_PROXY", &url)
        .with("HTTP_PROXY", &url)
        .with("ALL_PROXY", &url);
    let run = sandbox.run(&["generate", "A dog", "-o", "dog.mp4"]);
    assert!(is_saved(&sandbox, &run), "{}", run.err);
    assert!(proxy.asked().is_empty());
}

#[test]
fn a_path_in_the_base_url_is_named_as_the_fault() {
    for (url, path, origin) in [
        ("https://api.kie.ai/api/v1", "/api/v1", "https://api.kie.ai"),
        ("http://127.0.0.1:1/v1/", "/v1", "http://127.0.0.1:1"),
    ] {
        let sandbox = sandbox().with("KIE_BASE_URL", url);
        for command in [
            &["generate", "A dog"][..],
            &["wait", "kie:t1"],
            &["credits"],
        ] {
            let run = sandbox.run(command);
            let wanted = format!(
                "the base URL cannot be used: it has the path {path}, and the paths of the API are added to it; give {origin}"
            );
            assert_eq!(run.code, 2, "{}", run.err);
            assert!(run.err.contains(&wanted), "{}", run.err);
        }
    }
}

/// Some proxy programs answer for a name with an address of 198.18.0.0/15.
#[cfg(target_os = "linux")]
#[test]
fn private_addresses_are_followed_if_the_api_has_one_too() {
    run_in_a_network_of_its_own("network::made_up_addresses");
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_is_not_sent_to_the_second_address_of_a_name() {
    run_in_a_network_of_its_own("network::two_addresses");
}

/// Runs one of the ignored tests below in a separate network, if the system allows that.
#[cfg(target_os = "linux")]
fn run_in_a_network_of_its_own(test: &str) {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let line = "ip link set lo up && ip address add 198.18.0.5/32 dev lo && ip address add 1.1.1.1/32 dev lo && \
                mount --bind \"$HOSTS\" /etc/hosts && echo ready && \
                exec \"$PROGRAM\" --exact \"$TEST\" --ignored --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "sh", "-c", line])
        .env("HOSTS", hosts.path())
        .env("PROGRAM", std::env::current_exe().unwrap())
        .env("TEST", test)
        .output();
    let Ok(output) = output else {
        println!("there is no unshare, so this cannot be tested");
        return;
    };
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    if !out.contains("ready") {
        println!("a network of its own is not allowed, so this cannot be tested: {err}");
        return;
    }
    assert!(output.status.success(), "{out}{err}");
}

#[test]
#[ignore = "a test above runs it, in a network of its own"]
fn made_up_addresses() {
    let listener = TcpListener::bind("0.0.0.0:443").unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve_kie(stream));
        }
    });
    let permission = "[downloads]\nallow_private_hosts = true\n";
    for (api, config, is_followed) in [
        ("198.18.0.5", "", true),
        ("1.1.1.1", "", false),
        ("1.1.1.1", permission, true),
    ] {
        fs::write(
            "/etc/hosts",
            format!("{api} api.kie.ai\n198.18.0.5 media.example.net\n"),
        )
        .unwrap();
        let sandbox = sandbox();
        fs::create_dir_all(sandbox.config().parent().unwrap()).unwrap();
        fs::write(sandbox.config(), config).unwrap();
        let sent = sandbox.run(&["generate", "A dog", "-o", "dog.mp4", "--no-wait"]);
        assert_eq!(sent.code, 0, "{}", sent.err);
        let run = sandbox.run(&["wait", "kie:t1"]);
        assert_eq!(is_saved(&sandbox, &run), is_followed, "{api}: {}", run.err);
        if !is_followed {
            let why = "its host is at 198.18.0.5, on this machine or in a private network, which the setting \
                       allow_private_hosts does not permit";
            assert_eq!(run.code, 5, "{}", run.err);
            assert!(run.err.contains(why), "{}", run.err);
        }
    }
}

/// The address that is tried first reads the request and closes the connection. The second would accept it.
#[test]
#[ignore = "a test above runs it, in a network of its own"]
fn two_addresses() {
    fs::write("/etc/hosts", "198.18.0.5 api.kie.ai\n1.1.1.1 api.kie.ai\n").unwrap();
    let listener = TcpListener::bind("0.0.0.0:443").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    thread::spawn(move || {
        let mut first = None;
        for stream in listener.incoming().flatten() {
            let address = stream.local_addr().unwrap().ip();
            let drops = *first.get_or_insert(address) == address;
            let log = log.clone();
            thread::spawn(move || serve_tls(stream, &log, &|_| (!drops).then(|| accepted("t1"))));
        }
    });
    let run = sandbox().run(&["generate", "A dog", "--no-wait"]);
    assert_eq!(run.code, 4, "{}", run.err);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 1, "{seen:?}");
}
