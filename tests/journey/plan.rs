//! A plan says what would be sent to which provider, and why not to the others. It sends nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use veo_core::{
    AspectRatio, Client, Image, JobRef, Kie, KieForm, Mode, Operation, Plan, Refusal, Resolution,
    Source, Tier, UniAll, Video, VideoRequest,
};
use veo_tests::{KEY, PNG};

fn client() -> Client {
    let kie = Kie::new(KEY).unwrap();
    Client::new(kie).unwrap().or(UniAll::new(KEY).unwrap())
}

/// The model that is used only if it is named.
const OMNI: &str = "google/gemini-omni-flash-1-1";

/// Requests that together use every field of the vocabulary, each with a name.
fn requests() -> Vec<(&'static str, VideoRequest)> {
    let [first, last] = [
        "https://img.example.net/1.png",
        "https://img.example.net/2.png",
    ];
    let text = || VideoRequest::text("A red kite");
    let video = Video::new(
        JobRef::new("kie", "t1"),
        vec!["https://cdn.example.net/kite.mp4".to_owned()],
    );
    let by_job: Source = JobRef::new("kie", "t1").into();
    let by_url = Source::url("https://cdn.example.net/kite.mp4");
    vec![
        ("text", text()),
        ("everything of kie.ai", {
            let request = text()
                .tier(Tier::Quality)
                .aspect_ratio(AspectRatio::Portrait)
                .resolution(Resolution::P1080);
            let request = request
                .seconds(6)
                .seed(23456)
                .watermark("Harbour")
                .translate_prompt(false);
            request.callback_url("https://app.example.net/hook").extra(
                "kie",
                "enableFallback",
                false,
            )
        }),
        ("everything of UniAll", {
            let request = text()
                .tier(Tier::Quality)
                .aspect_ratio(AspectRatio::Portrait)
                .resolution(Resolution::K4);
            let request = request
                .seconds(6)
                .seed(7)
                .audio(false)
                .negative_prompt("blur");
            request
                .extra(
                    "uniall",
                    "extra_body",
                    json!({ "person_generation": "allow_adult" }),
                )
                .extra("uniall", "n", 1)
        }),
        ("everything of kie.ai's current form", {
            let request = text().watermark("Harbour").translate_prompt(false);
            request.extra("kie", "enable_fallback", false)
        }),
        (
            "extension with everything of the current form",
            VideoRequest::extension("It goes on", "kie+jobs:t1".parse::<JobRef>().unwrap())
                .seed(23456)
                .watermark("Harbour")
                .callback_url("https://app.example.net/hook"),
        ),
        ("a model by its name", text().model("veo3_fast")),
        ("a model that nobody has", text().model("veo-9")),
        (
            "a model of another tier",
            text().model("veo3_fast").tier(Tier::Lite),
        ),
        ("the successor", text().model(OMNI)),
        ("the successor with everything", {
            let request = VideoRequest::frames("It lands", first, last)
                .model(OMNI)
                .aspect_ratio(AspectRatio::Portrait)
                .resolution(Resolution::P360);
            request
                .seconds(10)
                .seed(-7)
                .callback_url("https://app.example.net/hook")
                .extra("kie", "audio_ids", json!(["a1"]))
        }),
        (
            "the successor with an image",
            VideoRequest::image("It flies", first).model(OMNI),
        ),
        (
            "the successor with references",
            VideoRequest::references("Kites", [first; 7]).model(OMNI),
        ),
        ("the successor with what it cannot have", {
            let request = text().model(OMNI).seconds(12).watermark("Harbour");
            request
                .translate_prompt(true)
                .tier(Tier::Quality)
                .aspect_ratio(AspectRatio::Auto)
        }),
        ("an extension by the successor", extension().model(OMNI)),
        ("a tier that only one has", text().tier(Tier::Lite)),
        (
            "fast",
            text().tier(Tier::Fast).resolution(Resolution::P1080),
        ),
        (
            "image",
            VideoRequest::image("It flies", first).aspect_ratio(AspectRatio::Auto),
        ),
        (
            "an image of this machine",
            VideoRequest::image(
                "It flies",
                Image::File {
                    file: "kite.png".into(),
                },
            ),
        ),
        (
            "an image in memory",
            VideoRequest::image("It flies", PNG.to_vec()),
        ),
        ("frames", VideoRequest::frames("It lands", first, last)),
        (
            "one reference",
            VideoRequest::references("The kite", [first]),
        ),
        (
            "references",
            VideoRequest::references("The kites", [first, last]),
        ),
        (
            "references of 4 s",
            VideoRequest::references("The kites", [first, last]).seconds(4),
        ),
        (
            "references with the fast tier",
            VideoRequest::references("The kites", [first, last]).tier(Tier::Fast),
        ),
        (
            "references with the best tier",
            VideoRequest::references("The kites", [first, last]).tier(Tier::Quality),
        ),
        (
            "four references",
            VideoRequest::references("Kites", [first; 4]),
        ),
        ("extension", VideoRequest::extension("It goes on", &video)),
        (
            "extension by job",
            VideoRequest::extension("It goes on", by_job).tier(Tier::Fast),
        ),
        (
            "extension with everything",
            extension()
                .tier(Tier::Quality)
                .seed(23456)
                .watermark("Harbour")
                .callback_url("https://app.example.net/hook"),
        ),
        (
            "extension of a larger video",
            VideoRequest::extension("It goes on", "kie:t1:1080p".parse::<JobRef>().unwrap()),
        ),
        (
            "extension by URL",
            VideoRequest::extension("It goes on", by_url),
        ),
        (
            "extension with what it cannot have",
            VideoRequest::extension("It goes on", &video)
                .aspect_ratio(AspectRatio::Portrait)
                .resolution(Resolution::K4)
                .seconds(4),
        ),
        (
            "extension of nothing",
            VideoRequest::extension("It goes on", Source::default()),
        ),
        ("all that is wrong at once", {
            let request = VideoRequest::image(" ", "kite.png")
                .seconds(5)
                .seed(-1)
                .negative_prompt("blur");
            request.watermark("Harbour").callback_url("app.example.net")
        }),
        (
            "auto without an image",
            text().aspect_ratio(AspectRatio::Auto),
        ),
        ("extra fields that are none", {
            let request = text()
                .extra("kie", "prompt", "Another")
                .extra("kie", "seeds", 23456);
            let image = "https://img.example.net/1.png";
            request
                .extra("uniall", "image", image)
                .extra("uniall", "size", "4k")
        }),
    ]
}

