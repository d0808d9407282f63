//! The Veo and common endpoints of kie.ai. A refusal is normally HTTP 200 with another `code` in the body.

use serde_json::{Map, Value, json};

use crate::callback;
use crate::clip::{Format, Resolution};
use crate::fields::{self, duration, text, word};
use crate::follow::{Announced, follow};
use crate::media;
use crate::reply::Reply;
use crate::scenario::{LINK_LIFE, RECORD_LIFE};
use crate::server::Visit;
use crate::shape::other_id;
use crate::state::{Progress, State, Task, Work, unique_id};
use crate::{Callbacks, Fate};

// These are seen on the live service or documented.
const INVALID_MODEL: Refusal = Refusal(422, "Invalid model");
const INVALID_RATIO: Refusal = Refusal(422, "Ratio error");
const UNKNOWN_TASK: Refusal = Refusal(422, "record is null.");
const OLD_TASK: Refusal = Refusal(422, "Temporarily supports records within 14 days.");
const UNFINISHED_TASK: Refusal = Refusal(422, "record status is not success.");
const EMPTY_TASK: Refusal = Refusal(422, "record result data is empty.");
const PROCESSING_1080P: Refusal = Refusal(
    400,
    "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.",
);
/// Documented for the callback; what the calls that follow are told is not.
const NO_4K: Refusal = Refusal(
    500,
    "The 4K version of this video is unavailable. Please try a different video.",
);
const INVALID_URL: Refusal = Refusal(422, "url is wrong");
// The words for these are not known in full; they follow those that are.
const NO_CREDITS: Refusal = Refusal(
    402,
    "Credits insufficient : Your current balance isn't enough to run this request.",
);
const TOO_MANY: Refusal = Refusal(
    429,
    "Your call frequency is too high. Please try again later.",
);
const INVALID: Refusal = Refusal(
    422,
    "Validation Error - The request parameters failed validation checks",
);
const INVALID_BODY: Refusal = Refusal(422, "The request body must be a JSON object.");
const INVALID_RESOLUTION: Refusal = Refusal(422, "Resolution error");
const INVALID_DURATION: Refusal = Refusal(422, "Duration error");
const NO_PROMPT: Refusal = Refusal(422, "Please enter prompt.");
const UNKNOWN_SOURCE: Refusal = Refusal(404, "The original video does not exist.");
const NOT_FOR_FALLBACK: Refusal =
    Refusal(422, "Videos made by the fallback model cannot be upgraded.");
const UPGRADED_SOURCE: Refusal = Refusal(422, "Videos upgraded to 1080P cannot be extended.");

/// How long things take, in seconds: two videos were seen to take 67 and 89, the rest is documented in minutes.
const VIDEO_SECONDS: u64 = 90;
const EXTENSION_SECONDS: u64 = 300;
const UPGRADE_SECONDS: [u64; 2] = [120, 480];

/// Prices in credits, of the public price feed in September 2026: for 720p, 1080p and 4K.
const PRICES: [(&str, [f64; 3]); 3] = [
    ("veo3_lite", [30.0, 35.0, 150.0]),
    ("veo3_fast", [60.0, 65.0, 180.0]),
    ("veo3", [250.0, 255.0, 380.0]),
];
/// The one price that is another with images: of `veo3` in 4K.
const PRICE_4K_WITH_IMAGES: f64 = 370.0;
const EXTENSION_PRICES: [(&str, f64); 3] = [("fast", 60.0), ("quality", 250.0), ("lite", 30.0)];
const UPGRADE_PRICES: [f64; 2] = [5.0, 120.0];
/// How many seconds an extension adds.
const ADDED_SECONDS: u32 = 7;

