use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Request, Response, Url, redirect, retry};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::causes;
use crate::http::{HAS_TLS, client_builder};
use crate::inline::Body;
use crate::redact::Key;
use crate::{Config, Error, Head, Proxy, RawReply, Unreadable, is_loopback, without_queries};

/// The longest body that is read, in bytes, without the videos inside the body.
pub const MAX_BODY: usize = 40 << 20;

/// The longest body around videos, in bytes. It is smaller than `MAX_BODY`, since the videos need memory at the same
/// time.
const MAX_BESIDE_VIDEO: usize = 8 << 20;

/// The most queries at the same time. Each has a connection, and many systems allow a process about a thousand.
const MOST_QUERIES: usize = 100;

/// The `tracing` target of exchanges, which are logged at the debug level.
pub const WIRE: &str = "veo::wire";

/// The HTTP clients of one provider, which send requests and read replies. Clones share their connections.
#[derive(Clone)]
pub struct Transport {
    query: Client,
    submit: Client,
    queries: Arc<Semaphore>,
    authorization: HeaderValue,
    key: Key,
    proxy: Proxy,
    base_url: String,
    origins: Vec<Url>,
}

/// A question's turn to be sent, from [`Transport::turn`]. The next question has it when this is dropped.
#[must_use = "the next question has it when it is dropped"]
pub struct Turn<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl Transport {
    /// Prepares the HTTP clients for the configured address, or else for that of the provider. It makes no connection.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the configuration cannot work.
    pub fn new<R>(config: &Config, provider: &str) -> Result<Self, Error<R>> {
        // Otherwise another time-out could end a slow connect, and an unsent request would count as possibly paid.
        if config.connect_timeout >= config.query_timeout.min(config.submit_timeout) {
            return Err(Error::InvalidRequest(
                "the connect time-out has to be shorter than the other time-outs".to_owned(),
            ));
        }
        if config.key.expose_secret().is_empty() {
            return Err(Error::InvalidRequest(
                "the API key is empty; give the provider's key".to_owned(),
            ));
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {}", config.key.expose_secret())).map_err(
                |_| {
                    Error::InvalidRequest(
                        "the API key holds characters that no HTTP header can carry".to_owned(),
                    )
                },
            )?;
        authorization.set_sensitive(true);
        let client = |timeout: Duration| {
            client_builder(&config.proxy)
                .user_agent(&config.user_agent)
                .connect_timeout(config.connect_timeout)
                .timeout(timeout)
                // A redirect could send the API key to another host, and after 307 and 308 a paid request would be sent
                // again. A retry inside reqwest would be a second paid request that no ledger knows of.
                .redirect(redirect::Policy::none())
                .retry(retry::never())
        };
        let (base_url, origin) = base(config.base_url.as_deref().unwrap_or(provider))?;
        Ok(Self {
            query: client(config.query_timeout)
                .build()
                .map_err(Error::unbuildable)?,
            // The server may close an idle connection just when it is reused. Then a paid request that never arrived
            // would look like a request whose reply was lost, and count as possibly paid.
            submit: client(config.submit_timeout)
                .pool_max_idle_per_host(0)
                .build()
                .map_err(Error::unbuildable)?,
            queries: Arc::new(Semaphore::new(MOST_QUERIES)),
            authorization,
            key: Key::new(config.key.clone(), is_loopback(origin.as_str())),
            proxy: config.proxy.clone(),
            base_url,
            origins: vec![origin],
        })
    }

    /// Permits a further address of the provider to get the API key. Returns it without a slash at its end.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the address cannot be used.
    pub fn allow_origin<R>(&mut self, url: &str) -> Result<String, Error<R>> {
        let (url, origin) = base(url)?;
        self.origins.push(origin);
        Ok(url)
    }

    /// The address of the provider, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The value of the header `Authorization`, for the address of the provider only.
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The client that builds requests. [`query`](Self::query) and [`submit`](Self::submit) send them.
    pub fn request_client(&self) -> &Client {
        &self.query
    }

