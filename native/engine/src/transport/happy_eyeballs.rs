//! Which address of a host to use: Happy Eyeballs (RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// The head start of one attempt before the next address is tried beside it (RFC 8305, 5).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Orders addresses so that the families take turns, the family that the resolver prefers first (RFC 8305, 4).
pub(super) fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_ipv6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_ipv6);
    let mut ordered = Vec::with_capacity(first.len() + second.len());
    let mut second = second.into_iter();
    for address in first {
        ordered.push(address);
        ordered.extend(second.next());
    }
    ordered.extend(second);
    ordered
}

/// Tries the addresses in order, each one when the one before has failed or has had its head start; the first to
/// connect wins and the others are dropped.
///
/// # Errors
/// That of the attempt that failed last; `NotFound` if there is no address.
pub(super) async fn connect<T, F>(addresses: Vec<SocketAddr>, mut attempt: impl FnMut(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + Send,
{
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut last_error = io::Error::from(io::ErrorKind::NotFound);
    loop {
        running.extend(waiting.next().map(|address| Box::pin(attempt(address))));
        if running.is_empty() {
            return Err(last_error);
        }
        let more = waiting.len() > 0;
        tokio::select! {
            result = first_done(&mut running) => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = error,
            },
            () = sleep(ATTEMPT_DELAY), if more => {}
        }
    }
}

/// The result of the first of these to finish; it is removed from them.
async fn first_done<F: Future>(running: &mut Vec<Pin<Box<F>>>) -> F::Output {
    poll_fn(|cx| {
        for index in 0..running.len() {
            if let Poll::Ready(output) = running[index].as_mut().poll(cx) {
                drop(running.swap_remove(index));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::time::Instant;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_beginning_with_the_resolvers_first() {
        let [a6, b6, c6, a4, b4] = ["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1", "10.0.0.2:1"].map(address);
        assert_eq!(interleave([a6, b6, c6, a4, b4]), [a6, a4, b6, b4, c6]);
        assert_eq!(interleave([a4, b4, a6]), [a4, a6, b4]);
        assert_eq!(interleave([]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_after_the_head_start_and_the_first_to_answer_wins() {
        let started = Arc::new(Mutex::new(Vec::new()));
        let origin = Instant::now();
        let addresses = ["[::1]:1", "10.0.0.1:1", "10.0.0.2:1"].map(address);
        let log = started.clone();
        let winner = connect(addresses.to_vec(), move |address| {
            log.lock().unwrap().push((address, origin.elapsed()));
            async move {
                if address.is_ipv6() {
                    std::future::pending::<()>().await;
                }
                sleep(Duration::from_millis(400)).await;
                Ok(address)
            }
        })
        .await;
        assert_eq!(winner.unwrap(), addresses[1]);
        let expected: Vec<_> = addresses.into_iter().zip([0, 1, 2].map(|n| n * ATTEMPT_DELAY)).collect();
        assert_eq!(*started.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_attempt_starts_the_next_at_once_and_the_last_error_is_told() {
        let origin = Instant::now();
        let result: io::Result<()> = connect(vec![address("[::1]:1"), address("10.0.0.1:1")], |address| async move {
            Err(io::Error::from(if address.is_ipv6() {
                io::ErrorKind::NetworkUnreachable
            } else {
                io::ErrorKind::ConnectionRefused
            }))
        })
        .await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(origin.elapsed(), Duration::ZERO);
    }
}
