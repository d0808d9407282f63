//! The path of a paid request: prepare it, begin it in the ledger, send it, and write down its outcome.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep};
use tracing::field::{Empty, display};
use tracing::{Instrument, info_span};

use crate::client::{Client, no_provider_can};
use crate::ledger::{
    Attempt, Begin, Begun, Entry, EntryState, Event, Find, Outcome, Want, Wish, key_reused,
};
use crate::runtime::runtime;
use crate::text::random;
use crate::time::now;
use crate::{
    Error, ErrorKind, JobRef, Limit, Offer, Provider, Refusal, Resend, Submission, Unknown,
    VideoRequest, image, plan,
};

/// A planned request whose images the providers can reach. Sending it costs money.
///
/// [`Client::prepare`] makes it, and [`Client::send`] sends it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
/// # fn main() { simulated(async |client| {
/// use veo_core::{Submission, VideoRequest};
///
/// let prepared = client.prepare(&VideoRequest::text("A dog playing in a park")).await?;
/// println!("{} would be sent {}", prepared.offers()[0].account, prepared.offers()[0].body);
/// match client.send(prepared.key("order 17")).await {
///     Submission::Accepted(job) => println!("paid for: {}", job.reference),
///     Submission::Rejected(error) => println!("not charged: {error}"),
///     Submission::Unknown(unknown) => println!("maybe charged: {}", unknown.error),
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is not sent yet"]
pub struct Prepared {
    want: Want,
    offers: Vec<Offer>,
    refusals: Vec<Refusal>,
}

impl Prepared {
    /// Returns the offers, in the order in which they are sent. There is at least one.
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// Returns the refusals of the providers that cannot make the video, with every reason.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Sets the key. Without this the key is random.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.want.key = key.into();
        self
    }

    /// Sets the target, such as an absolute path. It must mean the same file to all programs that share the ledger. No
    /// two open entries may have the same target.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.want.target = Some(target.into());
        self
    }

    /// Returns the key under which the request is sent.
    pub fn chosen_key(&self) -> &str {
        &self.want.key
    }

    /// Removes the offers whose account was asked before in the same form, unless no other offer is left. Returns how
    /// many offers were not sent before.
    pub(crate) fn leave_out(&mut self, asked: &[Attempt]) -> usize {
        let is_left = |offer: &Offer| {
            let is_asked = |attempt: &Attempt| {
                attempt.sent.account == offer.account && attempt.sent.form == offer.form
            };
            !asked.iter().any(is_asked)
        };
        let left = self.offers.iter().filter(|offer| is_left(offer)).count();
        if left > 0 {
            self.offers.retain(is_left);
        }
        left
    }
}

/// The longest wait for another Tokio task or process that sends the same key: as long as a paid call may take.
const SUBMIT_PATIENCE: Duration = Duration::from_secs(120);
/// The time between two looks at a call that another Tokio task or process makes.
const LOOK_AT_CALL_EVERY: Duration = Duration::from_millis(100);

impl Client {
    /// Plans a request, and uploads its local images. Nothing is paid for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] with every reason if no provider can make it; otherwise the error of an upload.
    pub async fn prepare(&self, request: &VideoRequest) -> Result<Prepared, Error> {
        runtime()?;
        let plan = self.planned(request).await;
        if plan.offers.is_empty() {
            return Err(no_provider_can(&plan.refusals));
        }
        let wish = Wish::request(request).await;
        let mut offers = plan.offers;
        if image::has_local(request) {
            let uploaded = self.upload_images(request).await?;
            let rendered = offers
                .iter()
                .map(|offer| match self.account(&offer.account) {
                    Some(provider) => plan::rendered(provider, offer, &uploaded),
                    None => Ok(offer.clone()),
                });
            offers = rendered.collect::<Result<_, _>>()?;
        }
        let want = Want::new(random_key(), wish);
        Ok(Prepared {
            want,
            offers,
            refusals: plan.refusals,
        })
    }

    /// Sends a prepared request to the first provider that can make the video, at most once. The next provider is asked
    /// only if the ones before it have certainly not accepted the request; their reasons are in
    /// [`Job::refusals`](crate::Job::refusals). This waits while the account's [limit](crate::Limit) is reached. It
    /// also waits, up to [`Poll::give_up_after`](crate::Poll::give_up_after), while the provider wants a pause or the
    /// budget is set aside for calls under way.
    ///
    /// With a [ledger](Self::with_ledger) each call is written down before it is sent, and its outcome afterwards.
    /// Writing and sending happen in a separate Tokio task, so dropping this future loses no outcome.
    pub async fn send(&self, prepared: Prepared) -> Submission {
        self.send_until(prepared, std::future::pending()).await
    }

