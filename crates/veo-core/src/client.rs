use std::path::Path;
use std::sync::Arc;

use crate::{Error, ErrorKind, Job, Poll, Provider, State, Submission, Video, VideoRequest, download, wait};

/// Makes videos with one provider. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Client {
    provider: Arc<dyn Provider>,
    media: reqwest::Client,
    poll: Poll,
}

impl Client {
    /// A client of a provider.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] if there can be no HTTP client on this machine.
    pub fn new(provider: impl Provider + 'static) -> Result<Self, Error> {
        Ok(Self { provider: Arc::new(provider), media: download::client()?, poll: Poll::default() })
    }

    /// The same client with another way of waiting.
    #[must_use]
    pub fn with_poll(mut self, poll: Poll) -> Self {
        self.poll = poll;
        self
    }

    /// Sends a paid request, at most once.
    pub async fn submit(&self, request: &VideoRequest) -> Submission {
        self.provider.submit(request).await
    }

    /// Waits until a job has ended, and tells every state on the way. Dropping the future ends the waiting and not the
    /// job.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::JobFailed`] if the job failed; any other kind if it could not be followed, and then it goes on. The
    /// error carries the job.
    pub async fn wait(&self, job: &Job, on_state: impl FnMut(&State)) -> Result<Video, Error> {
        let ask = || self.provider.state(job);
        wait::until_done(&self.poll, ask, on_state).await.map_err(|error| error.with_job(job))
    }

    /// Saves a finished video as an MP4 file, and tells how many bytes there are so far, and of how many if that is known.
    /// The file is there when all of it is, and replaces one of the same name. Gives its size.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Download`], and then there is no new file. The error carries the job.
    pub async fn download(
        &self,
        video: &Video,
        path: impl AsRef<Path>,
        on_bytes: impl FnMut(u64, Option<u64>),
    ) -> Result<u64, Error> {
        let Some(url) = video.urls.first() else {
            return Err(Error::new(ErrorKind::Download, "the video has no URL").with_job(&video.job));
        };
        let saved = download::download(&self.media, url, path.as_ref(), on_bytes).await;
        saved.map_err(|error| error.with_job(&video.job))
    }
}
