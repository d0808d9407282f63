//! The lines and the code blocks of a page in Markdown.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The folder of the guides.
pub(crate) const GUIDES: &str = "crates/veo-core/docs";

/// The heading of the last section of a page, whose commands need a real API key.
pub(crate) const REAL_MONEY: &str = "## With real money";

pub(crate) struct Page {
    /// The path of the page in the repository.
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
    pub(crate) blocks: Vec<Block>,
}

pub(crate) struct Block {
    /// The text after the opening fence.
    pub(crate) language: String,
    /// The comment on the line before the block.
    pub(crate) note: Option<String>,
    /// True if the block is in the section that needs a real API key.
    pub(crate) is_real: bool,
    /// The indices of the block's lines in the page, without the fences.
    pub(crate) line_range: Range<usize>,
}

/// A command of a page, and the lines that it prints there.
pub(crate) struct Shown<'a> {
    pub(crate) command: &'a str,
    pub(crate) printed: Vec<&'a str>,
}

/// Returns README.md, the README.md of each crate, and the guides.
pub(crate) fn pages() -> Vec<Page> {
    let mut names = vec!["README.md".to_owned()];
    for name in names_in("crates") {
        names.push(format!("crates/{name}/README.md"));
    }
    for name in names_in(GUIDES) {
        names.push(format!("{GUIDES}/{name}"));
    }
    names.sort();
    names.iter().map(|name| Page::new(name)).collect()
}

impl Page {
    pub(crate) fn new(name: &str) -> Self {
        let lines: Vec<_> = read(name).lines().map(str::to_owned).collect();
        Self {
            blocks: blocks(name, &lines),
            name: name.to_owned(),
            lines,
        }
    }

    pub(crate) fn text_of(&self, block: &Block) -> String {
        self.lines[block.line_range.clone()].join("\n") + "\n"
    }

    /// Returns the commands of a block. Only a `console` block has any.
    pub(crate) fn commands(&self, block: &Block) -> Vec<Shown<'_>> {
        let mut commands = Vec::<Shown>::new();
        if block.language != "console" {
            return commands;
        }
        for line in &self.lines[block.line_range.clone()] {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(Shown {
                    command,
                    printed: Vec::new(),
                });
            } else {
                let last = commands.last_mut().unwrap_or_else(|| {
                    panic!(
                        "{}: the first line of a console block must begin with `$ `: {line:?}",
                        self.name
                    )
                });
                last.printed.push(line);
            }
        }
        commands
    }

    /// The lines outside of blocks.
    pub(crate) fn prose(&self) -> impl Iterator<Item = &str> {
        let is_prose = |number: &usize| {
            !self
                .blocks
                .iter()
                .any(|block| block.line_range.contains(number))
        };
        let numbers = (0..self.lines.len()).filter(is_prose);
        numbers.map(|number| self.lines[number].as_str())
    }
}

impl Block {
    /// The name of the file whose text is in the block, if there is one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.note.as_ref()?.strip_prefix("file: ")
    }

    /// The reason why the commands of the block are not run, if there is one.
    pub(crate) fn not_run(&self) -> Option<&str> {
        self.note.as_ref()?.strip_prefix("not run: ")
    }

    /// Returns whether the commands of the block are run.
    pub(crate) fn is_run(&self) -> bool {
        self.language == "console" && !self.is_real && self.not_run().is_none()
    }
}

fn blocks(name: &str, lines: &[String]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut is_real = false;
    let mut number = 0;
    while number < lines.len() {
        let line = &lines[number];
        if line.starts_with("## ") {
            assert!(!is_real, "{name}: {REAL_MONEY} is not the last section");
            is_real = line == REAL_MONEY;
        }
        // The code above does not find the start of a block in another form.
        let is_in_another_form =
            line.starts_with(' ') && line.contains("```") || line.starts_with("~~~");
        assert!(
            !is_in_another_form,
            "{name}: this line must begin a block with ``` at the margin: {line}"
        );
        number += 1;
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let length = lines[number..].iter().position(|line| line == "```");
        let end = number
            + length.unwrap_or_else(|| panic!("{name}:{number}: this block has no closing fence"));
        // `number` is already past the fence, so the line before the fence is two back.
        blocks.push(Block {
            language: language.to_owned(),
            note: lines.get(number - 2).and_then(|line| comment(line)),
            is_real,
            line_range: number..end,
        });
        number = end + 1;
    }
    blocks
}

fn names_in(folder: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(repository().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap())
}

fn comment(line: &str) -> Option<String> {
    let text = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    Some(text.to_owned())
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
