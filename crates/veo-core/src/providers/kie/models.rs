use std::ops::RangeInclusive;

use kie_api::{bounds, types};

use crate::{AspectRatio, Feature, Mode, Model, Resolution, Tier};

/// The name of the provider, which is also in the names of its jobs.
pub(super) const NAME: &str = "kie";

const EVERYTHING: &[Feature] = &[
    Feature::Watermark,
    Feature::Translation,
    Feature::Callback,
    Feature::ExtendJob,
];
const WITHOUT_REFERENCES: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::Extension];
const ALL_MODES: &[Mode] = &[
    Mode::Text,
    Mode::Image,
    Mode::Frames,
    Mode::References,
    Mode::Extension,
];
/// The features of a model in the current form, in which an extension has its own model.
const MAKING: &[Feature] = &[Feature::Watermark, Feature::Translation, Feature::Callback];
const NEW_WITHOUT_REFERENCES: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames];
const NEW: &[Mode] = &[Mode::Text, Mode::Image, Mode::Frames, Mode::References];

const REFERENCES: RangeInclusive<usize> = 1..=*bounds::generate_request::IMAGE_URLS.end();

/// The model of an extension in the current form, whatever its tier.
pub(super) const EXTENSION: &str = types::ExtendTaskModel::Extend.as_str();

/// The models of the old form, and those that only the current form has. The last model of Veo is the cheapest.
pub(super) static OLD: [Model; 4] = [
    model(types::Model::Quality, Tier::Quality, WITHOUT_REFERENCES),
    model(types::Model::Fast, Tier::Fast, ALL_MODES).references(REFERENCES),
    model(types::Model::Lite, Tier::Lite, ALL_MODES).references(REFERENCES),
    omni(types::OmniTaskModel::Flash11),
];

pub(super) static CURRENT: [Model; 5] = [
    new_model(types::Model::Quality, Tier::Quality, NEW_WITHOUT_REFERENCES),
    new_model(types::Model::Fast, Tier::Fast, NEW).references(REFERENCES),
    new_model(types::Model::Lite, Tier::Lite, NEW).references(REFERENCES),
    Model::new(NAME, EXTENSION, Tier::Lite)
        .without_tier()
        .modes(&[Mode::Extension])
        .resolutions(&[Resolution::P720])
        .seeds(bounds::extend_input::SEEDS)
        .options(&[Feature::Watermark, Feature::Callback, Feature::ExtendJob]),
    omni(types::OmniTaskModel::Flash11),
];

/// Returns whether this is the name of a model of Gemini Omni, which only the current form has.
pub(super) fn is_omni(name: &str) -> bool {
    let mut models = types::OmniTaskModel::ALL.iter();
    models.any(|model| model.as_str() == name)
}

const fn omni(name: types::OmniTaskModel) -> Model {
    Model::new(NAME, name.as_str(), Tier::Lite)
        .named_only()
        .modes(NEW)
        .resolutions(&[
            Resolution::P360,
            Resolution::P720,
            Resolution::P1080,
            Resolution::K4,
        ])
        .aspect_ratios(&[AspectRatio::Landscape, AspectRatio::Portrait])
        .seconds(&[4, 6, 8, 10])
        .references(1..=*bounds::omni_input::IMAGE_URLS.end())
        .options(&[Feature::Callback])
}

const fn new_model(name: types::Model, tier: Tier, modes: &'static [Mode]) -> Model {
    model(name, tier, modes).without_seeds().options(MAKING)
}

const fn model(name: types::Model, tier: Tier, modes: &'static [Mode]) -> Model {
    Model::new(NAME, name.as_str(), tier)
        .modes(modes)
        .resolutions(&[Resolution::P720, Resolution::P1080, Resolution::K4])
        .aspect_ratios(&[
            AspectRatio::Landscape,
            AspectRatio::Portrait,
            AspectRatio::Auto,
        ])
        .seconds(&[4, 6, 8])
        .seeds(bounds::generate_request::SEEDS)
        .options(EVERYTHING)
}
