//! Every route of HTTP/2, over a real loopback connection.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::TestResult;
use crate::args::Http2;
use crate::http2::Carrier;
use crate::listener::{self, Service};

type Ended = std::result::Result<(), h2::Error>;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A client of a server of its own, once it has the server's settings.
async fn connect(http2: Http2, deflate: bool) -> Result<SendRequest<Bytes>> {
    Ok(connected(http2, deflate).await?.0)
}

/// The same, with what its connection comes to.
async fn connected(http2: Http2, deflate: bool) -> Result<(SendRequest<Bytes>, JoinHandle<Ended>)> {
    let listener = listener::bind(0)?;
    let address = listener.local_addr()?;
    let service = Service { http2: Some(http2), deflate, ..Service::default() };
    tokio::spawn(listener::serve(listener, service));
    let stream = TcpStream::connect(address).await?;
    // The smallest frames are more than a client wants, unless it says so.
    let builder = h2::client::Builder::new().data_frame_budget(1 << 20).clone();
    let (client, connection) = builder.handshake(stream).await?;
    let ended = tokio::spawn(connection);
    let mut client = client.ready().await?;
    while !client.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        client = client.ready().await?;
    }
    Ok((client, ended))
}

fn request(path: &str) -> Result<Request<()>> {
    Ok(Request::get(format!("http://localhost{path}")).body(())?)
}

async fn get(client: &mut SendRequest<Bytes>, path: &str) -> Result<(StatusCode, HeaderMap, Vec<u8>, HeaderMap)> {
    let (response, _) = client.send_request(request(path)?, true)?;
    read(response.await?).await
}

async fn read(response: Response<RecvStream>) -> Result<(StatusCode, HeaderMap, Vec<u8>, HeaderMap)> {
    let (head, mut received) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = received.data().await {
        let data = data?;
        received.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = received.trailers().await?.unwrap_or_default();
    Ok((head.status, head.headers, body, trailers))
}

#[tokio::test]
async fn bodies_have_the_length_that_is_asked_for() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (status, headers, body, _) = get(&mut client, "/bytes?n=300000").await?;
    assert_eq!((status, headers["content-length"].to_str()?, body.len()), (StatusCode::OK, "300000", 300_000));
    assert_eq!(get(&mut client, "/bytes?n=0").await?.2.len(), 0);
    assert_eq!(get(&mut client, "/stream?n=1000&size=100").await?.2.len(), 100_000);
    assert_eq!(get(&mut client, "/stream?n=50&size=0").await?.2.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_body_and_its_trailers_come_back() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (response, mut body) = client.send_request(request("/echo")?, false)?;
    let response = response.await?;
    body.send_data(Bytes::from_static(b"while "), false)?;
    body.send_data(Bytes::from_static(b"it comes"), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "yes".parse()?);
    body.send_trailers(trailers.clone())?;
    let (_, _, received, ended) = read(response).await?;
    assert_eq!((received.as_slice(), ended), (&b"while it comes"[..], trailers));
    Ok(())
}

#[tokio::test]
async fn a_sink_says_how_much_it_took() -> TestResult {
    let mut client = connect(Http2 { window: Some(1 << 20), ..Http2::default() }, false).await?;
    let (response, mut body) = client.send_request(request("/sink")?, false)?;
    body.send_data(vec![0; 3_000_000].into(), true)?;
    assert_eq!(read(response.await?).await?.2, b"3000000");
    Ok(())
}

#[tokio::test]
async fn the_fields_of_a_request_come_back() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let mut request = request("/headers?a=b")?;
    request.headers_mut().append("x-one", "1".parse()?);
    request.headers_mut().append("x-one", "2".parse()?);
    let (response, _) = client.send_request(request, true)?;
    let lines = ":method GET\n:scheme http\n:authority localhost\n:path /headers?a=b\nx-one 1\nx-one 2\n";
    assert_eq!(String::from_utf8(read(response.await?).await?.2)?, lines);
    Ok(())
}

