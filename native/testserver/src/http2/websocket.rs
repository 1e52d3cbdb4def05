//! WebSocket over a stream of HTTP/2 (RFC 8441).

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderValue, Response};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Carrier, Request, Shared, answer};
use crate::connection::first_subprotocol;
use crate::conversation;
use crate::deflate::Compressed;
use crate::mode::{Conversation, Mode, Unknown};

type Result<T> = std::result::Result<T, h2::Error>;

/// Answers a request for a WebSocket, and holds the conversation if there is to be one.
///
/// # Errors
///
/// The client has reset the stream, or is gone, before the answer.
pub(super) async fn hold(request: Request, respond: SendResponse<Bytes>, shared: &Shared) -> Result<()> {
    match Mode::parse(request.uri().path(), request.uri().query().unwrap_or_default()) {
        Ok(Mode::Upgrade(conversation)) => converse(request, respond, &conversation, shared.deflate).await,
        Ok(Mode::Subprotocol) => match first_subprotocol(request.headers()) {
            Ok(first) => {
                let mut response = Response::new(());
                response.headers_mut().insert("sec-websocket-protocol", first);
                plain(request, respond, response, &Conversation::Echo).await
            }
            Err(complaint) => answer::text(respond, 400, &complaint).await,
        },
        Ok(Mode::Refuse(status)) => answer::text(respond, status, "The upgrade is refused.").await,
        Ok(Mode::BadAccept | Mode::Garbage | Mode::Tls) | Err(Unknown::Path) => {
            answer::text(respond, 404, "This server has no WebSocket there.").await
        }
        Err(Unknown::Parameter(complaint)) => answer::text(respond, 400, &complaint).await,
    }
}

async fn converse(
    request: Request,
    mut respond: SendResponse<Bytes>,
    conversation: &Conversation,
    deflate: bool,
) -> Result<()> {
    let compressed = if deflate { Compressed::accept(request.headers(), conversation).await } else { Ok(None) };
    let mut response = Response::new(());
    let Ok(Some(compressed)) = compressed else { return plain(request, respond, response, conversation).await };
    let Ok(agreed) = HeaderValue::from_str(compressed.agreed()) else {
        return answer::text(respond, 500, "What was agreed on cannot be said.").await;
    };
    response.headers_mut().insert("sec-websocket-extensions", agreed);
    let sent = respond.send_response(response, false)?;
    // How it ends is the client's to judge.
    let _ = compressed.hold(Carrier::new(request.into_body(), sent)).await;
    Ok(())
}

async fn plain(
    request: Request,
    mut respond: SendResponse<Bytes>,
    response: Response<()>,
    conversation: &Conversation,
) -> Result<()> {
    let sent = respond.send_response(response, false)?;
    // The tests send messages of any size; the limits under test are the client's.
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let carrier = Carrier::new(request.into_body(), sent);
    let socket = WebSocketStream::from_raw_socket(carrier, Role::Server, Some(config)).await;
    // How it ends is the client's to judge.
    let _ = conversation::hold(socket, conversation).await;
    Ok(())
}
