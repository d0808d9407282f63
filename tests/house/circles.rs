//! No two files of a crate import each other, directly or through other files.
//!
//! The tests read the `use` lines and the paths in the code. A name that `lib.rs` or `mod.rs` only re-exports counts
//! for the file that has it. Modules inside a file, which are unit tests, and `generated.rs` are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::visit::Visit;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut crates = vec![workspace.join("xtask")];
    for entry in workspace.join("crates").read_dir().unwrap() {
        crates.push(entry.unwrap().path());
    }
    for path in crates {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut modules = Modules::new();
        read(&path.join("src"), "", &mut modules);
        let circle = circle(&modules);
        assert_eq!(circle, None, "files of {name} import each other");
    }
}

#[test]
fn circles_between_files_are_found() {
    // Each row has the files with their texts, and the circle.
    let rows = [
        (
            "a.rs: use crate::b::B; | b.rs: fn b() { crate::a::a(); }",
            "a.rs -> b.rs -> a.rs",
        ),
        // A circle through a folder whose module only re-exports.
        (
            "a.rs: use crate::b::C; | b/mod.rs: mod c; mod d; pub use c::C; | b/c.rs: use super::d::D; | \
             b/d.rs: use crate::{a::A, e}; | e.rs: use std::fmt;",
            "a.rs -> b/c.rs -> b/d.rs -> a.rs",
        ),
        // A circle through names that the crate re-exports.
        (
            "a.rs: use crate::C; | b.rs: use crate::A as D; | lib.rs: pub use a::A; pub use b::{B as C, b};",
            "a.rs -> b.rs -> a.rs",
        ),
        // A parent that calls its child, and a parent that only re-exports it.
        (
            "a/b.rs: use super::A; | a/mod.rs: mod b; struct A; fn a() { b::b(); }",
            "a/b.rs -> a/mod.rs -> a/b.rs",
        ),
        (
            "a/b.rs: use super::A; | a/mod.rs: mod b; struct A; pub use b::B;",
            "",
        ),
        // Unit tests and generated text have no circles.
        (
            "a.rs: use crate::b::B; mod tests { use super::*; } | b.rs: mod tests { use crate::a::A; }",
            "",
        ),
        (
            "a.rs: use crate::generated::B; | generated.rs: use crate::a::A;",
            "",
        ),
    ];
    for (files, expected) in rows {
        let mut modules = Modules::new();
        for file in files.split(" | ") {
            let (name, text) = file.split_once(": ").unwrap();
            add(name, text, &mut modules);
        }
        assert_eq!(circle(&modules).unwrap_or_default(), expected, "{files}");
    }
}

/// The files of a crate by the paths of their modules. The path of `lib.rs` is empty.
type Modules = BTreeMap<Vec<String>, File>;

struct File {
    name: String,
    imports: Vec<Import>,
}

/// A path of at least two words in a file.
struct Import {
    path: Vec<String>,
    /// The name that a `use` line gives the path, or `*` for all names. It is empty for a path in code.
    name: String,
    is_public: bool,
}

fn read(folder: &Path, below: &str, modules: &mut Modules) {
    for entry in folder.read_dir().unwrap() {
        let entry = entry.unwrap();
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), modules);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            add(&name, &text, modules);
        }
    }
}

fn add(name: &str, text: &str, modules: &mut Modules) {
    let mut file = File {
        name: name.to_owned(),
        imports: Vec::new(),
    };
    if name != "generated.rs" {
        file.visit_file(&syn::parse_file(text).unwrap());
    }
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let path = match path {
        "lib" | "main" => Vec::new(),
        _ => path.split('/').map(str::to_owned).collect(),
    };
    // The program beside a library is left out, since nothing imports it.
    if name != "main.rs" || !modules.contains_key(&path) {
        modules.insert(path, file);
    }
}

impl<'ast> Visit<'ast> for File {
    /// Skips modules inside a file, since they are unit tests and may import anything.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.expand(&item.tree, &[], is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let path: Vec<String> = segments.map(|segment| segment.ident.to_string()).collect();
        if path.len() > 1 {
            self.imports.push(Import {
                path,
                name: String::new(),
                is_public: false,
            });
        }
    }
}

impl File {
    fn expand(&mut self, tree: &syn::UseTree, before: &[String], is_public: bool) {
        let (last, name) = match tree {
            syn::UseTree::Path(path) => {
                let before = [before, &[path.ident.to_string()]].concat();
                return self.expand(&path.tree, &before, is_public);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.expand(tree, before, is_public);
                }
                return;
            }
            syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            syn::UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
            syn::UseTree::Glob(_) => ("*".to_owned(), "*".to_owned()),
        };
        self.imports.push(Import {
            path: [before, &[last]].concat(),
            name,
            is_public,
        });
    }
}

/// Returns the first circle, file by file.
fn circle(modules: &Modules) -> Option<String> {
    let mut imports = BTreeMap::new();
    for (module, file) in modules {
        imports.insert(file.name.as_str(), imports_of(modules, module, file));
    }
    for start in imports.keys() {
        let mut seen = BTreeSet::new();
        if let Some(way) = way(start, start, &imports, &mut seen) {
            return Some(format!("{start}{way}"));
        }
    }
    None
}

/// Returns the files through which one file imports another, if it does.
fn way<'a>(
    from: &str,
    to: &str,
    imports: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    seen: &mut BTreeSet<&'a str>,
) -> Option<String> {
    if imports[from].contains(to) {
        return Some(format!(" -> {to}"));
    }
    for next in &imports[from] {
        if seen.insert(next)
            && let Some(rest) = way(next, to, imports, seen)
        {
            return Some(format!(" -> {next}{rest}"));
        }
    }
    None
}

/// Returns the other files whose names a file uses.
fn imports_of<'a>(modules: &'a Modules, module: &[String], file: &File) -> BTreeSet<&'a str> {
    let mut imports = BTreeSet::new();
    for import in &file.imports {
        let is_of_child = modules.contains_key(&[module, &import.path[..1]].concat());
        if import.is_public && is_of_child {
            continue;
        }
        if let Some(path) = absolute(modules, module, &import.path)
            && let Some(target) = home(modules, &path)
            && target != file.name
        {
            imports.insert(target);
        }
    }
    imports
}

/// Returns the path from the root of the crate, or `None` if the path leads out of the crate.
fn absolute(modules: &Modules, module: &[String], path: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let (_, parent) = module.split_last()?;
            let above = rest.first().is_some_and(|next| next == "super");
            if above {
                absolute(modules, parent, rest)
            } else {
                Some([parent, rest].concat())
            }
        }
        _ => {
            let below = [module, path].concat();
            let is_child = modules.contains_key(&below[..=module.len()]);
            is_child.then_some(below)
        }
    }
}

/// Returns the file that has the item at a path from the root of the crate. Re-exports are followed.
fn home<'a>(modules: &'a Modules, path: &[String]) -> Option<&'a str> {
    let mut lengths = (0..=path.len()).rev();
    let length = lengths.find(|length| modules.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let file = &modules[module];
    if let Some(name) = rest.first() {
        for import in &file.imports {
            let is_it = import.name == *name && import.path[0] != "super";
            if is_it && let Some(path) = absolute(modules, module, &import.path) {
                return home(modules, &path);
            }
        }
    }
    Some(&file.name)
}
