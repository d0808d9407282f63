//! The program as a person runs it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::path::Path;
use std::process::Command;

struct Run {
    code: i32,
    out: String,
    err: String,
}

/// Runs `veo generate` in a folder, with no key in the environment but the given one.
fn generate(folder: &Path, arguments: &[&str], key: Option<(&str, &str)>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veo"));
    command.arg("generate").args(arguments).current_dir(folder);
    command.env_remove("KIE_API_KEY").env_remove("UNIALL_API_KEY").envs(key);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_video_is_made_and_its_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // The options, the file, and what it is, which is the simulator's clip of this shape and length.
    let table: [(&[&str], &str, u64, &str); 4] = [
        (&["--sim", "kie", "A dog", "-o", "dog.mp4"], "dog.mp4", 50431, "49.25 KiB, 1280x720, 8.0 s"),
        (&["--sim", "uniall", "A dog", "--output", "dog2.mp4"], "dog2.mp4", 50431, "49.25 KiB, 1280x720, 8.0 s"),
        (
            &["A dog", "--sim", "kie", "--aspect-ratio", "9:16", "--duration", "4", "--tier", "quality"],
            "video.mp4",
            26591,
            "25.97 KiB, 720x1280, 4.0 s",
        ),
        (
            &["A dog", "--sim", "uniall", "--image", "https://img.example.net/dog.png", "--force", "--duration", "6"],
            "video.mp4",
            38231,
            "37.33 KiB, 1280x720, 6.0 s",
        ),
    ];
    for (arguments, file, size, media) in table {
        let run = generate(folder.path(), arguments, None);
        assert_eq!((run.code, run.out.as_str()), (0, format!("{file}\n").as_str()), "{}", run.err);
        assert_eq!(std::fs::metadata(folder.path().join(file)).unwrap().len(), size, "{arguments:?}");

        // Everything but the result goes to standard error, one line for each change.
        let lines: Vec<&str> = run.err.lines().collect();
        assert!(lines[0].starts_with(&format!(
            "Accepted as {}:",
            arguments[arguments.iter().position(|a| *a == "--sim").unwrap() + 1]
        )));
        assert_eq!(lines[1..lines.len() - 1], ["Waiting", "Making the video", "Downloading"], "{arguments:?}");
        assert_eq!(*lines.last().unwrap(), format!("Saved {media}, with sound"), "{arguments:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.mp4"), "an older video").unwrap();
    let table: [(&[&str], &str); 12] = [
        (&["A dog"], "there is no API key; set KIE_API_KEY or UNIALL_API_KEY, or try it without one: --sim kie"),
        (&["A dog", "--provider", "kie"], "there is no API key; set KIE_API_KEY, or"),
        (&["A dog", "--provider", "uniall"], "there is no API key; set UNIALL_API_KEY, or"),
        (
            &["A dog", "--sim", "kie", "-o", "there.mp4"],
            "there.mp4 is already there; choose another file with --output, or replace",
        ),
        (&["A dog", "--sim", "kie", "-o", "no/dog.mp4"], "there is no folder no; create it"),
        (&["A dog", "--sim", "kie", "-o", "."], ". is a folder; name a file in it"),
        (&[" ", "--sim", "kie"], "kie: prompt: it is empty"),
        (
            &["A dog", "--sim", "kie", "--duration", "5"],
            "kie: seconds: veo3_lite makes no videos of 5 s; choose 4, 6 or 8",
        ),
        (&["A dog", "--sim", "kie", "--image", "dog.png"], "input: dog.png cannot be read; correct the path"),
        (&["A dog", "--sim", "uniall", "--tier", "lite"], "uniall: tier: uniall has no lite models"),
        (&["A dog", "--sim", "kie", "--provider", "kie"], "cannot be used with"),
        (&["--sim", "kie"], "required arguments were not provided"),
    ];
    for (arguments, wanted) in table {
        let run = generate(folder.path(), arguments, None);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}: {}", run.err);
        assert!(run.err.starts_with("error: ") && run.err.contains(wanted), "{arguments:?}: {}", run.err);
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("there.mp4")).unwrap(), "an older video");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_key_that_cannot_be_one_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for variable in ["KIE_API_KEY", "UNIALL_API_KEY"] {
        let run = generate(folder.path(), &["A dog"], Some((variable, "sk-secret\nkey")));
        assert_eq!(run.code, 2);
        assert!(run.err.contains("the API key holds characters") && !run.err.contains("secret"), "{}", run.err);
    }
}
