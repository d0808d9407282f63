//! A video is whole if a player can show all of it, in every arrangement of its file.

use veo_core::{Job, Media, Model, Offer, Operation, Receipt, Saved, Tier, VideoRequest};

use crate::download::{Host, Reply, client, impatient, reply, send, video, whole};

/// Videos of 8 s in 640 by 360, with 24 pictures a second and sound, in four arrangements: with the index last, with
/// the index first, in fragments, and in fragments with an index of each.
const BASE: &[u8] = include_bytes!("../media/base.mp4");
const FAST: &[u8] = include_bytes!("../media/fast.mp4");
const FRAGMENTS: &[u8] = include_bytes!("../media/frag.mp4");
const SEGMENTS: &[u8] = include_bytes!("../media/dash.mp4");

const AS_ASKED: (u32, u32, f64) = (640, 360, 8.0);

/// The result of a download: the size and length of the video with the discrepancies of the receipt, or the error.
type Came = Result<((u32, u32, f64), Vec<&'static str>), &'static str>;

#[tokio::test]
async fn a_video_is_saved_if_a_player_can_show_all_of_it() {
    let [base, fast] = [BASE, FAST].map(boxes);
    let ([ftyp, free, mdat, moov], [fast_ftyp, fast_moov, fast_free, fast_mdat]) = (
        <[&[u8]; 4]>::try_from(base).unwrap(),
        <[&[u8]; 4]>::try_from(fast).unwrap(),
    );
    let well = || Ok((AS_ASKED, vec![]));
    let open_mdat = [
        fast_ftyp,
        fast_moov,
        fast_free,
        b"\0\0\0\0mdat",
        &fast_mdat[8..],
    ]
    .concat();
    let half = boxes(FRAGMENTS)[..10].concat();
    let first_half = (
        (640, 360, 4.0),
        vec!["8 s were requested, and 4.0 s were delivered"],
    );
    let without_length = |body: &[u8]| send("200 OK", body);
    let etag = "etag: \"a\"";
    let cut = send(
        &format!("200 OK\r\n{etag}\r\ncontent-length: {}", FAST.len()),
        &FAST[..FAST.len() / 2],
    );
    let rest = |body: &[u8]| {
        let (first, last, total) = (FAST.len() / 2, FAST.len() - 1, FAST.len());
        let head = format!(
            "206 Partial Content\r\n{etag}\r\ncontent-range: bytes {first}-{last}/{total}\r\ncontent-length: {}",
            body.len()
        );
        send(&head, body)
    };
    let missing = FAST.len() - FAST.len() / 2;
    let fragments = boxes(FRAGMENTS);
    let without_end = fragments[..fragments.len() - 1].concat();
    let whole_with_duration = with_duration(&without_end, 1000, 8000);
    let cut_with_duration = with_duration(&half, 1000, 8000);
    // Two segments, each with some of the fragments.
    let segment = |seconds: u32| [0, seconds, 0].map(u32::to_be_bytes).concat();
    let head = [60, u32::from_be_bytes(*b"sidx"), 0, 1, 1, 0, 0, 2].map(u32::to_be_bytes);
    let index = [head.concat(), segment(4), segment(4), vec![0; 4]].concat();
    // The addresses of the data in these fragments are relative to each fragment, so the fragments can be moved.
    let mut segments = boxes(SEGMENTS);
    segments.retain(|found| &found[4..8] != b"sidx" && &found[4..8] != b"mfra");
    let with_index = |end: usize| {
        [
            &segments[..2].concat(),
            &index,
            &segments[2..end].concat()[..],
        ]
        .concat()
    };
    let stray = |kind: &[u8]| whole(&[BASE, b"\0\0\0\x64", kind].concat());
    let first = |kind: &[u8]| whole(&[b"\0\0\0\x08", kind, ftyp, mdat, moov].concat());
    let none = "pictures are damaged";
    let truncated = "is truncated or corrupted";

    let table: Vec<(&str, Vec<Reply>, Came)> = vec![
        ("as it is", vec![whole(BASE)], well()),
        ("index first", vec![whole(FAST)], well()),
        (
            "trailing newline",
            vec![whole(&[BASE, b"\n"].concat())],
            well(),
        ),
        (
            "trailing NULs",
            vec![whole(&[BASE, &[0; 64]].concat())],
            well(),
        ),
        (
            "trailing junk",
            vec![whole(&[BASE, b"junkjunkjunk"].concat())],
            well(),
        ),
        (
            "trailing junk, no length",
            vec![without_length(&[BASE, b"junkjunkjunk"].concat())],
            well(),
        ),
        (
            "`free` of size 0 at the end",
            vec![whole(&[BASE, b"\0\0\0\0free"].concat())],
            well(),
        ),
        (
            "`moov` last, of size 0",
            vec![whole(&[ftyp, free, mdat, b"\0\0\0\0", &moov[4..]].concat())],
            well(),
        ),
        (
            "`free` before `ftyp`",
            vec![whole(&[free, ftyp, mdat, moov].concat())],
            well(),
        ),
        ("fragmented", vec![whole(FRAGMENTS)], well()),
        (
            "fragmented, no length",
            vec![without_length(FRAGMENTS)],
            well(),
        ),
        ("fragmented, with `sidx`", vec![whole(SEGMENTS)], well()),
        (
            "cut where a fragment ends",
            vec![without_length(&half)],
            Err("neither the file nor the host gives its length; 4.0 s arrived"),
        ),
        (
            "the same with its content-length",
            vec![whole(&half)],
            Ok(first_half),
        ),
        (
            "cut within a fragment",
            vec![whole(&FRAGMENTS[..half.len() - 9])],
            Err(truncated),
        ),
        (
            "fragmented, without its last box",
            vec![whole(&without_end)],
            well(),
        ),
        (
            "fragmented, without its last box, no length",
            vec![without_length(&without_end)],
            Err("neither the file nor the host gives its length; 8.0 s arrived"),
        ),
        (
            "the same with its length in the header",
            vec![without_length(&whole_with_duration)],
            well(),
        ),
        (
            "cut where a fragment ends, with its length in the header",
            vec![without_length(&cut_with_duration)],
            Err("neither the file nor the host gives its length; 4.0 s arrived"),
        ),
        (
            "fragmented, without its last box, with the length that a range tells",
            vec![
                send(&format!("200 OK\r\n{etag}"), &without_end[..1000]),
                send(
                    &format!(
                        "206 Partial Content\r\n{etag}\r\ncontent-range: bytes 1000-{}/{}",
                        without_end.len() - 1,
                        without_end.len()
                    ),
                    &without_end[1000..],
                ),
            ],
            well(),
        ),
        (
            "fragmented, with an index of all segments",
            vec![without_length(&with_index(segments.len()))],
            well(),
        ),
        (
            "the same, cut where a fragment ends",
            vec![without_length(&with_index(10))],
            Err("neither the file nor the host gives its length; 4.0 s arrived"),
        ),
        ("`emsg` first", vec![first(b"emsg")], well()),
        ("`sidx` first", vec![first(b"sidx")], well()),
        ("`meta` first", vec![first(b"meta")], well()),
        ("`uuid` first", vec![first(b"uuid")], well()),
        ("an unknown box first", vec![first(b"veo1")], well()),
        ("stray `free`", vec![stray(b"free")], well()),
        ("stray `moov`", vec![stray(b"moov")], well()),
        ("stray `moof`", vec![stray(b"moof")], well()),
        (
            "stray `mdat`",
            vec![stray(b"mdat")],
            Ok((AS_ASKED, vec!["the file ends before its last box does"])),
        ),
        (
            "timescale 0 in the header",
            vec![whole(&with_duration(BASE, 0, 8000))],
            well(),
        ),
        (
            "timescale 0 of the sound",
            vec![whole(&with_number(BASE, b"mdhd", 16, 0))],
            well(),
        ),
        (
            "a description of sound with the number 0",
            vec![whole(&with_number(BASE, b"stsc", 20, 0))],
            well(),
        ),
        (
            "four billion samples of one size in a fragment",
            vec![whole(&with_number(FRAGMENTS, b"trun", 8, u32::MAX))],
            Err(truncated),
        ),
        (
            "no length in the header",
            vec![whole(&with_duration(BASE, 1000, 0))],
            well(),
        ),
        (
            "a length that is nonsense",
            vec![whole(&with_duration(BASE, 1000, 4_000_000_000))],
            Ok((
                AS_ASKED,
                vec!["the file says that it is 4000000.0 s long, and has 8.0 s"],
            )),
        ),
        (
            "a timescale that is nonsense",
            vec![whole(&with_duration(BASE, 90_000, 8000))],
            Ok((
                AS_ASKED,
                vec!["the file says that it is 0.1 s long, and has 8.0 s"],
            )),
        ),
        (
            "rotated by its matrix",
            vec![whole(&rotated())],
            Ok((
                (360, 640, 8.0),
                vec!["16:9 was requested, and an upright video was delivered"],
            )),
        ),
        (
            "`mdat` without a byte",
            vec![whole(&[fast_ftyp, fast_moov, b"\0\0\0\x08mdat"].concat())],
            Err(truncated),
        ),
        ("`mdat` of size 0, whole", vec![whole(&open_mdat)], well()),
        (
            "`mdat` of size 0, cut",
            vec![without_length(
                &open_mdat[..fast_ftyp.len() + fast_moov.len() + 1000],
            )],
            Err(truncated),
        ),
        (
            "`mdat` that says it is longer",
            vec![whole(&longer_mdat())],
            Ok((AS_ASKED, vec!["the file ends before its last box does"])),
        ),
        (
            "one byte short",
            vec![whole(&BASE[..BASE.len() - 1])],
            Err(truncated),
        ),
        (
            "one byte short in the middle",
            vec![whole(&[ftyp, free, &mdat[..mdat.len() - 1], moov].concat())],
            Err(truncated),
        ),
        (
            "one byte short at the end",
            vec![whole(&FAST[..FAST.len() - 1])],
            Err(truncated),
        ),
        (
            "206 with zeros",
            vec![
                cut.clone(),
                rest(&vec![0; missing]),
                cut.clone(),
                rest(&vec![0; missing]),
            ],
            Err(none),
        ),
        (
            "206 of another file",
            vec![
                cut.clone(),
                rest(&SEGMENTS[SEGMENTS.len() - missing..]),
                cut.clone(),
                rest(&SEGMENTS[SEGMENTS.len() - missing..]),
            ],
            Err(none),
        ),
        (
            "206 with zeros, and then the whole",
            vec![cut, rest(&vec![0; missing]), whole(FAST)],
            well(),
        ),
        (
            "ended cleanly halfway, and then the whole",
            vec![
                without_length(&FAST[..FAST.len() / 2]),
                whole(&FAST[..FAST.len() / 2]),
                whole(FAST),
            ],
            well(),
        ),
        (
            "not ready yet",
            vec![
                send("400 No\r\ncontent-length: 0", b""),
                send("409 No\r\ncontent-length: 0", b""),
                send("425 No\r\ncontent-length: 0", b""),
                whole(FAST),
            ],
            well(),
        ),
    ];
    for (case, script, wanted) in table {
        check(case, &script, wanted).await;
    }
}

/// The gateway of UniAll ends each reply after some time, without an error.
#[tokio::test]
async fn a_download_that_ends_early_resumes_at_its_end() {
    let part = FAST.len() / 4;
    let chunk = |from: usize| {
        let to = (from + part).min(FAST.len());
        let (status, range) = match from {
            0 => ("200 OK", String::new()),
            _ => (
                "206 Partial Content",
                format!("content-range: bytes {from}-{}/*\r\n", FAST.len() - 1),
            ),
        };
        let head = format!("{status}\r\netag: \"a\"\r\n{range}transfer-encoding: chunked");
        let length = format!("{:x}\r\n", to - from);
        Reply::Send(reply(
            &head,
            &[length.as_bytes(), &FAST[from..to], b"\r\n0\r\n\r\n"].concat(),
        ))
    };
    let script: Vec<Reply> = (0..FAST.len()).step_by(part).map(chunk).collect();
    check("cut again and again", &script, Ok((AS_ASKED, vec![]))).await;
}

#[tokio::test]
async fn unfinished_files_of_ended_processes_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left_over = folder.path().join(".veo-a1B2c3.part");
    let of_others = folder.path().join("kite.mp4.part");
    std::fs::write(&left_over, "half").unwrap();
    std::fs::write(&of_others, "half").unwrap();
    let host = Host::start(&[whole(FAST), whole(BASE)]).await;
    let client = client(impatient());
    let first = async {
        client
            .download(&video(&host.url), folder.path().join("a.mp4"))
            .await
    };
    let second = async {
        client
            .download(&video(&host.url), folder.path().join("b.mp4"))
            .await
    };
    let (first, second) = tokio::join!(first, second);
    first.unwrap();
    second.unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.mp4", "b.mp4", "kite.mp4.part"]);
}

