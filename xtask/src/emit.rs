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
    let ours = schema.get("x-extensible-enum").is_some() || schema.get("enum").is_some();
    let by_hand = schema["x-rust-type"].as_str().map(str::to_owned);
    by_hand.or_else(|| ours.then(|| format!("crate::types::{name}")))
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

/// The module of bounds: what the types of requests do not enforce.
pub(crate) fn bounds(spec: &Spec) -> TokenStream {
    let (requests, _) = spec.schema_uses();
    let modules = spec
        .objects()
        .filter(|(name, _)| requests.contains(*name))
        .filter_map(|(name, properties)| {
            let constants: Vec<_> = properties
                .iter()
                .flat_map(|(property, value)| bound(property, value))
                .collect();
            let module = format_ident!("{}", snake(name));
            let doc = format!("Bounds of [`{name}`](super::types::{name}).");
            (!constants.is_empty())
                .then(|| quote! { #[doc = #doc] pub mod #module { #(#constants)* } })
        });
    quote! {
        /// What a request has to keep to beyond its types, by type and field.
        pub mod bounds { #(#modules)* }
    }
}

fn bound(property: &str, value: &Value) -> Option<TokenStream> {
    let name = format_ident!("{}", snake(property).to_uppercase());
    let number = |value: &Value| value.as_i64().map(Literal::i64_unsuffixed);
    if value["type"] == "array" {
        let length = |word| value[word].as_u64().map(Literal::u64_unsuffixed);
        let (least, most) = (
            length("minItems").unwrap_or_else(|| Literal::u64_unsuffixed(0)),
            length("maxItems")?,
        );
        let doc = format!("How many `{property}` there may be.");
        return Some(
            quote! { #[doc = #doc] pub const #name: ::std::ops::RangeInclusive<usize> = #least..=#most; },
        );
    }
    if value["type"] != "integer" {
        return None;
    }
    let (least, most) = (number(&value["minimum"])?, number(&value["maximum"])?);
    let doc = format!("The range of `{property}`.");
    Some(
        quote! { #[doc = #doc] pub const #name: ::std::ops::RangeInclusive<i64> = #least..=#most; },
    )
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
