//! Measures how often a wait asks, and how late it notices the end of a job. The clock is paused, so no wait takes
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use veo_core::{
    BoxFuture, Capabilities, Client, Error, JobRef, Model, Offer, Provider, Reason, State,
    Submission, Video, VideoRequest,
};

use crate::Outcome;

/// The number of jobs. One begins each second.
const JOBS: u32 = 10_000;
/// The number of jobs in a hundred, and the seconds that each of them takes on average.
const MIX: [(u32, f64); 3] = [(70, 90.0), (20, 150.0), (10, 420.0)];
/// The part of this time by which a job can be shorter or longer.
const SPREAD: f64 = 0.2;
/// The fixed pauses in seconds, for comparison.
const FIXED: [f64; 4] = [1.0, 5.0, 10.0, 30.0];

/// The number of questions for each job, and the seconds from the end of a job to the answer that reports the end.
struct Figures {
    questions: f64,
    delay: f64,
}

/// A provider whose jobs have numbers as names.
#[derive(Debug)]
struct Studio {
    /// The time at which the first job begins.
    start: Instant,
    /// True if the provider reports when a video was begun and done. Without these times a client learns nothing.
    tells_times: bool,
    questions: Arc<AtomicUsize>,
}

/// Prints the figures of fixed pauses and of the default settings.
pub(crate) async fn compare() -> Outcome<()> {
    tokio::time::pause();
    println!("| schedule | questions a job | delay of notice |");
    println!("| --- | --: | --: |");
    for pause in FIXED {
        show(&format!("every {pause} s"), &fixed(pause));
    }
    show("ours, when nothing is learned", &ours(false).await?);
    show("ours", &ours(true).await?);
    Ok(())
}

fn show(schedule: &str, figures: &Figures) {
    let Figures { questions, delay } = figures;
    println!("| {schedule} | {questions:.1} | {delay:.1} s |");
}

/// Returns the figures of all jobs with the default settings.
async fn ours(tells_times: bool) -> Outcome<Figures> {
    let (start, questions) = (Instant::now(), Arc::default());
    let studio = Studio {
        start,
        tells_times,
        questions: Arc::clone(&questions),
    };
    let client = Client::new(studio)?;
    let mut waits = JoinSet::new();
    for job in 0..JOBS {
        let client = client.clone();
        waits.spawn(async move {
            let begins = start + begin(job);
            sleep_until(begins).await;
            client.wait(JobRef::new("studio", job.to_string())).await?;
            Ok::<_, Error>(begins.elapsed().as_secs_f64() - duration(job))
        });
    }
    let mut delays = 0.0;
    for delay in waits.join_all().await {
        delays += delay?;
    }
    Ok(Figures {
        questions: questions.load(Ordering::Relaxed) as f64 / f64::from(JOBS),
        delay: delays / f64::from(JOBS),
    })
}

/// Returns the figures of all jobs with one question every `pause` seconds.
fn fixed(pause: f64) -> Figures {
    let durations = || (0..JOBS).map(duration);
    let questions = |duration: f64| (duration / pause).ceil();
    let delay = |duration: f64| questions(duration) * pause - duration;
    Figures {
        questions: durations().map(questions).sum::<f64>() / f64::from(JOBS),
        delay: durations().map(delay).sum::<f64>() / f64::from(JOBS),
    }
}

fn begin(job: u32) -> Duration {
    Duration::from_secs(job.into())
}

/// The number of seconds that a job takes. Each hundred jobs have the whole mix, in no order.
fn duration(job: u32) -> f64 {
    let mut number = job * 37 % 100;
    for (share, usual) in MIX {
        if number < share {
            let place = (f64::from(job) * 0.618_033_988_75).fract();
            return usual * (1.0 - SPREAD + 2.0 * SPREAD * place);
        }
        number -= share;
    }
    0.0
}

impl Studio {
    fn video(&self, job: &JobRef, number: u32) -> Video {
        let url = "https://studio.example.net/v.mp4".to_owned();
        let mut video = Video::new(job.clone(), vec![url]);
        if self.tells_times {
            let began = SystemTime::UNIX_EPOCH + begin(number);
            video.created_at = Some(began);
            video.completed_at = Some(began + Duration::from_secs_f64(duration(number)));
        }
        video
    }
}

impl Provider for Studio {
    fn name(&self) -> &'static str {
        "studio"
    }

    fn models(&self) -> &[Model] {
        &[]
    }

    fn offer(&self, _model: &Model, _request: &VideoRequest) -> Result<Offer, Vec<Reason>> {
        Err(Vec::new())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn submit<'a>(&'a self, _offer: &'a Offer) -> BoxFuture<'a, Submission> {
        Box::pin(std::future::pending())
    }

    fn state<'a>(&'a self, job: &'a JobRef) -> BoxFuture<'a, Result<State, Error>> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let number = job.task.parse().unwrap_or_default();
        let state = if (self.start + begin(number)).elapsed().as_secs_f64() < duration(number) {
            State::Running { percent: None }
        } else {
            State::Finished(Box::new(self.video(job, number)))
        };
        Box::pin(std::future::ready(Ok(state)))
    }
}
