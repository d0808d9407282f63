//! `veo generate`

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use veo_core::{
    Access, AspectRatio, Client, Downloads, Kie, Poll, Saved, SecretString, Submission, Tier, UniAll, VideoRequest,
};
use veo_sim::Sim;

use crate::Failure;
use crate::progress::Progress;

const AFTER_HELP: &str = "\
Examples:
  veo generate --sim kie \"A dog playing in a park\" -o dog.mp4
  KIE_API_KEY=... veo generate \"A dog playing in a park\" --aspect-ratio 9:16 -o dog.mp4

The key is read from KIE_API_KEY or UNIALL_API_KEY. With --sim nothing is sent or spent.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// What the video shows.
    prompt: String,
    /// Where to save the video.
    #[arg(short, long, value_name = "FILE", default_value = "video.mp4")]
    output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// An image to bring to life: a URL that the provider can reach, or a file, which is uploaded.
    #[arg(long, value_name = "URL or FILE")]
    image: Option<String>,
    /// Quality against price; the cheapest of the provider if not given.
    #[arg(long)]
    tier: Option<TierArgument>,
    /// Shape of the picture.
    #[arg(long, value_name = "RATIO", default_value = "16:9")]
    aspect_ratio: AspectRatioArgument,
    /// Length in seconds: 4, 6 or 8.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    duration: u32,
    /// Who makes the video; whoever there is a key for if not given.
    #[arg(long)]
    provider: Option<ProviderArgument>,
    /// Try it with a simulated provider on this machine, without a key and without spending.
    #[arg(long, value_name = "PROVIDER", conflicts_with = "provider")]
    sim: Option<ProviderArgument>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProviderArgument {
    Kie,
    Uniall,
}

#[derive(Clone, Copy, ValueEnum)]
enum TierArgument {
    Quality,
    Fast,
    Lite,
}

#[derive(Clone, Copy, ValueEnum)]
enum AspectRatioArgument {
    #[value(name = "16:9")]
    Landscape,
    #[value(name = "9:16")]
    Portrait,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = request(arguments);
    check_output(arguments)?;
    // The simulator stops when it is dropped.
    let sim = match arguments.sim {
        Some(_) => {
            Some(Sim::start().await.map_err(|error| Failure::Usage(format!("the simulator cannot start: {error}")))?)
        }
        None => None,
    };
    let client = match (&sim, arguments.sim) {
        (Some(sim), Some(provider)) => simulated(sim, provider)?,
        _ => real(arguments.provider)?,
    };

    let job = match client.submit(&request).await {
        Submission::Accepted(job) => job,
        Submission::NotAccepted(error) => return Err(error.into()),
        Submission::Unknown(unknown) => return Err(unknown.error.into()),
    };
    eprintln!("Accepted as {}", job.reference);
    let progress = Progress::start();
    let video = client.wait(&job, |state| progress.state(state)).await?;
    let saved = client.download(&video, &arguments.output, |received, total| progress.bytes(received, total)).await?;
    progress.finish();
    eprintln!("{}", summary(&saved));
    println!("{}", arguments.output.display());
    Ok(())
}

fn request(arguments: &Arguments) -> VideoRequest {
    let request = match &arguments.image {
        Some(url) if url.contains("://") => VideoRequest::image(&arguments.prompt, url.as_str()),
        Some(file) => VideoRequest::image(&arguments.prompt, PathBuf::from(file)),
        None => VideoRequest::text(&arguments.prompt),
    };
    let mut request = request.seconds(arguments.duration).aspect_ratio(match arguments.aspect_ratio {
        AspectRatioArgument::Landscape => AspectRatio::Landscape,
        AspectRatioArgument::Portrait => AspectRatio::Portrait,
    });
    request.tier = arguments.tier.map(|tier| match tier {
        TierArgument::Quality => Tier::Quality,
        TierArgument::Fast => Tier::Fast,
        TierArgument::Lite => Tier::Lite,
    });
    request
}

fn summary(saved: &Saved) -> String {
    let (size, media) = (indicatif::HumanBytes(saved.bytes), &saved.media);
    let sound = if media.has_audio { "with sound" } else { "without sound" };
    format!("Saved {size}, {}x{}, {:.1} s, {sound}", media.width, media.height, media.seconds)
}

/// Whether the video can be saved, before it is paid for.
fn check_output(arguments: &Arguments) -> Result<(), Failure> {
    let output = &arguments.output;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let problem = if !folder.is_dir() {
        format!("there is no folder {}; create it, or choose another with --output", folder.display())
    } else if output.is_dir() {
        format!("{} is a folder; name a file in it", output.display())
    } else if output.exists() && !arguments.force {
        format!("{} is already there; choose another file with --output, or replace it with --force", output.display())
    } else {
        return Ok(());
    };
    Err(Failure::Usage(problem))
}

fn simulated(sim: &Sim, provider: ProviderArgument) -> Result<Client, Failure> {
    let key = SecretString::from("any key will do");
    let client = match provider {
        ProviderArgument::Kie => Client::new(Kie::new(Access::new(key).base_url(sim.url()))?)?,
        ProviderArgument::Uniall => Client::new(UniAll::new(Access::new(key).base_url(sim.url()))?)?,
    };
    // Simulated jobs advance when they are asked about, so there is nothing to wait for but the eye.
    let pause = Duration::from_millis(300);
    let client = client.with_downloads(Downloads { allow_private_hosts: true, ..Downloads::default() })?;
    Ok(client.with_poll(Poll { first: pause, every: pause, ..Poll::default() }))
}

fn real(provider: Option<ProviderArgument>) -> Result<Client, Failure> {
    let key = |variable| env::var(variable).ok().filter(|key| !key.trim().is_empty()).map(SecretString::from);
    let (kie, uniall) = (key("KIE_API_KEY"), key("UNIALL_API_KEY"));
    match (provider, kie, uniall) {
        (Some(ProviderArgument::Kie) | None, Some(key), _) => Ok(Client::new(Kie::new(key)?)?),
        (Some(ProviderArgument::Uniall) | None, _, Some(key)) => Ok(Client::new(UniAll::new(key)?)?),
        (provider, ..) => Err(Failure::Usage(missing_key(provider))),
    }
}

fn missing_key(provider: Option<ProviderArgument>) -> String {
    let variable = match provider {
        Some(ProviderArgument::Kie) => "KIE_API_KEY",
        Some(ProviderArgument::Uniall) => "UNIALL_API_KEY",
        None => "KIE_API_KEY or UNIALL_API_KEY",
    };
    format!("there is no API key; set {variable}, or try it without one: --sim kie")
}
