//! Every mode, over a real loopback connection.

mod deflate;
mod http2;

use std::error::Error;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::listener::Service;
use crate::{flood, listener};

type TestResult = Result<(), Box<dyn Error>>;

fn start(deflate: bool) -> std::io::Result<SocketAddr> {
    let listener = listener::bind(0)?;
    let address = listener.local_addr()?;
    tokio::spawn(listener::serve(listener, Service { deflate, ..Service::default() }));
    Ok(address)
}

async fn connect(path: &str) -> tungstenite::Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    Ok(connect_async(format!("ws://{}{path}", start(false)?)).await?.0)
}

#[tokio::test]
async fn echo_sends_text_and_binary_messages_back() -> TestResult {
    let mut socket = connect("/echo").await?;
    for message in [Message::text("Hello!"), Message::binary(vec![0; 1 << 20]), Message::text("")] {
        socket.send(message.clone()).await?;
        assert_eq!(socket.next().await.transpose()?, Some(message));
    }
    Ok(())
}

#[tokio::test]
async fn a_ping_is_answered_by_a_pong_with_its_payload() -> TestResult {
    let mut socket = connect("/echo").await?;
    socket.send(Message::Ping("are you there".into())).await?;
    assert_eq!(socket.next().await.transpose()?, Some(Message::Pong("are you there".into())));
    Ok(())
}

#[tokio::test]
async fn a_flood_has_the_size_asked_for_and_ends_with_1000() -> TestResult {
    let mut socket = connect("/flood?n=1000&size=100").await?;
    for _ in 0..1000 {
        let message = socket.next().await.transpose()?;
        assert_eq!(message.map(|message| message.len()), Some(100));
    }
    let end = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    assert_eq!(socket.next().await.transpose()?, Some(Message::Close(Some(end))));
    Ok(())
}

#[tokio::test]
async fn a_flood_of_json_goes_round_its_messages() -> TestResult {
    let messages = flood::messages(1024, true);
    let n = messages.len() + 1;
    let mut socket = connect(&format!("/flood?n={n}&size=1024&json=1")).await?;
    for message in messages.iter().cycle().take(n) {
        assert_eq!(socket.next().await.transpose()?.as_ref(), Some(message));
    }
    Ok(())
}

#[tokio::test]
async fn a_sink_tells_how_many_messages_it_took() -> TestResult {
    let mut socket = connect("/sink").await?;
    for _ in 0..5 {
        socket.send(Message::text("one")).await?;
        socket.send(Message::binary("two")).await?;
    }
    socket.send(Message::text("count")).await?;
    assert_eq!(socket.next().await.transpose()?, Some(Message::text("10")));
    Ok(())
}

#[tokio::test]
async fn a_refused_upgrade_has_the_status_asked_for() -> TestResult {
    match connect("/refuse?status=403").await {
        Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403),
        other => return Err(format!("refused upgrade gave {other:?}").into()),
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_outlives_a_refusal() -> TestResult {
    let mut stream = TcpStream::connect(start(false)?).await?;
    for _ in 0..3 {
        stream.write_all(b"GET /refuse?status=503 HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let expected = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 24\r\n\r\n\
                        The upgrade is refused.\n";
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await?;
        assert_eq!(String::from_utf8(answer)?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn the_first_subprotocol_offered_is_accepted() -> TestResult {
    let mut request = format!("ws://{}/subprotocol", start(false)?).into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "graphql-ws, mqtt".parse()?);
    let (_, response) = connect_async(request).await?;
    assert_eq!(response.headers().get("sec-websocket-protocol"), Some(&"graphql-ws".parse()?));
    Ok(())
}

#[tokio::test]
async fn a_close_frame_has_the_code_asked_for() -> TestResult {
    let code = |code| Some(CloseFrame { code: CloseCode::from(code), reason: "".into() });
    for (path, frame) in [("/close?code=4321", code(4321)), ("/close?code=1001", code(1001)), ("/close", None)] {
        let mut socket = connect(path).await?;
        assert_eq!(socket.next().await.transpose()?, Some(Message::Close(frame)));
        assert!(socket.next().await.is_none());
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_connection_ends_without_a_close_frame() -> TestResult {
    let mut socket = connect("/drop").await?;
    socket.send(Message::text("first")).await?;
    let end = socket.next().await;
    let reset = tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake);
    assert_eq!(end.map(|end| end.map_err(|error| error.to_string())), Some(Err(reset.to_string())));
    Ok(())
}

#[tokio::test]
async fn garbage_is_no_http_response() -> TestResult {
    match connect("/garbage").await {
        Err(tungstenite::Error::Protocol(ProtocolError::HttparseError(_))) => Ok(()),
        other => Err(format!("garbage gave {other:?}").into()),
    }
}

#[tokio::test]
async fn a_bad_accept_value_fails_the_handshake_of_the_client() -> TestResult {
    match connect("/bad-accept").await {
        Err(tungstenite::Error::Protocol(ProtocolError::SecWebSocketAcceptKeyMismatch)) => Ok(()),
        other => Err(format!("a bad accept value gave {other:?}").into()),
    }
}

#[tokio::test]
async fn what_the_server_cannot_do_is_refused() -> TestResult {
    for (path, status) in [("/nowhere", 404), ("/flood?n=1", 400), ("/subprotocol", 400)] {
        match connect(path).await {
            Err(tungstenite::Error::Http(response)) => {
                assert_eq!(response.status(), status, "{path}")
            }
            other => return Err(format!("{path} gave {other:?}").into()),
        }
    }
    Ok(())
}
