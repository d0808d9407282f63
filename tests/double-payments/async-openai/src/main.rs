use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::types::videos::CreateVideoRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let base = format!("{}/v1", arguments[1]);
    let timeout = Duration::from_secs(arguments[2].parse()?);
    let http = reqwest::Client::builder().timeout(timeout).build()?;
    let config = OpenAIConfig::new().with_api_key("key").with_api_base(base);
    let client = Client::with_config(config).with_http_client(http);
    let request = CreateVideoRequest {
        model: "sora-2".to_owned(),
        prompt: "A red kite".to_owned(),
        ..CreateVideoRequest::default()
    };
    client.videos().create(request).await?;
    Ok(())
}
