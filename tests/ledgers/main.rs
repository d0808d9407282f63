//! The behaviour of any ledger, tested in a file and in PostgreSQL, and the behaviour of PostgreSQL alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod fake_provider;
mod keys;
mod postgres;
mod races;
mod rules;
mod setup;

/// Makes a test for a kind of ledger from each behaviour.
macro_rules! on {
    ($kind:ident $($file:ident::$name:ident)*) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(setup) = crate::setup::Setup::$kind().await {
                        crate::$file::$name(setup).await;
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
    keys::a_second_caller_of_a_key_waits_for_the_first
    keys::a_video_that_was_waited_for_is_in_the_ledger
    keys::an_entry_is_listed_with_its_job_and_address
    keys::a_call_whose_reply_is_lost_is_not_sent_again
    keys::a_wish_is_recognised_by_the_content_of_its_images
    keys::a_rejected_wish_is_sent_again_and_an_unknown_one_is_not
    keys::an_entry_is_unknown_after_its_sending_process_ends
    keys::steps_take_a_wish_to_a_saved_video
    keys::a_run_finishes_every_open_entry_but_unknown_ones
    keys::two_open_entries_never_have_the_same_target
    keys::a_budget_caps_all_calls_of_its_name_and_account
    keys::a_balance_that_has_not_fallen_tells_no_price
    keys::a_callback_with_the_marker_settles_an_unknown_outcome
    keys::a_callback_settles_the_call_of_a_process_that_has_ended
    keys::processes_share_the_limit_of_an_account
    keys::a_slow_call_counts_until_after_its_end
    keys::a_pause_is_not_waited_for_if_it_is_too_long
    keys::a_call_waits_for_the_budget_as_long_as_for_a_job
    keys::an_unfinished_question_does_not_block_the_ledger
    races::a_later_refusal_does_not_settle_a_lost_call
    races::a_lost_call_for_4k_is_repeated_once_among_all_processes
    races::only_one_process_may_repeat_a_lost_call
    races::a_settlement_is_refused_after_the_wish_was_sent_again
    races::a_ledger_refuses_the_job_of_another_key
    races::a_video_over_budget_for_an_upgrade_is_handed_on_unchanged
    races::a_budget_is_shared_by_all_processes
    races::numbers_of_a_body_are_stored_exactly
    races::long_keys_and_targets_are_found
    races::a_rejected_wish_keeps_its_target_unless_it_is_taken
    races::a_key_that_another_task_sends_is_not_reported_unknown
}
