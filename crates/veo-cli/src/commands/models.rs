//! `veo models`

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use veo_core::{Feature, Model};

use crate::config::{Config, ProviderName};
use crate::failure::Failure;
use crate::output::{Event, Output};

#[derive(Args)]
#[command(after_help = "Examples:\n  veo models\n  veo models --provider uniall --json")]
pub(crate) struct Models {
    /// List only the models of this provider. May be given again.
    #[arg(long)]
    provider: Vec<ProviderName>,
}

pub(crate) fn run(arguments: &Models, output: &Output) -> Result<(), Failure> {
    let config = Config::load(output)?;
    for model in config.planner(&arguments.provider)?.models() {
        let rows = [
            ("modes", words(model.modes)),
            ("resolutions", words(model.resolutions)),
            ("aspect ratios", words(model.aspect_ratios)),
            ("seconds", words(model.seconds)),
            ("references", references(model)),
            ("seeds", seeds(model)),
            ("options", options(model)),
        ];
        let mut text = format!("{}: {}", model.provider, model.name);
        if let Some(tier) = model.tier {
            text += &format!(" ({tier})");
        } else if model.is_named_only {
            text += " (only with --model)";
        }
        for (name, values) in rows {
            text += &format!("\n  {name:13}  {values}");
        }
        output.result(&text, &Event::Model(model));
    }
    Ok(())
}

fn references(model: &Model) -> String {
    match model.references.end() {
        0 => "none".to_owned(),
        most => span(model.references.start(), most),
    }
}

fn seeds(model: &Model) -> String {
    match &model.seeds {
        Some(seeds) if *seeds == (i64::MIN..=i64::MAX) => "any".to_owned(),
        Some(seeds) => span(seeds.start(), seeds.end()),
        None => "none".to_owned(),
    }
}

/// The options that a model supports, as a user types them.
fn options(model: &Model) -> String {
    let typed: Vec<_> = model.options.iter().map(option).collect();
    typed.join(", ")
}

fn option(feature: &Feature) -> String {
    match feature {
        Feature::Silence => "--no-audio".to_owned(),
        Feature::NegativePrompt => "--negative-prompt".to_owned(),
        Feature::Watermark => "--watermark".to_owned(),
        Feature::Translation => "--translate".to_owned(),
        Feature::Callback => "--callback-url".to_owned(),
        Feature::ExtendJob => "extend JOB".to_owned(),
        Feature::ExtendUrl => "extend URL".to_owned(),
        other => word(other),
    }
}

fn words<T: Serialize>(values: &[T]) -> String {
    let words: Vec<_> = values.iter().map(word).collect();
    words.join(", ")
}

/// A value as JSON has it, without quotes.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

fn span<T: ToString + PartialEq>(least: &T, most: &T) -> String {
    if least == most {
        least.to_string()
    } else {
        format!("{} to {}", least.to_string(), most.to_string())
    }
}
