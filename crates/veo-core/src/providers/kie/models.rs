use std::ops::RangeInclusive;

use kie_api::{bounds, types};

use crate::{AspectRatio, Feature, Mode, Model, Resolution, Tier};

/// The name of the provider, which its jobs carry.
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

const REFERENCES: RangeInclusive<usize> = 1..=*bounds::generate_request::IMAGE_URLS.end();

/// The cheapest is the last.
pub(super) static MODELS: [Model; 3] = [
    model(types::Model::Quality, Tier::Quality, WITHOUT_REFERENCES),
    model(types::Model::Fast, Tier::Fast, ALL_MODES).references(REFERENCES),
    model(types::Model::Lite, Tier::Lite, ALL_MODES).references(REFERENCES),
];

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
