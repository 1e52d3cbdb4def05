//! What is said once a connection speaks WebSocket.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, Result};

use crate::flood;
use crate::mode::Conversation;

/// Holds the conversation to its end.
///
/// # Errors
///
/// The client breaks the protocol, or the connection breaks.
pub(crate) async fn hold<S>(mut socket: WebSocketStream<S>, conversation: &Conversation) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match *conversation {
        Conversation::Echo => echo(&mut socket).await,
        Conversation::Fragments { size } => fragments(&mut socket, size).await,
        Conversation::Flood { n, size, wait, json } => flood(&mut socket, n, wait, &flood::messages(size, json)).await,
        Conversation::Sink => sink(&mut socket).await,
        Conversation::Close(code) => close(&mut socket, code).await,
        Conversation::Drop => return drop_after_one(socket).await,
    }?;
    // In TLS, this says that the end is no cut.
    Ok(socket.get_mut().shutdown().await?)
}

async fn echo<S>(socket: &mut WebSocketStream<S>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn fragments<S>(socket: &mut WebSocketStream<S>, size: usize) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        let message = message?;
        let mut opcode = match message {
            Message::Text(_) => Data::Text,
            Message::Binary(_) => Data::Binary,
            _ => continue,
        };
        let mut rest = message.into_data();
        loop {
            let part = rest.split_to(size.min(rest.len()));
            let last = rest.is_empty();
            socket.feed(Message::Frame(Frame::message(part, OpCode::Data(opcode), last))).await?;
            if last {
                break;
            }
            opcode = Data::Continue;
        }
        socket.flush().await?;
    }
    Ok(())
}

async fn flood<S>(socket: &mut WebSocketStream<S>, n: u64, wait: u64, messages: &[Message]) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for _ in 0..wait {
        let Some(message) = socket.next().await else { return Ok(()) };
        message?;
    }
    for (_, message) in (0..n).zip(messages.iter().cycle()) {
        // `feed` lets small messages share a write: a benchmark of the client must not wait for this side.
        socket.feed(message.clone()).await?;
    }
    close(socket, Some(CloseCode::Normal.into())).await
}

async fn sink<S>(socket: &mut WebSocketStream<S>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut count: u64 = 0;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) if text.as_str() == "count" => {
                socket.send(Message::text(count.to_string())).await?;
            }
            Message::Text(_) | Message::Binary(_) => count += 1,
            _ => {}
        }
    }
    Ok(())
}

/// Sends the close frame, then waits for the client's: a server that hung up first might take its own close frame
/// away from a client that is still sending.
async fn close<S>(socket: &mut WebSocketStream<S>, code: Option<u16>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "".into() });
    socket.close(frame).await?;
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

async fn drop_after_one<S>(mut socket: WebSocketStream<S>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}