/// Returns a client of kie.ai alone, in its current form.
fn current() -> Client {
    let kie = Kie::new(KEY).unwrap();
    Client::new(kie.form(KieForm::Current)).unwrap()
}

#[test]
fn every_request_is_planned_for_every_provider() {
    insta::assert_snapshot!("plans", plans(&client()));
    insta::assert_snapshot!("plans_in_the_current_form", plans(&current()));
}

fn plans(client: &Client) -> String {
    let mut text = String::new();
    for (name, request) in requests() {
        let plan = client.plan(&request);
        let _ = writeln!(text, "# {name}");
        for offer in plan.offers {
            let _ = writeln!(
                text,
                "{} {} {}\n  {}",
                offer.provider, offer.operation, offer.model, offer.body
            );
            for warning in offer.warnings {
                let _ = writeln!(text, "  warning: {warning}");
            }
        }
        for refusal in plan.refusals {
            let _ = writeln!(text, "{} cannot", refusal.provider);
            for reason in refusal.reasons {
                let _ = writeln!(text, "  {}: {}", reason.field, reason.message);
            }
        }
        text.push('\n');
    }
    text
}

/// A request without images of this machine is prepared without a call.
#[tokio::test]
async fn a_prepared_request_is_the_plan_with_a_key() {
    let client = client();
    for (name, request) in requests() {
        let plan = client.plan(&request);
        let is_local = request
            .images()
            .iter()
            .any(|image| !matches!(image, Image::Url(_)));
        if is_local || plan.offers.is_empty() {
            continue;
        }
        let [first, second] = [
            client.prepare(&request).await.unwrap(),
            client.prepare(&request).await.unwrap(),
        ];
        assert_eq!(first.offers(), plan.offers, "{name}");
        assert_eq!(first.refusals(), plan.refusals, "{name}");
        assert_ne!(first.chosen_key(), second.chosen_key(), "{name}");
        assert_eq!(first.key("order 17").chosen_key(), "order 17");
    }
}

