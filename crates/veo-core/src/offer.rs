use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use veo_transport::without_queries;

use crate::{Model, Resolution, VideoRequest};

/// The exact body that would be sent to one provider for a request, with its model and account. An offer serializes to
/// JSON, as a part of a [`Job`](crate::Job). The debug text has no queries of links, which can be signatures.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// use veo_core::VideoRequest;
///
/// let plan = client.plan(&VideoRequest::text("A dog playing in a park"));
/// let offer = &plan.offers[0];
/// println!("{} with {} of {}: {}", offer.operation, offer.model, offer.provider, offer.body);
/// for warning in &offer.warnings {
///     println!("but {warning}");
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Offer {
    /// Name of the provider.
    pub provider: String,
    /// The account that pays: the name of the provider, or a named account at the provider, such as `kie@studio`.
    #[serde(default)]
    pub account: String,
    /// The address of the provider, if it is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The form of the provider's API. `None` is the provider's oldest or only form. The job has the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The name of the model at the provider.
    pub model: String,
    /// The operation that the provider performs.
    pub operation: Operation,
    /// The JSON body. It has the path or the length of an image of this machine until the image is uploaded.
    pub body: Value,
    /// The request for which the offer was made.
    pub request: VideoRequest,
    /// Sentences that say how the video may differ from the request.
    pub warnings: Vec<String>,
}

/// The operation that a provider performs.
///
/// ```
/// use veo_core::Operation;
///
/// assert_eq!(Operation::Extend.to_string(), "extend");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// To make a new video.
    #[serde(alias = "create_video")]
    Generate,
    /// To make an earlier video longer.
    Extend,
    /// To make a finished video larger.
    Upgrade,
}

impl Offer {
    /// Makes an offer without warnings, with the provider's usual address and without a form.
    ///
    /// ```
    /// use serde_json::json;
    /// use veo_core::{Model, Offer, Operation, Tier, VideoRequest};
    ///
    /// let model = Model::new("hat", "top-hat-1", Tier::Lite);
    /// let request = VideoRequest::text("A rabbit");
    /// let offer = Offer::new(&model, &request, Operation::Generate, json!({ "text": request.prompt }));
    /// assert_eq!(offer.model, "top-hat-1");
    /// ```
    pub fn new(model: &Model, request: &VideoRequest, operation: Operation, body: Value) -> Self {
        Self {
            provider: model.provider.to_owned(),
            account: model.provider.to_owned(),
            base_url: None,
            form: None,
            model: model.name.to_owned(),
            operation,
            body,
            request: request.clone(),
            warnings: Vec::new(),
        }
    }

    /// The resolution of the request, or 720p if it has none.
    pub fn resolution(&self) -> Resolution {
        self.request.resolution.unwrap_or(Resolution::P720)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            account,
            base_url,
            form,
            model,
            operation,
            body,
            request,
            warnings,
        } = self;
        let mut text = f.debug_struct("Offer");
        text.field("provider", provider)
            .field("account", account)
            .field("base_url", base_url)
            .field("form", form);
        text.field("model", model).field("operation", operation);
        text.field(
            "body",
            &format_args!("{}", without_queries(&body.to_string())),
        );
        text.field("request", request)
            .field("warnings", warnings)
            .finish()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
