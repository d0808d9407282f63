//! An image of this machine is checked before anything is sent.

use std::path::{Path, PathBuf};

use veo_core::{
    Access, AspectRatio, Client, ErrorKind, Image, Kie, Submission, UniAll, VideoRequest,
};
use veo_sim::Sim;

const JPEG: &[u8] = include_bytes!("../media/ok.jpg");
const UPRIGHT: &[u8] = include_bytes!("../media/tall.jpg");
const PNG: &[u8] = include_bytes!("../media/ok.png");
const WEBP: &[u8] = include_bytes!("../media/ok.webp");
const MOVING_WEBP: &[u8] = include_bytes!("../media/anim.webp");
const MOVING_PNG: &[u8] = include_bytes!("../media/apng.png");

fn client(url: &str) -> Client {
    let access = Access::new("key").base_url(url);
    Client::new(Kie::new(access.clone()).unwrap())
        .unwrap()
        .or(UniAll::new(access).unwrap())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn an_unusable_image_is_refused_before_anything_is_sent() {
    let not_whole = Err("is not whole");
    let moves = Err("is animated; use one of its frames");
    let no_pixels = Err("has no pixels");
    let table: Vec<(&str, Vec<u8>, Result<(), &str>)> = vec![
        ("jpeg", JPEG.to_vec(), Ok(())),
        ("png", PNG.to_vec(), Ok(())),
        ("webp", WEBP.to_vec(), Ok(())),
        ("on-its-side.jpg", on_its_side(JPEG), Ok(())),
        ("more-after-a-jpeg", [JPEG, UPRIGHT].concat(), Ok(())),
        ("more-after-a-png", [PNG, b"junk"].concat(), Ok(())),
        ("more-after-a-webp", [WEBP, b"junk"].concat(), Ok(())),
        ("half-a-jpeg", JPEG[..JPEG.len() / 2].to_vec(), not_whole),
        ("half-a-png", PNG[..PNG.len() / 2].to_vec(), not_whole),
        ("half-a-webp", WEBP[..WEBP.len() / 2].to_vec(), not_whole),
        ("cut-png", PNG[..PNG.len() - 1].to_vec(), not_whole),
        ("cut-jpeg", JPEG[..JPEG.len() - 1].to_vec(), not_whole),
        ("head-of-a-png", PNG[..8].to_vec(), not_whole),
        ("head-of-a-jpeg", JPEG[..3].to_vec(), not_whole),
        ("png-of-no-width", with_zeros(PNG, 16, 4), no_pixels),
        ("png-of-no-height", with_zeros(PNG, 20, 4), no_pixels),
        (
            "jpeg-of-no-size",
            with_zeros(JPEG, sof(JPEG) + 5, 4),
            no_pixels,
        ),
        ("webp-of-no-width", with_zeros(WEBP, 26, 2), no_pixels),
        ("anim.webp", MOVING_WEBP.to_vec(), moves),
        ("apng.png", MOVING_PNG.to_vec(), moves),
        (
            "gif",
            b"GIF89a".to_vec(),
            Err("is not a JPEG, PNG or WebP image"),
        ),
        (
            "nothing",
            Vec::new(),
            Err("is not a JPEG, PNG or WebP image"),
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, wanted) in table {
        check(write(folder.path(), name, &bytes), wanted).await;
    }
    check(folder.path().to_owned(), Err("is a folder")).await;
}

#[cfg(unix)]
#[tokio::test]
async fn paths_of_other_things_than_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let link = folder.path().join("link.png");
    std::os::unix::fs::symlink("nowhere.png", &link).unwrap();
    let to_file = folder.path().join("to-file.png");
    std::os::unix::fs::symlink(write(folder.path(), "kite.png", PNG), &to_file).unwrap();
    let socket = folder.path().join("socket.png");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    check(pipe, Err("is a pipe")).await;
    check(link, Err("is a link to a file that is not there")).await;
    check(socket, Err("is a socket")).await;
    check("/dev/zero".into(), Err("is a device")).await;
    // To read this file is to wait for the next message of the system.
    #[cfg(target_os = "linux")]
    check("/proc/kmsg".into(), Err("is not a JPEG")).await;
    check(to_file, Ok(())).await;
}

/// Returns the picture with zeros in the place of some bytes.
fn with_zeros(picture: &[u8], at: usize, count: usize) -> Vec<u8> {
    let mut changed = picture.to_vec();
    changed[at..at + count].fill(0);
    changed
}

/// Returns the place of the marker before the size of a JPEG.
fn sof(jpeg: &[u8]) -> usize {
    let is_start = |pair: &[u8]| pair == [0xff, 0xc0];
    jpeg.windows(2).position(is_start).unwrap()
}

/// Checks that a check of the image, a plan, an upload and a request have the same result.
async fn check(path: PathBuf, wanted: Result<(), &str>) {
    let sim = Sim::start().await.unwrap();
    let client = client(&sim.url());
    let image = Image::from(path.clone());
    let request = VideoRequest::image("It flies", path.clone());
    let checked = image.check().await;
    let plan = client.plan(&request);
    let Err(wanted) = wanted else {
        checked.unwrap();
        assert_eq!(plan.offers.len(), 2, "{plan:?}");
        return;
    };
    let uploaded = client.upload(&image).await;
    let Submission::Rejected(rejected) = client.submit(&request).await else {
        panic!("{path:?} is refused")
    };
    let wanted = format!("{} {wanted}", path.display());
    for error in [checked.unwrap_err(), uploaded.unwrap_err(), rejected] {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(error.to_string().contains(&wanted), "{error}");
    }
    assert!(plan.offers.is_empty(), "{plan:?}");
    assert!(plan.refusals[0].to_string().contains(&wanted), "{plan:?}");
    assert_eq!(sim.calls().len(), 0, "nothing is sent");
}

#[tokio::test]
async fn a_plan_warns_of_an_image_of_another_shape() {
    let folder = tempfile::tempdir().unwrap();
    let wide = write(folder.path(), "ok.jpg", JPEG);
    let tall = write(folder.path(), "tall.jpg", UPRIGHT);
    let turned = write(folder.path(), "turned.jpg", &on_its_side(JPEG));
    let image = |path: &PathBuf| VideoRequest::image("It flies", path.clone());
    let frames = |first: &PathBuf, last: &PathBuf| {
        VideoRequest::frames("It flies", first.clone(), last.clone())
    };
    let cut = "is 360x640 and will be cut or padded to 16:9; choose 9:16 or auto to avoid that";
    let table = [
        (image(&wide), vec![]),
        (image(&tall), vec![cut]),
        (image(&turned), vec![cut]),
        (image(&tall).aspect_ratio(AspectRatio::Portrait), vec![]),
        (image(&tall).aspect_ratio(AspectRatio::Auto), vec![]),
        (
            image(&wide).aspect_ratio(AspectRatio::Portrait),
            vec!["is 640x360 and will be cut or padded to 9:16; choose 16:9 or auto to avoid that"],
        ),
        (frames(&wide, &wide), vec![]),
        (
            frames(&turned, &tall).aspect_ratio(AspectRatio::Portrait),
            vec![],
        ),
        (
            frames(&wide, &tall).aspect_ratio(AspectRatio::Auto),
            vec!["ok.jpg is 640x360, and "],
        ),
        (frames(&wide, &tall), vec![cut, "tall.jpg is 360x640"]),
        (
            VideoRequest::references("It flies", [Image::from(tall.clone())]),
            vec![],
        ),
    ];
    let client = client("http://127.0.0.1:1");
    for (request, wanted) in table {
        let plan = client.plan(&request);
        let warnings: Vec<_> = plan.offers[0]
            .warnings
            .iter()
            .filter(|warning| warning.contains(".jpg"))
            .collect();
        assert_eq!(warnings.len(), wanted.len(), "{warnings:?}");
        for (warning, wanted) in warnings.iter().zip(wanted) {
            assert!(warning.contains(wanted), "{warning}");
        }
    }
}

/// Returns the picture with the mark of a camera that the picture has to be turned by a quarter.
fn on_its_side(jpeg: &[u8]) -> Vec<u8> {
    let word =
        b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&jpeg[..2], word, &jpeg[2..]].concat()
}
