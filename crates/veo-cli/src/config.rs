//! The API keys and addresses of the providers: from the environment, or from a file that only its owner can read.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Deserializer};
use tempfile::NamedTempFile;
use toml::{Table, Value};
use veo_core::{
    Access, Client, Downloads, Kie, KieForm, Poll, Provider, Proxy, SecretString, UniAll,
    is_loopback,
};

use crate::failure::Failure;
use crate::output::Output;
use crate::paths::{folder_of, own_folder};
use crate::read;
use crate::shell::quoted;
use crate::simulator::is_for_simulator;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProviderName {
    Kie,
    Uniall,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    kie: ProviderSettings,
    uniall: ProviderSettings,
    downloads: DownloadSettings,
    /// The address of a ledger that machines share. It can have a password.
    #[serde(deserialize_with = "address")]
    ledger: Option<SecretString>,
    /// True if the providers are a simulator that begins and ends with the command.
    #[serde(skip)]
    pub(crate) is_temporary: bool,
    /// The proxies of the environment.
    #[serde(skip)]
    proxy: Proxy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DownloadSettings {
    allow_private_hosts: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProviderSettings {
    #[serde(deserialize_with = "secret")]
    api_key: Option<SecretString>,
    base_url: Option<String>,
    form: Option<FormName>,
}

/// The form of kie.ai's API for new videos.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum FormName {
    Auto,
    Old,
    Current,
}

impl ProviderName {
    pub(crate) const ALL: [Self; 2] = [Self::Kie, Self::Uniall];

    /// The name of the form in a `JobRef`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kie => "kie",
            Self::Uniall => "uniall",
        }
    }

    pub(crate) fn of(name: &str) -> Result<Self, Failure> {
        for provider in Self::ALL {
            if provider.name() == name {
                return Ok(provider);
            }
        }
        Err(Failure::usage(format!(
            "there is no provider {name}; choose kie or uniall"
        )))
    }

    fn key_variable(self) -> &'static str {
        match self {
            Self::Kie => "KIE_API_KEY",
            Self::Uniall => "UNIALL_API_KEY",
        }
    }

    fn url_variable(self) -> &'static str {
        match self {
            Self::Kie => "KIE_BASE_URL",
            Self::Uniall => "UNIALL_BASE_URL",
        }
    }
}

impl Config {
    /// Reads the file, if there is one, and the environment. A value of the environment wins over the file.
    pub(crate) fn load(output: &Output) -> Result<Self, Failure> {
        let mut config = match path() {
            Some(path) => Self::read(&path, output)?,
            None => Self::default(),
        };
        for provider in ProviderName::ALL {
            let settings = config.settings_mut(provider);
            if let Some(text) = from_environment(provider.key_variable()) {
                settings.api_key = Some(key(&text));
            }
            let url = from_environment(provider.url_variable()).or(settings.base_url.take());
            settings.base_url = url.map(|url| bare(&url).to_owned());
        }
        config.proxy = proxy()?;
        if let Some(word) = from_environment(FORM) {
            config.kie.form = Some(form(&word)?);
        }
        if config.uniall.form.is_some() {
            let message =
                "UniAll has one form of its API; remove form of [uniall] in the configuration";
            return Err(Failure::usage(message));
        }
        Ok(config)
    }

    /// The configuration for a simulator that begins and ends with the command.
    pub(crate) fn simulated(url: &str) -> Self {
        let mut config = Self {
            is_temporary: true,
            ..Self::default()
        };
        for provider in ProviderName::ALL {
            let settings = config.settings_mut(provider);
            settings.api_key = Some("any key will do".into());
            settings.base_url = Some(url.to_owned());
        }
        config
    }

    /// The wanted providers, or those with an API key if `wanted` is empty.
    pub(crate) fn chosen(&self, wanted: &[ProviderName]) -> Vec<ProviderName> {
        if wanted.is_empty() {
            ProviderName::ALL
                .into_iter()
                .filter(|provider| self.has_key(*provider))
                .collect()
        } else {
            wanted.to_vec()
        }
    }

    pub(crate) fn has_key(&self, provider: ProviderName) -> bool {
        self.settings(provider).api_key.is_some()
    }

    /// The address that is set for a provider, or `None` for the provider's own.
    pub(crate) fn base_url(&self, provider: ProviderName) -> Option<&str> {
        self.settings(provider)
            .base_url
            .as_deref()
            .map(|url| url.trim_end_matches('/'))
    }

