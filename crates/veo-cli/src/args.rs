//! The arguments that several commands share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde_json::Value;
use veo_core::{AspectRatio, Image, Input, Receipt, Resolution, Source, Tier, VideoRequest};

use crate::config::ProviderName;
use crate::destination::{Destination, Target};
use crate::failure::Failure;
use crate::output::Output;
use crate::paths::{canonical, check_target, check_writable, is_dash};
use crate::read;
use crate::shell::quoted;
use crate::store::Store;

/// A prompt, or a whole request.
#[derive(Args)]
pub(crate) struct Prompt {
    /// A text about what the video shows; @FILE reads it from a file, and - from standard input. For a prompt that
    /// begins with @, write @@.
    prompt: Option<String>,
    /// A whole request in JSON or YAML, as `veo schema` describes it; - reads it from standard input. Other options
    /// override its fields. FILE can also be a receipt; the request in it is used.
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    request: Option<PathBuf>,
    /// The image to make the video from: a URL that the provider can reach, or a file, which is uploaded to kie.ai even if
    /// another provider makes the video.
    #[arg(long, value_name = "URL or FILE", help_heading = "Input", conflicts_with_all = ["first_frame", "reference"])]
    image: Option<String>,
    /// The image that the video starts from.
    #[arg(
        long,
        value_name = "URL or FILE",
        help_heading = "Input",
        requires = "last_frame"
    )]
    first_frame: Option<String>,
    /// The image that the video ends with.
    #[arg(
        long,
        value_name = "URL or FILE",
        help_heading = "Input",
        requires = "first_frame"
    )]
    last_frame: Option<String>,
    /// An image of something that the video shows; up to three times, and up to seven for some models.
    #[arg(
        long,
        value_name = "URL or FILE",
        help_heading = "Input",
        conflicts_with = "first_frame"
    )]
    reference: Vec<String>,
}

/// The options of a video.
#[derive(Args)]
#[command(next_help_heading = "Video")]
pub(crate) struct Options {
    /// The tier, which decides quality and price [default: the cheapest that can make the video].
    #[arg(long, ignore_case = true, value_parser = word::<Tier>(&["lite", "fast", "quality"]))]
    tier: Option<Tier>,
    /// A model by its name, as `veo models` lists it; some models are used only if they are named.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Shape of the picture; `auto` follows an image [default: 16:9].
    #[arg(long, value_name = "RATIO", ignore_case = true, value_parser = word::<AspectRatio>(&["16:9", "9:16", "auto"]))]
    aspect_ratio: Option<AspectRatio>,
    /// Size of the picture [default: 720p].
    #[arg(long, value_name = "SIZE", ignore_case = true, value_parser = resolutions())]
    resolution: Option<Resolution>,
    /// Length in seconds: 4, 6 or 8; some models also make 10 [default: 8].
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u32>,
    /// The same seed makes similar videos.
    #[arg(long, allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Require sound.
    #[arg(long, conflicts_with = "no_audio")]
    audio: bool,
    /// Make the video without sound.
    #[arg(long)]
    no_audio: bool,
    /// A text about what the video should not show.
    #[arg(long, value_name = "TEXT")]
    negative_prompt: Option<String>,
    /// A text to print on the video.
    #[arg(long, value_name = "TEXT")]
    watermark: Option<String>,
    /// Let the provider translate the prompt to English first.
    #[arg(long, conflicts_with = "no_translate")]
    translate: bool,
    /// Send the prompt without a translation.
    #[arg(long)]
    no_translate: bool,
    /// Where the provider announces the end of the job.
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// A field that only one provider has, such as kie.someField=true; may be given again.
    #[arg(long, value_name = "PROVIDER.FIELD=JSON", value_parser = extra)]
    extra: Vec<Extra>,
}

/// The providers that are asked.
#[derive(Args)]
#[command(next_help_heading = "Provider")]
pub(crate) struct ProviderChoice {
    /// The provider that makes the video; may be given again. The next provider gets the request only if the providers
    /// before it have certainly not accepted it [default: all with an API key].
    #[arg(long)]
    pub(crate) provider: Vec<ProviderName>,
    /// Use a simulated provider on this machine, without an API key and without spending. Its jobs are not stored.
    #[arg(long, value_name = "PROVIDER", conflicts_with = "provider")]
    pub(crate) sim: Option<ProviderName>,
}

