//! Splits a page into pieces: headings, blocks, tables and other lines.
//!
//! A Markdown parser cannot be used: it reads a fence below an HTML tag as HTML, and drops the stars in a cell.

/// A piece of a page.
pub(super) enum Piece {
    Heading(usize, String),
    /// A block of code: the words after its first fence, and its text.
    Block(String, String),
    /// The rows of a table and its head. The cells are as written.
    Table(Vec<Vec<String>>),
    Text(String),
}

/// Splits a page into pieces.
///
/// # Errors
///
/// Fails if a block of code has no end.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let words = line.trim_start();
        if let Some(fence) = fence(line) {
            let mut block = String::new();
            loop {
                let line = lines.next().ok_or("is cut off within a block of code")?;
                if closes(line, &fence) {
                    break;
                }
                let indent = line.len() - line.trim_start().len();
                block.push_str(&line[indent.min(fence.indent)..]);
                block.push('\n');
            }
            pieces.push(Piece::Block(fence.info, block));
        } else if words.starts_with('|') {
            let mut rows = vec![cells(words)];
            while let Some(row) = lines.next_if(|line| line.trim_start().starts_with('|')) {
                rows.push(cells(row.trim_start()));
            }
            pieces.push(Piece::Table(rows));
        } else if words.starts_with('#') {
            let level = words.len() - words.trim_start_matches('#').len();
            pieces.push(Piece::Heading(level, words[level..].trim().to_owned()));
        } else if !words.is_empty() {
            pieces.push(Piece::Text(words.to_owned()));
        }
    }
    Ok(pieces)
}

struct Fence {
    indent: usize,
    mark: char,
    length: usize,
    info: String,
}

/// Parses a line as a fence, if it is one.
fn fence(line: &str) -> Option<Fence> {
    let words = line.trim_start();
    let mark = words.chars().next().filter(|mark| "`~".contains(*mark))?;
    let info = words.trim_start_matches(mark);
    let length = words.len() - info.len();
    if length < 3 || info.contains(mark) {
        return None;
    }
    Some(Fence {
        indent: line.len() - words.len(),
        mark,
        length,
        info: info.trim().to_owned(),
    })
}

/// Returns whether a line ends a block. A fence that is indented deeper than the first one is text inside the block.
fn closes(line: &str, opened: &Fence) -> bool {
    fence(line).is_some_and(|fence| {
        fence.mark == opened.mark
            && fence.length >= opened.length
            && fence.info.is_empty()
            && fence.indent <= opened.indent
    })
}

/// Splits a row into its cells.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let row = row.replace("\\|", "\u{0}");
    let row = row.strip_suffix('|').unwrap_or(&row);
    row.split('|')
        .map(|cell| cell.replace('\u{0}', "|").trim().to_owned())
        .collect()
}

/// Returns whether a row is only the line between the head and the other rows.
pub(super) fn is_rule(row: &[String]) -> bool {
    let is_dash = |cell: &String| !cell.is_empty() && cell.chars().all(|c| "-: ".contains(c));
    row.iter().all(is_dash)
}