async fn check(case: &str, script: &[Reply], wanted: Came) {
    let host = Host::start(script).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kite.mp4");
    let result = client(impatient()).download(&video(&host.url), &file).await;
    match (result, wanted) {
        (Ok(saved), Ok((shown, discrepancies))) => {
            let media = &saved.media;
            let seconds = (media.seconds * 10.0).round() / 10.0;
            assert_eq!((media.width, media.height, seconds), shown, "{case}");
            let fps = media.fps.unwrap();
            assert!(
                (fps - 24.0).abs() < 0.2 && media.has_audio,
                "{case}: {media:?}"
            );
            assert_eq!(receipt(&saved).discrepancies, discrepancies, "{case}");
            assert_eq!(Media::of_file(&file).unwrap(), *media, "{case}");
        }
        (Err(error), Err(wanted)) => {
            let part = folder.path().join("kite.mp4.part");
            let text = error.to_string();
            assert!(text.contains(wanted), "{case}: {text}");
            assert!(text.contains(&part.display().to_string()), "{case}: {text}");
            assert!(part.exists() && !file.exists(), "{case}");
        }
        (result, wanted) => panic!("{case}: {result:?} instead of {wanted:?}"),
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "{case}"
    );
}

/// Returns the receipt for a request of 8 s in 720p. A discrepancy of the size is left out.
fn receipt(saved: &Saved) -> Receipt {
    let model = Model::new("kie", "veo3", Tier::Quality);
    let request = VideoRequest::text("A red kite").audio(true);
    let offer = Offer::new(&model, &request, Operation::Generate, serde_json::json!({}));
    let job = Job::new(&offer, "t1");
    let mut receipt = Receipt::new(&job, &video("https://example.net"), saved);
    receipt
        .discrepancies
        .retain(|found| !found.contains("p was delivered"));
    receipt
}

