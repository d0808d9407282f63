//! A provider that makes videos with kie.ai. No file outside this folder uses the crate of its client, `kie-api`.

pub(crate) mod webhook;

mod callback;
mod form;
mod jobs;
mod models;
mod omni;
mod record;
mod refusals;
mod veo;
mod words;

use std::time::Duration;

use bytes::Bytes;

pub use self::form::KieForm;
use self::form::{Form, Forms};
use self::models::NAME;
use self::refusals::of_free_call;
use crate::providers::access;
use crate::providers::errors::translated;
use crate::{
    Access, ApiAddress, BoxFuture, Capabilities, Described, Error, ErrorKind, JobRef, Limit, Model,
    Offer, Operation, Provider, Reason, Resolution, State, Submission, Upgrade, VideoRequest,
};

/// The reseller kie.ai.
///
/// It has every mode, three tiers, extension of its own videos, upgrades to 1080p and 4K, uploads, a balance and
/// [webhooks](crate::Webhooks). It makes no video without sound, and accepts no negative prompt.
///
/// ```
/// use veo_core::{Access, Client, Kie};
///
/// # fn main() -> Result<(), veo_core::Error> {
/// let client = Client::new(Kie::new("the API key")?)?;
/// let simulated = Client::new(Kie::new(Access::new("any key").base_url("http://127.0.0.1:8787"))?)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Kie {
    client: kie_api::Client,
    account: String,
    limit: Limit,
    forms: Forms,
}

impl Kie {
    /// Makes the provider with an API key, or with an [`Access`] for more settings. It makes no connection yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Access, Kie};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let kie = Kie::new(Access::new("the API key").submit_timeout(Duration::from_secs(300)))?;
    /// assert!(Kie::new("").is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if the text cannot be an API key, or the settings cannot work.
    pub fn new(access: impl Into<Access>) -> Result<Self, Error> {
        let client = kie_api::Client::new(access.into().config);
        let client = client.map_err(|error| translated(ErrorKind::InvalidRequest, &error))?;
        Ok(Self {
            client,
            account: NAME.to_owned(),
            limit: Limit::new(20, Duration::from_secs(10)),
            forms: Forms::default(),
        })
    }

    /// Sets the form of kie.ai's API for new videos; [`KieForm::Auto`] by default. Both forms share the API key, the
    /// balance, the limit and the uploads.
    ///
    /// ```
    /// use veo_core::{Kie, KieForm};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let kie = Kie::new("the API key")?.form(KieForm::Old);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn form(mut self, form: KieForm) -> Self {
        self.forms.setting = form;
        self
    }

    /// Sets another limit than the usual 20 requests in 10 seconds, for an account whose limit was raised.
    ///
    /// ```
    /// use std::time::Duration;
    /// use veo_core::{Kie, Limit};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let kie = Kie::new("the API key")?.limit(Limit::new(100, Duration::from_secs(10)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// Names the account, so that one [`Client`](crate::Client) can have several accounts. The name is in the account's
    /// jobs: `kie@studio:TASK` for `studio`.
    ///
    /// ```
    /// use veo_core::{Client, Kie};
    ///
    /// # fn main() -> Result<(), veo_core::Error> {
    /// let client = Client::new(Kie::new("a key")?)?.or(Kie::new("another key")?.named("studio"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn named(mut self, account: &str) -> Self {
        self.account = access::account(NAME, account);
        self
    }

    /// Returns the form for a request. An extension uses the form of its source: the other one does not know that task.
    fn form_of(&self, request: &VideoRequest) -> Form {
        let source = words::source(request).map(Form::of_job);
        match self.forms.now() {
            Form::Old
                if self.forms.setting == KieForm::Auto && source == Some(Ok(Form::Current)) =>
            {
                Form::Current
            }
            form => form,
        }
    }

    /// Asks for another link, which works for 20 minutes.
    async fn fresh_link(&self, url: &str) -> Result<Option<String>, Error> {
        let reply = self
            .client
            .download_url()
            .body_map(|body| body.url(url))
            .send()
            .await;
        let reply = reply.map_err(|error| translated(ErrorKind::Download, &error))?;
        Ok(reply.into_inner().data.filter(|link| !link.is_empty()))
    }

    async fn credits(&self) -> Result<f64, Error> {
        let reply = self
            .client
            .account_credits()
            .send()
            .await
            .map_err(|error| of_free_call(&error))?;
        let credits = reply.into_inner().data;
        credits.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "kie.ai answered without a balance; ask again",
            )
        })
    }

    async fn upload(&self, image: Bytes, name: String) -> Result<String, Error> {
        let sent = self
            .client
            .upload_stream()
            .file(image)
            .upload_path("veo")
            .file_name(name)
            .send()
            .await;
        let reply = sent.map_err(|error| of_free_call(&error))?;
        let url = reply
            .into_inner()
            .data
            .and_then(|file| file.download_url)
            .filter(|url| !url.is_empty());
        url.ok_or_else(|| {
            Error::new(
                ErrorKind::NotSent,
                "kie.ai accepted the image but returned no URL for it; try again",
            )
        })
    }
}

