//! The decisions that every ledger makes in the same way.

use std::time::{Duration, SystemTime};

use veo_core::ledger::rules::{Spending, check, pause_after, price_kind, set_aside, wanted};
use veo_core::ledger::{Attempt, Begun, Budget, Entry, EntryState, Event, Outcome, Want, Wish};
use veo_core::{
    Access, AspectRatio, Client, Error, ErrorKind, JobRef, Kie, Offer, Resolution, Tier,
    VideoRequest,
};

fn offer(request: &VideoRequest) -> Offer {
    let client = Client::new(Kie::new(Access::new("key")).unwrap()).unwrap();
    client.plan(request).offers.remove(0)
}

/// The outcome of an accepted call, with the id of the upgrade's own task.
fn accepted(task: Option<&str>) -> Outcome {
    Outcome::Accepted {
        job: JobRef::new("kie", "t1"),
        task: task.map(str::to_owned),
        at: SystemTime::UNIX_EPOCH,
        refusals: Vec::new(),
    }
}

/// Checks the answer for a call with this offer: `allowed`, an amount that is set aside, `held` or `over`.
fn check_set_aside(offer: &Offer, budget: &Budget, spending: Spending, wanted: &str) {
    let answer = match set_aside(budget, offer, &spending) {
        Ok(None) => "allowed".to_owned(),
        Ok(Some(credits)) => credits.to_string(),
        Err(Begun::Held) => "held".to_owned(),
        Err(Begun::OverBudget(_)) => "over".to_owned(),
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(answer, wanted, "{budget:?} with {spending:?}");
}

#[test]
fn a_call_is_allowed_only_if_the_budget_pays_for_it() {
    let offer = offer(&VideoRequest::text("A kite"));
    let budget = Budget::new("all", "kie", 100.0).unwrap();
    let told = budget.clone().price(60.0).unwrap();
    let at_most = budget.clone().most(50.0).unwrap();
    let spent = |spent| Spending {
        spent,
        ..Spending::default()
    };
    let known = |credits| Spending {
        price: Some(60.0),
        ..spent(credits)
    };
    let unpriced = |spending| Spending {
        has_unpriced_call: true,
        ..spending
    };
    let reserved = |spending| Spending {
        is_set_aside: true,
        ..spending
    };
    let cheapest = Spending {
        least: Some(80.0),
        ..spent(30.0)
    };
    let table = [
        // The price is known from earlier calls.
        (&budget, known(0.0), "allowed"),
        (&budget, known(40.0), "allowed"),
        (&budget, known(41.0), "over"),
        (&budget, unpriced(known(40.0)), "allowed"),
        // Less than is set aside for the calls under way can be spent in the end.
        (&budget, reserved(known(41.0)), "held"),
        // The caller knows the price.
        (&told, spent(40.0), "60"),
        (&told, known(40.0), "60"),
        (&told, unpriced(spent(40.0)), "60"),
        (&told, spent(41.0), "over"),
        (&told, reserved(spent(41.0)), "held"),
        // The price is not known, so all that is left is set aside, for one call at a time.
        (&budget, spent(30.0), "70"),
        (&budget, unpriced(spent(30.0)), "held"),
        (&budget, reserved(spent(30.0)), "70"),
        (&budget, cheapest, "over"),
        (&at_most, spent(50.0), "50"),
        (&at_most, spent(51.0), "over"),
        (&at_most, reserved(spent(51.0)), "over"),
        // Nothing is left.
        (&budget, spent(100.0), "over"),
        (&budget, spent(101.0), "over"),
    ];
    for (budget, spending, wanted) in table {
        check_set_aside(&offer, budget, spending, wanted);
    }
    let other = Budget::new("all", "kie@studio", 100.0).unwrap();
    check_set_aside(&offer, &other, known(0.0), "over");
}

#[tokio::test]
async fn a_wish_is_written_down_only_if_the_ledger_lacks_it() {
    let link = "https://img.example.net/kite.png?signature=one";
    let wish = Wish::request(&VideoRequest::image("A kite", link)).await;
    let entry_of = |wish: &Wish, state| {
        let event = Event::Wanted {
            wish: Some(wish.clone()),
            target: None,
        };
        let mut entry = Entry::first("key", SystemTime::UNIX_EPOCH, event);
        entry.state = state;
        entry
    };
    let entry = |state| entry_of(&wish, state);
    let table = [
        (None, "with the wish"),
        (Some(entry(EntryState::Rejected)), "without the wish"),
        // Without the signature of its link the stored wish cannot be sent.
        (
            Some(entry_of(&wish.redacted(), EntryState::Rejected)),
            "with the wish",
        ),
        (Some(entry(EntryState::Wanted)), "nothing"),
        (Some(entry(EntryState::Unknown)), "nothing"),
        (Some(entry(EntryState::Accepted)), "nothing"),
    ];
    for (known, expected) in table {
        let want = Want::new("key", wish.clone());
        let written = match wanted(want, known.as_ref()).unwrap() {
            None => "nothing",
            Some(Event::Wanted { wish: Some(_), .. }) => "with the wish",
            Some(Event::Wanted { wish: None, .. }) => "without the wish",
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!(written, expected, "after {known:?}");
    }
    let other = Wish::request(&VideoRequest::text("A dog")).await;
    let error = wanted(Want::new("key", other), Some(&entry(EntryState::Rejected))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyReused);
}

#[test]
fn only_a_refusal_of_too_many_requests_pauses_the_account() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let table = [
        (ErrorKind::RateLimited, None, Some(Duration::from_secs(10))),
        (ErrorKind::RateLimited, Some(minutes(1)), Some(minutes(1))),
        // A provider cannot stop an account for longer.
        (ErrorKind::RateLimited, Some(minutes(60)), Some(minutes(5))),
        (ErrorKind::Maintenance, Some(minutes(1)), None),
        (ErrorKind::Refused, None, None),
    ];
    for (kind, retry_after, wanted) in table {
        let error = Error::new(kind, "no").with_retry_after(retry_after);
        assert_eq!(pause_after(&error), wanted, "{kind:?} {retry_after:?}");
    }
}

#[test]
fn the_kind_of_a_price_has_all_that_the_price_depends_on() {
    let text = || VideoRequest::text("A kite");
    let kind = |request: VideoRequest| price_kind(&offer(&request));
    let usual = kind(text());
    for same in [
        VideoRequest::text("A dog"),
        text().seconds(8),
        text().aspect_ratio(AspectRatio::Portrait),
    ] {
        assert_eq!(kind(same), usual);
    }
    for other in [
        text().seconds(4),
        text().tier(Tier::Quality),
        text().resolution(Resolution::P1080),
        VideoRequest::image("A kite", "https://img.example.net/kite.png"),
    ] {
        assert_ne!(kind(other.clone()), usual, "{other:?}");
    }
    let mut offer = offer(&text());
    offer.account = "kie@studio".to_owned();
    assert_eq!(price_kind(&offer), usual.replacen("kie", "kie@studio", 1));
}

#[test]
fn a_settlement_fits_the_entry_that_its_author_saw() {
    let at = SystemTime::UNIX_EPOCH;
    let offer = offer(&VideoRequest::text("A kite"));
    let accepted = accepted(None);
    let rejected = Outcome::rejected(Error::new(ErrorKind::Refused, "no such task"));
    let entry_in = |state| {
        let event = Event::Begun {
            wish: None,
            target: None,
            attempt: Box::new(Attempt::new(&offer, at)),
        };
        let mut entry = Entry::first("key", at, event);
        entry.state = state;
        entry
    };
    let table = [
        (EntryState::Unknown, &accepted, 1, None, ""),
        (EntryState::Unknown, &accepted, 1, Some("key"), ""),
        (EntryState::Unknown, &rejected, 1, Some("other"), ""),
        (
            EntryState::Unknown,
            &accepted,
            1,
            Some("other"),
            "kie:t1 is the job of other",
        ),
        // A call began after the author looked.
        (
            EntryState::Unknown,
            &rejected,
            0,
            None,
            "key is unknown now; check it again before you settle it",
        ),
        (
            EntryState::Accepted,
            &rejected,
            1,
            None,
            "key is accepted now; check it again before you settle it",
        ),
    ];
    for (state, outcome, attempts, owner, wanted) in table {
        let event = Event::Settled {
            outcome: outcome.clone(),
            attempts,
        };
        let problem = match check(&event, &entry_in(state), owner) {
            Ok(()) => String::new(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidRequest);
                error.to_string()
            }
        };
        assert_eq!(problem, wanted, "{state:?}, {event:?}, {owner:?}");
    }
}

