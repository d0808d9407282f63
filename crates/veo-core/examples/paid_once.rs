//! An application and its test. The connection breaks after the provider has accepted the request, and the application
//! does not pay a second time. `cargo test -p veo-core --example paid_once` runs the test. `cargo run -p veo-core
//! --example paid_once` prints the order, and the simulator's report about the requests.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;

use veo_core::{Access, Client, JobRef, Kie, SecretString, Submission, VideoRequest};
use veo_sim::Sim;

/// The outcome of an order, as the application stores it.
#[derive(Debug, PartialEq)]
enum Order {
    /// The order is paid for, and the video is being made.
    Accepted(JobRef),
    /// The order was not paid for. The customer may try again.
    Refused(String),
    /// The order may be paid for. A person has to look at the provider's tasks before the order is placed again.
    Unclear(String),
}

/// Places an order. The address and the API key are arguments, so that a test can pass those of a simulator.
async fn place_order(
    base_url: &str,
    api_key: &str,
    prompt: &str,
) -> Result<Order, veo_core::Error> {
    let access = Access::new(SecretString::from(api_key)).base_url(base_url);
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
    // In this scenario the simulator accepts and charges the request, and closes the connection.
    let scenario = veo_sim::Scenario::named("lost-reply").unwrap();
    let sim = Sim::builder().scenario(scenario).start().await.unwrap();

    let order = place_order(&sim.url(), "any-api-key", "A dog playing in a park")
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