#[tokio::test]
async fn an_answer_may_have_trailers_and_informational_ones_before_it() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (_, _, body, trailers) = get(&mut client, "/trailers").await?;
    assert_eq!((body.as_slice(), trailers["x-sum"].to_str()?), (&b"Hello world!"[..], "12"));
    assert_eq!(get(&mut client, "/inform?n=3").await?.2, b"Informed.");
    assert_eq!(get(&mut client, "/status?code=404").await?.0, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn pushes_come_with_their_answers() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (mut response, _) = client.send_request(request("/push?n=2")?, true)?;
    let mut promises = response.push_promises();
    assert_eq!(read(response.await?).await?.2, b"Pushed.");
    for number in 1..=2 {
        let (promised, pushed) = promises.push_promise().await.ok_or("a push is missing")??.into_parts();
        assert_eq!(promised.uri().path_and_query().map(ToString::to_string), Some(format!("/pushed?n={number}")));
        assert_eq!(read(pushed.await?).await?.2, format!("Number {number}.").into_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_has_its_code_and_comes_where_it_shall() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (response, _) = client.send_request(request("/reset?code=7")?, true)?;
    let error = response.await.err().ok_or("no reset")?;
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    let (response, _) = client.send_request(request("/reset?code=2&after=5")?, true)?;
    let mut body = response.await?.into_body();
    assert_eq!(body.data().await.transpose()?, Some(Bytes::from_static(b"xxxxx")));
    let error = body.data().await.ok_or("no reset")?.err().ok_or("no reset")?;
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    Ok(())
}

#[tokio::test]
async fn the_connection_goes_away_as_it_shall() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let (_, _, body, _) = get(&mut client, "/goaway").await?;
    assert_eq!(body, b"The connection is going away.");
    assert!(get(&mut client, "/status?code=200").await.is_err());
    let (mut client, ended) = connected(Http2::default(), false).await?;
    let (response, _) = client.send_request(request("/goaway?code=11")?, true)?;
    assert!(response.await.is_err());
    let error = ended.await?.err().ok_or("no error")?;
    assert_eq!((error.is_go_away(), error.reason()), (true, Some(Reason::ENHANCE_YOUR_CALM)));
    Ok(())
}

#[tokio::test]
async fn what_is_slow_may_never_come() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    assert_eq!(get(&mut client, "/slow?ms=1").await?.2, b"At last.");
    let (response, mut body) = client.send_request(request("/slow")?, false)?;
    assert!(timeout(Duration::from_millis(50), response).await.is_err());
    body.send_reset(Reason::CANCEL);
    Ok(())
}

#[tokio::test]
async fn a_client_may_have_as_many_streams_as_the_settings_say() -> TestResult {
    let client = connect(Http2 { max_streams: Some(3), ..Http2::default() }, false).await?;
    assert_eq!(client.current_max_send_streams(), 3);
    Ok(())
}

#[tokio::test]
async fn what_the_server_cannot_do_is_refused() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    for (path, status) in [("/nowhere", 404), ("/bytes", 400), ("/tls", 404)] {
        assert_eq!(get(&mut client, path).await?.0, status, "{path}");
    }
    for (path, protocol, status) in
        [("/nowhere", "websocket", 404), ("/flood", "websocket", 400), ("/echo", "tea", 501)]
    {
        let (response, _) = client.send_request(connect_request(path, protocol)?, false)?;
        assert_eq!(response.await?.status(), status, "{path}");
    }
    Ok(())
}

fn connect_request(path: &str, protocol: &str) -> Result<Request<()>> {
    let mut request = request(path)?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from(protocol));
    Ok(request)
}

async fn open(client: &mut SendRequest<Bytes>, path: &str) -> Result<WebSocketStream<Carrier>> {
    let (response, sent) = client.send_request(connect_request(path, "websocket")?, false)?;
    let response = response.await?;
    assert_eq!(response.status(), 200);
    Ok(WebSocketStream::from_raw_socket(Carrier::new(response.into_body(), sent), Role::Client, None).await)
}

#[tokio::test]
async fn streams_may_be_websockets() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let mut echo = open(&mut client, "/echo").await?;
    let mut sink = open(&mut client, "/sink").await?;
    let large = Message::binary(vec![7; 300_000]);
    echo.send(large.clone()).await?;
    sink.send(Message::text("one")).await?;
    sink.send(Message::text("count")).await?;
    assert_eq!(echo.next().await.transpose()?, Some(large));
    assert_eq!(sink.next().await.transpose()?, Some(Message::text("1")));
    let mut flood = open(&mut client, "/flood?n=100&size=10").await?;
    for _ in 0..100 {
        assert_eq!(flood.next().await.transpose()?.map(|message| message.len()), Some(10));
    }
    assert!(flood.next().await.transpose()?.is_some_and(|message| message.is_close()));
    // The end of one is not that of others.
    assert!(flood.next().await.is_none());
    echo.send(Message::text("still here")).await?;
    assert_eq!(echo.next().await.transpose()?, Some(Message::text("still here")));
    Ok(())
}

#[tokio::test]
async fn a_websocket_may_be_compressed() -> TestResult {
    let mut client = connect(Http2::default(), true).await?;
    let mut request = connect_request("/echo", "websocket")?;
    request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse()?);
    let (response, _) = client.send_request(request, false)?;
    assert_eq!(response.await?.headers()["sec-websocket-extensions"], "permessage-deflate");
    Ok(())
}

#[tokio::test]
async fn connect_leads_to_where_it_is_asked_to() -> TestResult {
    let mut client = connect(Http2::default(), false).await?;
    let origin = super::start(false)?;
    let asked = Request::connect(origin.to_string()).body(())?;
    let (response, send) = client.send_request(asked, false)?;
    let response = response.await?;
    assert_eq!(response.status(), StatusCode::OK);
    let carrier = Carrier::new(response.into_body(), send);
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{origin}/echo"), carrier).await?;
    socket.send(Message::text("Hello!")).await?;
    assert_eq!(socket.next().await.transpose()?, Some(Message::text("Hello!")));
    let (response, _) = client.send_request(Request::connect("localhost:1").body(())?, true)?;
    assert_eq!(read(response.await?).await?.0, StatusCode::BAD_GATEWAY);
    Ok(())
}
