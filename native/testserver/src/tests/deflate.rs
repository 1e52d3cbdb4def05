//! The modes that compress, with yawc for a client.

use futures_util::SinkExt;
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use yawc::close::CloseCode;
use yawc::{Frame, OpCode, Options, WebSocket};

use super::{TestResult, start};
use crate::flood;

async fn connect(path: &str, options: Options) -> Result<WebSocket<TcpStream>, Box<dyn std::error::Error>> {
    let address = start(true)?;
    let stream = TcpStream::connect(address).await?;
    Ok(WebSocket::handshake(format!("ws://{address}{path}").parse()?, stream, options).await?)
}

/// Each context, kept and not, and a small window.
fn all_options() -> [Options; 4] {
    let options = || Options::default().with_balanced_compression();
    [
        options(),
        options().server_no_context_takeover(),
        options().client_no_context_takeover(),
        options().with_server_max_window_bits(9),
    ]
}

/// What the server agrees to.
async fn answer(deflate: bool, path: &str, offer: &'static str) -> Result<String, Box<dyn std::error::Error>> {
    let mut request = format!("ws://{}{path}", start(deflate)?).into_client_request()?;
    request.headers_mut().insert("sec-websocket-extensions", offer.parse()?);
    let (_, response) = connect_async(request).await?;
    let agreed = response.headers().get("sec-websocket-extensions").map(|value| value.to_str());
    Ok(agreed.transpose()?.unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_first_offer_that_can_be_accepted_is() -> TestResult {
    for (offer, agreed) in [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=9", "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=8", ""),
        ("permessage-deflate; unknown", ""),
        ("x-webkit-deflate-frame", ""),
    ] {
        assert_eq!(answer(true, "/echo", offer).await?, agreed, "{offer}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_compressed_unasked_or_in_other_modes() -> TestResult {
    assert_eq!(answer(false, "/echo", "permessage-deflate").await?, "");
    assert_eq!(answer(true, "/close", "permessage-deflate").await?, "");
    let mut socket = connect("/echo", Options::default().without_compression()).await?;
    socket.send(Frame::text("Hello!")).await?;
    assert_eq!(socket.next_frame().await?.payload().as_ref(), b"Hello!");
    Ok(())
}

#[tokio::test]
async fn an_echo_is_what_was_sent() -> TestResult {
    for options in all_options() {
        let mut socket = connect("/echo", options).await?;
        for message in flood::messages(1024, true).iter().take(50) {
            socket.send(Frame::text(message.clone().into_data())).await?;
            assert_eq!(socket.next_frame().await?.payload(), &message.clone().into_data());
        }
        let large = vec![0; 1 << 19];
        socket.send(Frame::binary(large.clone())).await?;
        let frame = socket.next_frame().await?;
        assert_eq!((frame.opcode(), frame.payload().as_ref()), (OpCode::Binary, &large[..]));
    }
    Ok(())
}

#[tokio::test]
async fn a_sink_counts() -> TestResult {
    let mut socket = connect("/sink", Options::default().with_balanced_compression()).await?;
    for _ in 0..5 {
        socket.send(Frame::text("one")).await?;
        socket.send(Frame::binary("two")).await?;
    }
    socket.send(Frame::text("count")).await?;
    assert_eq!(socket.next_frame().await?.payload().as_ref(), b"10");
    Ok(())
}

/// The frames of the second round are sent again and again: the third and the fourth must inflate too.
#[tokio::test]
async fn a_flood_goes_round_its_messages() -> TestResult {
    let messages = flood::messages(1024, true);
    for options in all_options() {
        let n = messages.len() * 7 / 2;
        let mut socket = connect(&format!("/flood?n={n}&size=1024&json=1&wait=1"), options).await?;
        socket.send(Frame::text("go")).await?;
        for message in messages.iter().cycle().take(n) {
            let frame = socket.next_frame().await?;
            assert_eq!((frame.opcode(), frame.payload()), (OpCode::Text, &message.clone().into_data()));
        }
        assert_eq!(socket.next_frame().await?.close_code(), Some(CloseCode::Normal));
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_may_end_anywhere() -> TestResult {
    for n in [0, 1, 3, 5] {
        let options = Options::default().with_balanced_compression();
        let mut socket = connect(&format!("/flood?n={n}&size=100"), options).await?;
        for _ in 0..n {
            let frame = socket.next_frame().await?;
            assert_eq!((frame.opcode(), frame.payload().as_ref()), (OpCode::Binary, &[b'x'; 100][..]));
        }
        assert_eq!(socket.next_frame().await?.close_code(), Some(CloseCode::Normal));
    }
    Ok(())
}