/// The links of a request are checked before anything is paid: they are whole, and a provider can follow them.
#[test]
fn a_link_that_no_provider_can_follow_is_refused() {
    let table = [
        ("https://a.example.net/a.png", true),
        ("HTTPS://A.example.net/a.png?b=c", true),
        ("http://93.184.216.34/a.png", true),
        ("https://", false),
        ("https:///a.png", false),
        ("https:a.example.net/a.png", false),
        ("https://?a", false),
        ("https://a b.example.net/a.png", false),
        ("https://a.example.net/a.png ", false),
        ("https://a.example.net:99999/a.png", false),
        ("https://me:secret@a.example.net/a.png", false),
        ("http://127.0.0.1/a.png", false),
        ("https://localhost/a.png", false),
        ("https://10.0.0.1/a.png", false),
        ("https://[::1]/a.png", false),
        ("https://0x7f.1/a.png", false),
        ("ftp://a.example.net/a.png", false),
    ];
    let client = client();
    for (link, is_good) in table {
        let requests = [
            VideoRequest::image("A kite", link),
            VideoRequest::text("A kite").callback_url(link),
        ];
        for request in requests {
            let plan = client.plan(&request);
            let is_planned = plan.offers.iter().any(|offer| offer.provider == "kie");
            assert_eq!(is_planned, is_good, "{link}: {:?}", plan.refusals);
            let refusals = format!("{:?}", plan.refusals);
            assert!(!refusals.contains("secret"), "{refusals}");
        }
    }
}

#[test]
fn a_request_survives_json_and_unknown_fields_are_refused() {
    for (name, request) in requests() {
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<VideoRequest>(&json).unwrap(),
            request,
            "{name}: {json}"
        );
    }
    assert_eq!(
        serde_json::to_value(VideoRequest::text("A red kite")).unwrap(),
        json!({ "prompt": "A red kite" })
    );
    for (wrong, wanted) in [
        (json!({}), "missing field `prompt`"),
        (
            json!({ "prompt": "A", "duration": 8 }),
            "unknown field `duration`",
        ),
        (
            json!({ "prompt": "A", "tier": "best" }),
            "unknown variant `best`",
        ),
        (
            json!({ "prompt": "A", "input": { "type": "image" } }),
            "missing field `image`",
        ),
        (
            json!({ "prompt": "A", "input": { "type": "extension", "source": { "job": "t1" } } }),
            "is not a job",
        ),
    ] {
        let error = serde_json::from_value::<VideoRequest>(wrong)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// The schema is also checked against requests as the type writes them.
#[test]
fn the_schema_of_a_request_is_checked_in() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/video-request.json");
    let checked_in: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(VideoRequest)).unwrap();
    assert_eq!(schema, checked_in, "run: cargo xtask schema");
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, request) in requests() {
        let request = serde_json::to_value(&request).unwrap();
        assert!(validator.is_valid(&request), "{name}: {request}");
    }
    assert!(
        !validator.is_valid(&json!({ "prompt": "A red kite", "duration": 8 })),
        "an unknown field"
    );
}

