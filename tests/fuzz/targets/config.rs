//! The configuration of the program.

use veo_cli::configuration;

const KEY: &str = "sk-Zq7w2d3cRm5tKx8LpV9nYb4Hs6Dq1Z";

pub(super) fn run(input: &[u8]) {
    // The word KEY marks the places in a seed where a user would write the API key. No error may show the key.
    let text = super::text(input).replace("KEY", KEY);
    let read = configuration(&text);
    let shown = read.as_ref().err();
    assert!(!shown.is_some_and(|text| text.contains(KEY)), "{read:?}");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let files = [
        "kie = \"KEY\"\n",
        "[kie]\napi_key = \"KEY\"\nform = \"auto\"\n",
        "[uniall]\napi_key = 'KEY'\nbase_url = \"http://127.0.0.1:8787\"\n",
        "[downloads]\nallow_private_hosts = true\n",
        "kie.api_key = \"\"\"\nBearer KEY\"\"\"\nuniall = { api_key = \"KEY\" }\n",
    ];
    files.map(|file| file.as_bytes().to_vec()).to_vec()
}
