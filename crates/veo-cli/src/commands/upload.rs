//! `veo upload`

use clap::Args;

use crate::args::image;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::{Event, Output, in_one_line};

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo upload dog.png\n\nImages of a request are uploaded by themselves; this is for one \
                        that serves many. kie.ai keeps it for one to three days, for nothing."
)]
pub(crate) struct Upload {
    /// A JPEG, PNG or WebP image of up to 20 MiB.
    file: String,
}

pub(crate) async fn run(arguments: Upload, output: &Output) -> Result<(), Failure> {
    let client = Config::load(output)?.client(&[], None)?;
    let url = client.upload(&image(&arguments.file)).await?;
    output.result(
        &in_one_line(&url),
        &Event::Uploaded {
            file: &arguments.file,
            url: &url,
        },
    );
    Ok(())
}