/// The table of models has exactly the models of the specifications, with their bounds.
#[test]
fn the_models_are_those_of_the_specifications() {
    let (client, current) = (client(), current());
    let models = || client.models().chain(current.models());
    let rows: BTreeSet<_> = models().map(|model| (model.provider, model.name)).collect();
    let places = [
        ("kie", "crates/veo-core/src/providers/kie/models.rs"),
        ("uniall", "crates/veo-core/src/providers/uniall.rs"),
    ];
    for (provider, file) in places {
        for name in specified_models(provider) {
            assert!(
                rows.contains(&(provider, name)),
                "openapi/{provider}.yaml has the model {name}: give it a row in MODELS of {file}"
            );
        }
        for (_, name) in rows.iter().filter(|(whose, _)| *whose == provider) {
            assert!(
                specified_models(provider).contains(name),
                "openapi/{provider}.yaml has no model {name} any more: remove its row in MODELS of {file}"
            );
        }
    }
    for client in [&client, &current] {
        let names: BTreeSet<_> = client.models().map(|model| model.name).collect();
        assert_eq!(names.len(), client.models().count(), "each model once");
    }
    for model in models() {
        let accepts_references = model.modes.contains(&Mode::References);
        assert_eq!(*model.references.end() > 0, accepts_references, "{model:?}");
    }
    // The length of an extension is fixed, and the successor of Veo has enums of its own.
    for model in models().filter(|model| !model.seconds.is_empty() && !model.is_named_only) {
        let seconds: Vec<i64> = match model.provider {
            "kie" => kie_api::types::Duration::ALL
                .iter()
                .map(|duration| duration.value())
                .collect(),
            _ => uniall_api::types::Duration::ALL
                .iter()
                .map(|duration| duration.value())
                .collect(),
        };
        assert_eq!(
            model
                .seconds
                .iter()
                .map(|s| i64::from(*s))
                .collect::<Vec<_>>(),
            seconds,
            "{}",
            model.name
        );
        let words = |words: Vec<&str>| {
            words
                .iter()
                .map(|word| word.to_lowercase())
                .collect::<BTreeSet<_>>()
        };
        let (ratios, sizes) = match model.provider {
            "kie" => (
                words(
                    kie_api::types::AspectRatio::ALL
                        .iter()
                        .map(|ratio| ratio.as_str())
                        .collect(),
                ),
                words(
                    kie_api::types::Resolution::ALL
                        .iter()
                        .map(|size| size.as_str())
                        .collect(),
                ),
            ),
            _ => (
                words(
                    uniall_api::types::AspectRatio::ALL
                        .iter()
                        .map(|ratio| ratio.as_str())
                        .collect(),
                ),
                // The resolution is in the name of the model.
                words(model.name.rsplit('-').take(1).collect()),
            ),
        };
        assert_eq!(
            model
                .aspect_ratios
                .iter()
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>(),
            ratios,
            "{}",
            model.name
        );
        assert_eq!(
            model
                .resolutions
                .iter()
                .map(ToString::to_string)
                .collect::<BTreeSet<_>>(),
            sizes,
            "{}",
            model.name
        );
    }
}

/// The successor of Veo has enums of its own in the specification.
#[test]
fn named_models_are_those_of_the_specification() {
    let client = client();
    for model in client.models().filter(|model| model.is_named_only) {
        let seconds: Vec<_> = model.seconds.iter().map(ToString::to_string).collect();
        let sizes: Vec<_> = model.resolutions.iter().map(ToString::to_string).collect();
        let ratios: Vec<_> = model
            .aspect_ratios
            .iter()
            .map(ToString::to_string)
            .collect();
        let specified = [
            kie_api::types::OmniDuration::ALL
                .iter()
                .map(|it| it.as_str())
                .collect::<Vec<_>>(),
            kie_api::types::OmniResolution::ALL
                .iter()
                .map(|it| it.as_str())
                .collect(),
            kie_api::types::OmniAspectRatio::ALL
                .iter()
                .map(|it| it.as_str())
                .collect(),
        ];
        assert_eq!([seconds, sizes, ratios], specified, "{}", model.name);
    }
}

fn specified_models(provider: &str) -> Vec<&'static str> {
    match provider {
        "kie" => {
            let names = kie_api::types::Model::ALL
                .iter()
                .map(|model| model.as_str());
            let extensions = kie_api::types::ExtendTaskModel::ALL
                .iter()
                .map(|model| model.as_str());
            let omni = kie_api::types::OmniTaskModel::ALL
                .iter()
                .map(|model| model.as_str());
            names.chain(extensions).chain(omni).collect()
        }
        _ => uniall_api::types::Model::ALL
            .iter()
            .map(|model| model.as_str())
            .collect(),
    }
}

/// The fields without a word in the vocabulary, since only one provider has them.
const ONLY_IN_EXTRA: &[&str] = &[
    "enableFallback",
    "enable_fallback",
    "extra_body",
    "audio_ids",
    "character_ids",
    "video_list",
];

