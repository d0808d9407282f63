//! The plan of a request: for each provider, its offer, or the reasons why it cannot make the video.

use std::fmt;

use reqwest::Url;
use serde::Serialize;
use veo_transport::{is_loopback, without_queries};

use crate::download::Hosts;
use crate::image;
use crate::model::{choices, impossible_reasons};
use crate::{Error, ErrorKind, Model, Offer, Provider, Reason, VideoRequest};

/// The offers and refusals of all providers for a request. Planning sends nothing. A plan serializes to JSON.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// use veo_core::VideoRequest;
///
/// let plan = client.plan(&VideoRequest::text("A dog playing in a park"));
/// for offer in &plan.offers {
///     println!("{} would be sent {}", offer.provider, offer.body);
/// }
/// for refusal in &plan.refusals {
///     println!("{refusal}");
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The offers, in the order in which the providers were given.
    pub offers: Vec<Offer>,
    /// The refusals of the other providers, with every reason.
    pub refusals: Vec<Refusal>,
}

/// The reasons why a provider cannot make the video.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// use veo_core::VideoRequest;
///
/// let plan = client.plan(&VideoRequest::text(""));
/// let reason = &plan.refusals[0].reasons[0];
/// assert_eq!((reason.field, reason.message.as_str()), ("prompt", "it is empty; say what the video shows"));
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// The account: the name of the provider, or a named account at the provider, such as `kie@studio`.
    pub provider: String,
    /// Every reason.
    pub reasons: Vec<Reason>,
}

impl Refusal {
    /// Makes the refusal of an account that the client already has.
    pub(crate) fn of_duplicate(account: &str) -> Self {
        let message =
            format!("this client has {account} already; give the other account a name of its own");
        Self {
            provider: account.to_owned(),
            reasons: vec![Reason::new("provider", message)],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|reason| format!("{}: {}", reason.field, reason.message))
            .collect();
        write!(f, "{}: {}", self.provider, reasons.join("; "))
    }
}

/// Plans a request with some providers. `lacks_uploader` is true if none stores its images of this machine.
pub(crate) fn plan<'a>(
    providers: impl Iterator<Item = &'a dyn Provider> + Clone,
    request: &VideoRequest,
    lacks_uploader: bool,
) -> Plan {
    let mut plan = Plan {
        offers: Vec::new(),
        refusals: Vec::new(),
    };
    for provider in providers.clone() {
        let mut reasons = match choose(provider, request) {
            Ok(offer) if !lacks_uploader => {
                plan.offers.push(offer);
                continue;
            }
            Ok(_) => Vec::new(),
            Err(reasons) => reasons,
        };
        if lacks_uploader {
            reasons.push(Reason::new(
                "input",
                format!("an image {}", image::no_uploader_clause()),
            ));
        }
        plan.refusals.push(Refusal {
            provider: provider.account(),
            reasons,
        });
    }
    name_alternatives(&mut plan.refusals, providers);
    judge_images(&mut plan, request);
    plan
}

/// Checks the images of this machine. If one of them cannot be used, every offer becomes a refusal.
fn judge_images(plan: &mut Plan, request: &VideoRequest) {
    match image::judged(request) {
        Ok(warnings) => {
            for offer in &mut plan.offers {
                offer.warnings.extend(warnings.clone());
            }
        }
        Err(what) => {
            for offer in plan.offers.drain(..) {
                plan.refusals.push(Refusal {
                    provider: offer.account,
                    reasons: vec![Reason::new("input", what.clone())],
                });
            }
        }
    }
}

/// Adds to each reason the accounts that support the field. A reason about `extra`, which is for one provider, gets
/// none.
fn name_alternatives<'a>(
    refusals: &mut [Refusal],
    providers: impl Iterator<Item = &'a dyn Provider> + Clone,
) {
    let refused = refusals.to_vec();
    let is_able = |account: &String, field: &str| {
        let refusal = refused.iter().find(|refusal| refusal.provider == *account);
        // A provider that does not have the model was not checked for the other fields.
        let is_against = |reason: &Reason| reason.field == field || reason.field == "model";
        !refusal.is_some_and(|refusal| refusal.reasons.iter().any(is_against))
    };
    let reasons = refusals
        .iter_mut()
        .flat_map(|refusal| &mut refusal.reasons)
        .filter(|reason| reason.field != "extra");
    for reason in reasons {
        let mut able: Vec<_> = providers.clone().map(Provider::account).collect();
        able.retain(|account| is_able(account, reason.field));
        if !able.is_empty() {
            reason.message = format!("{} ({} can)", reason.message, able.join(", "));
        }
    }
}

