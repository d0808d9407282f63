//! The client of UniAll: each request as it is sent, and each reply as it is decoded.

use serde_json::json;
use uniall_api::types::{
    AspectRatio, CreateVideoRequest, Duration, ExtraBody, Model, Size, VideoTask,
};
use uniall_api::{Client, Config, Error, OPERATIONS, Reply};

use veo_tests::{
    KEY, last_request, recorder, requests, retry_after, serve_json, texts_of_replies, variations,
};

const TASK: &str = "task_Zk3vQ8mW1tYb6nRc0sLd5fHj2gXp9aUe";

fn client(url: &str) -> Client {
    Client::new(Config::new(KEY).base_url(url)).unwrap()
}

/// Makes the shortest valid call of an operation.
async fn call(client: &Client, operation: &str) -> Result<Reply<VideoTask>, Error> {
    match operation {
        "create_video" => {
            client
                .create_video()
                .body_map(|body| body.model(Model::Fast720p).prompt("A red kite"))
                .send()
                .await
        }
        "query_video" => client.query_video().task_id(TASK).send().await,
        _ => panic!(
            "openapi/uniall.yaml has the operation {operation}: call it in call() of tests/wire/uniall.rs"
        ),
    }
}

fn show(result: &Result<Reply<VideoTask>, Error>) -> String {
    match result {
        Ok(task) => {
            let id = task.poll_id().unwrap_or("no id");
            let progress = task
                .progress
                .map_or(String::new(), |progress| format!(" {}%", progress.0));
            let urls = task
                .urls()
                .iter()
                .map(|url| format!(" {url}"))
                .collect::<String>();
            let failure = task
                .failure()
                .map_or(String::new(), |reason| format!(", because: {reason}"));
            format!(
                "{:?}{progress} {id}{urls}{failure}\n   {}",
                task.state(),
                serde_json::to_string(&**task).unwrap()
            )
        }
        Err(Error::Rejected(rejection)) => {
            let retry = retry_after(&rejection.head);
            format!("rejected{retry}, {rejection}")
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn every_reply_is_decoded() {
    let server = recorder().await;
    let client = client(&server.uri());
    let texts = texts_of_replies(&server, "uniall", OPERATIONS, async |fixture| {
        // The client does not decode a video, and only returns its address.
        if fixture.operation == "video_content" {
            return None;
        }
        let result = call(&client, &fixture.operation).await;
        Some(format!("{}\n   {}\n", fixture.name, show(&result)))
    });
    for (operation, text) in texts.await {
        insta::assert_snapshot!(format!("uniall_{operation}_replies"), text);
    }
}

/// The id survives even if other fields of the reply are missing or wrong.
#[tokio::test]
async fn the_task_id_survives_any_damage_to_other_fields() {
    let server = recorder().await;
    let client = client(&server.uri());
    let task = json!({ "id": TASK, "task_id": TASK, "object": "video.generation.job", "model": "veo3.1-fast-video-720p",
                       "status": "queued", "progress": 0, "created_at": 1773984104, "seconds": "8", "error": null,
                       "result": { "outputs": [] }, "metadata": { "url": "" } });
    let enveloped = json!({ "code": "success", "message": "", "data": { "task_id": TASK, "status": "QUEUED" } });
    for (name, reply) in [(&task, "/id"), (&enveloped, "/data/task_id")]
        .into_iter()
        .flat_map(|(reply, keep)| variations(reply, keep))
    {
        serve_json(&server, &reply).await;
        let result = call(&client, "create_video").await;
        assert_eq!(
            result.as_ref().ok().and_then(|task| task.poll_id()),
            Some(TASK),
            "{name}: {result:?}"
        );
    }
}

#[tokio::test]
async fn every_request_is_sent_as_written() {
    let server = recorder().await;
    let client = client(&server.uri());
    let mut text = String::new();
    for operation in OPERATIONS {
        if *operation == "video_content" {
            continue;
        }
        call(&client, operation).await.unwrap();
        text.push_str(&format!(
            "# {operation}, as short as can be\n{}\n",
            last_request(&server).await
        ));
    }

    let options = ExtraBody::builder()
        .generate_audio(false)
        .negative_prompt("blur")
        .seed(7)
        .extra(serde_json::Map::from_iter([(
            "person_generation".to_owned(),
            json!("allow_adult"),
        )]));
    let everything = client.create_video().body_map(|body| {
        body.model(Model::Standard4k)
            .prompt("The kite climbs")
            .image("https://img.example.net/first.png")
            .images([
                "https://img.example.net/1.png",
                "https://img.example.net/2.png",
            ])
            .last_image("https://img.example.net/last.png")
            .video("https://cdn.example.net/kite.mp4")
            .size(Size::K4)
            .aspect_ratio(AspectRatio::Portrait)
            .duration(Duration::Seconds4)
            .extra_body(ExtraBody::try_from(options).unwrap())
    });
    everything.send().await.unwrap();
    text.push_str(&format!(
        "# create_video, with every field, also those that exclude each other\n{}\n",
        last_request(&server).await
    ));

    client
        .query_video()
        .task_id("../models?a=b#c")
        .send()
        .await
        .unwrap();
    text.push_str(&format!(
        "# query_video, with an id that is not one\n{}\n",
        last_request(&server).await
    ));

    insta::assert_snapshot!("uniall_requests", text);
}

/// The type has every field of the page's requests, so `extra` stays empty. The requests are sent unchanged.
#[tokio::test]
async fn the_requests_of_the_page_are_sent_unchanged() {
    let server = recorder().await;
    let pages = requests("uniall");
    assert_eq!(pages.len(), 5);
    for (name, page) in pages {
        let request: CreateVideoRequest = serde_json::from_value(page.clone()).unwrap();
        let options = request.extra_body.as_ref().unwrap();
        assert!(
            request.extra.is_empty() && options.extra.is_empty(),
            "{name}: {request:?}"
        );
        client(&server.uri())
            .create_video()
            .body(request)
            .send()
            .await
            .unwrap();
        let sent: serde_json::Value = server
            .received_requests()
            .await
            .unwrap()
            .pop()
            .unwrap()
            .body_json()
            .unwrap();
        assert_eq!(sent, page, "{name}");
    }
}

/// A caller fetches a video from this address with the API key, so an odd id must not lead it elsewhere.
#[tokio::test]
async fn the_address_of_a_video_is_below_its_task() {
    for (id, wanted) in [
        (
            TASK,
            "/v1/videos/task_Zk3vQ8mW1tYb6nRc0sLd5fHj2gXp9aUe/content",
        ),
        (
            "../models?a=b#c",
            "/v1/videos/..%2Fmodels%3Fa=b%23c/content",
        ),
    ] {
        let url = client("http://127.0.0.1:9").video_content_url(id);
        assert_eq!(url, format!("http://127.0.0.1:9{wanted}"));
    }
}

#[tokio::test]
async fn an_invalid_request_is_not_sent() {
    let server = recorder().await;
    let client = client(&server.uri());
    let results = [
        client.create_video().send().await.map(drop),
        client.query_video().send().await.map(drop),
    ];
    for result in results {
        assert!(
            matches!(result, Err(Error::InvalidRequest(_))),
            "{result:?}"
        );
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}
