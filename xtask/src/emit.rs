//! Makes the parts that progenitor does not make: enums, bounds, and constants of the specification.

use std::collections::BTreeMap;

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use serde_json::Value;
use syn::Ident;

use crate::names::{constant, field, snake};
use crate::spec::{Spec, list};

/// The Rust path of the type for a schema, if the generator must not make one.
pub(crate) fn replacement(name: &str, schema: &Value) -> Option<String> {
    if let Some(path) = schema["x-rust-type"].as_str() {
        return Some(path.to_owned());
    }
    if is_enum(schema) {
        return Some(format!("crate::types::{name}"));
    }
    // The generator would make a wrapper type for a named schema of a text.
    (schema["type"] == "string").then(|| "::std::string::String".to_owned())
}

/// Returns whether a property or a parameter is a text or a list of texts. Its setter takes `impl Into<String>`.
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

/// Makes the constants of the root module.
pub(crate) fn constants(spec: &Spec) -> TokenStream {
    // Several paths can name the same server.
    let mut servers = BTreeMap::new();
    for (_, server) in spec.servers() {
        let name = ident(&server["x-rust-name"]);
        let url = server["url"].as_str();
        let description = server["description"].as_str().unwrap_or_default();
        let doc = format!("Base URL. {description}");
        let constant = quote! { #[doc = #doc] pub const #name: &str = #url; };
        servers.insert(name.to_string(), constant);
    }
    let servers = servers.values();
    let mut ids = Vec::new();
    let mut paths = TokenStream::new();
    for operation in spec.operations() {
        let id = operation.value["operationId"].as_str().unwrap_or_default();
        ids.push(id);
        if operation.sends_form {
            let name = format_ident!("{}_PATH", id.to_uppercase());
            let path = operation.path;
            let doc = format!("Path of `{id}`.");
            paths.extend(quote! { #[doc = #doc] pub(crate) const #name: &str = #path; });
        }
    }
    quote! {
        #(#servers)*
        /// The operations of the specification, in its order.
        pub const OPERATIONS: &[&str] = &[#(#ids),*];
        #paths
    }
}

/// Makes the functions that return the address of a file, for the hand-written code that fetches it.
pub(crate) fn addresses(spec: &Spec) -> TokenStream {
    let mut addresses = TokenStream::new();
    for operation in spec.operations() {
        if !operation.streams {
            continue;
        }
        let id = operation.value["operationId"].as_str().unwrap_or_default();
        let name = format_ident!("{id}_url");
        let mut format = "{}".to_owned();
        let mut parameters = Vec::new();
        for (index, part) in operation.path.split(['{', '}']).enumerate() {
            // Every second part is a parameter in braces.
            if index % 2 == 0 {
                format.push_str(part);
            } else {
                format.push_str("{}");
                parameters.push(format_ident!("{}", snake(part)));
            }
        }
        let description = operation.value["description"].as_str().unwrap_or_default();
        let doc = format!("The address of `{id}`, to be asked with the key. {description}");
        addresses.extend(quote! {
            impl Client {
                #[doc = #doc]
                pub fn #name(&self, #(#parameters: &str),*) -> ::std::string::String {
                    format!(#format, self.baseurl, #(veo_transport::encode_path(#parameters)),*)
                }
            }
        });
    }
    addresses
}

/// Makes the module of bounds.
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
        /// The bounds of requests beyond their types, by type and field. They are checked before a request is sent.
        pub mod bounds { #(#modules)* }
    }
}

/// Makes the functions that check the bounds, for the module of types.
pub(crate) fn checks(spec: &Spec) -> TokenStream {
    let mut checks = TokenStream::new();
    for (name, properties) in spec.requests() {
        let required = &spec.root["components"]["schemas"][name]["required"];
        let bounds = format_ident!("{}", snake(name));
        let mut statements = Vec::new();
        for (property, value) in properties {
            let is_required = list(required).any(|name| name == property);
            statements.extend(check(spec, &bounds, property, value, is_required));
        }
        let name = format_ident!("{name}");
        checks.extend(quote! {
            impl #name {
                /// Checks the [bounds](super::bounds) of lengths and ranges, which the types cannot express. Every request
                /// is checked before it is sent.
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
    for (name, alternatives) in spec.choices() {
        let name = format_ident!("{name}");
        let variants = alternatives.iter().map(|it| format_ident!("{it}"));
        checks.extend(quote! {
            impl #name {
                /// Checks the request of the alternative.
                ///
                /// # Errors
                ///
                /// The errors of the alternative's own check.
                pub fn check(&self) -> ::std::result::Result<(), ::std::string::String> {
                    match self { #(Self::#variants(request) => request.check(),)* }
                }
            }
        });
    }
    checks
}

/// Makes the statement that checks a field of a request, if the field needs a check.
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
        // An absent list is empty, and its bounds do not apply.
        quote! { let value = &self.#field; if !value.is_empty() { #check; } }
    } else {
        quote! { if let Some(value) = &self.#field { #check; } }
    })
}

/// The bounds of a field of a request.
struct Bound {
    /// The start of its description, which ends with the name of the field.
    doc: &'static str,
    /// The rest of the constant's type, and its value.
    range: TokenStream,
    /// The function of `veo-transport` that checks the field.
    function: Ident,
    /// The arguments of that function between the name and the range.
    unit: TokenStream,
}

fn bound(schema: &Value) -> Option<Bound> {
    let integer = |word: &str| schema[word].as_i64().map(Literal::i64_unsuffixed);
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
        "array" => Some(Bound {
            doc: "The number of items in",
            range: length_range(&schema["minItems"], &schema["maxItems"])?,
            function: format_ident!("check_length"),
            unit: quote! { value.len(), "items", },
        }),
        "string" if !is_enum(schema) => Some(Bound {
            doc: "The number of characters in",
            range: length_range(&schema["minLength"], &schema["maxLength"])?,
            function: format_ident!("check_length"),
            unit: quote! { value.chars().count(), "characters", },
        }),
        _ => None,
    }
}

fn length_range(least: &Value, most: &Value) -> Option<TokenStream> {
    if least.is_null() && most.is_null() {
        return None;
    }
    let least = Literal::u64_unsuffixed(least.as_u64().unwrap_or_default());
    let most = match most.as_u64() {
        Some(most) => Literal::u64_unsuffixed(most).to_token_stream(),
        None => quote! { usize::MAX },
    };
    Some(quote! { <usize> = #least..=#most })
}

/// Makes the enums, for the module of types.
pub(crate) fn enums(spec: &Spec) -> TokenStream {
    let mut enums = TokenStream::new();
    for (name, schema) in spec.schemas() {
        if !is_enum(schema) {
            continue;
        }
        let is_open = schema.get("enum").is_none();
        let word = if is_open { "x-extensible-enum" } else { "enum" };
        let shape = Enum {
            name: format_ident!("{name}"),
            doc: schema["description"].as_str().unwrap_or_default(),
            variants: list(&schema["x-enum-varnames"]).map(ident).collect(),
            docs: list(&schema["x-enum-descriptions"])
                .filter_map(Value::as_str)
                .collect(),
            values: list(&schema[word]).map(literal).collect(),
        };
        enums.extend(match (is_open, schema["type"] == "integer") {
            (false, false) => shape.closed_text(),
            (false, true) => shape.closed_integer(),
            (true, false) => shape.open_text(),
            (true, true) => shape.open_integer(),
        });
    }
    enums
}

struct Enum<'a> {
    name: Ident,
    doc: &'a str,
    variants: Vec<Ident>,
    docs: Vec<&'a str>,
    values: Vec<Literal>,
}

impl Enum<'_> {
    /// Makes an enum in which an unknown word is an error, so that it never leaves the process.
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

    /// Makes an enum in which an unknown number is an error, so that it never leaves the process.
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

    /// Makes an enum that keeps an unknown word.
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

    /// Makes an enum that keeps an unknown number.
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

/// Makes an identifier. The lint has checked that the text is one.
fn ident(name: &Value) -> Ident {
    format_ident!("{}", name.as_str().unwrap_or("Unnamed"))
}

fn literal(value: &Value) -> Literal {
    value.as_i64().map_or_else(
        || Literal::string(value.as_str().unwrap_or_default()),
        Literal::i64_unsuffixed,
    )
}