    /// Sends like [`send`](Self::send), but no paid request leaves any more once `stop` is done.
    pub async fn send_until(
        &self,
        prepared: Prepared,
        stop: impl Future<Output = ()>,
    ) -> Submission {
        let mut stop = pin!(stop);
        let Prepared {
            want,
            offers,
            refusals: refusals_of_plan,
        } = prepared;
        let mut refusals = Vec::new();
        let mut last_error = None::<Error>;
        for offer in offers {
            let Some(provider) = self.shared_account(&offer.account) else {
                continue;
            };
            let account = offer.account.clone();
            let sent = self
                .send_one(&provider, &want, offer, &refusals, stop.as_mut())
                .await;
            match sent {
                Submission::Rejected(error) if is_final(&error) => {
                    return Submission::Rejected(error);
                }
                Submission::Rejected(error) => {
                    let said = format!("{account}: {error}");
                    last_error = Some(match last_error {
                        // An earlier refusal of the request helps the caller more than this fault of an account.
                        Some(earlier)
                            if error.kind().is_of_account() && is_of_request(&earlier) =>
                        {
                            earlier.followed_by(&said)
                        }
                        _ => error.preceded_by(&refusals),
                    });
                    refusals.push(said);
                }
                // The request is paid for, or may be. Asking the next provider could pay a second time.
                sent => return sent,
            }
        }
        Submission::Rejected(last_error.unwrap_or_else(|| no_provider_can(&refusals_of_plan)))
    }

    /// [Prepares](Self::prepare) a request and [sends](Self::send) it to the first provider that can make it, at most
    /// once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use veo_core::{Resend, Submission, VideoRequest};
    ///
    /// match client.submit(&VideoRequest::text("A dog playing in a park")).await {
    ///     Submission::Accepted(job) => println!("paid for; keep this line: {}", job.reference),
    ///     Submission::Rejected(error) => match error.resend() {
    ///         Resend::Same | Resend::After(_) => println!("not charged, and worth another try: {error}"),
    ///         _ => println!("not charged: {error}"),
    ///     },
    ///     Submission::Unknown(unknown) => {
    ///         println!("look for a task from {:?} on before you send it again: {}", unknown.sent_at, unknown.error);
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    pub async fn submit(&self, request: &VideoRequest) -> Submission {
        self.submit_until(request, std::future::pending()).await
    }

    /// Sends a paid request under a key, and never pays twice for the key, however often the processes that share the
    /// [ledger](Self::with_ledger) call this. A call with the same request returns the first outcome. Only a rejected
    /// request is sent again. Another request under the key is rejected, with [`ErrorKind::KeyReused`].
    ///
    /// If another Tokio task or process is sending the request now, this waits for its outcome, for up to two minutes.
    /// After that the outcome is unknown, with [`ErrorKind::OnItsWay`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("jobs.ledger");
    /// use veo_core::ledger::FileLedger;
    /// use veo_core::{Submission, VideoRequest};
    ///
    /// let client = client.with_ledger(FileLedger::open(path).await?);
    /// let request = VideoRequest::text("A dog playing in a park");
    /// let Submission::Accepted(job) = client.submit_once("order 17", &request).await else { return Ok(()) };
    /// let Submission::Accepted(same) = client.submit_once("order 17", &request).await else { return Ok(()) };
    /// assert_eq!(job.reference, same.reference);
    /// # Ok(()) }) }
    /// ```
    pub async fn submit_once(&self, key: &str, request: &VideoRequest) -> Submission {
        if let Err(error) = self.check_ledger() {
            return Submission::Rejected(error);
        }
        // A known outcome needs no plan, no image and no upload.
        let entry = match self.ledger().entry(key).await {
            Ok(entry) => entry,
            Err(error) => return Submission::Rejected(error),
        };
        if let Some(entry) = entry.filter(is_sent) {
            if !Wish::request(request).await.is_same(&entry.wish) {
                return Submission::Rejected(key_reused(key));
            }
            let mut never = pin!(std::future::pending());
            return self.outcome_of_entry(entry, None, &mut never).await;
        }
        match self.prepare(request).await {
            Ok(prepared) => self.send(prepared.key(key)).await,
            Err(error) => Submission::Rejected(error),
        }
    }