/// A refusal: code and message.
struct Refusal(u16, &'static str);

impl From<Refusal> for Reply {
    fn from(Refusal(code, message): Refusal) -> Reply {
        error(200, Some(code), Some(message))
    }
}

type Answer = Result<Reply, Refusal>;

/// An error in the envelope, with the words that kie.ai documents for its code if none are given.
pub(crate) fn error(status: u16, code: Option<u16>, words: Option<&str>) -> Reply {
    let code = code.unwrap_or(status);
    let documented = match code {
        400 => "Your prompt was flagged by Website as violating content policies.",
        401 => {
            // This one alone has no `data`.
            let words = words.unwrap_or(
                "Unauthorized \u{2013} Authentication failed. \
                 Please check that your Authorization and Content-Type headers are correctly set.",
            );
            return reply(status, json!({ "code": 401, "msg": words }));
        }
        402 => NO_CREDITS.1,
        404 => "Not Found",
        408 => {
            "Upstream is currently experiencing service issues. No result has been returned for over 10 minutes."
        }
        422 => UNKNOWN_TASK.1,
        429 => TOO_MANY.1,
        451 => {
            "Failed to fetch the image. Kindly verify any access limits set by you or your service provider."
        }
        455 => "Service Unavailable - System is currently undergoing maintenance",
        500 => "Server Error - An unexpected error occurred while processing the request",
        501 => "Generation Failed - Video generation task failed",
        505 => "Feature Disabled - The requested feature is currently disabled",
        _ => "Error",
    };
    reply(
        status,
        json!({ "code": code, "msg": words.unwrap_or(documented), "data": null }),
    )
}

/// A reply with the head that every one of api.kie.ai was seen to have: a charset, and a session that nobody needs.
fn reply(status: u16, body: Value) -> Reply {
    let mut reply = Reply::json(status, body);
    let session = unique_id().to_uppercase();
    reply
        .headers
        .push(("content-type", "application/json;charset=UTF-8".to_owned()));
    reply.headers.push((
        "set-cookie",
        format!("JSESSIONID={session}; Path=/; HttpOnly"),
    ));
    reply
}

/// What kie.ai answers.
pub(crate) fn answer(visit: &Visit<'_>) -> Reply {
    let answer = match visit.operation.id {
        "generate" => generate(visit),
        "extend" => extend(visit),
        "record_info" => record_info(visit),
        "get_1080p_video" => get_1080p_video(visit),
        "get_4k_video" => get_4k_video(visit),
        "account_credits" => Ok(account_credits(visit)),
        "download_url" => download_url(visit),
        _ => Ok(error(501, None, Some(&visit.is_not_played()))),
    };
    answer.unwrap_or_else(Reply::from)
}

fn generate(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let prompt = text(&request, "prompt").ok_or(NO_PROMPT)?;
    let model =
        word(&request, "model", &["veo3_fast", "veo3", "veo3_lite"]).ok_or(INVALID_MODEL)?;
    // Both spellings are in use; the newer one wins.
    let newer = request.contains_key("aspect_ratio");
    let ratio_key = if newer { "aspect_ratio" } else { "aspectRatio" };
    let ratio = word(&request, ratio_key, &["16:9", "9:16", "Auto"]).ok_or(INVALID_RATIO)?;
    let resolution =
        word(&request, "resolution", &["720p", "1080p", "4k"]).and_then(Resolution::of);
    let resolution = resolution.ok_or(INVALID_RESOLUTION)?;
    let seconds = duration(&request).ok_or(INVALID_DURATION)?;
    let differences = rules(&request, model, seconds)?;
    fits(visit)?;
    differences.into_iter().for_each(|how| visit.differs(how));
    let prices = PRICES
        .iter()
        .find(|(name, _)| *name == model)
        .map_or([0.0; 3], |(_, prices)| *prices);
    let price = match (model, resolution) {
        ("veo3", Resolution::K4) if images(&request) > 0 => PRICE_4K_WITH_IMAGES,
        _ => prices[resolution as usize],
    };
    let mut params = json!({ "aspectRatio": ratio, "model": model, "prompt": prompt });
    // They come back too, and are no results.
    if let Some(images) = request.get("imageUrls") {
        params["imageUrls"] = images.clone();
    }
    let format = Format {
        resolution,
        portrait: ratio == "9:16",
        seconds,
        audio: true,
    };
    accept(visit, &request, &params, format, None, price)
}

fn extend(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let prompt = text(&request, "prompt").ok_or(NO_PROMPT)?;
    let model = word(&request, "model", &["fast", "quality", "lite"]).ok_or(INVALID_MODEL)?;
    seeds(&request)?;
    fits(visit)?;
    let source = text(&request, "taskId").unwrap_or_default();
    let (portrait, film) = {
        let state = &mut *visit.shared.state();
        let task = finished(state, visit, source).map_err(|refusal| match refusal {
            Refusal(422, words) if words == UNKNOWN_TASK.1 => UNKNOWN_SOURCE,
            other => other,
        })?;
        if task.upgrades[0].is_some() {
            return Err(UPGRADED_SOURCE);
        }
        (
            task.format.portrait,
            task.film.unwrap_or(task.format.seconds) + ADDED_SECONDS,
        )
    };
    let price = EXTENSION_PRICES
        .iter()
        .find(|(name, _)| *name == model)
        .map_or(0.0, |(_, price)| *price);
    let params = json!({ "model": model, "prompt": prompt, "taskId": source });
    let format = Format {
        resolution: Resolution::P720,
        portrait,
        seconds: ADDED_SECONDS,
        audio: true,
    };
    accept(visit, &request, &params, format, Some(film), price)
}

fn record_info(visit: &Visit<'_>) -> Answer {
    let id = visit.query("taskId").unwrap_or_default();
    let state = &mut *visit.shared.state();
    let Some(progress) = state.ask(&visit.account, &id) else {
        return upgrade_record(state, visit, &id)
            .map(success)
            .ok_or(UNKNOWN_TASK);
    };
    let task = young(state, visit, &id)?;
    let video = |name: &str| json!([media::url(&visit.shared.url, &id, name)]);
    let ended = matches!(progress, Progress::Ended);
    let failure = task.fate.failure().filter(|_| ended);
    let response = (ended && failure.is_none()).then(|| {
        let delivered = task.delivered();
        let mut response = json!({
            "taskId": id,
            "resolution": delivered.resolution.word(),
            "originUrls": null,
            "resultUrls": video(""),
            "hasAudioList": [true],
            "seeds": [56896],
        });
        if has_origin(task) {
            response["originUrls"] = video("_origin");
        }
        if task.film.is_some() {
            response["fullResultUrls"] = video("_full");
        }
        if task.fate == Fate::Filtered {
            for name in ["resultUrls", "fullResultUrls"] {
                if let Some(urls) = response.get_mut(name) {
                    *urls = json!([]);
                }
            }
        }
        response
    });
    let milliseconds = |time: std::time::Duration| json!(time.as_secs() * 1000);
    Ok(success(json!({
        "taskId": id,
        "paramJson": task.request,
        "response": response,
        "successFlag": match (ended, failure) {
            (false, _) => 0,
            (true, None) => 1,
            (true, Some(_)) if task.fate == Fate::FailedEarly => 2,
            (true, Some(_)) => 3,
        },
        "fallbackFlag": task.fate == Fate::Fallback,
        // Milliseconds, but of whole seconds, as seen on the wire.
        "completeTime": task.work.done.map(milliseconds),
        "createTime": milliseconds(task.work.started),
        "errorCode": failure.map(|(code, _)| code),
        "errorMessage": failure.map(|(_, words)| words),
    })))
}

/// The record of an upgrade to 4K under an id of its own, which only [`Shape::New4kId`](crate::Shape) gives out.
fn upgrade_record(state: &mut State, visit: &Visit<'_>, id: &str) -> Option<Value> {
    let source = other_id(id);
    let task = young(state, visit, &source).ok()?;
    let (pace, fails) = (task.pace, task.has_no_upgrade(Resolution::K4));
    let now = state.now(pace);
    let task = state.tasks.get_mut(&source)?;
    let work = task.upgrades[Resolution::K4 as usize - 1].as_mut()?;
    let ended = work.ask(pace, now);
    let (started, end) = (
        work.started.as_secs() * 1000,
        work.end(pace, now).as_secs() * 1000,
    );
    task.wake();
    let failure = (ended && fails).then_some(NO_4K);
    let response = (ended && !fails).then(|| {
        let urls = [media::url(&visit.shared.url, &source, "_4k")];
        json!({ "taskId": id, "resultUrls": urls, "mediaIds": [source], "resolution": "4k" })
    });
    // It has no `fallbackFlag`.
    Some(json!({
        "taskId": id,
        "paramJson": task.request,
        "response": response,
        "successFlag": if fails && ended { 3 } else { i32::from(ended) },
        "completeTime": ended.then_some(end),
        "createTime": started,
        "errorCode": failure.as_ref().map(|failure| failure.0),
        "errorMessage": failure.as_ref().map(|failure| failure.1),
    }))
}

fn get_1080p_video(visit: &Visit<'_>) -> Answer {
    let id = visit.query("taskId").unwrap_or_default();
    fits(visit)?;
    match upgrade(visit, &id, Resolution::P1080)? {
        Upgrade { ready: true, .. } => Ok(success(
            json!({ "resultUrl": media::url(&visit.shared.url, &id, "_1080p") }),
        )),
        _ => Err(PROCESSING_1080P),
    }
}

/// Starts the upgrade, then says that it runs, and then hands it out, as a refusal that carries data.
fn get_4k_video(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    fits(visit)?;
    let id = text(&request, "taskId").unwrap_or_default();
    let Upgrade {
        started,
        ready,
        fails,
    } = upgrade(visit, id, Resolution::K4)?;
    if let Some(url) = text(&request, "callBackUrl").filter(|_| started) {
        follow(
            visit.shared,
            &mut visit.shared.state(),
            id,
            url,
            Announced::Upgrade4k,
        );
    }
    let mut data = json!({ "taskId": id, "resultUrls": null, "imageUrls": null });
    let message = match (started, ready) {
        (true, _) => return Ok(success(data)),
        (false, true) if fails => return Err(NO_4K),
        (false, false) => {
            "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
        }
        (false, true) => {
            data["resultUrls"] = json!([media::url(&visit.shared.url, id, "_4k")]);
            "The video has been generated successfully"
        }
    };
    Ok(reply(
        200,
        json!({ "code": 422, "msg": message, "data": data }),
    ))
}

fn account_credits(visit: &Visit<'_>) -> Reply {
    success(json!(visit.shared.state().balance(&visit.account)))
}

fn download_url(visit: &Visit<'_>) -> Answer {
    let request = body(visit)?;
    let url = text(&request, "url").ok_or(INVALID_URL)?;
    fits(visit)?;
    let link = media::signed(visit.shared, &visit.account, url, LINK_LIFE).ok_or(INVALID_URL)?;
    Ok(success(json!(link)))
}

/// Where an upgrade is after one more call for it.
struct Upgrade {
    /// By this call.
    started: bool,
    ready: bool,
    /// Then there is nothing to hand out.
    fails: bool,
}

fn upgrade(visit: &Visit<'_>, id: &str, to: Resolution) -> Result<Upgrade, Refusal> {
    let state = &mut *visit.shared.state();
    let which = to as usize - 1;
    let task = finished(state, visit, id)?;
    if task.fate == Fate::Fallback {
        return Err(NOT_FOR_FALLBACK);
    }
    let (pace, started) = (task.pace, task.upgrades[which].is_none());
    let now = state.now(pace);
    if started && !state.charge(visit.operation.id, visit.call, id, UPGRADE_PRICES[which]) {
        return Err(NO_CREDITS);
    }
    let task = finished(state, visit, id)?;
    let work = task.upgrades[which].get_or_insert_with(|| Work::new(now, UPGRADE_SECONDS[which]));
    let ready = work.ask(pace, now);
    task.wake();
    Ok(Upgrade {
        started,
        ready,
        fails: task.has_no_upgrade(to),
    })
}

fn accept(
    visit: &Visit<'_>,
    request: &Map<String, Value>,
    params: &Value,
    format: Format,
    film: Option<u32>,
    price: f64,
) -> Answer {
    let id = unique_id();
    let state = &mut *visit.shared.state();
    if !state.keeps_to_limit(&visit.account) {
        return Err(TOO_MANY);
    }
    let seconds = if film.is_some() {
        EXTENSION_SECONDS
    } else {
        VIDEO_SECONDS
    };
    let task = Task {
        film,
        ..Task::new(state, visit, format, seconds, params.to_string())
    };
    if !state.accept(visit.operation.id, id.clone(), task, price) {
        return Err(NO_CREDITS);
    }
    if let Some(url) = text(request, "callBackUrl") {
        let announced = if film.is_some() {
            Announced::Extension
        } else {
            Announced::Video
        };
        follow(visit.shared, state, &id, url, announced);
    }
    Ok(success(json!({ "taskId": id })))
}

/// The callback about a task that has ended.
pub(crate) fn announcement(
    state: &State,
    base: &str,
    id: &str,
    what: Announced,
    how: &Callbacks,
) -> Option<Value> {
    let task = state.tasks.get(id)?;
    let video = |which: &str| vec![media::url(base, id, which)];
    let result = if task.fate == Fate::Filtered {
        Vec::new()
    } else {
        video("")
    };
    let origin = if has_origin(task) {
        video("_origin")
    } else {
        Vec::new()
    };
    let fallback = task.fate == Fate::Fallback;
    let made = callback::Made {
        urls: &result,
        origins: &origin,
        resolution: task.delivered().resolution.word(),
        fallback,
    };
    let mut body = match (what, task.fate.failure()) {
        (Announced::Upgrade4k, _) if task.has_no_upgrade(Resolution::K4) => {
            callback::not_upgraded_to_4k(id, NO_4K.0, NO_4K.1, how.snake_case)
        }
        (Announced::Upgrade4k, _) if how.snake_case => {
            // Each attempt and each copy names the same one.
            let media_id = id.chars().rev().collect();
            callback::upgraded_to_4k_in_snake_case(id, &video("_4k"), &[media_id], &[])
        }
        (Announced::Upgrade4k, _) => {
            callback::upgraded_to_4k(id, &video("_4k"), &[], UPGRADE_PRICES[1] as u32)
        }
        (_, Some((code, words))) => callback::failed(id, code, words),
        (Announced::Video, None) => callback::generated(id, &task.request, &made),
        (Announced::Extension, None) => callback::extended(id, &made),
    };
    if let Some(shape) = how.shape {
        // A callback is a request, and so has no status.
        shape.apply(&mut body, &mut 200);
    }
    Some(body)
}

/// Whether the reply names a video of 720p beside the one that was asked for.
fn has_origin(task: &Task) -> bool {
    let delivered = task.delivered();
    let is_other = delivered.portrait || delivered.resolution > Resolution::P720;
    is_other && !matches!(task.fate, Fate::Fallback | Fate::Filtered)
}

/// The body as a JSON object.
fn body(visit: &Visit<'_>) -> Result<Map<String, Value>, Refusal> {
    fields::json_object(&visit.body).ok_or(INVALID_BODY)
}

/// What the specification says and nobody has seen the words for.
fn fits(visit: &Visit<'_>) -> Result<(), Refusal> {
    match visit.mismatches.is_empty() {
        true => Ok(()),
        false => Err(INVALID),
    }
}

/// What the pages of kie.ai say of fields together. What is beyond a bound they name is refused. Where they only say
/// what goes with what, nobody has seen the answer: such a request is taken, and this is how it differs.
fn rules(
    request: &Map<String, Value>,
    model: &str,
    seconds: u32,
) -> Result<Vec<&'static str>, Refusal> {
    const MODES: [&str; 3] = [
        "TEXT_2_VIDEO",
        "FIRST_AND_LAST_FRAMES_2_VIDEO",
        "REFERENCE_2_VIDEO",
    ];
    seeds(request)?;
    let images = images(request);
    let mode = match request.contains_key("generationType") {
        true => word(request, "generationType", &MODES).ok_or(INVALID)?,
        // It is then found out from the images.
        false => MODES[usize::from(images > 0)],
    };
    let (least, most) = match mode {
        "TEXT_2_VIDEO" => (0, 2),
        "REFERENCE_2_VIDEO" => (1, 3),
        _ => (1, 2),
    };
    if images < least || images > most {
        return Err(INVALID);
    }
    let is_reference = mode == "REFERENCE_2_VIDEO";
    let differences = [
        (
            mode == "TEXT_2_VIDEO" && images > 0,
            "body /imageUrls: are not for TEXT_2_VIDEO",
        ),
        (
            is_reference && model == "veo3",
            "body /model: has to be \"veo3_fast\" or \"veo3_lite\" for REFERENCE_2_VIDEO",
        ),
        // Of later pages; the first ones know no duration.
        (
            is_reference && seconds != 8,
            "body /duration: has to be 8 for REFERENCE_2_VIDEO",
        ),
    ];
    Ok(differences
        .into_iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, how)| how)
        .collect())
}