/// Returns the fields of the paid requests in the specifications, as provider, schema and field.
fn specified_fields() -> Vec<(&'static str, &'static str, String)> {
    let contract: Value =
        serde_json::from_str(include_str!("../../crates/veo-sim/src/contract.json")).unwrap();
    let mut fields = Vec::new();
    for (provider, schema) in [
        ("kie", "GenerateRequest"),
        ("kie", "ExtendRequest"),
        ("kie", "GenerateInput"),
        ("kie", "ExtendInput"),
        ("kie", "OmniInput"),
        ("uniall", "CreateVideoRequest"),
        ("uniall", "ExtraBody"),
    ] {
        let pointer = format!("/{provider}/$defs/{schema}/properties");
        let properties = contract.pointer(&pointer).unwrap().as_object().unwrap();
        for field in properties.keys() {
            if !ONLY_IN_EXTRA.contains(&field.as_str()) {
                fields.push((provider, schema, field.clone()));
            }
        }
    }
    // The later name of this field is in no specification.
    fields.push(("kie", "GenerateRequest", "aspect_ratio".to_owned()));
    fields
}

/// Returns the names of the fields of a [`VideoRequest`].
fn vocabulary() -> BTreeSet<String> {
    let schema = serde_json::to_value(schemars::schema_for!(VideoRequest)).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    properties.keys().cloned().collect()
}

/// Returns whether a schema is of kie.ai's current form.
fn is_of_current(schema: &str) -> bool {
    schema.ends_with("Input")
}

/// Returns the source file that translates requests into a schema of a provider.
fn translator(provider: &str, schema: &str) -> &'static str {
    match provider {
        "kie" if schema == "OmniInput" => "crates/veo-core/src/providers/kie/omni.rs",
        "kie" if is_of_current(schema) => "crates/veo-core/src/providers/kie/jobs.rs",
        "kie" => "crates/veo-core/src/providers/kie/veo.rs",
        _ => "crates/veo-core/src/providers/uniall.rs",
    }
}

fn of(provider: &str, schema: &str) -> Client {
    match provider {
        "kie" if is_of_current(schema) => current(),
        "kie" => Client::new(Kie::new(KEY).unwrap()).unwrap(),
        _ => Client::new(UniAll::new(KEY).unwrap()).unwrap(),
    }
}

/// Returns an extension that both providers can make.
fn extension() -> VideoRequest {
    let url = "https://cdn.example.net/kite.mp4".to_owned();
    let video = Video::new(JobRef::new("kie", "t1"), vec![url]);
    VideoRequest::extension("It goes on", &video)
}

/// No field of the vocabulary is also an extra field. Each new field of a specification has to be one or the other.
#[test]
fn every_field_is_in_the_vocabulary_or_is_extra() {
    let vocabulary = vocabulary();
    for (provider, schema, field) in specified_fields() {
        let requests = match schema {
            "GenerateRequest" | "GenerateInput" => vec![VideoRequest::text("A red kite")],
            "ExtendRequest" | "ExtendInput" => vec![extension()],
            "OmniInput" => vec![VideoRequest::text("A red kite").model(OMNI)],
            _ => vec![VideoRequest::text("A red kite"), extension()],
        };
        for request in requests {
            let request = match schema {
                "ExtraBody" => request.extra(provider, "extra_body", json!({ &field: 4 })),
                _ => request.extra(provider, &*field, 4),
            };
            let refusals = of(provider, schema).plan(&request).refusals;
            let said = refusals.iter().map(ToString::to_string).collect::<String>();
            let file = translator(provider, schema);
            let word = said
                .strip_prefix(&format!("{provider}: extra: {field} is the "))
                .and_then(|rest| rest.split(' ').next());
            let Some(word) = word else {
                panic!(
                    "{field} of {schema} in openapi/{provider}.yaml has no word in the vocabulary: give it a row in \
                     the COVERED tables of {file}, or name it in ONLY_IN_EXTRA here ({said:?})"
                );
            };
            assert!(
                vocabulary.contains(word),
                "{file} says that {field} is the {word} of a request, which has none: add it to VideoRequest in \
                 crates/veo-core/src/request.rs"
            );
        }
    }

    // kie.ai may add a resolution for extensions one day. Then the extra field is the only way to set it.
    let offer = of("kie", "ExtendRequest")
        .plan(&extension().extra("kie", "resolution", "1080p"))
        .offers
        .remove(0);
    assert_eq!(
        (offer.operation, &offer.body["resolution"]),
        (Operation::Extend, &json!("1080p"))
    );
}