    /// Sends like [`submit`](Self::submit), but no paid request leaves any more once `stop` is done: not after the
    /// uploads, not after a wait for the provider's limit, and not to the next provider. Use it for Ctrl-C, for a
    /// deadline, or when nobody wants the video any more. A stopped request is rejected, with [`ErrorKind::Stopped`].
    /// If the request has left, or if its connection is being made, this waits for its outcome.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs"));
    /// # fn main() { simulated(async |client| {
    /// use std::time::Duration;
    /// use veo_core::{Submission, VideoRequest};
    ///
    /// let deadline = tokio::time::sleep(Duration::from_secs(30));
    /// match client.submit_until(&VideoRequest::text("A dog playing in a park"), deadline).await {
    ///     Submission::Accepted(job) => println!("paid for: {}", job.reference),
    ///     Submission::Rejected(error) => println!("not charged: {error}"),
    ///     Submission::Unknown(unknown) => println!("maybe charged: {}", unknown.error),
    /// }
    /// # Ok(()) }) }
    /// ```
    pub async fn submit_until(
        &self,
        request: &VideoRequest,
        stop: impl Future<Output = ()>,
    ) -> Submission {
        let mut stop = pin!(stop);
        match unless_stopped(stop.as_mut(), self.prepare(request)).await {
            Some(Ok(prepared)) => self.send_until(prepared, stop).await,
            Some(Err(error)) => Submission::Rejected(error),
            None => Submission::Rejected(stopped(&[])),
        }
    }

    /// Waits until this client and its clones have no call on the wire, and all outcomes are written down. Call this
    /// before the runtime ends. If the runtime ends first, the outcome of each call on the wire is unknown.
    pub async fn drain(&self) {
        self.wire().empty().await;
    }