/// The files of a video and its receipt.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub(crate) struct Save {
    /// Where to save the video; - writes it to standard output [default: the file that was chosen when the job
    /// was started, or else video.mp4 or the next free name].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    pub(crate) force: bool,
    /// Where to save the receipt in JSON: the request, its cost and the properties of the video.
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
}

/// The time to wait.
#[derive(Args)]
pub(crate) struct Patience {
    /// How long to wait for the video, such as 90s, 20m or 1h; the job continues after that time [default: 20m].
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Result")]
    pub(crate) timeout: Option<Duration>,
}

/// A field that only one provider has.
#[derive(Clone)]
struct Extra {
    provider: ProviderName,
    field: String,
    value: Value,
}

impl Prompt {
    /// Reads the request, and applies the options to it.
    pub(crate) fn request(&self, options: &Options) -> Result<VideoRequest, Failure> {
        let mut request = match (&self.request, &self.prompt) {
            (Some(file), _) => read_request(file)?,
            (None, Some(_)) => VideoRequest::text(""),
            (None, None) => {
                let message = "there is no prompt; say what the video shows, or name a file: @prompt.txt, or --request FILE";
                return Err(Failure::usage(message));
            }
        };
        if let Some(prompt) = &self.prompt {
            request.prompt = read_prompt(prompt)?;
        }
        if let Some(url) = &self.image {
            request.input = Input::Image { image: image(url) };
        }
        if let (Some(first), Some(last)) = (&self.first_frame, &self.last_frame) {
            request.input = Input::Frames {
                first: image(first),
                last: image(last),
            };
        }
        if !self.reference.is_empty() {
            request.input = Input::References {
                images: self.reference.iter().map(|url| image(url)).collect(),
            };
        }
        Ok(options.applied(request))
    }
}

impl Options {
    /// A request to extend a video.
    pub(crate) fn extension(&self, prompt: &str, source: Source) -> Result<VideoRequest, Failure> {
        Ok(self.applied(VideoRequest::extension(read_prompt(prompt)?, source)))
    }

    fn applied(&self, mut request: VideoRequest) -> VideoRequest {
        set(&mut request.tier, &self.tier);
        set(&mut request.model, &self.model);
        set(&mut request.aspect_ratio, &self.aspect_ratio);
        set(&mut request.resolution, &self.resolution);
        set(&mut request.seconds, &self.duration);
        set(&mut request.seed, &self.seed);
        set(&mut request.audio, &one_of(self.audio, self.no_audio));
        set(&mut request.negative_prompt, &self.negative_prompt);
        set(&mut request.watermark, &self.watermark);
        set(
            &mut request.translate_prompt,
            &one_of(self.translate, self.no_translate),
        );
        set(&mut request.callback_url, &self.callback_url);
        for extra in &self.extra {
            let provider = extra.provider.name();
            request = request.extra(provider, extra.field.clone(), extra.value.clone());
        }
        request
    }
}

impl Save {
    /// Returns where to save a video. Fails if no file can be saved there.
    pub(crate) fn destination(
        &self,
        otherwise: impl Into<PathBuf>,
        output: &Output,
    ) -> Result<Destination, Failure> {
        let path = self.output.clone().unwrap_or_else(|| otherwise.into());
        let destination = Destination::of(path, self.force, output)?;
        self.check_receipt(&destination.file())?;
        Ok(destination)
    }

    /// Returns where to save a new video. Runs before the payment, so that each paid video has a place.
    pub(crate) async fn target(&self, store: &Store, output: &Output) -> Result<Target, Failure> {
        let Some(path) = &self.output else {
            let like = PathBuf::from("video.mp4");
            check_writable(Path::new("."), "--output")?;
            self.check_receipt(&like)?;
            return Ok(Target::Free {
                like,
                replace: self.force,
            });
        };
        let destination = self.destination(path, output)?;
        let taken = match destination.target() {
            Some(target) => store.entry_with_target(&target).await?,
            None => None,
        };
        match taken {
            Some(entry) => {
                let whose = match entry.reference() {
                    Some(job) => job.to_string(),
                    None => entry.key,
                };
                Err(Failure::usage(format!(
                    "{} is where {whose} is to be saved; choose another file with --output",
                    path.display()
                )))
            }
            None => Ok(Target::Given(destination)),
        }
    }

