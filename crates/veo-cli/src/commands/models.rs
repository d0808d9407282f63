//! `veo models`

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use veo_core::{Feature, Mode, Model};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::output::{Event, Output};

#[derive(Args)]
#[command(after_help = "Examples:\n  veo models\n  veo models --provider uniall --json")]
pub(crate) struct Models {
    /// Only those of this provider. May be given again.
    #[arg(long)]
    provider: Vec<ProviderName>,
}

pub(crate) fn run(arguments: &Models, output: &Output) -> Result<(), Failure> {
    let config = Config::load()?;
    for model in config.planner(&arguments.provider)?.models() {
        let rows = [
            ("modes", words(model.modes)),
            ("resolutions", words(model.resolutions)),
            ("aspect ratios", words(model.aspect_ratios)),
            ("seconds", words(model.seconds)),
            ("references", references(model)),
            ("seeds", span(model.seeds.start(), model.seeds.end())),
            ("options", options(model)),
        ];
        let mut text = format!("{}: {} ({})", model.provider, model.name, model.tier);
        rows.iter()
            .for_each(|(name, values)| text += &format!("\n  {name:13}  {values}"));
        output.result(&text, &Event::Model(model));
    }
    Ok(())
}

fn references(model: &Model) -> String {
    let takes_any = model.modes.contains(&Mode::References);
    if takes_any {
        span(model.references.start(), model.references.end())
    } else {
        "none".to_owned()
    }
}

/// What goes with a model, as it is typed.
fn options(model: &Model) -> String {
    let typed = |feature: &Feature| match feature {
        Feature::Silence => "--no-audio".to_owned(),
        Feature::NegativePrompt => "--negative-prompt".to_owned(),
        Feature::Watermark => "--watermark".to_owned(),
        Feature::Translation => "--translate".to_owned(),
        Feature::Callback => "--callback-url".to_owned(),
        Feature::ExtendJob => "extend JOB".to_owned(),
        Feature::ExtendUrl => "extend URL".to_owned(),
        other => words(&[other]),
    };
    model
        .options
        .iter()
        .map(typed)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The words of JSON.
fn words<T: Serialize>(values: &[T]) -> String {
    let word = |value| plain(&serde_json::to_value(value).unwrap_or_default());
    values.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not told".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn span<T: ToString + PartialEq>(least: &T, most: &T) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{} to {}", least.to_string(), most.to_string())
    }
}