    /// Waits until one offer may be sent, and sends it at most once in each form.
    async fn send_one(
        &self,
        provider: &Arc<dyn Provider>,
        want: &Want,
        offer: Offer,
        refusals: &[String],
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Submission {
        // The refusals of this offer by forms of the API that are gone.
        let mut renewed = Vec::new();
        let mut held_since = None;
        loop {
            let begin = self.beginning(&**provider, want, &offer);
            // Once the call has begun, it is sent even if the caller drops its future.
            let refusals = [refusals, &renewed].concat();
            let sending =
                self.begin_and_send(Sender::Caller, provider.clone(), begin, refusals.clone());
            let begun = match unless_stopped(stop.as_mut(), std::future::ready(())).await {
                Some(()) => sending.await,
                None => return Submission::Rejected(stopped(&refusals)),
            };
            let pause = match begun {
                Ok(Sending::Ended(submission)) => {
                    return match *submission {
                        Submission::Rejected(error) => {
                            Submission::Rejected(error.preceded_by(&renewed))
                        }
                        submission => submission,
                    };
                }
                Ok(Sending::BegunBefore(entry)) => {
                    return self.outcome_of_entry(*entry, Some(&offer), &mut stop).await;
                }
                Ok(Sending::Renewed(refusal)) => {
                    renewed.push(refusal);
                    continue;
                }
                // A limit never needs a longer pause than its span. So the provider has asked for this pause.
                Ok(Sending::NotBefore(pause)) if pause > self.patience(&**provider) => {
                    return Submission::Rejected(too_early(&offer.account, pause));
                }
                Ok(Sending::NotBefore(pause)) => pause,
                // The wait for calls under way is as long as the wait for a job.
                Ok(Sending::Held)
                    if held_since.get_or_insert_with(Instant::now).elapsed()
                        < self.poll().give_up_after =>
                {
                    LOOK_AT_CALL_EVERY
                }
                Ok(Sending::Held) => {
                    let message = "not sent: the rest of the budget is set aside for calls under way whose price is not known; send it again when they have ended";
                    return Submission::Rejected(Error::new(ErrorKind::OverBudget, message));
                }
                // The ledger has not allowed the call, so nothing was sent.
                Err(error) => return Submission::Rejected(error),
            };
            if unless_stopped(stop.as_mut(), sleep(pause)).await.is_none() {
                return Submission::Rejected(stopped(&refusals));
            }
        }
    }

    /// Returns the longest pause that is worth waiting for before an offer is sent.
    fn patience(&self, provider: &dyn Provider) -> Duration {
        let limit = provider.capabilities().limit;
        let turn = limit.map(Limit::span).unwrap_or_default();
        self.poll().give_up_after.max(turn)
    }

    /// Sends to the first provider now, or returns how long to wait first. If a later step [sends a rejected request
    /// again](is_sent_again), the entry becomes wanted. `has_others` is true if that step can ask another provider.
    pub(crate) async fn send_now(
        &self,
        prepared: Prepared,
        has_others: bool,
    ) -> Result<SentNow, Error> {
        let Prepared {
            want,
            offers,
            refusals,
        } = prepared;
        let Some(offer) = offers.into_iter().next() else {
            return Err(no_provider_can(&refusals));
        };
        let Some(provider) = self.shared_account(&offer.account) else {
            return Err(no_provider_can(&refusals));
        };
        let sender = Sender::Step { has_others };
        let begin = self.beginning(&*provider, &want, &offer);
        let mut sent = self
            .begin_and_send(sender, provider.clone(), begin, Vec::new())
            .await?;
        if let Sending::Renewed(refusal) = sent {
            let begin = self.beginning(&*provider, &want, &offer);
            sent = self
                .begin_and_send(sender, provider, begin, vec![refusal])
                .await?;
        }
        match sent {
            Sending::Ended(submission) => Ok(SentNow::Submission(submission)),
            // Another process is sending the call, so the outcome will soon be known.
            Sending::BegunBefore(entry) if entry.state == EntryState::OnItsWay => {
                Ok(SentNow::AgainAfter(Duration::from_secs(1)))
            }
            Sending::BegunBefore(entry) => {
                let mut at_once = pin!(std::future::ready(()));
                let submission = self
                    .outcome_of_entry(*entry, Some(&offer), &mut at_once)
                    .await;
                Ok(SentNow::Submission(Box::new(submission)))
            }
            Sending::NotBefore(pause) => Ok(SentNow::AgainAfter(pause)),
            // After a second change of the form, the next step sends the offer.
            Sending::Renewed(_) | Sending::Held => Ok(SentNow::AgainAfter(LOOK_AT_CALL_EVERY)),
        }
    }

    /// Describes a call for the ledger, which writes it down before the call is made.
    fn beginning(&self, provider: &dyn Provider, want: &Want, offer: &Offer) -> Begin {
        let renewed = provider.renewed(offer).and_then(Result::ok);
        let offer = renewed.as_ref().unwrap_or(offer);
        let capabilities = provider.capabilities();
        let is_marked = capabilities.marks_callbacks
            && self.has_ledger()
            && offer.request.callback_url.is_some();
        let marker = is_marked.then(random_marker);
        Begin {
            want: want.clone(),
            offer: provider.marked(offer, marker.as_deref().unwrap_or_default()),
            marker,
            limit: capabilities.limit,
            budget: self.budget().cloned(),
        }
    }

    /// Writes a call down, makes it, and writes down its outcome, in a Tokio task that outlives the caller's future.
    async fn begin_and_send(
        &self,
        sender: Sender,
        provider: Arc<dyn Provider>,
        begin: Begin,
        refusals: Vec<String>,
    ) -> Result<Sending, Error> {
        let client = self.clone();
        let begin = Arc::new(begin);
        let sent_at = now();
        let begun = begin.clone();
        let calling = async move {
            client
                .begin_and_call(sender, &*provider, &begun, refusals)
                .await
        };
        match self.detached(calling).await {
            // A provider that panics may have sent the request. A rejection would let it be sent again.
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                let key = &begin.want.key;
                let mut submission = Submission::Unknown(Unknown {
                    key: self.has_ledger().then(|| key.clone()),
                    error,
                    offer: begin.offer.clone(),
                    sent_at,
                });
                self.record_outcome(key, &mut submission, false).await;
                Ok(Sending::Ended(Box::new(submission)))
            }
            sending => sending,
        }
    }