    /// Waits until a question may be sent: a hundred can be on their way at a time. Take the turn before you build the
    /// request, since many questions can wait for theirs.
    pub async fn turn(&self) -> Turn<'_> {
        // The semaphore is never closed, so there is always a permit in the end.
        let permit = self.queries.acquire().await.ok();
        Turn { _permit: permit }
    }

    /// Sends a request that costs nothing, in its [turn](Self::turn).
    ///
    /// # Errors
    ///
    /// Every error except [`Error::Rejected`].
    pub fn query<R>(
        &self,
        turn: Turn<'_>,
        request: Request,
    ) -> impl Future<Output = Result<RawReply, Error<R>>> {
        // In a box, this takes no room in the futures of the questions that still wait for their turn.
        Box::pin(async move {
            let _turn = turn;
            self.send(&self.query, request).await
        })
    }

    /// Sends a request that can cost money. It is sent once, over its own connection.
    ///
    /// # Errors
    ///
    /// Every error except [`Error::Rejected`].
    pub async fn submit<R>(&self, request: Request) -> Result<RawReply, Error<R>> {
        self.send(&self.submit, request).await
    }

    async fn send<R>(&self, client: &Client, request: Request) -> Result<RawReply, Error<R>> {
        tracing::debug!(
            target: WIRE,
            method = %request.method(),
            url = %without_queries(request.url().as_str()),
            // A multipart body is a stream, which has no bytes to log.
            body = request.body().and_then(reqwest::Body::as_bytes).map(|body| display(self.key.excerpt(body))),
            "request"
        );
        let result = self.exchange(client, request).await;
        match &result {
            Ok(RawReply { head, body, .. }) => {
                tracing::debug!(target: WIRE, status = head.status, body = %self.key.excerpt(body), "reply");
            }
            Err(Error::NoReply {
                partial, source, ..
            }) => {
                tracing::debug!(target: WIRE, error = %source, body = %self.key.excerpt(partial), "no whole reply");
            }
            Err(Error::NotConnected { source, .. }) => {
                tracing::debug!(target: WIRE, error = %source, "no connection")
            }
            Err(Error::Unreadable(reply)) => {
                tracing::debug!(target: WIRE, status = reply.head.status, error = %reply.reason, "no readable reply");
            }
            Err(Error::InvalidRequest(error)) => tracing::debug!(target: WIRE, %error, "not sent"),
            Err(Error::Rejected(_)) => {}
        }
        result
    }

    async fn exchange<R>(
        &self,
        client: &Client,
        mut request: Request,
    ) -> Result<RawReply, Error<R>> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let way = self.proxy.described(request.url());
        if !self
            .origins
            .iter()
            .any(|origin| origin.origin() == request.url().origin())
        {
            return Err(Error::InvalidRequest(format!(
                "{host} is not the provider, so it does not get the API key"
            )));
        }
        request
            .headers_mut()
            .insert(AUTHORIZATION, self.authorization.clone());
        #[cfg(feature = "replay")]
        if let Some(response) = crate::replay::next() {
            return self.read(response, host).await;
        }
        let response = match client.execute(request).await {
            Ok(response) => response,
            // Only the next two errors prove that nothing was sent. After any other error, such as a reset or a
            // time-out, the provider may have accepted the request, so the reply counts as lost.
            Err(error) if error.is_builder() => return Err(Error::unbuildable(error)),
            Err(error) if error.is_connect() => {
                return Err(Error::NotConnected {
                    host,
                    way,
                    source: cause(error),
                });
            }
            Err(error) => {
                return Err(Error::NoReply {
                    host,
                    partial: Bytes::new(),
                    source: cause(error),
                });
            }
        };
        self.read(response, host).await
    }

    /// Reads a reply to its end, and removes the API key from the reply. If the reply breaks off, the error has the
    /// part that arrived, since this part may have the id of a paid task.
    async fn read<R>(&self, mut response: Response, host: String) -> Result<RawReply, Error<R>> {
        let mut head = Head::new(response.status().as_u16(), response.headers());
        head.content_type = head.content_type.map(|text| self.key.remove_from(&text));
        let mut body = Body::default();
        loop {
            match response.chunk().await {
                Ok(None) => {
                    return Ok(RawReply {
                        head,
                        body: self.key.remove(body.text),
                        inline: body.taken,
                    });
                }
                Ok(Some(chunk)) => body.push(&chunk),
                Err(error) => {
                    return Err(Error::NoReply {
                        host,
                        partial: self.key.remove(body.text),
                        source: cause(error),
                    });
                }
            }
            let most = if body.has_inline() {
                MAX_BESIDE_VIDEO
            } else {
                MAX_BODY
            };
            if body.text.len() > most {
                let unreadable = Unreadable {
                    head,
                    reason: format!("the body is longer than {} MiB", most >> 20),
                    body: self.key.remove(body.text),
                };
                return Err(Error::Unreadable(Box::new(unreadable)));
            }
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// Checks a base URL. Returns its text without a slash at its end, and the parsed URL.
fn base<R>(url: &str) -> Result<(String, Url), Error<R>> {
    // The URL is in no message, since it can hold a password.
    let invalid =
        |what: &str| Error::InvalidRequest(format!("the base URL cannot be used: {what}"));
    if !url.contains("://") {
        return Err(invalid(&without_scheme(url)));
    }
    let mut parsed = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
    match parsed.host_str() {
        None => return Err(invalid("it has no host")),
        // Some resolvers do not know `localhost` with a dot at its end.
        Some("localhost.") => parsed
            .set_host(Some("localhost"))
            .map_err(|error| invalid(&error.to_string()))?,
        Some(_) => {}
    }
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_loopback(url)) {
        return Err(invalid(
            "the key travels over https, or over http to a loopback address",
        ));
    }
    if parsed.scheme() == "https" && !HAS_TLS {
        return Err(invalid(
            "https needs the feature rustls or native-tls of veo-core, and this program has neither",
        ));
    }
    let has_credentials = !parsed.username().is_empty() || parsed.password().is_some();
    if parsed.query().is_some() || parsed.fragment().is_some() || has_credentials {
        return Err(invalid("it has more than a scheme, a host and a port"));
    }
    let path = parsed.path().trim_matches('/');
    let origin = parsed.origin().ascii_serialization();
    if !path.is_empty() {
        return Err(invalid(&format!(
            "it has the path /{path}, and the paths of the API are added to it; give {origin}"
        )));
    }
    Ok((origin, parsed))
}

/// Writes the sentence about a base URL without a scheme.
fn without_scheme(rest: &str) -> String {
    let mut meant = format!("https://{rest}");
    if is_loopback(&meant) {
        meant = format!("http://{rest}");
    }
    match Url::parse(&meant) {
        Ok(url) if url.username().is_empty() && url.password().is_none() => {
            let origin = url.origin().ascii_serialization();
            format!("it has no scheme; give {origin}")
        }
        _ => "it has no scheme; begin it with https://".to_owned(),
    }
}

/// Returns the cause of a failure without the URL, which can hold secrets. It is one line of text.
fn cause(error: reqwest::Error) -> Box<dyn std::error::Error + Send + Sync> {
    causes(&error.without_url()).into()
}
