//! The behaviour of any ledger, run on the one in a file and on the one in PostgreSQL; and what is PostgreSQL's own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod hat;
mod keys;
mod place;
mod postgres;
mod races;

/// Runs behaviours on a kind of ledger.
macro_rules! on {
    ($kind:ident $($file:ident::$name:ident)*) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(place) = crate::place::Place::$kind().await {
                        crate::$file::$name(place).await;
                    }
                }
            )*
        }
    };
}

macro_rules! on_both {
    ($($file:ident::$name:ident)*) => {
        on! { in_a_file $($file::$name)* }
        on! { in_postgres $($file::$name)* }
    };
}

on_both! {
    keys::one_key_is_paid_once
    keys::a_wish_is_known_again_by_the_content_of_its_images
    keys::what_was_rejected_begins_again_and_what_is_unknown_does_not
    keys::what_is_on_its_way_is_unknown_once_its_process_has_gone
    keys::a_wish_goes_step_by_step_to_a_video_that_is_done
    keys::a_run_drives_everything_that_is_open
    keys::two_open_entries_are_never_saved_in_the_same_place
    keys::a_budget_is_kept_whatever_is_told
    keys::a_callback_settles_what_is_unknown
    keys::processes_share_the_limit_of_an_account
    keys::whoever_asks_and_does_something_else_keeps_the_ledger_from_nobody
    races::a_refusal_says_nothing_of_a_call_whose_reply_was_lost
    races::a_lost_call_for_4k_is_repeated_once_by_all_together
    races::of_two_who_would_repeat_a_call_one_may
    races::what_was_sent_again_meanwhile_is_not_settled
    races::a_video_that_may_not_be_made_larger_is_handed_on_as_it_is
    races::a_budget_is_shared_by_all
    races::numbers_are_kept
    races::long_texts_are_found
    races::what_was_rejected_keeps_its_place
    races::a_key_that_another_task_sends_is_not_to_be_looked_at
}