    async fn begin_and_call(
        &self,
        sender: Sender,
        provider: &dyn Provider,
        begin: &Begin,
        refusals: Vec<String>,
    ) -> Result<Sending, Error> {
        // After an error it is not certain that the ledger has the call, so nothing is sent.
        let begun = self.ledger().begin(begin.clone()).await?;
        let Begin { want, offer, .. } = begin;
        if let Some(error) = begun.final_error(want) {
            return Ok(Sending::Ended(Box::new(Submission::Rejected(error))));
        }
        match begun {
            // Only this answer means that the call is written down. After any other answer nothing is sent.
            Begun::Yours => {}
            Begun::Known(entry) => return Ok(Sending::BegunBefore(entry)),
            Begun::NotBefore(pause) => return Ok(Sending::NotBefore(pause)),
            _ => return Ok(Sending::Held),
        }
        // Reads the balance before the call, so that `learn_price` can take the cost from its fall.
        self.observe_balance().await;
        let span = info_span!("submit", provider = %offer.account, model = %offer.model, outcome = Empty, job = Empty);
        // From here on the call may be charged. Until the outcome is written the attempt is open, and never sent again.
        let mut submission = provider.submit(offer).instrument(span.clone()).await;
        span.record("outcome", submission.outcome());
        let mut is_renewed = false;
        match &mut submission {
            // The provider has not accepted this call, so a call in the other form cannot pay twice. Other errors are
            // the same in any form.
            Submission::Rejected(error)
                if matches!(error.kind(), ErrorKind::Retired | ErrorKind::Refused) =>
            {
                match provider.renewed(offer) {
                    Some(Ok(_)) => is_renewed = true,
                    Some(Err(reasons)) => {
                        let against = Refusal {
                            provider: offer.account.clone(),
                            reasons,
                        };
                        *error = error.clone().adding(&against.to_string());
                    }
                    None if error.kind() == ErrorKind::Retired => {
                        *error = plan::with_other_models(error.clone(), provider, offer);
                    }
                    None => {}
                }
            }
            Submission::Accepted(job) => {
                span.record("job", display(&job.reference));
                job.refusals = refusals;
            }
            Submission::Unknown(unknown) if self.has_ledger() => {
                unknown.key = Some(want.key.clone());
            }
            _ => {}
        }
        let is_wanted = match &submission {
            Submission::Rejected(error) => sender.still_wants(error, is_renewed),
            _ => false,
        };
        self.record_outcome(&want.key, &mut submission, is_wanted)
            .await;
        match submission {
            Submission::Rejected(error) if is_renewed => {
                Ok(Sending::Renewed(format!("{}: {error}", offer.account)))
            }
            submission => Ok(Sending::Ended(Box::new(submission))),
        }
    }

    /// Returns an error if this client has no ledger, or if there is no runtime.
    pub(crate) fn check_ledger(&self) -> Result<(), Error> {
        runtime()?;
        if self.has_ledger() {
            return Ok(());
        }
        let message = "a key needs a ledger; add one with Client::with_ledger";
        Err(Error::new(ErrorKind::InvalidRequest, message))
    }

    /// Writes down the outcome of a call. If writing fails, the attempt stays open, and is never sent again.
    async fn record_outcome(&self, key: &str, submission: &mut Submission, is_wanted: bool) {
        let outcome = match &*submission {
            Submission::Accepted(job) => Outcome::Accepted {
                job: job.reference.clone(),
                task: None,
                at: job.accepted_at,
                refusals: job.refusals.clone(),
            },
            Submission::Rejected(error) if is_wanted => Outcome::rejected_and_wanted(error.clone()),
            Submission::Rejected(error) => Outcome::rejected(error.clone()),
            Submission::Unknown(unknown) => Outcome::Unknown {
                error: unknown.error.clone(),
            },
        };
        let event = Event::Ended { outcome };
        match (self.record_with_retry(key, event).await, submission) {
            // The job is paid for, so the caller gets it even if the ledger could not store it.
            (Err(error), Submission::Accepted(job)) => job.unrecorded = Some(Box::new(error)),
            (Ok(_), Submission::Accepted(_)) => self.learn_price(key).await,
            _ => {}
        }
    }

    /// Writes down an event, and tries a second time if the first try fails.
    pub(crate) async fn record_with_retry(&self, key: &str, event: Event) -> Result<Entry, Error> {
        match self.ledger().record(key, event.clone()).await {
            Ok(entry) => Ok(entry),
            Err(_) => {
                let written = self.ledger().record(key, event).await;
                if let Err(error) = &written {
                    tracing::error!(%error, key, "the ledger cannot be written");
                }
                written
            }
        }
    }