/// Adds the other models of the account that can make the video to an error about a removed model.
pub(crate) fn with_other_models(error: Error, provider: &dyn Provider, offer: &Offer) -> Error {
    let is_able = |model: &&Model| {
        let mut request = offer.request.clone().model(model.name);
        // Another model can be of another tier.
        request.tier = None;
        model.name != offer.model && model.reasons(&request).is_empty()
    };
    let others = provider.models().iter().filter(is_able);
    let names: Vec<_> = others.map(|model| model.name).collect();
    if names.is_empty() {
        return error;
    }
    let account = &offer.account;
    error.adding(&format!(
        "{account} can still be asked for {}",
        choices(&names)
    ))
}

/// Makes the offer of the cheapest model that can make the video. If none can, it returns the shortest list of reasons.
fn choose(provider: &dyn Provider, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
    let mut models: Vec<_> = provider.models().iter().collect();
    models.sort_by_key(|model| model.tier);
    models.retain(|model| match &request.model {
        Some(name) => model.name == name,
        None => !model.is_named_only,
    });
    if let (Some(name), []) = (&request.model, &models[..]) {
        let message = format!("{} has no model {name}", provider.name());
        return Err(vec![Reason::new("model", message)]);
    }
    // If no model is of the requested tier, all are kept, so that the refusal has the other reasons too.
    let wanted_tier = request.tier.filter(|_| request.model.is_none());
    let missing_tier =
        wanted_tier.filter(|tier| models.iter().all(|model| model.tier != Some(*tier)));
    models.retain(|model| {
        missing_tier.is_some()
            || model.tier.is_none()
            || wanted_tier.is_none_or(|tier| model.tier == Some(tier))
    });
    // A model for another kind of input can never make this video, so its other reasons would mislead.
    let makes_it = |model: &&Model| model.modes.contains(&request.mode());
    if models.iter().any(makes_it) {
        models.retain(makes_it);
    }

    let impossible = impossible_reasons(request);
    let out_of_reach = out_of_reach(provider, request);
    let mut closest: Option<Vec<Reason>> = None;
    for model in models {
        let mut reasons = impossible.clone();
        reasons.extend(model.reasons(request));
        if let Some(tier) = missing_tier {
            reasons.retain(|reason| reason.field != "tier");
            reasons.push(Reason::new(
                "tier",
                format!("{} has no {tier} models", provider.name()),
            ));
        }
        reasons.extend(out_of_reach.clone());
        match offered(provider, model, request, reasons) {
            Ok(offer) => return Ok(offer),
            Err(reasons)
                if closest
                    .as_ref()
                    .is_none_or(|closest| reasons.len() < closest.len()) =>
            {
                closest = Some(reasons)
            }
            Err(_) => {}
        }
    }
    Err(closest.unwrap_or_default())
}

/// Returns the reasons against links that no provider can follow, such as those into private networks. A simulated
/// provider is on this machine, and can follow them.
fn out_of_reach(provider: &dyn Provider, request: &VideoRequest) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let links = request.urls();
    if links.is_empty() || provider.base_url().is_some_and(is_loopback) {
        return reasons;
    }
    let hosts = Hosts::default();
    for (field, url) in links {
        let Ok(parsed) = Url::parse(url) else {
            continue;
        };
        if let Err(refused) = hosts.check(&parsed) {
            let message = format!("no provider can follow {}: {refused}", without_queries(url));
            reasons.push(Reason::new(field, message));
        }
    }
    reasons
}

/// Makes the offer of a model, or returns the given reasons and those of the provider.
fn offered(
    provider: &dyn Provider,
    model: &Model,
    request: &VideoRequest,
    mut reasons: Vec<Reason>,
) -> Result<Offer, Vec<Reason>> {
    match provider.offer(model, request) {
        Ok(offer) if reasons.is_empty() => Ok(of_account(provider, offer)),
        Ok(_) => Err(reasons),
        Err(more) => {
            // The provider checks the whole body. So it may name a known field again, or name `extra`.
            let known: Vec<_> = reasons.iter().map(|reason| reason.field).collect();
            let new = |reason: &Reason| {
                !known.contains(&reason.field) && (known.is_empty() || reason.field != "extra")
            };
            reasons.extend(more.into_iter().filter(new));
            Err(reasons)
        }
    }
}

/// Makes a planned offer again for a request whose images are uploaded, so that its body has their URLs.
pub(crate) fn rendered(
    provider: &dyn Provider,
    offer: &Offer,
    uploaded: &VideoRequest,
) -> Result<Offer, Error> {
    let mut models = provider.models().iter();
    let Some(model) = models.find(|model| model.name == offer.model) else {
        return Ok(offer.clone());
    };
    match provider.offer(model, uploaded) {
        Ok(offer) => Ok(of_account(provider, offer)),
        Err(reasons) => {
            let refusal = Refusal {
                provider: offer.account.clone(),
                reasons,
            };
            Err(Error::new(ErrorKind::InvalidRequest, refusal.to_string()))
        }
    }
}

/// Sets the account that pays, and the address of the provider.
fn of_account(provider: &dyn Provider, offer: Offer) -> Offer {
    Offer {
        account: provider.account(),
        base_url: provider.base_url().map(str::to_owned),
        ..offer
    }
}
