//! The random faults of a run. No reply lies about the money: no reply to a charged request says that it was refused.

use fastrand::Rng;
use veo_sim::{Callbacks, Fate, Fault, Pace, Scenario, Shape};

/// The key that signs callbacks.
pub(crate) const WEBHOOK_KEY: &str = "test_webhook_hmac_key";

const SHAPES: &[Shape] = &[
    Shape::UrlsAsText,
    Shape::UrlsInBrackets,
    Shape::TimesAsText,
    Shape::SnakeCase,
    Shape::Nulls,
    Shape::NumbersAsText,
    Shape::UnknownFields,
    Shape::UnknownState,
    Shape::OriginFirst,
    Shape::OriginOnly,
    Shape::NoResult,
    Shape::Generating,
    Shape::AsDocumented,
    Shape::New4kId,
    Shape::NoData,
    Shape::StatusIsCode,
    Shape::Envelope,
    Shape::TaskIdOnly,
    Shape::BareId,
    Shape::StockVideo,
    Shape::ContentOnly,
    Shape::ContentUrl,
    Shape::OutputsOnly,
    Shape::OtherStates,
    Shape::UnderWay,
    Shape::UpperCase,
    Shape::PercentAsText,
    Shape::ErrorAsText,
    Shape::ErrorIsNull,
];

/// All fates with an end. A task that is stuck and a success without a video are left out, since they have none.
const FATES: &[Fate] = &[
    Fate::PromptRefused,
    Fate::ImageRefused,
    Fate::NoAudio,
    Fate::Failed,
    Fate::FailedEarly,
    Fate::FailedButCharged,
    Fate::Retired,
    Fate::Smaller,
    Fate::Fallback,
    Fate::No4k,
];

/// Returns a scenario in which about every fourth request and every eighth task goes wrong.
pub(crate) fn scenario(chance: &mut Rng, jobs: usize, pace: Pace) -> Scenario {
    let jobs = u32::try_from(jobs).unwrap();
    let callbacks = Callbacks {
        key: Some(WEBHOOK_KEY.to_owned()),
        twice: chance.bool(),
        late: chance.u32(0..500),
        ..Callbacks::default()
    };
    let mut scenario = Scenario::new("chaos", "")
        .pace(pace)
        .credits(10_000_000.0)
        .callbacks(callbacks);
    type Choice = fn(&mut Rng) -> Fault;
    let groups: [(&str, u32, Choice); 3] = [
        ("submit", 3, of_submit),
        ("query", 6, of_query),
        ("media", 2, of_media),
    ];
    for (group, calls, fault) in groups {
        for number in 1..=jobs * calls {
            if chance.u32(0..4) == 0 {
                scenario = scenario.fault(group, number..=number, fault(chance));
            }
        }
    }
    for number in 1..=jobs {
        if chance.u32(0..8) == 0 {
            scenario = scenario.task(number..=number, one_of(chance, FATES));
        }
    }
    scenario
}

fn of_submit(chance: &mut Rng) -> Fault {
    match chance.u32(0..12) {
        0 => Fault::DropBeforeReading,
        1 => Fault::status(one_of(chance, &[401, 402, 429])),
        2 => Fault::status(429),
        3 => Fault::code(455),
        4 => page(403, false),
        _ => of_reply(chance),
    }
}

fn of_query(chance: &mut Rng) -> Fault {
    match chance.u32(0..8) {
        0 => Fault::DropBeforeReading,
        1 => Fault::status(429),
        _ => of_reply(chance),
    }
}

fn of_media(chance: &mut Rng) -> Fault {
    match chance.u32(0..9) {
        0 => Fault::DropBeforeReading,
        1 => Fault::Drop,
        2 => Fault::Reset,
        3 => Fault::CutBody,
        4 => Fault::Truncated,
        5 => Fault::Corrupted,
        6 => Fault::Slow(500_000),
        7 => Fault::Expired,
        _ => Fault::WithoutRanges,
    }
}

/// Returns a fault that spoils the reply. The provider may have acted on the request or not.
fn of_reply(chance: &mut Rng) -> Fault {
    let server_error = one_of(chance, &[500, 502, 504, 520, 524]);
    let accepted = chance.bool();
    match chance.u32(0..12) {
        0 => Fault::Drop,
        1 => Fault::Reset,
        2 => Fault::CutHead,
        3 => Fault::CutBody,
        4 => page(server_error, accepted),
        5 => Fault::Error {
            status: Some(server_error),
            code: None,
            message: None,
            retry_after: None,
            accepted,
        },
        _ => Fault::Shape(one_of(chance, SHAPES)),
    }
}

/// Returns the page of the proxy in front of a provider.
fn page(status: u16, accepted: bool) -> Fault {
    Fault::Reply {
        status,
        body: "<html><body>gateway</body></html>".to_owned(),
        content_type: None,
        accepted,
    }
}

fn one_of<T: Copy>(chance: &mut Rng, all: &[T]) -> T {
    all[chance.usize(0..all.len())]
}
