//! `veo extend`

use clap::Args;
use veo_core::{Error, JobRef, Source, State};

use crate::args::Options;
use crate::commands::generate::{Common, make};
use crate::config::ProviderName;
use crate::failure::Failure;
use crate::fetch::check_address;
use crate::ledgers::Ledgers;
use crate::output::Output;
use crate::session::Session;

const EXAMPLES: &str = "\
Examples:
  veo extend kie:0f1e2d3c \"The dog finds a ball\" -o longer.mp4
  veo extend https://media.example.net/dog.mp4 \"The dog finds a ball\"

kie.ai extends the jobs it has made, and UniAll any video that has a URL.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Extend {
    /// The job that made the video, or the URL of the video.
    #[arg(value_name = "JOB or URL")]
    source: String,
    /// A text about what happens next; @FILE reads it from a file, and - from standard input.
    prompt: String,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    common: Common,
}

pub(crate) async fn run(
    arguments: Extend,
    ledgers: &Ledgers,
    output: &Output,
) -> Result<(), Failure> {
    let Extend {
        source,
        prompt,
        options,
        common,
    } = arguments;
    let session = Session::of(&common.who, ledgers, output).await?;
    let source = if source.contains("://") {
        Source::url(source)
    } else {
        let job: JobRef = source.parse().map_err(Error::from)?;
        // The simulator of --sim has no earlier job to ask about, so the plan refuses this source.
        if session.is_simulated() {
            Source::from(job)
        } else {
            source_of(&session, &job).await?
        }
    };
    let request = options.extension(&prompt, source)?;
    make(&request, &common, &session, output).await
}

/// Makes a source of a finished job. The source also has the URL of the video, so that both providers can extend it.
async fn source_of(session: &Session, job: &JobRef) -> Result<Source, Failure> {
    let provider = ProviderName::of(&job.provider)?;
    let store = session.store().await?;
    let client = session
        .config
        .client(&[provider], None)?
        .with_ledger(store.ledger().clone());
    check_address(&client, &store, job).await?;
    match client.state(job).await? {
        State::Finished(video) => Ok(Source::from(&*video)),
        State::Failed(error) => Err(Failure::from(*error)),
        _ => Err(Failure::usage(format!(
            "{job} has not ended yet; wait for it first: veo wait {job}"
        ))),
    }
}