impl Provider for Kie {
    fn name(&self) -> &'static str {
        NAME
    }

    fn models(&self) -> &[Model] {
        match self.forms.now() {
            Form::Old => &models::OLD,
            Form::Current => &models::CURRENT,
        }
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        if models::is_omni(model.name) {
            return omni::offer(model, request);
        }
        match self.form_of(request) {
            Form::Old => veo::offer(model, request),
            Form::Current => jobs::offer(model, request),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let upgrades = &[Resolution::P1080, Resolution::K4];
        Capabilities::default()
            .limit(self.limit)
            .uploads()
            .credits()
            .upgrades(upgrades)
            .marks_callbacks()
    }

    fn account(&self) -> String {
        self.account.clone()
    }

    fn base_url(&self) -> Option<&str> {
        self.client.base_url()
    }

    fn api(&self) -> Option<ApiAddress> {
        let authorization = self.client.authorization().to_str().ok()?;
        Some(ApiAddress::new(self.client.address(), authorization))
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        if offer.form.is_some() {
            Box::pin(jobs::submit(&self.client, offer))
        } else {
            Box::pin(veo::submit(&self.client, &self.forms, offer))
        }
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(record::state(&self.client, job))
    }

    fn marked(&self, offer: &Offer, marker: &str) -> Offer {
        words::marked(offer, marker)
    }

    fn renewed(&self, offer: &Offer) -> Option<Result<Offer, Vec<Reason>>> {
        if offer.form.is_some() {
            return None;
        }
        if let Some(reason) = self.forms.setting_against() {
            return Some(Err(vec![reason]));
        }
        if self.form_of(&offer.request) == Form::Old {
            return None;
        }
        let name = match offer.operation {
            Operation::Extend => models::EXTENSION,
            _ => &offer.model,
        };
        let model = self.models().iter().find(|model| model.name == name)?;
        // The offer is made first, since the reasons of the form say more than those of the model.
        let renewed = self.offer(model, &offer.request).and_then(|renewed| {
            let reasons = model.reasons(&offer.request);
            if reasons.is_empty() {
                Ok(renewed)
            } else {
                Err(reasons)
            }
        });
        Some(renewed.map(|renewed| Offer {
            account: offer.account.clone(),
            base_url: offer.base_url.clone(),
            ..renewed
        }))
    }

    fn describe<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<Described, Error>> {
        Box::pin(record::describe(&self.client, job))
    }

    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> BoxFuture<'a, Upgrade> {
        match Form::of_job(job) {
            Ok(Form::Old) => Box::pin(veo::upgrade(&self.client, job, to)),
            Ok(Form::Current) => Box::pin(jobs::upgrade(&self.client, job, to)),
            Err(error) => Box::pin(std::future::ready(Upgrade::Rejected(error))),
        }
    }

    fn upgrades_as_task(&self, job: &JobRef) -> bool {
        Form::of_job(job) == Ok(Form::Current)
    }

    fn fresh_link<'a>(
        &'a self,
        _job: &'a JobRef,
        url: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(self.fresh_link(url))
    }

    fn credits(&self) -> BoxFuture<'_, Result<f64, Error>> {
        Box::pin(self.credits())
    }

    fn upload<'a>(&'a self, image: Bytes, name: String) -> BoxFuture<'a, Result<String, Error>> {
        Box::pin(self.upload(image, name))
    }
}