/// A field that is in a table but is set by no code would be dropped.
#[test]
fn every_field_of_a_specification_is_sent_in_some_request() {
    let clients = [client(), current()];
    let mut bodies = Vec::new();
    for (_, request) in requests() {
        for client in &clients {
            bodies.extend(client.plan(&request).offers);
        }
    }
    for (provider, schema, field) in specified_fields() {
        let is_sent = bodies.iter().any(|offer| {
            let is_extension = offer.operation == Operation::Extend;
            let body = match schema {
                _ if is_of_current(schema) != offer.form.is_some() => return false,
                "ExtraBody" => &offer.body["extra_body"],
                "ExtendRequest" | "ExtendInput" if !is_extension => return false,
                "GenerateRequest" | "GenerateInput" if is_extension => return false,
                "OmniInput" if offer.model != OMNI => return false,
                _ if is_of_current(schema) => &offer.body["input"],
                _ => &offer.body,
            };
            offer.provider == provider && body.get(&field).is_some()
        });
        assert!(
            is_sent,
            "{field} of {schema} in openapi/{provider}.yaml is in no body: set it in {}, and have it in a request of \
             requests() here",
            translator(provider, schema)
        );
    }
}

/// A value of each field that differs from its default.
fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("tier", json!("quality")),
        // No provider has this model.
        ("model", json!("veo-9")),
        ("aspect_ratio", json!("9:16")),
        ("resolution", json!("1080p")),
        ("seconds", json!(4)),
        ("seed", json!(23456)),
        ("audio", json!(false)),
        ("negative_prompt", json!("blur")),
        ("watermark", json!("Harbour")),
        ("translate_prompt", json!(false)),
        ("callback_url", json!("https://app.example.net/hook")),
    ]
}

/// A setting changes the body, or the refusal names it. It is never dropped silently.
#[test]
fn each_provider_sends_or_refuses_every_setting() {
    // Every request has a prompt and an input, and the extra fields have a test of their own.
    let others = ["prompt", "input", "extra"].map(str::to_owned);
    let known: BTreeSet<_> = values()
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    for word in &vocabulary() {
        assert!(
            known.contains(word) || others.contains(word),
            "{word} is a field of VideoRequest: give it a value in values() here"
        );
    }
    for (provider, schema) in [("kie", ""), ("kie", "Input"), ("uniall", "")] {
        let client = of(provider, schema);
        for request in [VideoRequest::text("A red kite"), extension()] {
            for (word, value) in values() {
                let mut with = serde_json::to_value(&request).unwrap();
                with[word] = value;
                let with = client.plan(&serde_json::from_value(with).unwrap());
                let without = client.plan(&request);
                let is_refused = |refusal: &Refusal| {
                    let mut reasons = refusal.reasons.iter();
                    reasons.any(|reason| reason.field == word)
                };
                let sent = |plan: &Plan| plan.offers.first().map(|offer| offer.body.clone());
                assert!(
                    sent(&with) != sent(&without) || with.refusals.iter().any(is_refused),
                    "{provider} drops {word} of a request of {}: send it in {}, or refuse it there or in \
                     crates/veo-core/src/model.rs",
                    request.mode(),
                    translator(provider, schema)
                );
            }
        }
    }
}

#[test]
fn a_local_image_needs_a_provider_with_uploads() {
    let here = || Image::File {
        file: "kite.png".into(),
    };
    let alone = Client::new(UniAll::new(KEY).unwrap()).unwrap();
    let why = "uniall: input: an image is on this machine, and no provider of this client takes uploads; put it on the web, or \
               add kie.ai";
    for (request, offers, refusal) in [
        (VideoRequest::image("It flies", here()), 0, Some(why)),
        (VideoRequest::image("It flies", PNG.to_vec()), 0, Some(why)),
        (
            VideoRequest::frames("It lands", "https://img.example.net/1.png", here()),
            0,
            Some(why),
        ),
        (
            VideoRequest::image("It flies", "https://img.example.net/1.png"),
            1,
            None,
        ),
        (VideoRequest::text("A red kite"), 1, None),
    ] {
        let plan = alone.plan(&request);
        let refusals: Vec<_> = plan.refusals.iter().map(ToString::to_string).collect();
        assert_eq!(
            (plan.offers.len(), refusals.first().map(String::as_str)),
            (offers, refusal),
            "{request:?}"
        );
        // kie.ai can store the image, so both providers can make the video.
        assert_eq!(client().plan(&request).offers.len(), 2, "{request:?}");
    }
}
