//! `veo auth`, `veo credits` and `veo upload`

use std::io::{self, IsTerminal as _};

use clap::Args;
use console::Term;
use veo_core::SecretString;

use crate::args::image;
use crate::config::{self, Config, ProviderName};
use crate::failure::{Exit, Failure};
use crate::output::{Event, Output};

const AUTH_EXAMPLES: &str = "\
Examples:
  veo auth kie                        asks for the key
  veo auth uniall < key.txt

The key goes into $XDG_CONFIG_HOME/veo/config.toml or ~/.config/veo/config.toml,
which nobody else may read:

  [kie]
  api_key = \"...\"
  base_url = \"https://...\"

base_url is only for another address than the provider's own. An address of this
machine is taken for a simulator's. KIE_API_KEY, UNIALL_API_KEY, KIE_BASE_URL and
UNIALL_BASE_URL count more than the file. There is no option for a key, since
others on the machine can see options.";

#[derive(Args)]
#[command(after_help = AUTH_EXAMPLES)]
pub(crate) struct Auth {
    /// Whose key it is.
    provider: ProviderName,
}

#[derive(Args)]
#[command(after_help = "Examples:\n  veo credits\n  veo credits --provider kie --json")]
pub(crate) struct Credits {
    /// Whose account; all with a key if not given. May be given again.
    #[arg(long)]
    provider: Vec<ProviderName>,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  veo upload dog.png\n\nImages of a request are uploaded by themselves; this is for one \
                        that serves many. kie.ai keeps it for one to three days, for nothing."
)]
pub(crate) struct Upload {
    /// A JPEG, PNG or WebP image of up to 20 MiB.
    file: String,
}

pub(crate) fn auth(arguments: &Auth, output: &Output) -> Result<(), Failure> {
    let provider = arguments.provider;
    let unreadable = |error| Failure::usage(format!("the key cannot be read: {error}"));
    let key = if io::stdin().is_terminal() {
        output.tell(&format!(
            "The key of {} (it is not shown):",
            provider.name()
        ));
        Term::stderr().read_secure_line().map_err(unreadable)?
    } else {
        io::read_to_string(io::stdin()).map_err(unreadable)?
    };
    if key.trim().is_empty() {
        return Err(Failure::usage(
            "there is no key; type it when asked, or give it on standard input",
        ));
    }
    let path = config::keep(provider, &SecretString::from(key.trim()))?;
    let file = path.display().to_string();
    output.result(
        &format!("Kept in {file}"),
        &Event::Kept {
            provider: provider.name(),
            file: &file,
        },
    );
    Ok(())
}

pub(crate) async fn credits(arguments: Credits, output: &Output) -> Result<(), Failure> {
    let config = Config::load()?;
    let client = config.client(&arguments.provider, None)?;
    let all = if arguments.provider.is_empty() {
        config.with_keys()
    } else {
        arguments.provider
    };
    let (mut told, mut silent) = (false, None);
    for name in all.into_iter().map(ProviderName::name) {
        match client.credits(name).await.map_err(Failure::from) {
            Ok(credits) => {
                told = true;
                output.result(
                    &format!("{name}: {credits} credits"),
                    &Event::Credits {
                        provider: name,
                        credits,
                    },
                );
            }
            // Who does not tell is no failure as long as somebody does.
            Err(failure) if failure.exit == Exit::Usage => silent = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    match silent {
        Some(failure) if !told => Err(failure),
        Some(failure) => {
            output.note(&failure.message());
            Ok(())
        }
        None => Ok(()),
    }
}

pub(crate) async fn upload(arguments: Upload, output: &Output) -> Result<(), Failure> {
    let client = Config::load()?.client(&[], None)?;
    let url = client.upload(&image(&arguments.file)).await?;
    output.result(
        &url,
        &Event::Uploaded {
            file: &arguments.file,
            url: &url,
        },
    );
    Ok(())
}
