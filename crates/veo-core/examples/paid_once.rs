//! An application and its test: the connection breaks after the provider has taken the order, and the application does not
//! pay a second time. `cargo test -p veo-core --example paid_once` runs the test, `cargo run` shows what it looked at.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;

use veo_core::{Access, Client, JobRef, Kie, SecretString, Submission, VideoRequest};
use veo_sim::Sim;

/// What the application keeps of an order.
#[derive(Debug, PartialEq)]
enum Order {
    /// Paid for and being made.
    Accepted(JobRef),
    /// Not paid for; the customer may try again.
    Refused(String),
    /// Perhaps paid for; a person has to look.
    Unclear(String),
}

/// The application. Its address and its key come from its configuration, so a test can give others.
async fn place_order(base_url: &str, key: &str, prompt: &str) -> Result<Order, veo_core::Error> {
    let access = Access::new(SecretString::from(key)).base_url(base_url);
    let client = Client::new(Kie::new(access)?)?;
    Ok(match client.submit(&VideoRequest::text(prompt)).await {
        Submission::Accepted(job) => Order::Accepted(job.reference),
        Submission::Rejected(error) => Order::Refused(error.to_string()),
        Submission::Unknown(unknown) => Order::Unclear(unknown.error.to_string()),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::start().await?;
    println!(
        "{:?}",
        place_order(&sim.url(), "lost-reply", "A dog playing in a park").await?
    );
    println!("{}", sim.report());
    Ok(())
}

#[cfg(test)]
#[tokio::test]
async fn a_lost_reply_is_not_paid_twice() {
    // The request is accepted and charged, and then the connection is closed.
    let scenario = veo_sim::Scenario::named("lost-reply").unwrap();
    let sim = Sim::builder().scenario(scenario).start().await.unwrap();

    let order = place_order(&sim.url(), "the key of the test", "A dog playing in a park")
        .await
        .unwrap();

    assert!(matches!(order, Order::Unclear(_)), "{order:?}");
    assert_eq!(
        sim.submits(),
        1,
        "one paid request left the application\n{}",
        sim.report()
    );
    assert_eq!(sim.charges().len(), 1, "and one was charged");
    assert_eq!(
        sim.surprises(),
        [""; 0],
        "and what it sent fits the provider's specification"
    );
}
