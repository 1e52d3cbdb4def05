//! A connection that speaks HTTP/2: its requests, each in a task of its own.

mod answer;
mod carrier;
mod route;
mod tunnel;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::ext::Protocol;
use h2::server::{Builder, SendResponse};
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub(crate) use self::carrier::Carrier;
use crate::args::Http2;

/// A client that cancels, or breaks off, many streams at once is one that the tests have.
const MANY: usize = 10_000;

/// A request whose body follows.
type Request = http::Request<h2::RecvStream>;

/// What the requests of a connection share.
struct Shared {
    /// What `/tls` tells.
    tls: Option<String>,
    /// Whether messages are compressed where the client offers it.
    deflate: bool,
    /// The end that a request asks for.
    ends: UnboundedSender<End>,
}

/// How the connection is to end.
enum End {
    /// When the streams have.
    Graceful,
    /// At once.
    Abrupt(Reason),
}

/// Serves a connection to its end. How it ended is the client's to judge: that is what the tests look at.
pub(crate) async fn serve<S>(stream: S, tls: Option<String>, deflate: bool, http2: Http2)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let _ = accept_requests(stream, tls, deflate, http2).await;
}

async fn accept_requests<S>(stream: S, tls: Option<String>, deflate: bool, http2: Http2) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = builder(http2).handshake(stream).await?;
    let (ends, mut asked) = unbounded_channel();
    let shared = Arc::new(Shared { tls, deflate, ends });
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(request) => {
                    let (request, respond) = request?;
                    tokio::spawn(answer(request, respond, Arc::clone(&shared)));
                }
                None => return Ok(()),
            },
            Some(end) = asked.recv() => match end {
                End::Graceful => connection.graceful_shutdown(),
                End::Abrupt(reason) => connection.abrupt_shutdown(reason),
            },
        }
    }
}

fn builder(http2: Http2) -> Builder {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    builder.max_pending_accept_reset_streams(MANY).max_local_error_reset_streams(None).max_header_list_size(1 << 20);
    if let Some(max) = http2.max_streams {
        builder.max_concurrent_streams(max);
    }
    if let Some(size) = http2.window {
        builder.initial_window_size(size).initial_connection_window_size(size);
    }
    builder
}

/// A client that resets the stream, or is gone, needs no answer.
async fn answer(request: Request, respond: SendResponse<Bytes>, shared: Arc<Shared>) {
    let _ = match request.extensions().get::<Protocol>().map(Protocol::as_str) {
        Some("websocket") => websocket::hold(request, respond, &shared).await,
        Some(_) => answer::text(respond, 501, "This server has no such protocol.").await,
        None if *request.method() == Method::CONNECT => tunnel::lead(request, respond).await,
        None => answer::request(request, respond, &shared).await,
    };
}
