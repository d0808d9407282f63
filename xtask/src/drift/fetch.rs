//! Gets pages from the network, or from a folder of saved pages.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The most bytes of a page.
const MOST: u64 = 1024 * 1024;

/// Reads a saved page. Its path in the folder is the host and the path of its address.
///
/// # Errors
///
/// Returns the reason as the end of a sentence.
pub(super) fn saved(folder: &Path, url: &str) -> Result<String, String> {
    let path = url.strip_prefix("https://").unwrap_or(url);
    let file = std::fs::File::open(folder.join(path));
    let file = file.map_err(|error| format!("is not in the folder ({error})"))?;
    text(file)
}

/// Waits a second, which bounds the rate, and fetches a page.
///
/// # Errors
///
/// Returns the reason as the end of a sentence.
pub(super) fn fetched(url: &str) -> Result<String, String> {
    std::thread::sleep(Duration::from_secs(1));
    asked(Command::new("curl"), url)
}

/// Fetches a page with curl. curl ignores the user's settings here, follows no redirect and uses https only.
fn asked(mut program: Command, url: &str) -> Result<String, String> {
    let agent = concat!("veo-drift/1 (+", env!("CARGO_PKG_REPOSITORY"), ")");
    let mut running = program
        .args(["--disable", "--silent", "--fail", "--proto", "=https"])
        .args(["--max-time", "30", "--max-filesize", &MOST.to_string()])
        .args(["--user-agent", agent])
        .args(["--write-out", "%{stderr}%{http_code}", "--url", url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot be fetched: curl cannot be run ({error})"))?;
    let page = running.stdout.take().map(text).unwrap_or(Ok(String::new()));
    let output = running
        .wait_with_output()
        .map_err(|error| format!("cannot be fetched: {error}"))?;
    let status = String::from_utf8_lossy(&output.stderr).into_owned();
    match (output.status.success(), status.as_str()) {
        (true, "200") => page,
        (_, status) if status.starts_with('3') => Err(format!(
            "has moved (HTTP {status}); look where to, and correct openapi/pages.yaml"
        )),
        (_, "000" | "") => Err(format!(
            "cannot be fetched: curl ended with {}",
            output.status
        )),
        (_, status) => Err(format!("was answered with HTTP {status}")),
    }
}

/// Reads a page that is UTF-8 and not too long.
fn text(source: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = source.take(MOST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MOST {
        return Err("is longer than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_page_that_is_long_or_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join("a.example").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write("page.md", "a page ü".as_bytes());
        write("long.md", &vec![b'a'; MOST as usize + 1]);
        write("image.md", &[0xff, 0xfe]);
        let read = |name: &str| saved(folder.path(), &format!("https://a.example/{name}"));
        assert_eq!(read("page.md").unwrap(), "a page ü");
        for (name, says) in [
            ("long.md", "longer than 1 MiB"),
            ("image.md", "is not text"),
            ("none.md", "is not in the folder"),
        ] {
            let problem = read(name).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }

    /// A stand-in for curl prints its arguments, or fails in various ways.
    #[cfg(unix)]
    #[test]
    fn a_page_is_fetched_once_and_over_https() {
        let rows = [
            ("echo \"$@\"; printf 200 >&2", Ok("--proto =https")),
            (
                "echo \"$@\"; printf 200 >&2",
                Ok("--max-time 30 --max-filesize 1048576"),
            ),
            (
                "echo \"$@\"; printf 200 >&2",
                Ok("--url https://a.example/b"),
            ),
            ("printf 301 >&2", Err("has moved (HTTP 301)")),
            ("printf 404 >&2; exit 22", Err("was answered with HTTP 404")),
            ("printf 200 >&2; exit 18", Err("was answered with HTTP 200")),
            (
                "printf 000 >&2; exit 6",
                Err("cannot be fetched: curl ended with exit status: 6"),
            ),
            (
                "exit 28",
                Err("cannot be fetched: curl ended with exit status: 28"),
            ),
            (
                "head -c 1048577 /dev/zero; printf 200 >&2",
                Err("is longer than 1 MiB"),
            ),
        ];
        for (script, expected) in rows {
            let mut program = Command::new("sh");
            program.args(["-c", script, "curl"]);
            match (asked(program, "https://a.example/b"), expected) {
                (Ok(page), Ok(says)) => {
                    assert!(page.contains(says), "{page}");
                    assert!(!page.contains("--location"), "{page}");
                    assert!(
                        page.contains("--user-agent veo-drift/1 (+https://"),
                        "{page}"
                    );
                }
                (Err(problem), Err(says)) => assert!(problem.contains(says), "{problem}"),
                (result, _) => panic!("{script}: {result:?}"),
            }
        }
        let none = asked(Command::new("/nowhere/curl"), "https://a.example/b");
        assert!(none.unwrap_err().contains("curl cannot be run"));
    }
}
