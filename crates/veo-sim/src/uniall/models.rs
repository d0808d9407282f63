//! The models of UniAll, and its list of them.

use serde_json::{Value, json};

use crate::clip::Resolution;
use crate::reply::Reply;

/// The models with their size and their price in cents for a second. The prices are Google's: UniAll publishes none.
pub(crate) const MODELS: [(&str, Resolution, u32); 6] = [
    ("veo3.1-video-720p", Resolution::P720, 40),
    ("veo3.1-video-1080p", Resolution::P1080, 40),
    ("veo3.1-video-4k", Resolution::K4, 60),
    ("veo3.1-fast-video-720p", Resolution::P720, 10),
    ("veo3.1-fast-video-1080p", Resolution::P1080, 12),
    ("veo3.1-fast-video-4k", Resolution::K4, 30),
];

/// The answer to `GET /v1/models`, which UniAll documents for all its models.
pub(crate) fn list() -> Reply {
    let models: Vec<Value> = MODELS
        .iter()
        .map(|(name, ..)| json!({ "id": name, "object": "model", "created": 0, "owned_by": "uniall" }))
        .collect();
    Reply::json(200, json!({ "object": "list", "data": models }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_specification_has_a_price() {
        let contract: Value = serde_json::from_str(include_str!("../contract.json")).unwrap();
        for model in contract["uniall"]["$defs"]["Model"]["enum"]
            .as_array()
            .unwrap()
        {
            assert!(
                MODELS.iter().any(|(name, ..)| model == name),
                "openapi/uniall.yaml has the model {model}: give it a row in MODELS of crates/veo-sim/src/uniall/models.rs"
            );
        }
    }
}
