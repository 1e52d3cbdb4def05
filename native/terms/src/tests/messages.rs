//! The shape of each message in each dialect.

use gun_rs_engine::error::http2::{Http2Code, Http2Fault};
use gun_rs_engine::error::{BadState, ConnectionError, DownReason};
use gun_rs_engine::event::StreamError;
use gun_rs_engine::{Data, Message, PeerSettings, Promise, ProtocolName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::{Plain, PlainTerms, atom};
use crate::{Dialect, Messages};

/// What each dialect makes of it.
fn in_each(build: impl Fn(Messages<PlainTerms>) -> Plain) -> [String; 4] {
    Dialect::ALL.map(|dialect| build(Messages::new(PlainTerms, dialect, atom("Conn"))).to_string())
}

/// That all dialects agree.
fn in_all(expected: &str, build: impl Fn(Messages<PlainTerms>) -> Plain) {
    assert_eq!(in_each(build), [expected; 4]);
}

fn stream() -> Plain {
    atom("Ref")
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append("a", HeaderValue::from_static("1"));
    headers.append("b", HeaderValue::from_static("2"));
    headers.append("a", HeaderValue::from_static("3"));
    headers
}

const HEADERS: &str = r#"[{<<"a">>, <<"1">>}, {<<"a">>, <<"3">>}, {<<"b">>, <<"2">>}]"#;

#[test]
fn a_connection_is_up() {
    in_all("{gun_up, Conn, http}", |messages| messages.up(ProtocolName::Http));
    in_all("{gun_up, Conn, http2}", |messages| messages.up(ProtocolName::Http2));
    in_all("{gun_up, Conn, ws}", |messages| messages.up(ProtocolName::Ws));
}

#[test]
fn an_upgrade_succeeds() {
    let expected = [
        format!("{{gun_upgrade, Conn, Ref, [<<\"websocket\">>], {HEADERS}}}"),
        format!("{{gun_upgrade, Conn, Ref, [<<\"websocket\">>], {HEADERS}}}"),
        format!("{{gun_ws_upgrade, Conn, ok, {HEADERS}}}"),
        "{gun_ws_upgrade, Conn, ok}".into(),
    ];
    assert_eq!(in_each(|messages| messages.upgraded(stream(), &headers())), expected);
}

#[test]
fn an_upgrade_is_refused() {
    let response = format!("{{gun_response, Conn, Ref, nofin, 403, {HEADERS}}}");
    let error = format!("{{gun_ws_upgrade, Conn, error, nofin, 403, {HEADERS}}}");
    let expected = [response.clone(), response.clone(), response, error];
    let refusal = |messages: Messages<PlainTerms>| messages.refusal(stream(), false, StatusCode::FORBIDDEN, &headers());
    assert_eq!(in_each(refusal), expected);
}

#[test]
fn a_response_in_its_parts() {
    in_all(&format!("{{gun_inform, Conn, Ref, 103, {HEADERS}}}"), |messages| {
        messages.inform(stream(), StatusCode::EARLY_HINTS, &headers())
    });
    in_all("{gun_response, Conn, Ref, fin, 204, []}", |messages| {
        messages.response(stream(), true, StatusCode::NO_CONTENT, &HeaderMap::new())
    });
    in_all(&format!("{{gun_response, Conn, Ref, nofin, 200, {HEADERS}}}"), |messages| {
        messages.response(stream(), false, StatusCode::OK, &headers())
    });
    in_all("{gun_data, Conn, Ref, nofin, <<\"part\">>}", |messages| messages.data(stream(), false, b"part"));
    in_all("{gun_data, Conn, Ref, fin, <<\"\">>}", |messages| messages.data(stream(), true, b""));
    in_all(&format!("{{gun_trailers, Conn, Ref, {HEADERS}}}"), |messages| messages.trailers(stream(), &headers()));
}

#[test]
fn a_frame_names_its_stream_in_the_newer_dialects() {
    let frames = [
        (Message::Text(Data::Borrowed(b"hi")), "{text, <<\"hi\">>}"),
        (Message::Binary(Data::Owned(b"hi".to_vec())), "{binary, <<\"hi\">>}"),
        (Message::Ping(b""), "ping"),
        (Message::Ping(b"hi"), "{ping, <<\"hi\">>}"),
        (Message::Pong(b""), "pong"),
        (Message::Pong(b"hi"), "{pong, <<\"hi\">>}"),
        (Message::Close(None), "close"),
        (Message::Close(Some((1000, ""))), "{close, 1000, <<\"\">>}"),
        (Message::Close(Some((4000, "bye"))), "{close, 4000, <<\"bye\">>}"),
    ];
    for (message, frame) in frames {
        let named = format!("{{gun_ws, Conn, Ref, {frame}}}");
        let unnamed = format!("{{gun_ws, Conn, {frame}}}");
        let expected = [named.clone(), named, unnamed.clone(), unnamed];
        assert_eq!(in_each(|messages| messages.frame(stream(), copy(&message))), expected);
    }
}

fn copy<'a>(message: &Message<'a, Vec<u8>>) -> Message<'a, Vec<u8>> {
    match message {
        Message::Text(data) => Message::Text(Data::Owned(data.bytes().to_vec())),
        Message::Binary(data) => Message::Binary(Data::Owned(data.bytes().to_vec())),
        Message::Fragment { text, fin, first, data } => {
            Message::Fragment { text: *text, fin: *fin, first: *first, data: Data::Owned(data.bytes().to_vec()) }
        }
        Message::Ping(payload) => Message::Ping(payload),
        Message::Pong(payload) => Message::Pong(payload),
        Message::Close(close) => Message::Close(*close),
    }
}

