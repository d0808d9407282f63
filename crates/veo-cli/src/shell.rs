//! Quotes the arguments of commands that the program proposes, so that a user can paste them into a shell.

use std::fmt::Display;

/// An argument that a shell reads literally, in quotes if needed.
pub(crate) fn quoted(argument: impl Display) -> String {
    let text = argument.to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
