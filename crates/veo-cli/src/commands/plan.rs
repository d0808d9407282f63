//! `veo plan`

use clap::Args;
use veo_core::Image;

use crate::args::{Options, Prompt};
use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::output::{Event, Output};
use crate::run::plan_or_refuse;

const EXAMPLES: &str = "\
Examples:
  veo plan \"A dog playing in a park\" --resolution 4k
  veo plan \"A dog playing in a park\" --negative-prompt \"other dogs\"

The provider that is listed first is asked first. Nothing is sent, and no key is needed.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Plan {
    #[command(flatten)]
    prompt: Prompt,
    #[command(flatten)]
    options: Options,
    /// The provider that is asked [default: those with an API key, then the others]. May be given again.
    #[arg(long, help_heading = "Provider")]
    provider: Vec<ProviderName>,
}

pub(crate) fn run(arguments: Plan, output: &Output) -> Result<(), Failure> {
    let request = arguments.prompt.request(&arguments.options)?;
    let config = Config::load(output)?;
    let client = config.planner(&arguments.provider)?;
    let mut plan = plan_or_refuse(&client, &config, &request)?;
    let is_local = |image: &&Image| !matches!(image, Image::Url(_));
    if request.images().iter().any(is_local) && !config.has_key(ProviderName::Kie) {
        let warning = "input: an image of this machine has to be uploaded to kie.ai, for which there is no key here";
        for offer in &mut plan.offers {
            offer.warnings.push(warning.to_owned());
        }
    }

    let mut text = String::new();
    for offer in &plan.offers {
        let key = match ProviderName::of(&offer.provider) {
            Ok(provider) if !config.has_key(provider) => ", for which there is no key here",
            _ => "",
        };
        let body = serde_json::to_string_pretty(&offer.body).unwrap_or_default();
        text += &format!(
            "{}: {} with {}{key}\n{body}\n",
            offer.provider, offer.operation, offer.model
        );
        for warning in &offer.warnings {
            text += &format!("  warning: {warning}\n");
        }
    }
    for refusal in &plan.refusals {
        text += &format!("{}: cannot\n", refusal.provider);
        for reason in &refusal.reasons {
            text += &format!("  {}: {}\n", reason.field, reason.message);
        }
    }
    output.result(text.trim_end(), &Event::Plan(&plan));
    Ok(())
}
