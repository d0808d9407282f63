//! The progress of a job: a bar on a terminal, a line for each change elsewhere, or an event with `--json`.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use veo_core::{JobRef, State};

use crate::output::{Event, Output, visible};

pub(crate) struct Progress<'a> {
    output: &'a Output,
    job: &'a JobRef,
    line: Option<usize>,
    /// The text before each message, such as `line 3: `.
    label: &'a str,
    bar: ProgressBar,
    /// The last message, so that none is printed twice.
    last: RefCell<(&'static str, Option<u8>)>,
}

impl<'a> Progress<'a> {
    pub(crate) fn start(
        output: &'a Output,
        job: &'a JobRef,
        line: Option<usize>,
        label: &'a str,
    ) -> Self {
        let bar = spinner(output, format!("{label}Sending"));
        Self {
            output,
            job,
            line,
            label,
            bar,
            last: RefCell::default(),
        }
    }

    /// Prints that the program waits for the job.
    pub(crate) fn waiting(&self) {
        if !self.output.is_json() {
            self.show("Waiting", WITHOUT_BAR);
        }
    }

    pub(crate) fn state(&self, state: &State) {
        match state {
            State::Running { percent } => {
                if let Some(percent) = percent {
                    self.bar.set_length(100);
                    self.bar.set_position(u64::from(*percent));
                }
                let template = if percent.is_some() {
                    WITH_PERCENT
                } else {
                    WITHOUT_BAR
                };
                self.change("running", *percent, "Making the video", template);
            }
            State::Pending => self.change("pending", None, "Waiting", WITHOUT_BAR),
            // The caller prints the end of a job.
            _ => {}
        }
    }

    pub(crate) fn bytes(&self, received: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(received);
        self.change("downloading", None, "Downloading", WITH_BYTES);
    }

    fn change(
        &self,
        state: &'static str,
        percent: Option<u8>,
        message: &'static str,
        template: &str,
    ) {
        if !self.output.is_json() {
            self.show(message, template);
        } else if self.last.replace((state, percent)) != (state, percent) {
            self.output.progress(
                "",
                &Event::State {
                    line: self.line,
                    job: self.job,
                    state,
                    percent,
                },
            );
        }
    }

    fn show(&self, message: &'static str, template: &str) {
        let label = self.label;
        if self.bar.is_hidden() {
            if self.last.replace((message, None)).0 != message {
                self.output.tell(&format!("{label}{message}"));
            }
        } else if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
            self.bar.set_message(visible(format!("{label}{message}")));
        }
    }
}

pub(crate) fn spinner(output: &Output, message: String) -> ProgressBar {
    let spinner = output
        .bars
        .add(ProgressBar::no_length().with_message(message));
    if let Ok(style) = ProgressStyle::with_template(WITHOUT_BAR) {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

const WITHOUT_BAR: &str = "{spinner} {msg} ({elapsed})";
const WITH_PERCENT: &str = "{spinner} {msg} [{bar:30}] {percent}% ({elapsed})";
const WITH_BYTES: &str = "{spinner} {msg} [{bar:30}] {bytes} of {total_bytes} ({elapsed})";

impl Drop for Progress<'_> {
    /// A bar that is left on the terminal would hide the message that follows.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}