    /// A client of the wanted providers in their order, or of all providers that have an API key.
    pub(crate) fn client(
        &self,
        wanted: &[ProviderName],
        timeout: Option<Duration>,
    ) -> Result<Client, Failure> {
        self.waiting(wanted, timeout, Poll::default())
    }

    /// A client that asks about a job at once, since the job has been under way for a while.
    pub(crate) fn resuming(
        &self,
        wanted: &[ProviderName],
        timeout: Option<Duration>,
    ) -> Result<Client, Failure> {
        self.waiting(wanted, timeout, Poll::default().first(Duration::ZERO))
    }

    /// A client that asks about a job once and does not wait.
    pub(crate) fn asking_once(&self, provider: ProviderName) -> Result<Client, Failure> {
        let none = Duration::ZERO;
        let poll = Poll::default().first(none).forgive_for(none);
        self.waiting(&[provider], Some(none), poll)
    }

    fn waiting(
        &self,
        wanted: &[ProviderName],
        timeout: Option<Duration>,
        mut poll: Poll,
    ) -> Result<Client, Failure> {
        let chosen = self.chosen(wanted);
        if let Some(missing) = chosen.iter().find(|provider| !self.has_key(**provider)) {
            return Err(missing_key(missing.key_variable(), missing.name()));
        }
        let mut all = ProviderName::ALL.into_iter();
        if let Some(provider) = all.find(|provider| self.is_misdirected(*provider)) {
            return Err(Failure::usage(format!(
                "the key of {} is for the simulator; set {} to its address, or start one with: \
                 eval \"$(veo sim --background)\"",
                provider.name(),
                provider.url_variable()
            )));
        }
        let Some(client) = self.unchecked(&chosen)? else {
            return Err(missing_key("KIE_API_KEY or UNIALL_API_KEY", "kie"));
        };
        // A provider at an address of this machine is a simulator, so its links lead to this machine. Its jobs advance
        // when they are asked about. The pause between two questions only lets a person follow the progress.
        let simulated = self.is_simulated(&chosen);
        let pause = Duration::from_millis(300);
        if simulated {
            let first = poll.first.min(pause);
            poll = poll.first(first).every(pause).every_upgrade(pause);
        }
        poll.give_up_after = timeout.unwrap_or(poll.give_up_after);
        let downloads = Downloads::default()
            .allow_loopback(simulated)
            .allow_private_hosts(self.downloads.allow_private_hosts)
            .proxy(self.proxy.clone());
        Ok(client.with_downloads(downloads)?.with_poll(poll))
    }

    /// Returns whether an API key for the simulator would be sent to the real provider.
    fn is_misdirected(&self, provider: ProviderName) -> bool {
        let settings = self.settings(provider);
        let key = settings.api_key.as_ref();
        settings.base_url.is_none() && key.is_some_and(|key| is_for_simulator(key.expose_secret()))
    }

    /// Returns whether the addresses of all these providers are on this machine.
    fn is_simulated(&self, providers: &[ProviderName]) -> bool {
        providers
            .iter()
            .all(|provider| self.base_url(*provider).is_some_and(is_loopback))
    }

    /// A client of the wanted providers, or else of all, that can plan without API keys. Providers with one come first.
    pub(crate) fn planner(&self, wanted: &[ProviderName]) -> Result<Client, Failure> {
        let mut order = self.chosen(wanted);
        if wanted.is_empty() {
            for provider in ProviderName::ALL {
                if !order.contains(&provider) {
                    order.push(provider);
                }
            }
        }
        // `order` is never empty.
        self.unchecked(&order)?
            .ok_or_else(|| Failure::usage("there is no provider"))
    }

    fn unchecked(&self, providers: &[ProviderName]) -> Result<Option<Client>, Failure> {
        let mut client: Option<Client> = None;
        let mut kie = None;
        for (number, provider) in providers.iter().enumerate() {
            if providers[..number].contains(provider) {
                continue;
            }
            let access = self.access(*provider);
            client = Some(match provider {
                ProviderName::Kie => {
                    let provider = self.kie(access)?;
                    kie = Some(provider.clone());
                    with(client, provider)?
                }
                ProviderName::Uniall => with(client, UniAll::new(access)?)?,
            });
        }
        if !self.has_key(ProviderName::Kie) {
            return Ok(client);
        }
        // kie.ai stores images for all providers, even if it is not asked for the video.
        let uploader = match kie {
            Some(kie) => kie,
            None => Kie::new(self.access(ProviderName::Kie))?,
        };
        Ok(client.map(|client| client.with_uploader(uploader)))
    }

