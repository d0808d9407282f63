//! Images of this machine: whose place they are brought to, and whether they would be taken there.

use std::future::ready;

use bytes::Bytes;
use veo_core::{
    BoxFuture, Client, Error, ErrorKind, Image, JobRef, Kie, Limit, Model, Offer, Provider, Reason, Resolution, State,
    Submission, UniAll, VideoRequest,
};

use crate::failure::Failure;

/// Whether a request has an image that is only on this machine.
pub(crate) fn has_local(request: &VideoRequest) -> bool {
    request.images().into_iter().any(|image| !matches!(image, Image::Url(_)))
}

/// Whether the images of this machine are there, and are such as can be uploaded.
pub(crate) async fn check(request: &VideoRequest) -> Result<(), Failure> {
    Client::new(Nowhere)?.upload_images(request).await?;
    Ok(())
}

/// UniAll, which has no place for images, with that of kie.ai if there is a key for it.
#[derive(Debug)]
pub(crate) struct WithPlace {
    pub(crate) provider: UniAll,
    pub(crate) place: Option<Kie>,
}

impl Provider for WithPlace {
    fn upload<'a>(&'a self, image: Bytes, name: String) -> Option<BoxFuture<'a, Result<String, Error>>> {
        self.place.as_ref()?.upload(image, name)
    }

    // The rest is UniAll's.

    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn models(&self) -> &[Model] {
        self.provider.models()
    }

    fn offer(&self, model: &Model, request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        self.provider.offer(model, request)
    }

    fn limit(&self) -> Option<Limit> {
        self.provider.limit()
    }

    fn submit<'a>(&'a self, offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Provider::submit(&self.provider, offer)
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Provider::state(&self.provider, job)
    }

    fn upgrade<'a>(&'a self, job: &'a JobRef, to: Resolution) -> Option<BoxFuture<'a, Result<State, Error>>> {
        self.provider.upgrade(job, to)
    }

    fn fresh_link<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        self.provider.fresh_link(url)
    }

    fn credits(&self) -> Option<BoxFuture<'_, Result<f64, Error>>> {
        self.provider.credits()
    }
}

/// Takes every image that can be uploaded, and keeps none. Nothing leaves this machine.
#[derive(Debug)]
struct Nowhere;

impl Provider for Nowhere {
    fn upload<'a>(&'a self, _image: Bytes, name: String) -> Option<BoxFuture<'a, Result<String, Error>>> {
        Some(Box::pin(ready(Ok(name))))
    }

    // It makes no videos.

    fn name(&self) -> &'static str {
        "nowhere"
    }

    fn models(&self) -> &[Model] {
        &[]
    }

    fn offer(&self, _model: &Model, _request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Err(Vec::new())
    }

    fn submit<'a>(&'a self, _offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(ready(Submission::NotAccepted(makes_no_videos())))
    }

    fn state<'a>(&'a self, _job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        Box::pin(ready(Err(makes_no_videos())))
    }
}

fn makes_no_videos() -> Error {
    Error::new(ErrorKind::InvalidRequest, "nobody makes videos here")
}
