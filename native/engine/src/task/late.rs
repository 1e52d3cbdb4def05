//! Requests whose time is over while there is no connection.

use std::future::poll_fn;
use std::task::Poll;

use tokio::time::Instant;

use super::Task;
use crate::http::deadline::{alarm_at, is_due};
use crate::late::{earlier, limit_of_left};
use crate::sink::Sink;

impl<K: Sink> Task<K> {
    /// When the time of the first request that waits for a connection is over.
    pub(super) fn next_limit(&self) -> Option<Instant> {
        earlier(self.commands.next_limit(), self.left_limit)
    }

    /// Whether a request of this name waits for a connection.
    pub(super) fn awaits(&self, stream: &K::StreamId) -> bool {
        let left = self.left.as_ref().map(|left| &left.requests);
        left.is_some_and(|requests| requests.iter().any(|waiting| waiting.entry.name == *stream))
            || self.commands.has_request(stream)
    }

    /// Ends the requests whose time is over.
    pub(super) fn end_late(&mut self) {
        self.commands.end_late(self.left.as_deref_mut(), &mut self.sink);
        self.left_limit = self.left.as_deref().and_then(limit_of_left);
    }
}

/// Waits for this moment; for ever, where there is none.
pub(super) async fn reached(at: Option<Instant>) {
    let mut alarm = at.map(alarm_at);
    poll_fn(|cx| if is_due(alarm.as_mut(), cx) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Method, Uri};

    use super::*;
    use crate::command::{Body, Command, Request, RequestData, StreamCommand, TimeLimit};
    use crate::error::{BadState, Wait};
    use crate::status::Status;
    use crate::task::commands::Commands;
    use crate::task::{queue, spawn};
    use crate::testing::*;

    fn request(stream: u32, seconds: Option<u64>) -> StreamCommand<Recorder> {
        StreamCommand::Request(Box::new(Request {
            stream,
            caller: CALLER,
            method: Method::POST,
            target: Uri::from_static("/"),
            headers: Vec::new(),
            body: Body::Streamed(None),
            flow: None,
            response_timeout: None,
            body_timeout: None,
            timeout: seconds.map(|seconds| TimeLimit::from_now(Duration::from_secs(seconds))),
        }))
    }

    fn late(stream: u32) -> Told {
        Told::TimedOut(stream, Wait::Whole)
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_request_counts_while_there_is_no_connection() {
        let (sink, told) = recorder();
        let mut client = Client { handle: spawn(&tokio::runtime::Handle::current(), options(), sink), told };
        let began = Instant::now();
        for (stream, seconds) in [(1, Some(3)), (2, None), (3, Some(1)), (4, Some(2))] {
            client.handle.send(request(stream, seconds));
            let data = Bytes::from_static(b"body");
            let data = RequestData { stream, caller: CALLER, data, fin: true, receipt: None };
            client.handle.send(StreamCommand::Data(Box::new(data)));
        }
        let all = client.handle.stats().queued;
        // Nobody is told of one that is cancelled.
        client.handle.send(StreamCommand::Cancel(Box::new((4, CALLER))));
        client.expect(&[late(3)]).await;
        assert_eq!(began.elapsed().as_secs(), 1);
        client.expect_only(&[late(1)]).await;
        assert_eq!(began.elapsed().as_secs(), 3);
        assert_eq!(client.handle.stats().queued, all / 4);
        // A port that refuses: the request that is left waits for the next attempt.
        client.handle.send(Command::Connect(None));
        let Some(Told::ConnectFailed(_)) = client.next().await else { panic!("it has not failed") };
        client.handle.send(request(5, Some(1)));
        client.expect_only(&[late(5)]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_a_connection_has_left_ends_between_it_and_the_next() {
        let (mut client, mut peer) = connected(options(), BUFFER);
        client.handle.send(request(1, None));
        peer.request().await;
        client.handle.send(StreamCommand::Data(Box::new(RequestData {
            stream: 1,
            caller: CALLER,
            data: Bytes::new(),
            fin: true,
            receipt: None,
        })));
        peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n").await;
        client.expect(&[Told::Response(1, Fin::NoFin, 200)]).await;
        client.handle.send(request(2, Some(5)));
        client.handle.send(request(3, Some(5)));
        settle().await;
        peer.write("a").await;
        client.expect(&[Told::Data(1, Fin::Fin, "a".into()), Told::Down(Http, Reason::Normal, vec![])]).await;
        client.handle.send(StreamCommand::Cancel(Box::new((3, CALLER))));
        client.expect_only(&[late(2)]).await;
        assert_eq!(client.handle.stats().queued, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_part_of_its_body_is_told_too() {
        let (sink, told) = recorder();
        let mut client = Client { handle: spawn(&tokio::runtime::Handle::current(), options(), sink), told };
        let part = |stream, receipt| {
            let (data, receipt) = (Bytes::from_static(b"body"), Some(receipt));
            StreamCommand::Data(Box::new(RequestData { stream, caller: CALLER, data, fin: false, receipt }))
        };
        for stream in [1, 2] {
            client.handle.send(request(stream, Some(1)));
            client.handle.send(part(stream, 10 + stream));
        }
        client.handle.send(StreamCommand::Cancel(Box::new((2, CALLER))));
        let unsent = |receipt| Told::NotSent(receipt, Unsent::BadState(BadState::NoStream));
        client.expect_only(&[late(1), unsent(11), unsent(12)]).await;
        assert_eq!(client.handle.stats().queued, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_requests_that_are_given_back_counts() {
        let status = Status::<Recorder>::new(None);
        let (_sender, receiver) = queue::queue(std::sync::Arc::clone(status.account()));
        let mut commands = Commands::new(receiver);
        let given_back = [request(1, Some(9)), request(2, None), request(3, Some(5))];
        commands.put_back(given_back.into_iter().map(|command| (command.into(), Default::default())));
        assert_eq!(commands.next_limit(), Some(Instant::now() + Duration::from_secs(5)));
    }
}