    fn kie(&self, access: Access) -> Result<Kie, Failure> {
        let form = match self.kie.form {
            None | Some(FormName::Auto) => KieForm::Auto,
            Some(FormName::Old) => KieForm::Old,
            Some(FormName::Current) => KieForm::Current,
        };
        Ok(Kie::new(access)?.form(form))
    }

    fn access(&self, provider: ProviderName) -> Access {
        let ProviderSettings {
            api_key, base_url, ..
        } = self.settings(provider);
        let access =
            Access::new(api_key.clone().unwrap_or_else(|| "none".into())).proxy(self.proxy.clone());
        match base_url {
            Some(url) => access.base_url(url),
            None => access,
        }
    }

    fn settings(&self, provider: ProviderName) -> &ProviderSettings {
        match provider {
            ProviderName::Kie => &self.kie,
            ProviderName::Uniall => &self.uniall,
        }
    }

    fn settings_mut(&mut self, provider: ProviderName) -> &mut ProviderSettings {
        match provider {
            ProviderName::Kie => &mut self.kie,
            ProviderName::Uniall => &mut self.uniall,
        }
    }

    /// Reads the file. An API key that others can read is an error, or a warning if the environment has one.
    fn read(path: &Path, output: &Output) -> Result<Self, Failure> {
        let Some(File { text, is_private }) = read(path)? else {
            return Ok(Self::default());
        };
        let config = parsed(path, &text)?;
        let mut with_key = ProviderName::ALL
            .into_iter()
            .filter(|name| config.has_key(*name));
        if is_private || with_key.clone().next().is_none() {
            return Ok(config);
        }
        if with_key.any(|name| from_environment(name.key_variable()).is_none()) {
            return Err(Failure::usage(readable(path, "keys")));
        }
        output.warn(&readable(path, "keys"));
        Ok(config)
    }
}

/// The address of the shared ledger, if the file has one. An address that other users can read is an error.
pub(crate) fn ledger() -> Result<Option<SecretString>, Failure> {
    let Some(path) = path() else {
        return Ok(None);
    };
    let Some(File { text, is_private }) = read(&path)? else {
        return Ok(None);
    };
    let ledger = parsed(&path, &text)?.ledger;
    if ledger.is_some() && !is_private {
        return Err(Failure::usage(readable(&path, "the address of a ledger")));
    }
    Ok(ledger)
}

/// Writes the API key of a provider into the file, and returns the path of the file.
pub(crate) fn keep(provider: ProviderName, key: &SecretString) -> Result<PathBuf, Failure> {
    // An API key that the provider's client refuses must not replace a good one.
    match provider {
        ProviderName::Kie => drop(Kie::new(key.clone())?),
        ProviderName::Uniall => drop(UniAll::new(key.clone())?),
    }
    let path = path().ok_or_else(|| {
        Failure::usage("there is no folder for the configuration file; set HOME or XDG_CONFIG_HOME")
    })?;
    let text = match read(&path)? {
        Some(file) if !file.is_private => return Err(Failure::usage(readable(&path, "keys"))),
        Some(file) => file.text,
        None => String::new(),
    };
    let mut table: Table =
        toml::from_str(&text).map_err(|error| not_understood(&path, &text, &error))?;
    let section = table
        .entry(provider.name())
        .or_insert_with(|| Value::Table(Table::new()));
    let Some(section) = section.as_table_mut() else {
        return Err(Failure::usage(format!(
            "{}: [{}] is no table; correct it",
            path.display(),
            provider.name()
        )));
    };
    section.insert(
        "api_key".to_owned(),
        Value::String(key.expose_secret().to_owned()),
    );
    let unwritten = |error| {
        let path = path.display();
        Failure::failed(format!("{path} cannot be written: {error}"))
    };
    let text = toml::to_string(&table).map_err(|error| unwritten(io::Error::other(error)))?;
    let file = written(folder_of(&path), &text).map_err(unwritten)?;
    if is_of_another_user(&path, file.as_file()) {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} belongs to another user, and stays as it is; run this as that user"
        )));
    }
    // The file is replaced in one step. A crash leaves the earlier file or the new one, never a part.
    file.persist(&path)
        .map_err(|error| unwritten(error.error))?;
    Ok(path)
}

/// Removes quotes, invisible characters and the words of a header from a copied API key.
pub(crate) fn key(text: &str) -> SecretString {
    let mut key = bare(text);
    for word in ["authorization:", "bearer "] {
        if let Some((start, rest)) = key.split_at_checked(word.len())
            && start.eq_ignore_ascii_case(word)
        {
            key = bare(rest);
        }
    }
    key.into()
}

