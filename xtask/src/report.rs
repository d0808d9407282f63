//! The output and the exit code of a subcommand.

/// The outcome of a subcommand, which can have other exit codes than success and failure.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    /// The text for standard output.
    pub(crate) text: String,
    /// The text for standard error.
    pub(crate) problems: String,
    pub(crate) exit: u8,
}

impl Report {
    pub(crate) fn new(text: impl Into<String>, exit: u8) -> Self {
        Self {
            text: text.into(),
            problems: String::new(),
            exit,
        }
    }

    pub(crate) fn failed(problems: impl Into<String>, exit: u8) -> Self {
        Self {
            text: String::new(),
            problems: problems.into(),
            exit,
        }
    }
}

impl From<Result<String, String>> for Report {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(text) => Self::new(text, 0),
            Err(problems) => Self::failed(format!("{}\n", problems.trim_end()), 1),
        }
    }
}

/// Escapes a text for a cell of a Markdown table, so that no part of the text is a mark.
pub(crate) fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in text.chars() {
        match c {
            '&' => cell.push_str("&amp;"),
            '<' => cell.push_str("&lt;"),
            '@' => cell.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '!' => {
                cell.push('\\');
                cell.push(c);
            }
            _ if c.is_control() => cell.push(' '),
            _ => cell.push(c),
        }
    }
    cell
}
