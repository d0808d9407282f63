//! Saves a video to a file, from the first of its links that works.

use std::collections::VecDeque;
use std::path::Path;

use bytes::Bytes;

use crate::download::{Followed, NoVideo};
use crate::runtime::runtime;
use crate::text::link;
use crate::{Client, Error, ErrorKind, Provider, Saved, State, Video};

impl Client {
    /// Saves a video. It tries the links of the video in order, then the links that the provider now names for the job,
    /// and at last a fresh link from [`Provider::fresh_link`].
    pub(crate) async fn save(
        &self,
        video: &Video,
        path: &Path,
        mut on_bytes: impl FnMut(u64, Option<u64>),
    ) -> Result<Saved, Error> {
        let Some(first) = video.urls.first() else {
            return Err(Error::new(ErrorKind::Download, "the video has no URL"));
        };
        runtime()?;
        let provider = self.provider_of(&video.job);
        let api = provider.and_then(Provider::api);
        let mut transfer = self.downloader.begin(path, api)?;
        let mut links = LinkQueue {
            provider,
            video,
            newest: first.clone(),
            left: links_of(video).into(),
            further: [Further::OfTheJob, Further::OfTheProvider].into_iter(),
            tried: Vec::new(),
            unknown: None,
        };
        while let Some(Link { url, content }) = links.next().await {
            let followed = transfer.follow(&url, content.as_ref(), &mut on_bytes);
            match followed.await {
                Ok(Followed::Whole) => return transfer.finish().await,
                Ok(Followed::NoVideo(why)) => links.tried.push((url, why)),
                Err(error) => return Err(transfer.keep(error).await),
            }
        }
        Err(transfer.keep(links.none_works()).await)
    }
}

/// A link, and its content if the content was decoded while the reply arrived.
struct Link {
    url: String,
    content: Option<Bytes>,
}

/// The links of a video, in the order in which they are tried.
struct LinkQueue<'a> {
    provider: Option<&'a dyn Provider>,
    video: &'a Video,
    /// The latest link that is known for the job.
    newest: String,
    left: VecDeque<Link>,
    further: std::array::IntoIter<Further, 2>,
    /// The links that led to no video, with the reason of each.
    tried: Vec<(String, NoVideo)>,
    /// The error of the last question for further links.
    unknown: Option<Error>,
}

enum Further {
    /// The links in the current state of the job.
    OfTheJob,
    /// A fresh link from the provider.
    OfTheProvider,
}

impl LinkQueue<'_> {
    async fn next(&mut self) -> Option<Link> {
        loop {
            if let Some(link) = self.left.pop_front() {
                return Some(link);
            }
            let provider = self.provider?;
            let further = self.further.next()?;
            let found = match further {
                Further::OfTheJob => links_of_job(provider, self.video).await,
                Further::OfTheProvider => {
                    let link = provider.fresh_link(&self.video.job, &self.newest).await;
                    link.map(|url| Vec::from_iter(url.map(|url| Link { url, content: None })))
                }
            };
            match found {
                Ok(found) => self.take(found, further),
                Err(error) => self.unknown = Some(error),
            }
        }
    }

    /// Adds further links to those that are left. A link of the job that was tried before is added again in two cases:
    /// the media host had refused it by a status, or it now comes with its content. Then it can lead to the video.
    fn take(&mut self, found: Vec<Link>, further: Further) {
        let is_of_job = matches!(further, Further::OfTheJob);
        if is_of_job && let Some(first) = found.first() {
            self.newest.clone_from(&first.url);
        }
        for link in found {
            let tried = self.tried.iter().find(|(url, _)| *url == link.url);
            let is_new = tried
                .is_none_or(|(_, why)| is_of_job && (why.has_expired() || link.content.is_some()));
            if is_new {
                self.left.push_back(link);
            }
        }
    }

    /// Makes the error, which says for each link why the link leads to no video.
    fn none_works(self) -> Error {
        let mut said: Vec<String> = Vec::new();
        let mut tried: Vec<(String, NoVideo)> = Vec::new();
        for (url, why) in self.tried {
            let what = format!("{}: {}", link(&url), why.what);
            if !said.contains(&what) {
                said.push(what);
                tried.push((url, why));
            }
        }
        let has_expired = tried.iter().any(|(_, why)| why.has_expired());
        let is_one = tried.len() == 1;
        let Some((_, last)) = tried.pop() else {
            return Error::new(ErrorKind::Download, "the video has no URL");
        };
        let error = if is_one {
            last.error()
        } else {
            let advice = if has_expired {
                NoVideo::EXPIRED
            } else {
                NoVideo::AGAIN
            };
            let message = format!("no link leads to the video; {}; {advice}", said.join("; "));
            Error::new(ErrorKind::Download, message)
        };
        match self.unknown {
            Some(unknown) if has_expired => error.with_source(unknown),
            _ => error,
        }
    }
}

fn links_of(video: &Video) -> Vec<Link> {
    let links = video.urls.iter().map(|url| Link {
        url: url.clone(),
        content: veo_transport::inline(url, &video.inline).cloned(),
    });
    links.collect()
}

async fn links_of_job(provider: &dyn Provider, video: &Video) -> Result<Vec<Link>, Error> {
    match provider.state(&video.job).await? {
        // After an upgrade, the provider can still name the links of the smaller video here.
        State::Finished(again) if again.resolution == video.resolution => Ok(links_of(&again)),
        _ => Ok(Vec::new()),
    }
}