    /// Returns the outcome of the earlier call under a key, and sends nothing. `offer` would otherwise be sent.
    async fn outcome_of_entry(
        &self,
        mut entry: Entry,
        offer: Option<&Offer>,
        stop: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Submission {
        let deadline = Instant::now() + SUBMIT_PATIENCE;
        while entry.state == EntryState::OnItsWay && Instant::now() < deadline {
            if unless_stopped(stop.as_mut(), sleep(LOOK_AT_CALL_EVERY))
                .await
                .is_none()
            {
                break;
            }
            match self.ledger().entry(&entry.key).await {
                Ok(Some(later)) => entry = later,
                Ok(None) => break,
                // The call under way may be charged, so the outcome is unknown and not rejected.
                Err(error) => return unresolved(entry, offer, error),
            }
        }
        if entry.state == EntryState::OnItsWay {
            let message = "another part of this program or another process is sending the request now; ask again for its outcome";
            let error = Error::new(ErrorKind::OnItsWay, message);
            return unresolved(entry, offer, error);
        }
        if let Some(unknown) = entry.unknown() {
            return Submission::Unknown(unknown);
        }
        let is_sent = !matches!(entry.state, EntryState::Wanted | EntryState::Rejected);
        if is_sent && entry.attempts.is_empty() && offer.is_some() {
            let message = "the line of the request in the ledger is damaged, so the request may have been sent; look for its task at the provider";
            let error = Error::new(ErrorKind::OutcomeUnknown, message);
            return unresolved(entry, offer, error);
        }
        match (entry.job(), entry.why()) {
            (Some(job), _) => Submission::Accepted(job),
            (None, Some(error)) => Submission::Rejected(error.clone()),
            (None, None) => {
                let message = format!("the ledger has no outcome for {:?}; ask again", entry.key);
                Submission::Rejected(Error::new(ErrorKind::Ledger, message))
            }
        }
    }

    /// Runs work in a separate Tokio task, to its end, even if the caller drops its future.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let runtime = runtime()?;
        let on_wire = self.wire().enter();
        // The future is large, and Tokio moves it several times, so it goes on the heap.
        let work = Box::pin(work);
        let task = runtime.spawn(async move {
            let done = work.await;
            drop(on_wire);
            done
        });
        task.await.unwrap_or_else(|error| {
            Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "the code that sent the request ended before its outcome was known",
            )
            .with_source(error))
        })
    }

    /// Reads the balance of the budget's account, and writes down by how much the balance has fallen. Returns the fall,
    /// if the provider reports a balance and an earlier one is known.
    pub(crate) async fn observe_balance(&self) -> Option<f64> {
        self.budget()?;
        let client = self.clone();
        // In a separate Tokio task, a caller that stops polling cannot keep the lock for which other calls wait.
        self.detached(async move { Ok(client.observed().await) })
            .await
            .ok()
            .flatten()
    }

    async fn observed(&self) -> Option<f64> {
        let budget = self.budget()?;
        let provider = self.account(&budget.account)?;
        if !provider.capabilities().credits {
            return None;
        }
        let mut last = self.balance().lock().await;
        let now = provider
            .credits()
            .await
            .ok()
            .filter(|credits| credits.is_finite())?;
        let fall = last.replace(now).map(|before| (before - now).max(0.0));
        if let Some(credits) = fall.filter(|fall| *fall > 0.0) {
            // Without this line the calls still count, with their prices or with what was set aside for them.
            let _ = self
                .record_with_retry(&budget.name, Event::Fall { credits })
                .await;
        }
        fall
    }

    /// Learns from the balance what a call of unknown price has cost. The ledger begins such a call only if no other
    /// call under the budget with an unknown cost is under way.
    pub(crate) async fn learn_price(&self, key: &str) {
        // If the caller gives the price, calls run at the same time, so the fall is not that of one call.
        if self.budget().is_none_or(|budget| budget.price.is_some()) {
            return;
        }
        let Some(credits) = self.observe_balance().await else {
            return;
        };
        let Some(entry) = self.ledger().entry(key).await.ok().flatten() else {
            return;
        };
        // Without a price from the caller, an amount is set aside only for a call of unknown price.
        let is_alone = entry
            .attempts
            .last()
            .is_some_and(|attempt| attempt.reserved.is_some() && attempt.budget.is_some());
        // A balance that has not fallen yet can still fall because of this call.
        if is_alone && credits > 0.0 {
            // Without this line the call still counts, with what was set aside for it.
            let _ = self.record_with_retry(key, Event::Cost { credits }).await;
        }
    }

    pub(crate) async fn entry_of(&self, job: &JobRef) -> Option<Entry> {
        // A job can be waited for even if the ledger cannot be read.
        self.ledger().find(Find::Job(job)).await.ok().flatten()
    }
}

