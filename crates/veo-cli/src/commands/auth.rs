//! `veo auth`

use std::io::{self, IsTerminal as _};

use clap::Args;
use console::Term;
use secrecy::ExposeSecret as _;

use crate::config::{self, ProviderName};
use crate::failure::Failure;
use crate::output::{Event, Output};
use crate::read;

const EXAMPLES: &str = "\
Examples:
  veo auth kie                        asks for the key
  veo auth uniall < key.txt

The key goes into $XDG_CONFIG_HOME/veo/config.toml or ~/.config/veo/config.toml,
which nobody else may read:

  [kie]
  api_key = \"...\"
  base_url = \"https://...\"
  form = \"auto\"

base_url is only for another address than the provider's own, without a path. An
address of this machine is taken for a simulator's. form is that of kie.ai's API
for new videos: old, current, or auto, which is the old one until kie.ai says
that it is gone. KIE_API_KEY, UNIALL_API_KEY, KIE_BASE_URL, UNIALL_BASE_URL and
KIE_FORM override the file. There is no option for a key, since others on
the machine can see options.

Videos are not downloaded from hosts in private networks, unless the file says so:

  [downloads]
  allow_private_hosts = true

Above the first table, the file can name the ledger that machines share. VEO_LEDGER
and --ledger override it:

  ledger = \"postgres://...\"

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case, name the
proxies to go through. The key goes through a tunnel, so no proxy sees it. This
machine is never asked through a proxy.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Auth {
    /// The provider of the API key.
    provider: ProviderName,
}

pub(crate) fn run(arguments: &Auth, output: &Output) -> Result<(), Failure> {
    let provider = arguments.provider;
    let text = if io::stdin().is_terminal() {
        output.tell(&format!(
            "The key of {} (it is not shown):",
            provider.name()
        ));
        let typed = Term::stderr().read_secure_line();
        typed.map_err(|error| Failure::usage(format!("the key cannot be read: {error}")))?
    } else {
        read::input()?
    };
    let key = config::key(&text);
    if key.expose_secret().is_empty() {
        return Err(Failure::usage(
            "there is no key; type it when asked, or give it on standard input",
        ));
    }
    let path = config::keep(provider, &key)?;
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