#[test]
fn a_stream_that_is_lost_with_its_connection_has_a_text_in_the_older_dialects() {
    let old = "{gun_error, Conn, Ref, {closed, \"The connection was lost.\"}}";
    let expected = ["{gun_error, Conn, Ref, closed}", old, old, old];
    let error = StreamError::Closed(&DownReason::Closed);
    assert_eq!(in_each(|messages| messages.stream_error(stream(), &error, atom("shutdown"), None)), expected);
}

#[test]
fn other_errors_of_streams_are_the_same_in_all() {
    let normal = StreamError::Closed(&DownReason::Normal);
    in_all("{gun_error, Conn, Ref, {closed, normal}}", |messages| {
        messages.stream_error(stream(), &normal, atom("shutdown"), None)
    });
    in_all("{gun_error, Conn, Ref, {closed, owner_down}}", |messages| {
        messages.stream_error(stream(), &StreamError::ShutDown, atom("owner_down"), None)
    });
    in_all("{gun_error, Conn, Ref, {badstate, \"The stream cannot be found.\"}}", |messages| {
        messages.no_stream(stream())
    });
}

#[test]
fn errors_of_the_connection() {
    in_all("{gun_error, Conn, keepalive_timeout}", |messages| {
        messages.connection_error(&ConnectionError::KeepaliveTimeout)
    });
    in_all("{gun_error, Conn, {badstate, \"This connection only accepts Websocket frames.\"}}", |messages| {
        messages.bad_state(BadState::OnlyWebsocket)
    });
    in_all("{gun_error, Conn, send_queue_full}", |messages| messages.queue_full(None));
    in_all("{gun_error, Conn, Ref, send_queue_full}", |messages| messages.queue_full(Some(stream())));
}

#[test]
fn a_response_is_pushed() {
    let uri = Uri::from_static("https://localhost:8443/style.css?v=1");
    let promise = Promise { method: &Method::GET, uri: &uri, headers: &headers() };
    let expected =
        format!("{{gun_push, Conn, Ref, New, <<\"GET\">>, <<\"https://localhost:8443/style.css?v=1\">>, {HEADERS}}}");
    in_all(&expected, |messages| messages.push(stream(), atom("New"), &promise));
}

#[test]
fn what_the_peer_says_of_the_connection() {
    in_all("{gun_notify, Conn, ping_ack, Ref}", |messages| messages.ping_ack(stream()));
    let info = "#{code => no_error, debug_data => <<\"bye\">>}";
    in_all(&format!("{{gun_notify, Conn, goaway, {info}}}"), |messages| messages.go_away(Http2Code::NoError, b"bye"));
    let settings = PeerSettings {
        header_table_size: 1,
        enable_push: false,
        max_concurrent_streams: Some(2),
        initial_window_size: 3,
        max_frame_size: 4,
        max_header_list_size: Some(5),
        enable_connect_protocol: Some(true),
    };
    let pairs = "header_table_size => 1, enable_push => false, max_concurrent_streams => 2, initial_window_size => 3, \
                 max_frame_size => 4, max_header_list_size => 5, enable_connect_protocol => true";
    in_all(&format!("{{gun_notify, Conn, settings_changed, #{{{pairs}}}}}"), |messages| {
        messages.settings_changed(&settings)
    });
    let pairs = "header_table_size => 4096, enable_push => true, max_concurrent_streams => infinity, \
                 initial_window_size => 65535, max_frame_size => 16384, max_header_list_size => infinity";
    in_all(&format!("{{gun_notify, Conn, settings_changed, #{{{pairs}}}}}"), |messages| {
        messages.settings_changed(&PeerSettings::default())
    });
}

#[test]
fn a_fault_of_http2_is_told_before_its_streams_end() {
    let fault = Http2Fault { code: Http2Code::FrameSizeError, text: "A frame is too large." };
    in_all("{gun_error, Conn, {frame_size_error, A frame is too large.}}", |messages| messages.connection_fault(fault));
}
