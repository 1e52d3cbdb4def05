//! Conversations whose messages are compressed: permessage-deflate (RFC 7692), by yawc, as tungstenite has none.

use std::io::{self, Cursor};

use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, empty, join};
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use yawc::close::CloseCode;
use yawc::{CompressionLevel, Frame, OpCode, Options, Role, WebSocket};

use crate::flood;
use crate::mode::Conversation;

/// The tests send messages of any size; the limits under test are the client's.
const LARGEST: usize = 1 << 31;

/// zlib's fastest: a benchmark of the client must not wait for this side.
const LEVEL: u32 = 1;

/// What was agreed on, and what is to be said then.
pub(crate) struct Compressed {
    agreed: String,
    talk: Talk,
}

enum Talk {
    Echo,
    Sink,
    Flood { wait: u64, n: u64, frames: Frames },
}

impl Compressed {
    /// `None` if the client offers nothing that can be accepted, or the conversation is one that is never compressed.
    ///
    /// The messages of a flood are compressed now, before the client has its answer: its flood is then as fast as one
    /// that is not compressed.
    pub(crate) async fn accept(headers: &HeaderMap, conversation: &Conversation) -> io::Result<Option<Self>> {
        let Some(agreed) = agree(headers) else { return Ok(None) };
        let talk = match *conversation {
            Conversation::Echo => Talk::Echo,
            Conversation::Sink => Talk::Sink,
            Conversation::Flood { n, size, wait, json } => {
                Talk::Flood { wait, n, frames: Frames::record(&agreed, size, json).await.map_err(io::Error::other)? }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { agreed, talk }))
    }

    /// The value of `sec-websocket-extensions` in the answer.
    pub(crate) fn agreed(&self) -> &str {
        &self.agreed
    }

    /// Holds the conversation to its end.
    ///
    /// # Errors
    ///
    /// The client breaks the protocol, or the connection breaks.
    pub(crate) async fn hold<S>(self, mut stream: S) -> yawc::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self.talk {
            Talk::Echo => echo(open(&mut stream, &self.agreed)?).await?,
            Talk::Sink => sink(open(&mut stream, &self.agreed)?).await?,
            Talk::Flood { wait, n, frames } => {
                let mut socket = open(&mut stream, &self.agreed)?;
                for _ in 0..wait {
                    socket.next_frame().await?;
                }
                // The frames pass it by: what the client says until the end needs no context.
                drop(socket);
                frames.write(&mut stream, n).await?;
                let mut socket = open(&mut stream, &self.agreed)?;
                socket.send(Frame::close(CloseCode::Normal, "")).await?;
                while socket.next_frame().await?.opcode() != OpCode::Close {}
            }
        }
        // In TLS, this says that the end is no cut.
        Ok(stream.shutdown().await?)
    }
}

/// The first offer that can be accepted, as it is accepted.
fn agree(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all("sec-websocket-extensions").iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).find_map(|offer| {
        let mut words = offer.split(';').map(str::trim);
        if words.next() != Some("permessage-deflate") {
            return None;
        }
        let mut agreed = "permessage-deflate".to_owned();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name.trim() {
                "server_no_context_takeover" | "client_no_context_takeover" if value.is_empty() => {}
                // zlib has no window of 8 bits.
                "server_max_window_bits" if value.trim().parse().is_ok_and(|bits: u8| (9..=15).contains(&bits)) => {}
                // It is a permission, and there is no use for it.
                "client_max_window_bits" => continue,
                _ => return None,
            }
            agreed.push_str("; ");
            agreed.push_str(word);
        }
        Some(agreed)
    })
}

fn open<S>(stream: S, agreed: &str) -> yawc::Result<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let options = Options::default().with_compression_level(CompressionLevel::new(LEVEL));
    let options = options.with_limits(LARGEST, LARGEST).with_utf8();
    WebSocket::from_stream_with_extensions(stream, Role::Server, Some(agreed), options)
}

async fn echo<S>(mut socket: WebSocket<S>) -> yawc::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let frame = socket.next_frame().await?;
        match frame.opcode() {
            OpCode::Text | OpCode::Binary => socket.send(frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

async fn sink<S>(mut socket: WebSocket<S>) -> yawc::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut count: u64 = 0;
    loop {
        let frame = socket.next_frame().await?;
        match frame.opcode() {
            OpCode::Text if frame.payload().as_ref() == b"count" => socket.send(Frame::text(count.to_string())).await?,
            OpCode::Text | OpCode::Binary => count += 1,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

/// The messages of a flood as they are on the wire, compressed once and sent any number of times.
///
/// What a frame inflates to depends on no more than the window before it. The messages of the second round have the
/// first round before them, and so have those of each later one: the same frames are right again.
struct Frames {
    /// Two rounds.
    wire: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Frames {
    async fn record(agreed: &str, size: usize, json: bool) -> yawc::Result<Self> {
        let messages = flood::messages(size, json);
        let mut wire = Vec::new();
        let mut socket = open(join(empty(), &mut wire), agreed)?;
        for message in messages.iter().chain(&messages) {
            let payload = message.clone().into_data();
            socket.feed(if message.is_text() { Frame::text(payload) } else { Frame::binary(payload) }).await?;
        }
        socket.flush().await?;
        drop(socket);
        let (mut rest, mut ends) = (Cursor::new(&wire), Vec::new());
        while let Some((_, length)) = FrameHeader::parse(&mut rest).map_err(io::Error::other)? {
            rest.set_position(rest.position() + length);
            ends.push(usize::try_from(rest.position()).map_err(io::Error::other)?);
        }
        Ok(Self { wire, ends })
    }

    /// Writes `n` of them.
    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin), n: u64) -> io::Result<()> {
        let (mut next, mut left) = (0, n);
        while left > 0 {
            let count = self.ends.len() - next;
            let count = usize::try_from(left).map_or(count, |left| left.min(count));
            let start = if next == 0 { 0 } else { self.ends[next - 1] };
            stream.write_all(&self.wire[start..self.ends[next + count - 1]]).await?;
            left -= count as u64;
            next = self.ends.len() / 2;
        }
        stream.flush().await
    }
}