/// How many images a request has.
fn images(request: &Map<String, Value>) -> usize {
    request
        .get("imageUrls")
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

/// The bounds of the seed.
fn seeds(request: &Map<String, Value>) -> Result<(), Refusal> {
    let seeds = request.get("seeds").map(Value::as_f64);
    let is_within =
        seeds.is_none_or(|seeds| seeds.is_some_and(|seeds| (10_000.0..=99_999.0).contains(&seeds)));
    if is_within { Ok(()) } else { Err(INVALID) }
}

/// A task of the account whose record is still kept.
fn young<'a>(state: &'a mut State, visit: &Visit<'_>, id: &str) -> Result<&'a mut Task, Refusal> {
    let pace = state
        .tasks
        .get(id)
        .filter(|task| task.account == visit.account)
        .ok_or(UNKNOWN_TASK)?
        .pace;
    let now = state.now(pace);
    let task = state.tasks.get_mut(id).ok_or(UNKNOWN_TASK)?;
    if now.saturating_sub(task.work.started) > RECORD_LIFE {
        Err(OLD_TASK)
    } else {
        Ok(task)
    }
}

/// A task that has become a video.
fn finished<'a>(
    state: &'a mut State,
    visit: &Visit<'_>,
    id: &str,
) -> Result<&'a mut Task, Refusal> {
    state.settle(id);
    let task = young(state, visit, id)?;
    match (task.work.done, task.fate.failure(), task.fate) {
        (None, ..) | (_, Some(_), _) => Err(UNFINISHED_TASK),
        (_, _, Fate::Filtered) => Err(EMPTY_TASK),
        _ => Ok(task),
    }
}