    fn check_receipt(&self, video: &Path) -> Result<(), Failure> {
        match &self.receipt {
            Some(receipt) if is_dash(receipt) => Err(Failure::usage(
                "a receipt goes to a file, and not to standard output. With --json the event has the receipt too. For a \
                 file of that name write ./-",
            )),
            Some(receipt) if canonical(receipt) == canonical(video) => {
                Err(Failure::usage(format!(
                    "{} cannot be both the video and its receipt",
                    receipt.display()
                )))
            }
            Some(receipt) => check_target(receipt, "--receipt", self.force),
            None => Ok(()),
        }
    }
}

/// Sets a field if the option is given.
fn set<T: Clone>(field: &mut Option<T>, option: &Option<T>) {
    if option.is_some() {
        field.clone_from(option);
    }
}

/// The choice between two opposite options. At most one of them is given.
fn one_of(yes: bool, no: bool) -> Option<bool> {
    match (yes, no) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// A parser for the values of an option. It accepts the words that JSON has for these values.
pub(crate) fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let parse = |word: String| serde_json::from_value::<T>(Value::String(word.to_lowercase()));
    PossibleValuesParser::new(words).try_map(parse)
}

fn resolutions() -> impl TypedValueParser<Value = Resolution> {
    word::<Resolution>(&["360p", "720p", "1080p", "4k"])
}

/// An image from its URL or its path.
pub(crate) fn image(text: &str) -> Image {
    if text.contains("://") {
        Image::from(text)
    } else {
        Image::from(PathBuf::from(text))
    }
}

fn read_prompt(prompt: &str) -> Result<String, Failure> {
    let text = match (prompt, prompt.strip_prefix('@')) {
        ("-", _) => read::input()?,
        (_, Some(text)) if text.starts_with('@') => text.to_owned(),
        (_, Some(file)) => read::file(Path::new(file)).map_err(|failure| {
            let message = match file {
                "" => "@ reads the prompt from a file, and no file is named".to_owned(),
                _ => format!("@ reads the prompt from a file, and {}", failure.message()),
            };
            Failure::usage(message)
                .with_next("For a prompt that begins with @, write @@, such as @@home.")
        })?,
        _ => return Ok(prompt.to_owned()),
    };
    Ok(text.trim_end().to_owned())
}

/// Reads a request in YAML, or with a stricter parser from a .json file. A receipt gives the request that is in it.
fn read_request(file: &Path) -> Result<VideoRequest, Failure> {
    let from_input = file == Path::new("-");
    let text = if from_input {
        read::input()?
    } else {
        read::file(file)?
    };
    if let Ok(receipt) = read::json::<Receipt>(&text) {
        return Ok(receipt.job.offer.request);
    }
    let is_json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let request = if is_json {
        read::json(&text).map_err(|error| error.to_string())
    } else {
        read::yaml(&text)
    };
    request.map_err(|error| {
        let name = if from_input {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        };
        Failure::usage(format!(
            "{name} is not a request: {error}\n`veo schema` describes one"
        ))
    })
}

fn extra(text: &str) -> Result<Extra, String> {
    const FORM: &str = "it has to have the form PROVIDER.FIELD=JSON";
    let (name, value) = text.split_once('=').ok_or(FORM)?;
    let (provider, field) = name.split_once('.').ok_or(FORM)?;
    let provider = ProviderName::of(provider).map_err(|failure| failure.message())?;
    let value = serde_json::from_str(value).map_err(|_| {
        let argument = format!("{name}={}", Value::from(value));
        format!(
            "{value} is not JSON, in which a text stands in quotes; in a shell: --extra {}",
            quoted(&argument)
        )
    })?;
    Ok(Extra {
        provider,
        field: field.to_owned(),
        value,
    })
}

fn time(text: &str) -> Result<Duration, String> {
    for (unit, seconds) in [("s", 1), ("m", 60), ("h", 3600)] {
        let number = text.strip_suffix(unit).map(str::parse::<u64>);
        if let Some(Ok(number)) = number
            && number > 0
        {
            return Ok(Duration::from_secs(number.saturating_mul(seconds)));
        }
    }
    Err("it has to be a number with a unit, such as 90s, 20m or 1h".to_owned())
}
