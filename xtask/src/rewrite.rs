//! Changes the text of progenitor, each change with its reason.
//!
//! A change that finds nothing to change is an error: progenitor has changed, so the reason has to be checked again.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use serde_json::Value;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Expr, Generics, ImplItem, ImplItemFn, Item, ItemImpl, ItemMod, ItemStruct, Stmt,
    Type, TypeParamBound, WherePredicate, parse_quote,
};

use crate::emit;
use crate::names::snake;
use crate::spec::{Operation, Spec, members};

/// Applies all changes.
pub(crate) fn rewrite(file: &mut syn::File, spec: &Spec) -> Result<(), String> {
    let mut removed = 0;
    file.items.retain(|item| {
        let keep = !is_replaced(item);
        removed += usize::from(!keep);
        keep
    });
    applied(
        removed,
        6,
        "removing the generator's own client, imports and hooks",
    )?;

    let client = find(
        file,
        |item| matches!(item, Item::Struct(item) if item.ident == "Client"),
    )?;
    if let Item::Struct(client) = client {
        // The generator's text contains a version that has no meaning for these providers.
        let doc = format!(
            "Client for {}.",
            spec.root["info"]["title"].as_str().unwrap_or_default()
        );
        client
            .attrs
            .retain(|attribute| !attribute.path().is_ident("doc"));
        client.attrs.insert(0, parse_quote!(#[doc = #doc]));
    }
    types(module(file, "types")?, spec)?;
    operations(module(file, "builder")?, spec)?;
    Docs.visit_file_mut(file);

    file.items.splice(0..0, items(emit::constants(spec))?);
    file.items.extend(items(emit::addresses(spec))?);
    file.items.extend(items(emit::bounds(spec))?);
    Ok(())
}

/// Returns whether hand-written code replaces an item: a constructor that cannot panic, or our transport.
fn is_replaced(item: &Item) -> bool {
    match item {
        Item::Use(_) => true,
        Item::Mod(module) => module.ident == "prelude",
        Item::Impl(block) => {
            let hooks = block
                .trait_
                .as_ref()
                .and_then(|(path, _)| path.segments.last());
            let constructor = |item: &ImplItem| matches!(item, ImplItem::Fn(function) if function.sig.ident == "new");
            hooks.is_some_and(|name| name.ident == "ClientInfo" || name.ident == "ClientHooks")
                || block.items.iter().any(constructor)
        }
        _ => false,
    }
}

/// Changes the types: all become non-exhaustive, those of replies lenient. Adds our enums, and removes unused builders.
fn types(module: &mut ItemMod, spec: &Spec) -> Result<(), String> {
    let (requests, replies) = spec.schema_uses();
    let replies: BTreeSet<_> = replies.difference(&requests).cloned().collect();
    module
        .attrs
        .retain(|attribute| !attribute.path().is_ident("allow"));
    let contents = contents(module)?;
    let mut lenient = 0;
    for item in contents.iter_mut() {
        match item {
            Item::Struct(item) => {
                describe(item, spec);
                // A later optional field of a provider is then no breaking change.
                item.attrs.push(parse_quote!(#[non_exhaustive]));
                if replies.contains(&item.ident.to_string()) {
                    lenient += usize::from(make_lenient(item));
                }
            }
            Item::Enum(item) => item.attrs.push(parse_quote!(#[non_exhaustive])),
            Item::Mod(module) if module.ident == "builder" => builders(module, spec, &replies)?,
            _ => {}
        }
    }
    contents.retain(|item| !matches!(item, Item::Impl(block) if has_builder(block) && named(&block.self_ty, &replies)));
    contents.extend(items(emit::enums(spec))?);
    contents.extend(items(emit::checks(spec))?);
    let objects = spec.schemas().filter(|(name, schema)| {
        replies.contains(*name)
            && schema.get("properties").is_some()
            && emit::replacement(name, schema).is_none()
    });
    applied(lenient, objects.count(), "making replies lenient")
}

/// Changes the builders: only those of requests stay. They accept all that becomes a text, and check the request.
fn builders(module: &mut ItemMod, spec: &Spec, replies: &BTreeSet<String>) -> Result<(), String> {
    let items = contents(module)?;
    let before = items.len();
    items.retain(|item| !concerns(item, replies));
    applied(before - items.len(), 1, "removing the builders of replies")?;

    let mut defaults = DefaultExtra { changed: 0 };
    let mut checks = 0;
    let mut texts = 0;
    for item in items {
        defaults.visit_item_mut(item);
        deprecate(item, spec);
        if let Item::Impl(block) = item {
            checks += usize::from(check(block));
            texts += take_texts(block);
        }
    }
    let requests = spec.requests();
    applied(checks, requests.len(), "checking the bounds of requests")?;
    let is_open =
        |name: &str| spec.root["components"]["schemas"][name]["additionalProperties"].is_object();
    let open_requests = requests.iter().filter(|(name, _)| is_open(name));
    applied(
        defaults.changed,
        open_requests.count(),
        "defaulting the additional properties of requests",
    )?;
    let properties = requests.iter().flat_map(|(_, properties)| properties);
    let wanted = properties.filter(|(_, property)| emit::is_text(spec, property));
    applied(texts, wanted.count(), "letting setters take text")
}

/// Makes a reply lenient: a null, a wrong type or a missing value costs that field and no other field.
fn make_lenient(item: &mut ItemStruct) -> bool {
    if !matches!(item.fields, syn::Fields::Named(_)) {
        return false;
    }
    item.attrs.push(parse_quote!(#[serde(default)]));
    for field in &mut item.fields {
        field
            .attrs
            .push(parse_quote!(#[serde(deserialize_with = "veo_transport::lenient")]));
    }
    true
}

/// Adds the descriptions of fields that refer to a schema, which the generator loses.
fn describe(item: &mut ItemStruct, spec: &Spec) {
    let schema = &spec.root["components"]["schemas"][item.ident.to_string()];
    for (property, value) in members(&schema["properties"]) {
        let field = item.fields.iter_mut().find(|field| {
            field
                .ident
                .as_ref()
                .is_some_and(|ident| is_of(ident, property))
        });
        if let (Some(field), Some(text)) = (field, spec.description(value)) {
            field
                .attrs
                .retain(|attribute| !attribute.path().is_ident("doc"));
            field.attrs.insert(0, parse_quote!(#[doc = #text]));
        }
    }
    if schema["additionalProperties"].is_object() {
        for field in &mut item.fields {
            if field.ident.as_ref().is_some_and(|ident| ident == "extra") {
                field.attrs.insert(0, parse_quote!(#[doc = "Fields that this version of the specification does not know."]));
            }
        }
    }
}

/// Marks the setters of deprecated fields, so that their use is a warning.
fn deprecate(item: &mut Item, spec: &Spec) {
    let Item::Impl(block) = item else { return };
    let Type::Path(name) = &*block.self_ty else {
        return;
    };
    let schema = name
        .path
        .get_ident()
        .map(|name| &spec.root["components"]["schemas"][name.to_string()]);
    let deprecated: Vec<_> = schema
        .into_iter()
        .flat_map(|schema| members(&schema["properties"]))
        .filter(|(_, property)| property["deprecated"] == Value::Bool(true))
        .map(|(name, property)| (name, property["description"].as_str().unwrap_or_default()))
        .collect();
    for item in &mut block.items {
        if let ImplItem::Fn(setter) = item
            && let Some((_, reason)) = deprecated
                .iter()
                .find(|(name, _)| is_of(&setter.sig.ident, name))
        {
            setter
                .attrs
                .push(parse_quote!(#[deprecated(note = #reason)]));
        }
    }
}

/// Returns whether a field or a method is that of a property. The name of a keyword of Rust ends with `_`.
fn is_of(ident: &syn::Ident, property: &str) -> bool {
    ident.to_string().trim_end_matches('_') == snake(property)
}

/// Returns whether an item of the builder module belongs to one of the types.
fn concerns(item: &Item, names: &BTreeSet<String>) -> bool {
    match item {
        Item::Struct(item) => names.contains(&item.ident.to_string()),
        Item::Impl(block) => named(&block.self_ty, names),
        _ => false,
    }
}

fn named(ty: &Type, names: &BTreeSet<String>) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| names.contains(&last.ident.to_string())))
}

fn has_builder(block: &ItemImpl) -> bool {
    block.trait_.is_none()
        && block
            .items
            .iter()
            .any(|item| matches!(item, ImplItem::Fn(function) if function.sig.ident == "builder"))
}

/// Makes additional properties empty by default, since the generator's builder would require them.
struct DefaultExtra {
    changed: usize,
}

impl VisitMut for DefaultExtra {
    fn visit_field_value_mut(&mut self, field: &mut syn::FieldValue) {
        let is_extra = matches!(&field.member, syn::Member::Named(name) if name == "extra");
        if is_extra
            && field
                .expr
                .to_token_stream()
                .to_string()
                .contains("no value supplied")
        {
            field.expr = parse_quote!(Ok(::std::default::Default::default()));
            self.changed += 1;
        }
    }
}

/// Makes a builder check the finished request, so that only a request within its bounds is sent.
fn check(block: &mut ItemImpl) -> bool {
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item
            && function.sig.ident == "try_from"
            && let [Stmt::Expr(Expr::Call(ok), None)] = &function.block.stmts[..]
            && let Some(made) = ok.args.first()
        {
            function.block = parse_quote!({
                let request = #made;
                request.check()?;
                Ok(request)
            });
            return true;
        }
    }
    false
}

/// Makes the setters of a builder accept everything that becomes a `String`, even for optional fields and lists.
fn take_texts(block: &mut ItemImpl) -> usize {
    let mut changed = 0;
    for item in &mut block.items {
        if let ImplItem::Fn(setter) = item
            && take_text(setter).is_some()
        {
            changed += 1;
        }
    }
    changed
}

fn take_text(setter: &mut ImplItemFn) -> Option<()> {
    let wanted = converted(&setter.sig.generics)?;
    let is_list = is_named(&wanted, "Vec");
    let is_option = is_named(&wanted, "Option");
    let text = if is_list || is_option {
        first_argument(&wanted)?
    } else {
        &wanted
    };
    if !is_named(text, "String") {
        return None;
    }
    // The setter of an optional parameter has the text in its signature and wraps it in its body.
    let body = setter.block.to_token_stream().to_string();
    let is_optional = is_option || body.contains(". map (Some)");
    let field = &setter.sig.ident;
    setter.block = if is_list {
        parse_quote!({ self.#field = Ok(value.into_iter().map(Into::into).collect()); self })
    } else if is_optional {
        parse_quote!({ self.#field = Ok(Some(value.into())); self })
    } else {
        parse_quote!({ self.#field = Ok(value.into()); self })
    };
    setter.sig.generics = Generics::default();
    setter.sig.inputs = if is_list {
        parse_quote!(mut self, value: impl IntoIterator<Item = impl Into<String>>)
    } else {
        parse_quote!(mut self, value: impl Into<String>)
    };
    Some(())
}

/// The `T` of `where V: TryInto<T>`.
fn converted(generics: &Generics) -> Option<Type> {
    for predicate in &generics.where_clause.as_ref()?.predicates {
        if let WherePredicate::Type(predicate) = predicate
            && let Some(TypeParamBound::Trait(bound)) = predicate.bounds.first()
            && let path = &bound.path
            && path
                .segments
                .last()
                .is_some_and(|last| last.ident == "TryInto")
        {
            let ty: Type = parse_quote!(#path);
            return first_argument(&ty).cloned();
        }
    }
    None
}

/// Returns whether a path ends with this name.
fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// Changes the calls, so that our transport sends and reads them.
fn operations(module: &mut ItemMod, spec: &Spec) -> Result<(), String> {
    module
        .attrs
        .retain(|attribute| !attribute.path().is_ident("allow"));
    let contents = contents(module)?;
    contents.retain(|item| !matches!(item, Item::Use(_)));
    let imports = items(quote! {
        use super::types;
        use crate::{Error, Reply};
        use veo_transport::encode_path;
    })?;
    contents.splice(0..0, imports);
    let mut sends = 0;
    let mut texts = 0;
    for item in contents {
        let Item::Impl(block) = item else { continue };
        texts += take_texts(block);
        for item in &mut block.items {
            if let ImplItem::Fn(function) = item
                && function.sig.ident == "send"
            {
                Query.visit_block_mut(&mut function.block);
                send(function, spec)?;
                sends += 1;
            }
        }
    }
    let operations = spec.operations();
    let generated = operations
        .iter()
        .filter(|operation| !operation.is_hand_written());
    applied(sends, generated.clone().count(), "finding the calls")?;
    let parameters = generated.flat_map(|operation| operation.parameters(spec));
    let wanted = parameters.filter(|parameter| emit::is_text(spec, &parameter["schema"]));
    applied(
        texts,
        wanted.count(),
        "letting setters of parameters take text",
    )
}

/// Replaces a parameter of the query by a pair, which reqwest leaves out if it has no value. The generator's own type
/// would need the generator's client at run time.
struct Query;

impl VisitMut for Query {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        if let Expr::Call(call) = expression
            && call
                .func
                .to_token_stream()
                .to_string()
                .ends_with("QueryParam :: new")
        {
            let pair = &call.args;
            *expression = parse_quote!([(#pair)]);
        }
        visit_mut::visit_expr_mut(self, expression);
    }
}

/// Rewrites one `send`. The request gets no header that the provider does not know, and no error loses the reply. A
/// call that can cost money uses a connection that cannot send it twice.
fn send(function: &mut ImplItemFn, spec: &Spec) -> Result<(), String> {
    let reply = return_type(&function.sig.output)
        .and_then(first_argument)
        .and_then(first_argument)
        .ok_or_else(|| changed_form(function))?
        .clone();
    let (id, mut kept) = request_of(function).ok_or_else(|| changed_form(function))?;
    let operations = spec.operations();
    let operation = operations
        .iter()
        .find(|operation| operation.value["operationId"] == *id)
        .ok_or_else(|| changed_form(function))?;
    // The server of a path, such as `UPLOAD_URL`, has the field `upload_url` and the method `upload` in the client. The
    // lint refuses such a server for a paid call. So a paid call always goes through `submit`, which sends it at most
    // once.
    let server = operation.server.map(str::to_lowercase);
    let call = match &server {
        Some(server) => server.trim_end_matches("_url"),
        None if operation.value["x-billable"] == Value::Bool(true) => "submit",
        None => "query",
    };
    let call = format_ident!("{call}");
    if is_choice(spec, operation) {
        check_body(&mut kept)?;
    }
    let tail: Expr = if call == "query" {
        take_turn(&mut kept)?;
        parse_quote!(crate::reply::open(client.inner.query(turn, request).await?))
    } else {
        parse_quote!(crate::reply::open(client.inner.#call(request).await?))
    };
    kept.push(Stmt::Expr(tail, None));
    function.block.stmts = kept;
    if let Some(server) = server {
        let field = format_ident!("{server}");
        let mut base = Base {
            wanted: parse_quote!(client.inner.#field),
            tokens: 0,
        };
        base.visit_block_mut(&mut function.block);
        applied(base.tokens, 1, "choosing the server of a call")?;
    }
    function.sig.output = parse_quote!(-> Result<Reply<#reply>, Error>);
    Ok(())
}

/// Returns whether the body of a request is a choice between objects, which has no builder that checks it.
fn is_choice(spec: &Spec, operation: &Operation<'_>) -> bool {
    let body = spec.resolve(&operation.value["requestBody"]);
    let schema = spec.resolve(&body["content"]["application/json"]["schema"]);
    schema.get("oneOf").is_some()
}

/// Adds a check of the body after the statement that makes it.
fn check_body(statements: &mut Vec<Stmt>) -> Result<(), String> {
    let place = place_of(statements, "let body =", "checking a body that is a choice")?;
    let check = parse_quote!(body.check().map_err(Error::InvalidRequest)?;);
    statements.insert(place + 1, check);
    Ok(())
}

/// Lets a question wait for its turn before its request is built.
fn take_turn(statements: &mut Vec<Stmt>) -> Result<(), String> {
    let place = place_of(statements, "let url =", "taking the turn of a question")?;
    let turn = parse_quote!(let turn = client.inner.turn().await;);
    statements.insert(place, turn);
    Ok(())
}

/// Finds the statement with this start.
fn place_of(statements: &[Stmt], start: &str, what: &str) -> Result<usize, String> {
    let is_it = |statement: &Stmt| statement.to_token_stream().to_string().starts_with(start);
    let place = statements.iter().position(is_it);
    place.ok_or_else(|| not_applied(0, 1, what))
}

fn changed_form(function: &ImplItemFn) -> String {
    format!(
        "the generator's `send` has changed its form; adapt xtask/src/rewrite.rs to {}",
        function.to_token_stream()
    )
}

/// Returns the operation of a `send`, and the statements that build its request without the generator's headers.
fn request_of(function: &ImplItemFn) -> Option<(String, Vec<Stmt>)> {
    let mut headers = 0;
    let mut kept = Vec::new();
    for statement in &function.block.stmts {
        let text = statement.to_token_stream().to_string();
        if let Some(request) = built(statement) {
            kept.push(parse_quote!(let request = #request.build().map_err(Error::unbuildable)?;));
        } else if text.starts_with("let info = OperationInfo") {
            let id = text.split('"').nth(1)?;
            // Two statements are left out: the map of headers, and its only header with the version of the
            // specification.
            return (headers == 2).then(|| (id.to_owned(), kept));
        } else if text.contains("header_map") {
            headers += 1;
        } else {
            kept.push(statement.clone());
        }
    }
    None
}

/// The request builder in the statement that adds the headers and builds the request.
fn built(statement: &Stmt) -> Option<&Expr> {
    if let Stmt::Local(local) = statement
        && let Some(Expr::Try(attempt)) = local.init.as_ref().map(|init| &*init.expr)
        && let Expr::MethodCall(build) = &*attempt.expr
        && build.method == "build"
        && let Expr::MethodCall(headers) = &*build.receiver
        && headers.method == "headers"
    {
        return Some(&headers.receiver);
    }
    None
}

/// Makes the URL of a call start at the server of its path.
struct Base {
    wanted: Expr,
    tokens: usize,
}

impl VisitMut for Base {
    fn visit_macro_mut(&mut self, call: &mut syn::Macro) {
        let plain = quote!(client.baseurl).to_string();
        let wanted = self.wanted.to_token_stream().to_string();
        let text = call.tokens.to_string();
        if let Ok(tokens) = text.replace(&plain, &wanted).parse()
            && text.contains(&plain)
        {
            call.tokens = tokens;
            self.tokens += 1;
        }
    }
}

fn return_type(output: &syn::ReturnType) -> Option<&Type> {
    if let syn::ReturnType::Type(_, ty) = output {
        Some(ty)
    } else {
        None
    }
}

/// The `T` of `Wrapper<T, ..>`.
fn first_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let syn::PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments
    else {
        return None;
    };
    arguments.args.iter().find_map(|argument| {
        if let syn::GenericArgument::Type(ty) = argument {
            Some(ty)
        } else {
            None
        }
    })
}

/// Removes the generator's example calls, which are never compiled.
struct Docs;

impl VisitMut for Docs {
    fn visit_attribute_mut(&mut self, attribute: &mut Attribute) {
        if let syn::Meta::NameValue(doc) = &mut attribute.meta
            && doc.path.is_ident("doc")
            && let Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(text),
                ..
            }) = &doc.value
            && let Some((prose, _)) = text.value().split_once("```")
        {
            let prose = prose.trim_end();
            doc.value = parse_quote!(#prose);
        }
        visit_mut::visit_attribute_mut(self, attribute);
    }
}

fn module<'a>(file: &'a mut syn::File, name: &str) -> Result<&'a mut ItemMod, String> {
    match find(
        file,
        |item| matches!(item, Item::Mod(module) if module.ident == name),
    )? {
        Item::Mod(module) => Ok(module),
        _ => Err(format!(
            "the generator makes no module {name} any more; adapt xtask/src/rewrite.rs"
        )),
    }
}

fn find(file: &mut syn::File, wanted: impl Fn(&Item) -> bool) -> Result<&mut Item, String> {
    let found = file.items.iter_mut().find(|item| wanted(item));
    found.ok_or_else(|| {
        "the generator makes other items than before; adapt xtask/src/rewrite.rs".to_owned()
    })
}

fn contents(module: &mut ItemMod) -> Result<&mut Vec<Item>, String> {
    let name = module.ident.to_string();
    module
        .content
        .as_mut()
        .map(|(_, items)| items)
        .ok_or_else(|| format!("the generator's module {name} is empty"))
}

fn items(tokens: TokenStream) -> Result<Vec<Item>, String> {
    syn::parse2::<syn::File>(tokens)
        .map(|file| file.items)
        .map_err(|error| error.to_string())
}

fn applied(count: usize, least: usize, what: &str) -> Result<(), String> {
    if count >= least {
        return Ok(());
    }
    Err(not_applied(count, least, what))
}

fn not_applied(count: usize, least: usize, what: &str) -> String {
    format!(
        "{what}: found {count} places and not {least}; adapt xtask/src/rewrite.rs to the generator"
    )
}