impl Task {
    /// Whether its upgrade to this size fails, however it begins.
    pub(crate) fn has_no_upgrade(&self, to: Resolution) -> bool {
        self.fate == Fate::No4k && to == Resolution::K4
    }
}

impl Fate {
    /// The code and the words of a task that has failed.
    pub(crate) fn failure(self) -> Option<(u16, &'static str)> {
        match self {
            Fate::PromptRefused => Some((
                400,
                "Your prompt was flagged by Website as violating content policies.",
            )),
            Fate::ImageRefused => Some((400, "public error unsafe image upload.")),
            Fate::NoAudio => Some((
                400,
                "The Google model was unable to generate audio for this request.",
            )),
            Fate::Failed | Fate::FailedButCharged => Some((422, "failed")),
            Fate::FailedEarly => Some((500, "Internal Error, Please try again later.")),
            Fate::Made
            | Fate::Filtered
            | Fate::Stuck
            | Fate::Smaller
            | Fate::Fallback
            | Fate::No4k => None,
        }
    }
}

fn success(data: Value) -> Reply {
    reply(200, json!({ "code": 200, "msg": "success", "data": data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refused or named whether or not requests are checked against the specification as well.
    #[test]
    fn what_the_pages_say_of_fields_together_is_kept() {
        let [one, two, three, four] =
            [1, 2, 3, 4].map(|count| json!(vec!["https://img.example.net/kite.png"; count]));
        let (words, frames, reference) = (
            "TEXT_2_VIDEO",
            "FIRST_AND_LAST_FRAMES_2_VIDEO",
            "REFERENCE_2_VIDEO",
        );
        let refused = || None;
        let fits = || Some(vec![]);
        for (request, wanted) in [
            (json!({}), fits()),
            (json!({ "imageUrls": [] }), fits()),
            (json!({ "imageUrls": one }), fits()),
            (json!({ "imageUrls": two }), fits()),
            (json!({ "imageUrls": three }), refused()),
            (json!({ "generationType": words }), fits()),
            (
                json!({ "generationType": words, "imageUrls": two }),
                Some(vec!["/imageUrls"]),
            ),
            (
                json!({ "generationType": words, "imageUrls": three }),
                refused(),
            ),
            (json!({ "generationType": frames }), refused()),
            (
                json!({ "generationType": frames, "imageUrls": one }),
                fits(),
            ),
            (
                json!({ "generationType": frames, "imageUrls": two }),
                fits(),
            ),
            (
                json!({ "generationType": frames, "imageUrls": three }),
                refused(),
            ),
            (json!({ "generationType": reference }), refused()),
            (
                json!({ "generationType": reference, "imageUrls": [] }),
                refused(),
            ),
            (
                json!({ "generationType": reference, "imageUrls": one }),
                fits(),
            ),
            (
                json!({ "generationType": reference, "imageUrls": three }),
                fits(),
            ),
            (
                json!({ "generationType": reference, "imageUrls": four }),
                refused(),
            ),
            (
                json!({ "generationType": reference, "imageUrls": one, "model": "veo3_lite" }),
                fits(),
            ),
            (
                json!({ "generationType": reference, "imageUrls": one, "model": "veo3" }),
                Some(vec!["/model"]),
            ),
            (
                json!({ "generationType": reference, "imageUrls": one, "duration": 4 }),
                Some(vec!["/duration"]),
            ),
            (json!({ "generationType": "AUDIO_2_VIDEO" }), refused()),
            (json!({ "generationType": null }), refused()),
            (json!({ "seeds": 10_000 }), fits()),
            (json!({ "seeds": 99_999 }), fits()),
            (json!({ "seeds": 9_999 }), refused()),
            (json!({ "seeds": 100_000 }), refused()),
            (json!({ "seeds": -1 }), refused()),
            (json!({ "seeds": "10000" }), refused()),
            (json!({ "seeds": null }), refused()),
        ] {
            let object = request.as_object().unwrap();
            let model = text(object, "model").unwrap_or("veo3_fast");
            let seen = rules(object, model, duration(object).unwrap()).ok();
            let seen = seen.map(|ways| ways.into_iter().map(place).collect::<Vec<_>>());
            assert_eq!(seen, wanted, "{request}");
        }
    }

    fn place(difference: &'static str) -> &'static str {
        difference
            .strip_prefix("body ")
            .and_then(|rest| rest.split(':').next())
            .unwrap()
    }
}
