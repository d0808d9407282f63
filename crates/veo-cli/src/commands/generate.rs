//! `veo generate`, and the parts that `veo extend` shares

use clap::Args;
use veo_core::VideoRequest;

use crate::args::{Options, Patience, Prompt, ProviderChoice, Save};
use crate::batch::{self, Batch};
use crate::destination::Target;
use crate::failure::Failure;
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::run::{Run, TrackedJob, plan_or_refuse};
use crate::session::Session;

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
the disk before the program waits for it. After Ctrl-C or a crash, `veo wait`
waits for the job again, and `veo jobs` lists all jobs.";

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

/// The arguments that `veo extend` has too.
#[derive(Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) who: ProviderChoice,
    #[command(flatten)]
    save: Save,
    #[command(flatten)]
    patience: Patience,
    /// Print the job and stop as soon as it is accepted.
    #[arg(long, help_heading = "Result", conflicts_with_all = ["sim", "receipt"])]
    no_wait: bool,
}

pub(crate) async fn run(
    arguments: Generate,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
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
            ledgers,
            output,
        )
        .await;
    }
    let request = prompt.request(&options)?;
    let session = Session::of(&common.who, ledgers, output).await?;
    make(&request, &common, &session, output).await
}

/// Sends one request, waits for its job and saves its video.
pub(crate) async fn make(
    request: &VideoRequest,
    common: &Common,
    session: &Session,
    output: &Output,
) -> Result<(), Failure> {
    let store = session.store().await?;
    let client = session
        .config
        .client(&session.providers, common.patience.timeout)?
        .with_replacing(common.save.force)
        .with_ledger(store.ledger().clone());
    let target = common.save.target(&store, output).await?;
    if common.no_wait && matches!(&target, Target::Given(destination) if destination.is_stdout()) {
        return Err(Failure::usage(
            "with --no-wait there is no video yet for standard output; name a file with --output",
        ));
    }
    plan_or_refuse(&client, &session.config, request)?;
    let run = Run::start(&client, &store, output);

    let prepared = run.prepare(request, None).await?;
    let key = prepared.chosen_key().to_owned();
    let (job, destination) = run.send(prepared, target).await?;
    if common.no_wait {
        // With JSON, the event `accepted` has the job already.
        if !output.is_json() {
            output.print(&job.reference.to_string());
        }
        return store.fail_if_damaged().await;
    }
    let tracked = TrackedJob {
        reference: &job.reference,
        key: Some(&key),
        job: Some(&job),
        line: None,
        label: "",
    };
    let video = run.finish(&tracked, &destination).await?;
    video.tell(&job.reference, "", common.save.receipt.as_deref(), output)?;
    store.fail_if_damaged().await
}
