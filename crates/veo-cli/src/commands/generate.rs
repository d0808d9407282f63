//! `veo generate` and `veo extend`

use std::path::Path;

use clap::Args;
use veo_core::{Error, JobRef, Source, State, VideoRequest};

use crate::args::{Options, Patience, Prompt, Save, Setting, Who};
use crate::batch::{self, Batch};
use crate::commands::jobs;
use crate::config::ProviderName;
use crate::failure::Failure;
use crate::interrupt::Interrupts;
use crate::output::{Event, Output};
use crate::run::{Known, Made, Making, keep_receipt, summary};

const EXAMPLES: &str = "\
Examples:
  veo generate --sim kie \"A dog playing in a park\" -o dog.mp4
  veo generate \"A dog playing in a park\" --aspect-ratio 9:16 --duration 4
  veo generate \"It starts to rain\" --image park.png
  veo generate \"Day turns to night\" --first-frame day.png --last-frame night.png
  veo generate \"The two meet\" --reference her.png --reference him.png
  veo generate @prompt.txt --provider kie --provider uniall --resolution 1080p
  veo generate --request request.yaml --receipt receipt.json
  veo generate - --no-wait < prompt.txt
  veo generate --batch jobs.jsonl --provider kie --concurrency 8 --max-credits 500

A request is paid for once it is accepted, and is never sent twice. The job is on
the disk before the program waits for it: after Ctrl-C or worse, `veo wait` goes
on, and `veo jobs` lists.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Generate {
    #[command(flatten)]
    prompt: Prompt,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    batch: Batch,
}

const EXTEND_EXAMPLES: &str = "\
Examples:
  veo extend kie:0f1e2d3c \"The dog finds a ball\" -o longer.mp4
  veo extend https://media.example.net/dog.mp4 \"The dog finds a ball\"

kie.ai extends the jobs it has made, and UniAll any video that has a URL.";

#[derive(Args)]
#[command(after_help = EXTEND_EXAMPLES)]
pub(crate) struct Extend {
    /// The job that made the video, or the URL of the video.
    #[arg(value_name = "JOB or URL")]
    source: String,
    /// What happens next; @FILE reads it from a file, and - from standard input.
    prompt: String,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    common: Common,
}

/// What both have.
#[derive(Args)]
struct Common {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    save: Save,
    #[command(flatten)]
    patience: Patience,
    /// Print the job and stop as soon as it is accepted.
    #[arg(long, help_heading = "Result", conflicts_with_all = ["sim", "receipt"])]
    no_wait: bool,
}

pub(crate) async fn generate(arguments: Generate, output: &Output) -> Result<(), Failure> {
    let Generate {
        prompt,
        options,
        common,
        batch,
    } = arguments;
    batch.check()?;
    if let Some(file) = &batch.batch {
        return batch::run(
            file,
            &batch,
            &common.who,
            &common.save,
            common.patience.timeout,
            output,
        )
        .await;
    }
    let request = prompt.request(&options)?;
    let setting = common.who.setting().await?;
    make(&request, &common, &setting, output).await
}

pub(crate) async fn extend(arguments: Extend, output: &Output) -> Result<(), Failure> {
    let Extend {
        source,
        prompt,
        options,
        common,
    } = arguments;
    let setting = common.who.setting().await?;
    let source = if source.contains("://") {
        Source::url(source)
    } else {
        let job: JobRef = source.parse().map_err(Error::from)?;
        if setting.is_simulated() {
            Source::from(job)
        } else {
            finished(&setting, &job).await?
        }
    };
    let request = options.extension(&prompt, source)?;
    make(&request, &common, &setting, output).await
}

async fn make(
    request: &VideoRequest,
    common: &Common,
    setting: &Setting,
    output: &Output,
) -> Result<(), Failure> {
    let store = setting.store().await?;
    let client = setting
        .config
        .client(&setting.providers, common.patience.timeout)?;
    let client = client
        .with_replacing(common.save.force)
        .with_ledger(store.ledger().clone());
    let target = common.save.target(&store).await?;
    let interrupts = Interrupts::new();
    let making = Making {
        client: &client,
        store: &store,
        interrupts: &interrupts,
        output,
    };

    let prepared = making.prepare(request, None).await?;
    let key = prepared.chosen_key().to_owned();
    let (job, path) = making.send(prepared, &target).await?;
    if common.no_wait {
        // The event of the accepted job has said it.
        if !output.is_json() {
            output.print(&job.reference.to_string());
        }
        return store.check().await;
    }
    let known = Known {
        reference: &job.reference,
        key: Some(&key),
        job: Some(&job),
        line: None,
        label: "",
    };
    let made = making.finish(&known, &path).await?;
    tell_saved(
        &job.reference,
        &made,
        common.save.receipt.as_deref(),
        output,
    )?;
    store.check().await
}

/// The result of one job, and its receipt if it is to be saved.
pub(crate) fn tell_saved(
    job: &JobRef,
    made: &Made,
    receipt_path: Option<&Path>,
    output: &Output,
) -> Result<(), Failure> {
    if !output.is_json() {
        output.tell(&summary(&made.saved));
    }
    let event = Event::Saved {
        line: None,
        job,
        saved: &made.saved,
        receipt: made.receipt.as_ref(),
    };
    output.result(&made.saved.path.display().to_string(), &event);
    keep_receipt(receipt_path, job, made.receipt.as_ref(), output)
}

/// A finished job as something to extend, with its URL, so that either provider can.
async fn finished(setting: &Setting, job: &JobRef) -> Result<Source, Failure> {
    let provider = ProviderName::of(&job.provider)?;
    let store = setting.store().await?;
    let client = setting
        .config
        .client(&[provider], None)?
        .with_ledger(store.ledger().clone());
    jobs::check_place(&client, &store, job).await?;
    match client.state(job).await? {
        State::Finished(video) => Ok(Source::from(&*video)),
        State::Failed(error) => Err(Failure::from(*error)),
        _ => Err(Failure::usage(format!(
            "{job} has not ended yet; wait for it first: veo wait {job}"
        ))),
    }
}
