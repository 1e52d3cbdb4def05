//! Unix domain sockets.

use std::io;
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::tcp::set_buffers;
use super::within;
use crate::error::ConnectError;
use crate::options::ConnectOptions;

/// How long to wait for a place in the server's backlog, if `connect_timeout` is not shorter. TCP waits about as long.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// The first pause before the next attempt, and the longest: each pause is twice as long as the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Connects to the socket at `path`.
///
/// # Errors
/// See [`ConnectError`].
pub(super) async fn connect(path: &Path, options: &ConnectOptions) -> Result<UnixStream, ConnectError> {
    let stream = within(options.connect_timeout, async { Ok(connect_within(path, MAX_WAIT).await?) }).await?;
    set_buffers(&SockRef::from(&stream), &options.tcp)?;
    Ok(stream)
}

/// While the server's backlog is full, the operating system refuses another connection at once. Over TCP the client
/// would wait.
async fn connect_within(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = PAUSES;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixSocket;
    use tokio::time::timeout;

    use super::*;

    /// A hang guard.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_place_in_a_full_backlog_is_waited_for() {
        let path = std::env::temp_dir().join(format!("gun_rs-backlog-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        // The usual backlog has thousands of places: to fill it would take all descriptors from the tests beside this one.
        let socket = UnixSocket::new_stream().unwrap();
        socket.bind(&path).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut waiting = Vec::new();
        let refused = loop {
            match UnixStream::connect(&path).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let error = connect_within(&path, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(error.raw_os_error(), refused.raw_os_error(), "what the operating system says is told at last");
        let mut connecting = Box::pin(connect_within(&path, LONG));
        assert!(timeout(Duration::from_millis(20), &mut connecting).await.is_err(), "it waits");
        listener.accept().await.unwrap();
        timeout(LONG, connecting).await.unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