pub(crate) enum SentNow {
    Submission(Box<Submission>),
    /// The request could not be sent, and can be tried again after this time.
    AgainAfter(Duration),
}

#[derive(Clone, Copy)]
enum Sender {
    /// A caller that receives the rejection, and decides whether to send again.
    Caller,
    /// A step. After a rejection a later step sends again by itself, perhaps in another process.
    Step {
        /// True if another provider can be asked.
        has_others: bool,
    },
}

impl Sender {
    /// Returns whether a rejected request becomes wanted again. `is_renewed` is true if it can be sent in another form.
    fn still_wants(self, error: &Error, is_renewed: bool) -> bool {
        match self {
            Self::Caller => false,
            Self::Step { has_others } => is_renewed || is_sent_again(error, has_others),
        }
    }
}

/// A call that has ended, or the reason why it is not made now.
enum Sending {
    Ended(Box<Submission>),
    /// The call was rejected for this reason, in a form that is gone. It can be sent at once in the current form.
    Renewed(String),
    /// A call was made before under this key.
    BegunBefore(Box<Entry>),
    /// The account accepts no request before this time has passed.
    NotBefore(Duration),
    /// The rest of the budget is set aside for calls under way.
    Held,
}

/// Makes the outcome of a call that another Tokio task or process is making: unknown. If the attempt of the call cannot
/// be read, `offer` is the one that this client would send.
fn unresolved(entry: Entry, offer: Option<&Offer>, error: Error) -> Submission {
    let (offer, sent_at) = match (entry.attempts.last(), offer) {
        (Some(attempt), _) => (entry.offer(attempt), attempt.at),
        (None, Some(offer)) => (offer.clone(), entry.at),
        (None, None) => return Submission::Rejected(error),
    };
    Submission::Unknown(Unknown {
        offer,
        sent_at,
        key: Some(entry.key),
        error,
    })
}

/// Returns whether a request was sent and not rejected.
fn is_sent(entry: &Entry) -> bool {
    let is_to_be_sent = matches!(entry.state, EntryState::Wanted | EntryState::Rejected);
    !is_to_be_sent && !entry.attempts.is_empty()
}

/// Returns whether a step sends a rejected request again: to the same provider, or to another one if `has_others`.
pub(crate) fn is_sent_again(error: &Error, has_others: bool) -> bool {
    match error.resend() {
        Resend::Same | Resend::After(_) => true,
        _ => has_others && error.kind() != ErrorKind::OverBudget && !is_final(error),
    }
}

/// Returns whether no other provider is to be asked after this error.
fn is_final(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Stopped
            | ErrorKind::KeyReused
            | ErrorKind::TargetTaken
            | ErrorKind::Ledger
            | ErrorKind::LedgerDamaged
            | ErrorKind::OnItsWay
    )
}

/// Makes the error of an account that accepts no request for a while.
fn too_early(account: &str, pause: Duration) -> Error {
    let seconds = pause.as_secs_f64().ceil();
    let message = format!("not sent: {account} wants no request for another {seconds} s");
    Error::new(ErrorKind::RateLimited, message).with_retry_after(Some(pause))
}

/// Returns whether a provider has refused the request itself.
fn is_of_request(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Policy | ErrorKind::Refused)
}

/// Does the work, or drops it if `stop` is done first.
pub(crate) async fn unless_stopped<T>(
    stop: Pin<&mut impl Future<Output = ()>>,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(stop, pin!(work)).await {
        Either::Left(_) => None,
        Either::Right((done, _)) => Some(done),
    }
}

fn stopped(refusals: &[String]) -> Error {
    Error::new(
        ErrorKind::Stopped,
        "stopped before a paid request was sent; submit it again if you want it",
    )
    .preceded_by(refusals)
}

fn random_key() -> String {
    random::<8>()
}

/// Returns 128 random bits, so that nobody guesses the marker of a callback.
fn random_marker() -> String {
    random::<16>()
}
