//! A program that uses every part of the client of good.yaml. A test compiles it with the client of an edited one.

mod generated;

mod client {
    use veo_transport::RawReply;

    /// A stand-in for the connections, which a program does not see.
    #[derive(Clone, Debug)]
    pub(crate) struct Inner {
        pub(crate) other_url: String,
    }

    impl Inner {
        pub(crate) async fn submit(&self, _: reqwest::Request) -> Result<RawReply, crate::Error> {
            todo!()
        }

        pub(crate) async fn query(&self, _: reqwest::Request) -> Result<RawReply, crate::Error> {
            todo!()
        }

        pub(crate) async fn other(&self, _: reqwest::Request) -> Result<RawReply, crate::Error> {
            todo!()
        }
    }
}

mod reply {
    /// A stand-in for the hand-written code of a provider.
    pub(crate) fn open<T>(_: veo_transport::RawReply) -> Result<crate::Reply<T>, crate::Error> {
        todo!()
    }
}

pub(crate) use generated::*;
pub(crate) use veo_transport::Reply;

pub(crate) type Error = veo_transport::Error<String>;

fn main() {
    let _ = [BASE_URL, OTHER_URL];
    let _ = (bounds::request::PARTS, bounds::request::SEED);
}

#[allow(dead_code)]
async fn program(client: Client) -> Result<(), Error> {
    let request = types::Request::builder()
        .prompt("a kite")
        .size(types::Size::Small)
        .parts(["a", "b"])
        .seed(4);
    let request: types::Request = request.try_into().unwrap();
    let _: &String = &request.prompt;
    let _: &Option<types::Size> = &request.size;
    let _: &Vec<String> = &request.parts;
    let _: Option<i64> = request.seed;
    request.check().unwrap();
    match types::Size::Small {
        types::Size::Small | types::Size::Large => {}
        #[allow(unreachable_patterns)]
        _ => {}
    }

    let _: Reply<types::Task> = client.make().body(request).send().await?;
    let _: Reply<types::Task> = client.read().id("t1").part(1).send().await?;
    Ok(())
}

#[allow(dead_code)]
fn read(task: types::Task, failure: types::Failure) {
    let _: Option<String> = task.task_id;
    let _: Option<f64> = task.seconds;
    let _: Option<String> = task.time;
    let _: Option<String> = failure.msg;
    match task.state {
        Some(types::State::Done) => {}
        Some(types::State::Unknown(word)) => drop::<String>(word),
        _ => {}
    }
}
