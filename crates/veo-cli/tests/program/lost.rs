//! A network or a gateway loses the reply to a paid request, in each known way. The request was accepted and is paid
//! for, so it is sent once, and to no other provider.

use veo_sim::{Fault, Pace, Scenario};

use crate::sandbox::Sandbox;

/// The page of a gateway that has passed the request on.
fn page(status: u16) -> Fault {
    Fault::Reply {
        status,
        body: "<html><h1>That went wrong.</h1></html>".to_owned(),
        content_type: None,
        accepted: true,
    }
}

#[test]
fn a_request_is_sent_once_although_its_reply_is_lost() {
    let table = [
        ("drop", Fault::Drop),
        ("reset", Fault::Reset),
        ("cut head", Fault::CutHead),
        ("500", page(500)),
        ("502", page(502)),
        ("503", page(503)),
        ("504", page(504)),
        ("520", page(520)),
        ("524", page(524)),
    ];
    // Each command, and the number of its runs. A second `veo generate` would have another wish.
    let commands: [(&[&str], usize); 2] = [
        (&["generate", "A dog"], 1),
        (&["generate", "--batch", "jobs.jsonl"], 2),
    ];
    for (name, fault) in table {
        for (command, times) in commands {
            let scenario = Scenario::new("lost", "Every reply to a paid request is lost.")
                .pace(Pace::AtOnce)
                .fault("submit", 1.., fault.clone());
            let sandbox = Sandbox::with_scenario(scenario);
            sandbox.write("jobs.jsonl", r#"{"prompt": "A dog"}"#);
            for _ in 0..times {
                let run = sandbox.run(command);
                assert_eq!(run.code, 4, "{name} {command:?}: {}", run.err);
            }
            let sim = sandbox.sim();
            assert_eq!(
                (sim.submits(), sim.charges().len()),
                (1, 1),
                "{name} {command:?}\n{}",
                sim.report()
            );
        }
    }
}
