//! Prices in credits from the public price feed of September 2026. They are the same in both forms.

use crate::clip::Resolution;

/// A tier of Veo 3.1 and its prices.
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    /// The name in an extension of the old form.
    pub(crate) extending: &'static str,
    p720: u32,
    p1080: u32,
    k4: u32,
    pub(crate) extension: u32,
}

/// The tiers. The first is the default.
pub(crate) const TIERS: [Tier; 3] = [
    Tier {
        name: "veo3_fast",
        extending: "fast",
        p720: 60,
        p1080: 65,
        k4: 180,
        extension: 60,
    },
    Tier {
        name: "veo3",
        extending: "quality",
        p720: 250,
        p1080: 255,
        k4: 380,
        extension: 250,
    },
    Tier {
        name: "veo3_lite",
        extending: "lite",
        p720: 30,
        p1080: 35,
        k4: 150,
        extension: 30,
    },
];

impl Tier {
    /// The price of a video that is made from this number of images.
    pub(crate) fn video(&self, resolution: Resolution, images: usize) -> u32 {
        match resolution {
            Resolution::P360 | Resolution::P720 => self.p720,
            Resolution::P1080 => self.p1080,
            // This is the only price that differs with images.
            Resolution::K4 if self.name == "veo3" && images > 0 => 370,
            Resolution::K4 => self.k4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_specification_has_a_price() {
        let contract: serde_json::Value =
            serde_json::from_str(include_str!("../contract.json")).unwrap();
        for model in contract["kie"]["$defs"]["Model"]["enum"]
            .as_array()
            .unwrap()
        {
            assert!(
                TIERS.iter().any(|tier| model == tier.name),
                "openapi/kie.yaml has the model {model}: give it a row in TIERS of crates/veo-sim/src/kie/price.rs"
            );
        }
    }
}
