//! The program `veo-sim`, as a user runs it in a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use veo_sim::{Scenario, Sim};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_veo-sim"))
}

/// A running program, which is killed when it is dropped.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    url: String,
    /// The output at the start.
    table: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut child = program()
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let url = first
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap()
            .to_owned();
        let mut table = format!("{}\n", first.replace(&url, "URL"));
        while !table.contains("/media/...") {
            table.push_str(&lines.next().unwrap().unwrap());
            table.push('\n');
        }
        Running {
            child,
            lines,
            url,
            table,
        }
    }

    fn get(&self, path: &str, key: &str) -> String {
        let mut socket = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).unwrap();
        socket
            .write_all(crate::request("GET", path, key, "").as_bytes())
            .unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).unwrap();
        reply
    }

    fn line(&mut self) -> String {
        self.lines
            .find(|line| !line.as_ref().unwrap().is_empty())
            .unwrap()
            .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_logs_each_request_until_ctrl_c() {
    let mut program = Running::start(&[]);
    assert_eq!(
        program.table,
        "Both providers are at URL until Ctrl-C. Any API key will do;
one from `veo-sim --list` picks what goes wrong.

kie     POST  /api/v1/veo/generate              generate          paid
kie     GET   /api/v1/veo/record-info           record_info
kie     GET   /api/v1/veo/get-1080p-video       get_1080p_video   paid
kie     POST  /api/v1/veo/get-4k-video          get_4k_video      paid
kie     POST  /api/v1/veo/extend                extend            paid
kie     POST  /api/v1/jobs/createTask           create_task       paid
kie     GET   /api/v1/jobs/recordInfo           get_task
kie     GET   /api/v1/chat/credit               account_credits
kie     POST  /api/v1/common/download-url       download_url
kie     POST  /api/file-base64-upload           upload_base64
kie     POST  /api/file-stream-upload           upload_stream
kie     POST  /api/file-url-upload              upload_url
uniall  POST  /v1/video/generations             create_video      paid
uniall  GET   /v1/videos/{task_id}              query_video
uniall  GET   /v1/videos/{task_id}/content      video_content
        GET   /media/...                        media
"
    );
    assert!(program.table.ends_with(&Sim::table()));
    assert!(
        program
            .get("/api/v1/chat/credit", "key")
            .contains(r#""data":1250.75"#)
    );
    assert_eq!(
        program.line(),
        "   1  account_credits   200       GET /api/v1/chat/credit"
    );
    assert!(
        program
            .get("/v1/videos/7", "busy-answers")
            .starts_with("HTTP/1.1 429 ")
    );
    assert_eq!(
        program.line(),
        "   2  query_video       429       GET /v1/videos/7  fault: error"
    );

    program.get("/v1/none", "key");
    assert_eq!(
        program.line(),
        "   3  ?                 404       GET /v1/none"
    );

    // A request that hangs does not keep the program from ending.
    let _hanging = TcpStream::connect(program.url.strip_prefix("http://").unwrap()).unwrap();
    let kill = Command::new("kill")
        .args(["-INT", &program.child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(program.line(), "0 paid requests, 0 charges");
    assert_eq!(
        program.line(),
        "not expected: call 3 (GET /v1/none): there is no GET /v1/none"
    );
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_scenario_comes_from_a_file() {
    let file = File::new(
        "own",
        "name = 'own'\ndescription = 'Empty.'\ncredits = 7.5\n",
    );
    let program = Running::start(&["--scenario", file.0.to_str().unwrap()]);
    assert!(
        program
            .get("/api/v1/chat/credit", "key")
            .contains(r#""data":7.5"#)
    );
    assert!(
        program
            .get("/api/v1/chat/credit", "at-once")
            .contains(r#""data":1250.75"#)
    );
}

#[test]
fn the_program_lists_the_scenarios_and_has_help() {
    let listed = output(&["--list"]);
    assert_eq!((listed.status.code(), &*listed.stderr), (Some(0), &b""[..]));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<_> = listed
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let known: Vec<_> = Scenario::catalogue()
        .iter()
        .map(|scenario| &*scenario.name)
        .collect();
    assert_eq!(names, known);
    assert!(listed.contains(
        "lost-reply                The first paid request is accepted and charged, and its reply is"
    ));
    for flag in ["--help", "-h"] {
        let help = output(&[flag]);
        assert_eq!(help.status.code(), Some(0));
        assert!(
            String::from_utf8(help.stdout)
                .unwrap()
                .contains("Usage: veo-sim [--port PORT] [--scenario FILE]")
        );
    }
}

#[test]
fn the_program_refuses_wrong_arguments_in_one_sentence() {
    let broken = File::new("broken", "name = 'own'\npace = 'fast'\n");
    let impossible = File::new("impossible", "name = 'own'\ncredits = -1\n");
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    for (arguments, complaint) in [
        (&["--prot", "1"][..], "error: invalid option '--prot'"),
        (&["--port"], "error: missing argument for option '--port'"),
        (
            &["--port", "x"],
            "error: cannot parse argument \"x\": invalid digit found in string",
        ),
        (&["--port", "1", "2"], "error: unexpected argument \"2\""),
        (
            &["--port", &port],
            &format!(
                "error: the simulator cannot start: port {port} of 127.0.0.1 cannot be used: Address already in use"
            ),
        ),
        (
            &["--scenario", "/none.toml"],
            "error: /none.toml: No such file or directory",
        ),
        (
            &["--scenario", broken.path()],
            &format!(
                "error: {}: TOML parse error at line 2, column 8",
                broken.path()
            ),
        ),
        (
            &["--scenario", impossible.path()],
            &format!(
                "error: {}: scenario \"own\": credits have to be 0 or more",
                impossible.path()
            ),
        ),
    ] {
        let output = output(arguments);
        assert_eq!(
            (output.status.code(), &*output.stdout),
            (Some(2), &b""[..]),
            "{arguments:?}"
        );
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with(complaint), "{arguments:?}: {stderr}");
    }
}

fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// A file for one test, which is removed when it is dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.toml", std::process::id()));
        fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
