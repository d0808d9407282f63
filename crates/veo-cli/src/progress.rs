//! How far it is: a bar on a terminal, and a line for each change elsewhere.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use veo_core::State;

pub(crate) struct Progress {
    bar: ProgressBar,
    /// The last line, so that none comes twice.
    line: RefCell<String>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(100));
        let progress = Self { bar, line: RefCell::default() };
        progress.show("Waiting", "{spinner} {msg} ({elapsed})");
        progress
    }

    pub(crate) fn state(&self, state: &State) {
        match state {
            State::Running { percent: Some(percent) } => {
                self.bar.set_length(100);
                self.bar.set_position(u64::from(*percent));
                self.show("Making the video", "{spinner} {msg} [{bar:30}] {percent}% ({elapsed})");
            }
            State::Running { percent: None } => self.show("Making the video", "{spinner} {msg} ({elapsed})"),
            State::Pending => self.show("Waiting", "{spinner} {msg} ({elapsed})"),
            // What comes next says more.
            _ => {}
        }
    }

    pub(crate) fn bytes(&self, received: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(received);
        self.show("Downloading", "{spinner} {msg} [{bar:30}] {bytes} of {total_bytes} ({elapsed})");
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, message: &'static str, template: &str) {
        if self.line.replace(message.to_owned()) == message && self.bar.is_hidden() {
            return;
        }
        if self.bar.is_hidden() {
            eprintln!("{message}");
        } else if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
            self.bar.set_message(message);
        }
    }
}

impl Drop for Progress {
    /// A bar that is left on the terminal would hide the message that follows.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
