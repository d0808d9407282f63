//! Spells the names of a specification in Rust as the generator does.

use quote::format_ident;
use syn::Ident;

/// Spells a name such as `imageUrls` or `GenerateRequest` as a module or a function.
pub(crate) fn snake(name: &str) -> String {
    let mut spelt = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !spelt.is_empty() {
            spelt.push('_');
        }
        spelt.push(c.to_ascii_lowercase());
    }
    spelt
}

/// The name of the field for a property. The name of a keyword of Rust gets a `_` at its end.
pub(crate) fn field(property: &str) -> Ident {
    let name = snake(property);
    syn::parse_str(&name).unwrap_or_else(|_| format_ident!("{name}_"))
}

/// The constant with the bounds of a property.
pub(crate) fn constant(property: &str) -> Ident {
    format_ident!("{}", snake(property).to_uppercase())
}

/// Returns whether a name can be split into words in only one way, so that the generator spells it as [`snake`] does.
pub(crate) fn is_plain(name: &str) -> bool {
    let mut follows_boundary = false;
    for c in name.chars() {
        let is_boundary = c.is_ascii_uppercase() || c == '_';
        if !(c.is_ascii_alphanumeric() || c == '_') || is_boundary && follows_boundary {
            return false;
        }
        follows_boundary = is_boundary;
    }
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.ends_with('_')
}