#[test]
fn a_late_event_changes_no_entry() {
    use EntryState::{Accepted, Done, Failed, Finished, OnItsWay, Rejected, Unknown, Wanted};
    let ended = |task| Event::Ended {
        outcome: accepted(task),
    };
    let error = || Error::new(ErrorKind::Refused, "no");
    let rejected = Event::Ended {
        outcome: Outcome::rejected(error()),
    };
    let failed = Event::Failed { error: error() };
    let finished = Event::Finished { credits: None };
    let table: [(Event, &[EntryState]); 6] = [
        (ended(None), &[Accepted, Finished, Failed, Done]),
        // The task of an upgrade is told after the upgrade was accepted.
        (ended(Some("t2")), &[Finished, Failed, Done]),
        (rejected, &[Accepted, Finished, Failed, Done]),
        (
            finished,
            &[Wanted, Rejected, OnItsWay, Unknown, Finished, Failed, Done],
        ),
        (failed, &[Wanted, Rejected, OnItsWay, Unknown, Failed, Done]),
        (Event::CalledAgain { calls: 2 }, &[]),
    ];
    for (event, late) in table {
        for state in [
            Wanted, Rejected, OnItsWay, Unknown, Accepted, Finished, Failed, Done,
        ] {
            let is_late = event.is_late(state);
            assert_eq!(is_late, late.contains(&state), "{event:?} after {state:?}");
        }
    }
}
