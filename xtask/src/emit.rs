//! What the generator does not make: enums, bounds, and the facts of the specification as constants.

use std::iter;

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use serde_json::Value;
use syn::Ident;

use crate::lint::servers;
use crate::spec::Spec;

/// The Rust path of the type that stands for a schema, if the generator is not to make one.
pub(crate) fn replacement(name: &str, schema: &Value) -> Option<String> {
    if let Some(path) = schema["x-rust-type"].as_str() {
        return Some(path.to_owned());
    }
    if is_enum(schema) {
        return Some(format!("crate::types::{name}"));
    }
    // The generator would wrap a text that has a name of its own into a type.
    (schema["type"] == "string").then(|| "::std::string::String".to_owned())
}

/// Whether a property or a parameter is a text or a list of texts, for which setters take whatever becomes a `String`.
pub(crate) fn is_text(spec: &Spec, value: &Value) -> bool {
    let schema = spec.target(value);
    let text = if schema["type"] == "array" {
        spec.target(&schema["items"])
    } else {
        schema
    };
    text["type"] == "string" && !is_enum(text)
}

fn is_enum(schema: &Value) -> bool {
    schema.get("x-extensible-enum").is_some() || schema.get("enum").is_some()
}

/// Constants from the specification, for the root of the module.
pub(crate) fn constants(spec: &Spec) -> TokenStream {
    let servers = servers(spec).into_iter().map(|(_, server)| {
        let (name, url) = (ident(&server["x-rust-name"]), server["url"].as_str());
        let doc = format!(
            "Base URL. {}",
            server["description"].as_str().unwrap_or_default()
        );
        (
            name.to_string(),
            quote! { #[doc = #doc] pub const #name: &str = #url; },
        )
    });
    // Several paths can name the same server.
    let servers: std::collections::BTreeMap<_, _> = servers.collect();
    let servers = servers.values();
    let operations = spec.operations();
    let ids = operations
        .iter()
        .map(|operation| operation.value["operationId"].as_str());
    let paths = operations
        .iter()
        .filter(|operation| operation.hand_written)
        .map(|operation| {
            let id = operation.value["operationId"].as_str().unwrap_or_default();
            let (name, path) = (format_ident!("{}_PATH", id.to_uppercase()), operation.path);
            let doc = format!("Path of `{id}`.");
            quote! { #[doc = #doc] pub(crate) const #name: &str = #path; }
        });
    quote! {
        #(#servers)*
        /// The operations of the specification, in its order.
        pub const OPERATIONS: &[&str] = &[#(#ids),*];
        #(#paths)*
    }
}

/// The module of bounds: what a request has to keep to beyond its types.
pub(crate) fn bounds(spec: &Spec) -> TokenStream {
    let mut modules = Vec::new();
    for (name, properties) in spec.requests() {
        let mut constants = Vec::new();
        for (property, value) in properties {
            if let Some(bound) = bound(spec.target(value)) {
                let constant = constant(property);
                let Bound { doc, range, .. } = bound;
                let doc = format!("{doc} `{property}`.");
                constants.push(
                    quote! { #[doc = #doc] pub const #constant: ::std::ops::RangeInclusive #range; },
                );
            }
        }
        if constants.is_empty() {
            continue;
        }
        let module = format_ident!("{}", snake(name));
        let doc = format!("Bounds of [`{name}`](super::types::{name}).");
        modules.push(quote! { #[doc = #doc] pub mod #module { #(#constants)* } });
    }
    quote! {
        /// What a request has to keep to beyond its types, by type and field. It is checked before a request is sent.
        pub mod bounds { #(#modules)* }
    }
}

/// The functions that check the bounds, for the module of types.
pub(crate) fn checks(spec: &Spec) -> TokenStream {
    let mut checks = TokenStream::new();
    for (name, properties) in spec.requests() {
        let required = &spec.root["components"]["schemas"][name]["required"];
        let required: Vec<&Value> = required.as_array().into_iter().flatten().collect();
        let bounds = format_ident!("{}", snake(name));
        let mut statements = Vec::new();
        for (property, value) in properties {
            let is_required = required.iter().any(|name| *name == property);
            statements.extend(check(spec, &bounds, property, value, is_required));
        }
        let name = format_ident!("{name}");
        checks.extend(quote! {
            impl #name {
                /// Checks what the types cannot: lengths and ranges, as [`bounds`](super::bounds) has them. It is done for
                /// each request before it is sent.
                ///
                /// # Errors
                ///
                /// A sentence that names the field, its limit and what it has.
                pub fn check(&self) -> ::std::result::Result<(), ::std::string::String> {
                    #(#statements)*
                    Ok(())
                }
            }
        });
    }
    checks
}

/// The statement that checks a field of a request, if there is something to check.
fn check(
    spec: &Spec,
    bounds: &Ident,
    property: &str,
    value: &Value,
    is_required: bool,
) -> Option<TokenStream> {
    let field = field(property);
    let schema = spec.target(value);
    let is_list = schema["type"] == "array";
    let item = spec.target(&schema["items"]);
    if is_list && item["type"] == "object" {
        return Some(quote! { for value in &self.#field { value.check()?; } });
    }
    let check = if schema["type"] == "object" {
        quote! { value.check()? }
    } else {
        let constant = constant(property);
        let name = snake(property);
        let Bound { function, unit, .. } = bound(schema)?;
        quote! { veo_transport::#function(#name, #unit &super::bounds::#bounds::#constant)? }
    };
    Some(if is_required {
        quote! { let value = &self.#field; #check; }
    } else if is_list {
        // A list that is left out is empty.
        quote! { let value = &self.#field; if !value.is_empty() { #check; } }
    } else {
        quote! { if let Some(value) = &self.#field { #check; } }
    })
}

/// How a field of a request is bounded.
struct Bound {
    /// The beginning of a sentence that ends with the name of the field.
    doc: &'static str,
    /// The rest of the constant's type, and its value.
    range: TokenStream,
    /// The function of `veo-transport` that checks it.
    function: Ident,
    /// The arguments of that function between the name and the range.
    unit: TokenStream,
}

fn bound(schema: &Value) -> Option<Bound> {
    let integer = |word: &str| schema[word].as_i64().map(Literal::i64_unsuffixed);
    let length = |word: &str| schema[word].as_u64().map(Literal::u64_unsuffixed);
    match schema["type"].as_str()? {
        "integer" => {
            let least = integer("minimum")?;
            let most = integer("maximum")?;
            Some(Bound {
                doc: "The range of",
                range: quote! { <i64> = #least..=#most },
                function: format_ident!("check_range"),
                unit: quote! { *value, },
            })
        }
        "array" => {
            let least = length("minItems").unwrap_or_else(|| Literal::u64_unsuffixed(0));
            let most = length("maxItems")?;
            Some(Bound {
                doc: "The number of items in",
                range: quote! { <usize> = #least..=#most },
                function: format_ident!("check_length"),
                unit: quote! { value.len(), "items", },
            })
        }
        "string" if !is_enum(schema) => {
            let least = length("minLength");
            let most = length("maxLength");
            if least.is_none() && most.is_none() {
                return None;
            }
            let least = least.unwrap_or_else(|| Literal::u64_unsuffixed(0));
            let most = most.map_or_else(|| quote! { usize::MAX }, |most| quote! { #most });
            Some(Bound {
                doc: "The number of characters in",
                range: quote! { <usize> = #least..=#most },
                function: format_ident!("check_length"),
                unit: quote! { value.chars().count(), "characters", },
            })
        }
        _ => None,
    }
}

/// The name of a property as a field; a word of the language has something behind it.
fn field(property: &str) -> Ident {
    let name = snake(property);
    syn::parse_str(&name).unwrap_or_else(|_| format_ident!("{name}_"))
}

fn constant(property: &str) -> Ident {
    format_ident!("{}", snake(property).to_uppercase())
}

/// The enums, for the module of types.
pub(crate) fn enums(spec: &Spec) -> Vec<TokenStream> {
    spec.schemas()
        .filter_map(|(name, schema)| {
            let (values, open) = match (
                schema["enum"].as_array(),
                schema["x-extensible-enum"].as_array(),
            ) {
                (Some(values), _) => (values, false),
                (None, Some(values)) => (values, true),
                (None, None) => return None,
            };
            let list = |word: &str| schema[word].as_array().into_iter().flatten();
            let shape = Enum {
                name: format_ident!("{name}"),
                doc: schema["description"].as_str().unwrap_or_default(),
                variants: list("x-enum-varnames").map(ident).collect(),
                docs: list("x-enum-descriptions")
                    .filter_map(Value::as_str)
                    .collect(),
                values: values.iter().map(literal).collect(),
            };
            Some(match (open, schema["type"] == "integer") {
                (false, false) => shape.closed_text(),
                (false, true) => shape.closed_integer(),
                (true, false) => shape.open_text(),
                (true, true) => shape.open_integer(),
            })
        })
        .collect()
}

struct Enum<'a> {
    name: Ident,
    doc: &'a str,
    variants: Vec<Ident>,
    docs: Vec<&'a str>,
    values: Vec<Literal>,
}

impl Enum<'_> {
    /// A word outside of the list is an error, so that it never leaves the process.
    fn closed_text(&self) -> TokenStream {
        let Self {
            name,
            doc,
            variants,
            docs,
            values,
        } = self;
        quote! {
            #[doc = #doc]
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
            #[non_exhaustive]
            pub enum #name { #(#[doc = #docs] #[serde(rename = #values)] #variants,)* }
            impl #name {
                /// Every value, in the order of the specification.
                pub const ALL: &'static [Self] = &[#(Self::#variants),*];
                /// The word on the wire.
                pub const fn as_str(self) -> &'static str {
                    match self { #(Self::#variants => #values,)* }
                }
            }
            impl ::std::fmt::Display for #name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        }
    }

    /// A number outside of the list is an error, so that it never leaves the process.
    fn closed_integer(&self) -> TokenStream {
        let Self {
            name,
            doc,
            variants,
            docs,
            values,
        } = self;
        quote! {
            #[doc = #doc]
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
            #[serde(try_from = "i64", into = "i64")]
            #[non_exhaustive]
            pub enum #name { #(#[doc = #docs] #variants,)* }
            impl #name {
                /// Every value, in the order of the specification.
                pub const ALL: &'static [Self] = &[#(Self::#variants),*];
                /// The number on the wire.
                pub const fn value(self) -> i64 {
                    match self { #(Self::#variants => #values,)* }
                }
            }
            impl ::std::convert::TryFrom<i64> for #name {
                type Error = self::error::ConversionError;
                fn try_from(number: i64) -> ::std::result::Result<Self, self::error::ConversionError> {
                    Self::ALL.iter().copied().find(|value| value.value() == number).ok_or_else(|| "invalid value".into())
                }
            }
            impl ::std::convert::From<#name> for i64 {
                fn from(value: #name) -> Self { value.value() }
            }
            impl ::std::fmt::Display for #name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    write!(f, "{}", self.value())
                }
            }
        }
    }

    /// A word outside of the list is kept.
    fn open_text(&self) -> TokenStream {
        let Self {
            name,
            doc,
            variants,
            docs,
            values,
        } = self;
        quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, Eq, Hash, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
            #[serde(from = "::std::string::String", into = "::std::string::String")]
            #[non_exhaustive]
            pub enum #name {
                #(#[doc = #docs] #variants,)*
                /// A word that the specification does not list.
                Unknown(::std::string::String),
            }
            impl #name {
                /// The word on the wire.
                pub fn as_str(&self) -> &str {
                    match self { #(Self::#variants => #values,)* Self::Unknown(word) => word }
                }
            }
            impl ::std::convert::From<::std::string::String> for #name {
                fn from(word: ::std::string::String) -> Self {
                    match word.as_str() { #(#values => Self::#variants,)* _ => Self::Unknown(word) }
                }
            }
            impl ::std::convert::From<#name> for ::std::string::String {
                fn from(value: #name) -> Self { value.as_str().to_owned() }
            }
            impl ::std::fmt::Display for #name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        }
    }

    /// A number outside of the list is kept.
    fn open_integer(&self) -> TokenStream {
        let Self {
            name,
            doc,
            variants,
            docs,
            values,
        } = self;
        quote! {
            #[doc = #doc]
            #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, ::serde::Deserialize, ::serde::Serialize)]
            #[serde(from = "i64", into = "i64")]
            #[non_exhaustive]
            pub enum #name {
                #(#[doc = #docs] #variants,)*
                /// A number that the specification does not list.
                Unknown(i64),
            }
            impl #name {
                /// The number on the wire.
                pub const fn value(self) -> i64 {
                    match self { #(Self::#variants => #values,)* Self::Unknown(number) => number }
                }
            }
            impl ::std::convert::From<i64> for #name {
                fn from(number: i64) -> Self {
                    match number { #(#values => Self::#variants,)* _ => Self::Unknown(number) }
                }
            }
            impl ::std::convert::From<#name> for i64 {
                fn from(value: #name) -> Self { value.value() }
            }
            impl ::std::fmt::Display for #name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    write!(f, "{}", self.value())
                }
            }
        }
    }
}

/// The lint has seen that these are names.
fn ident(name: &Value) -> Ident {
    format_ident!("{}", name.as_str().unwrap_or("Unnamed"))
}

fn literal(value: &Value) -> Literal {
    value.as_i64().map_or_else(
        || Literal::string(value.as_str().unwrap_or_default()),
        Literal::i64_unsuffixed,
    )
}

/// `imageUrls` and `GenerateRequest` as the generator spells them in modules and constants.
pub(crate) fn snake(name: &str) -> String {
    let boundary = |(index, c): (usize, char)| {
        let separator = (index > 0 && c.is_ascii_uppercase()).then_some('_');
        separator
            .into_iter()
            .chain(iter::once(c.to_ascii_lowercase()))
    };
    name.chars().enumerate().flat_map(boundary).collect()
}
