//! `createTask` of the current form, which starts every kind of task. The model says which kind.

use serde_json::{Map, Value, json};

use super::envelope::{Answer, FIELD_MISSING, Refusal, SERVER_ERROR, body, fits, success};
use super::omni::{OMNI, omni};
use super::price::TIERS;
use super::task::{TO_4K, TO_1080P, Upgrade, VEO, upgradable};
use super::video::{INVALID_MODEL, Names, VIDEO_SECONDS, Video, accept, check_seed, extension};
use crate::clip::Format;
use crate::scenario::Fate;
use crate::task::{Current, Task};
use crate::visit::{Visit, text};

/// A model, with the fields of its input and the function that makes its task.
struct Model {
    name: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
    task: fn(&Visit<'_>, &Map<String, Value>) -> Result<Task, Refusal>,
}

const EXTEND: &str = "veo/extend";
const GET_1080P: &str = "veo/get-1080p-video";
const GET_4K: &str = "veo/get-4k-video";

const MODELS: [Model; 5] = [
    Model {
        name: VEO,
        required: &["prompt"],
        optional: &[
            "aspect_ratio",
            "duration",
            "enable_fallback",
            "enable_translation",
            "generation_type",
            "image_urls",
            "model",
            "resolution",
            "watermark",
        ],
        task: video,
    },
    Model {
        name: EXTEND,
        required: &["task_id", "prompt"],
        optional: &["seeds", "watermark"],
        task: extended,
    },
    Model {
        name: GET_1080P,
        required: &["taskId"],
        optional: &["index"],
        task: |visit, input| upgraded(visit, text(input, "taskId"), GET_1080P, &TO_1080P),
    },
    Model {
        name: GET_4K,
        required: &["task_id"],
        optional: &["index"],
        task: |visit, input| upgraded(visit, text(input, "task_id"), GET_4K, &TO_4K),
    },
    Model {
        name: OMNI,
        required: &["prompt", "duration"],
        optional: &[
            "aspect_ratio",
            "audio_ids",
            "character_ids",
            "first_frame_url",
            "image_urls",
            "last_frame_url",
            "resolution",
            "seed",
            "video_list",
        ],
        task: omni,
    },
];

pub(crate) fn create_task(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let model = text(&request, "model").ok_or(FIELD_MISSING)?;
    let mut models = MODELS.iter();
    let model = models.find(|it| it.name == model).ok_or(INVALID_MODEL)?;
    let input = request.get("input").and_then(Value::as_object);
    let input = input.ok_or(FIELD_MISSING)?;
    check_fields(model, input)?;
    let mut task = (model.task)(visit, input)?;
    let current = task.current.unwrap_or_default();
    task.echo = echo(&request, &current).to_string();
    let id = accept(visit, text(&request, "callBackUrl"), task, current.credits)?;
    // The purpose of the second id is not documented.
    Ok(success(json!({ "taskId": id, "recordId": id })))
}

/// Refuses an input that lacks a required field, or has one that the model does not have.
fn check_fields(model: &Model, input: &Map<String, Value>) -> Result<(), Refusal> {
    for name in model.required {
        let is_blank = input.get(*name).is_none_or(|value| match value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        });
        if is_blank {
            return Err(FIELD_MISSING);
        }
    }
    for name in input.keys() {
        if !model.required.contains(&&**name) && !model.optional.contains(&&**name) {
            // kie.ai's words for this refusal are not known.
            return Err(SERVER_ERROR);
        }
    }
    Ok(())
}

/// The request as the record repeats it. If the request names no tier, the default tier is added.
fn echo(request: &Map<String, Value>, current: &Current) -> Value {
    let mut echo = json!({});
    for name in ["model", "callBackUrl", "input"] {
        if let Some(value) = request.get(name) {
            echo[name] = value.clone();
        }
    }
    if current.model == VEO {
        echo["input"]["model"] = json!(current.tier);
    }
    echo
}

fn video(visit: &Visit<'_>, input: &Map<String, Value>) -> Result<Task, Refusal> {
    let video = Video::read(visit, input, &Names::CURRENT)?;
    let mut task = visit.task(video.format, VIDEO_SECONDS, String::new());
    task.current = Some(Current {
        model: VEO,
        tier: video.tier.name,
        credits: video.price,
        is_upgrade: false,
    });
    Ok(task)
}

/// Makes the task of an extension. No field names the tier that its price depends on. Here it is the tier of the video.
fn extended(visit: &Visit<'_>, input: &Map<String, Value>) -> Result<Task, Refusal> {
    check_seed(input)?;
    fits(visit)?;
    let (mut task, tier) = extension(visit, text(input, "task_id").unwrap_or_default())?;
    let price = TIERS.iter().find(|it| it.name == tier);
    task.current = Some(Current {
        model: EXTEND,
        tier,
        credits: price.map_or(0, |tier| tier.extension),
        is_upgrade: false,
    });
    Ok(task)
}

/// Makes the task of an upgrade. Each request is a new task with a new price, even if the video was upgraded before.
fn upgraded(
    visit: &Visit<'_>,
    source: Option<&str>,
    model: &'static str,
    upgrade: &Upgrade,
) -> Result<Task, Refusal> {
    fits(visit)?;
    let state = &mut *visit.shared.state();
    let source = upgradable(state, visit, source.unwrap_or_default())?;
    let format = Format {
        resolution: upgrade.to,
        ..source.format
    };
    let mut task = visit.task(format, upgrade.seconds, String::new());
    if source.has_no_upgrade(upgrade.to) {
        task.fate = Fate::No4k;
    }
    task.current = Some(Current {
        model,
        tier: "",
        credits: upgrade.price,
        is_upgrade: true,
    });
    Ok(task)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_model_of_the_specification_has_its_fields() {
        let contract: Value = serde_json::from_str(include_str!("../contract.json")).unwrap();
        let schemas = &contract["kie"]["$defs"];
        let named = |schema: &Value| {
            let name = schema["$ref"].as_str().unwrap().rsplit('/').next();
            schemas[name.unwrap()].clone()
        };
        for task in schemas["CreateTaskRequest"]["oneOf"].as_array().unwrap() {
            let fields = &named(task)["properties"];
            let input = named(&fields["input"]);
            for name in named(&fields["model"])["enum"].as_array().unwrap() {
                let mut models = MODELS.iter();
                let Some(model) = models.find(|model| name == model.name) else {
                    panic!(
                        "openapi/kie.yaml has the model {name}: give it a row in MODELS of \
                         crates/veo-sim/src/kie/create_task.rs"
                    );
                };
                assert_eq!(input["required"], json!(model.required), "{name}");
                let known: BTreeSet<_> = [model.required, model.optional]
                    .concat()
                    .into_iter()
                    .collect();
                let wanted = input["properties"].as_object().unwrap();
                let wanted: BTreeSet<_> = wanted.keys().map(String::as_str).collect();
                assert_eq!(known, wanted, "{name}");
            }
        }
    }
}