/// Returns the outermost boxes of a file.
fn boxes(mut file: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !file.is_empty() {
        let size = u32::from_be_bytes(file[..4].try_into().unwrap());
        let (inside, rest) = file.split_at(size as usize);
        found.push(inside);
        file = rest;
    }
    found
}

/// Returns the video with the mark that a player has to turn it by a quarter.
fn rotated() -> Vec<u8> {
    let mut file = BASE.to_vec();
    let place = file.windows(4).position(|kind| kind == b"tkhd").unwrap() + 44;
    let matrix = [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30];
    let bytes: Vec<u8> = matrix.into_iter().flat_map(i32::to_be_bytes).collect();
    file[place..place + bytes.len()].copy_from_slice(&bytes);
    file
}

/// Returns a video with another length in its header, in units of `1 / timescale` seconds.
fn with_duration(file: &[u8], timescale: u32, duration: u32) -> Vec<u8> {
    let file = with_number(file, b"mvhd", 16, timescale);
    with_number(&file, b"mvhd", 20, duration)
}

/// Returns a video with another number in the last box of a kind, at a place that counts from the kind.
fn with_number(file: &[u8], kind: &[u8; 4], place: usize, number: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    let start = file.windows(4).rposition(|found| found == kind).unwrap() + place;
    file[start..start + 4].copy_from_slice(&number.to_be_bytes());
    file
}

/// Returns the video with a last box whose size is greater than the file.
fn longer_mdat() -> Vec<u8> {
    let mut file = FAST.to_vec();
    let place = file.windows(4).position(|kind| kind == b"mdat").unwrap() - 4;
    file[place] = 1;
    file
}