/// Removes blanks, quotes and invisible characters from both ends. No API key and no address begins or ends with them.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| {
        let is_quote = matches!(c, '"' | '\'' | '`' | '‘' | '’' | '“' | '”');
        let is_invisible = matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}');
        c.is_whitespace() || is_quote || is_invisible
    })
}

fn path() -> Option<PathBuf> {
    Some(own_folder("XDG_CONFIG_HOME", ".config")?.join("config.toml"))
}

/// The file with the API keys.
struct File {
    text: String,
    /// True if no other user can read the file.
    is_private: bool,
}

fn read(path: &Path) -> Result<Option<File>, Failure> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = match read::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let is_private = {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 == 0
        }
        #[cfg(not(unix))]
        true
    };
    let text = read::text_of(file, path)?;
    Ok(Some(File { text, is_private }))
}

pub(crate) fn parsed(path: &Path, text: &str) -> Result<Config, Failure> {
    toml::from_str(text).map_err(|error| not_understood(path, text, &error))
}

fn readable(path: &Path, secrets: &str) -> String {
    let path = path.display();
    let argument = quoted(&path);
    format!(
        "{path} holds {secrets} and others on this machine can read it; run: chmod 600 {argument}"
    )
}

/// Writes a text to a temporary file that only its owner can read. Creates the folder in the same way if there is none.
fn written(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Returns whether a file exists and belongs to another user than `own`, a file that was just made.
#[cfg_attr(not(unix), allow(unused_variables, reason = "only Unix tells"))]
fn is_of_another_user(path: &Path, own: &fs::File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        match (fs::metadata(path), own.metadata()) {
            (Ok(there), Ok(own)) => there.uid() != own.uid(),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    false
}

/// The error without the text of its line, which can contain an API key.
fn not_understood(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let start = error.span().map_or(0, |span| span.start);
    let line = text
        .bytes()
        .take(start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1;
    Failure::usage(format!(
        "{}, line {line}: {}; correct it",
        path.display(),
        without_keys(error.message())
    ))
}

/// Replaces words that are as long as an API key, since the message can quote a value.
fn without_keys(message: &str) -> String {
    /// No name of a setting is longer, with its quotes and a comma.
    const LONGEST: usize = 24;
    let words = message.split(' ');
    let words = words.map(|word| if word.len() > LONGEST { "..." } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// The proxies of the environment, under the names that most programs know.
fn proxy() -> Result<Proxy, Failure> {
    let mut proxy = Proxy::default();
    // ALL_PROXY is first, since the proxies for one scheme replace it.
    type Set = fn(Proxy, &str) -> Result<Proxy, veo_core::Error>;
    let variables: [(&str, Set); 3] = [
        ("ALL_PROXY", |_, url| Proxy::new(url)),
        ("HTTPS_PROXY", Proxy::https),
        ("HTTP_PROXY", Proxy::http),
    ];
    for (variable, set) in variables {
        if let Some(url) = in_either_case(variable) {
            proxy = set(proxy, &url)
                .map_err(|error| Failure::usage(format!("{variable}: {error}; correct it")))?;
        }
    }
    Ok(proxy.except(&in_either_case("NO_PROXY").unwrap_or_default()))
}

fn in_either_case(variable: &str) -> Option<String> {
    from_environment(variable).or_else(|| from_environment(&variable.to_lowercase()))
}

/// The variable that sets the form of kie.ai's API for new videos.
const FORM: &str = "KIE_FORM";

fn form(word: &str) -> Result<FormName, Failure> {
    FormName::from_str(word.trim(), true).map_err(|_| {
        let message = format!("{FORM} is no form of kie.ai's API; set auto, old or current");
        Failure::usage(message)
    })
}

fn from_environment(variable: &str) -> Option<String> {
    env::var(variable)
        .ok()
        .filter(|value| !bare(value).is_empty())
}

/// Adds a provider to a client, or makes a client with this provider if there is none.
fn with(client: Option<Client>, provider: impl Provider + 'static) -> Result<Client, Failure> {
    Ok(match client {
        Some(client) => client.or(provider),
        None => Client::new(provider)?,
    })
}

fn missing_key(variable: &str, provider: &str) -> Failure {
    let message = format!(
        "there is no API key; set {variable}, or keep one with veo auth {provider}; veo generate --sim kie needs none"
    );
    Failure::usage(message)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Some(key(&String::deserialize(deserializer)?)))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?.into()))
}
