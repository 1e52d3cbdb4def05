//! A server that sends whatever frames it likes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;
use crate::http::http2::frames::{
    ACK, END_HEADERS, END_STREAM, GOAWAY, HEAD, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `:status: 200`, compressed.
pub(super) const OK: &[u8] = &[0x88];

/// A frame, as it was received or is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Frame {
    Frame { kind, flags, stream, payload: payload.as_ref().to_vec() }
}

impl Frame {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[self.kind, self.flags], &self.stream.to_be_bytes(), &self.payload].concat()
    }
}

/// A field that is not compressed.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// One end of a connection, with no rules.
pub(super) struct Raw<S = DuplexStream> {
    pub(super) io: S,
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, received: Vec::new() }
    }

    pub(super) async fn send(&mut self, frames: &[Frame]) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.write(&bytes).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.io.write_all(bytes)).await.expect("nothing is read").unwrap();
    }

    async fn read(&mut self) -> bool {
        timeout(PATIENCE, self.io.read_buf(&mut self.received)).await.expect("nothing was sent").unwrap() > 0
    }

    pub(super) async fn preface(&mut self) {
        while self.received.len() < PREFACE.len() {
            assert!(self.read().await, "no preface");
        }
        assert!(self.received.starts_with(PREFACE));
        self.received.drain(..PREFACE.len());
    }

    /// The next frame, or none before the end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.received.first_chunk::<HEAD>() {
                let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let (kind, flags) = (head[3], head[4]);
                if self.received.len() >= HEAD + len {
                    let payload = self.received.drain(..HEAD + len).skip(HEAD).collect();
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            if !self.read().await {
                assert!(self.received.is_empty(), "a frame is cut");
                return None;
            }
        }
    }

    /// The next frame of this type; those before it do not matter.
    pub(super) async fn expect(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.expect("the end");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The code of the GOAWAY that comes before the end.
    pub(super) async fn expect_end(&mut self) -> Option<Http2Code> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(Http2Code::from(u32::from_be_bytes(*frame.payload[4..].first_chunk().unwrap())));
            }
        }
        code
    }
}

/// A connection whose server has begun to speak.
pub(super) async fn begun(options: Http2Options) -> (Client, Raw) {
    begun_with(options_with(options)).await
}

pub(super) async fn begun_with(options: ConnectOptions) -> (Client, Raw) {
    let (client, far) = connected(options);
    let mut raw = Raw::new(far);
    raw.preface().await;
    raw.expect(WINDOW_UPDATE).await;
    raw.send(&[frame(SETTINGS, 0, 0, []), frame(SETTINGS, ACK, 0, [])]).await;
    assert_eq!(raw.next().await, Some(frame(SETTINGS, ACK, 0, [])));
    (client, raw)
}

/// The same, with a request on each of these streams of the user's.
pub(super) async fn asked(options: Http2Options, streams: &[u32]) -> (Client, Raw) {
    let (client, mut raw) = begun(options).await;
    for stream in streams {
        client.request(get(*stream));
        raw.expect(HEADERS).await;
    }
    (client, raw)
}

/// A complete response.
pub(super) fn answer(stream: u32) -> Frame {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)
}

/// The head of a response.
pub(super) fn head(stream: u32, fields: &[(&str, &str)]) -> Frame {
    let fields = fields.iter().flat_map(|(name, value)| field(name, value));
    frame(HEADERS, END_HEADERS, stream, OK.iter().copied().chain(fields).collect::<Vec<_>>())
}

/// The end of a connection, in order: whoever has a stream learns the fault, each stream ends, and then all.
pub(super) fn fault(code: Http2Code, streams: &[u32]) -> Vec<Told> {
    let mut told = Vec::new();
    if !streams.is_empty() {
        told.push(Told::ConnectionFault(streams.to_vec(), code));
    }
    told.extend(streams.iter().map(|stream| Told::Closed(*stream, Reason::Http2(code))));
    told.push(down(Reason::Http2(code), streams));
    told
}

#[tokio::test(start_paused = true)]
async fn all_that_comes_first_leaves_in_one_write_and_names_what_is_not_usual() {
    let (client, far) = connected(options_with(Http2Options { push: false, ..http2() }));
    client.request(get(1));
    let mut raw = Raw::new(far);
    settle().await;
    raw.received.reserve(BUFFER);
    raw.io.read_buf(&mut raw.received).await.unwrap();
    raw.preface().await;
    let settings = raw.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    let settings: Vec<_> = settings
        .payload
        .chunks(6)
        .map(|bytes| (bytes[1], u32::from_be_bytes(*bytes[2..].first_chunk().unwrap())))
        .collect();
    assert_eq!(settings, [(2, 0), (3, 100), (4, 8_000_000), (6, 100_000)]);
    let window = raw.next().await.unwrap();
    assert_eq!(window, frame(WINDOW_UPDATE, 0, 0, (8_000_000_u32 - 65_535).to_be_bytes()));
    assert_eq!(raw.next().await.unwrap().kind, HEADERS);
    assert_eq!(raw.received, b"");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_begins_with_something_else_has_not_got_http_2() {
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"HTTP/1", b"220 example.org ESMTP\r\n", &answer(1).bytes()]
    {
        let (mut client, far) = connected(options_with(http2()));
        client.request(get(1));
        let mut raw = Raw::new(far);
        raw.preface().await;
        raw.expect(HEADERS).await;
        raw.write(bytes).await;
        client.expect_only(&fault(Http2Code::ProtocolError, &[1])).await;
        assert_eq!(raw.expect_end().await, Some(Http2Code::ProtocolError));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_begin_or_acknowledge_in_time_is_left() {
    let limit = Some(Duration::from_secs(5));
    let (mut client, far) = connected(options_with(Http2Options { preface_timeout: limit, ..http2() }));
    let began = tokio::time::Instant::now();
    client.expect_only(&fault(Http2Code::ProtocolError, &[])).await;
    assert_eq!(began.elapsed().as_secs(), 5);
    let mut raw = Raw::new(far);
    raw.preface().await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::ProtocolError));

    let options = Http2Options { preface_timeout: limit, settings_timeout: limit, ..http2() };
    let (mut client, far) = connected(options_with(options));
    let mut raw = Raw::new(far);
    raw.preface().await;
    raw.send(&[frame(SETTINGS, 0, 0, [])]).await;
    client.expect_only(&fault(Http2Code::SettingsTimeout, &[])).await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::SettingsTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_connection_is_told_behind_what_came_before_it() {
    let (mut client, mut raw) = asked(http2(), &[1, 2, 3]).await;
    let data = frame(0, 0, 5, b"some");
    raw.send(&[answer(1), head(5, &[]), data.clone(), frame(PING, 0, 0, b"short")]).await;
    let before = [
        Told::Response(1, Fin::Fin, 200),
        Told::Response(3, Fin::NoFin, 200),
        Told::Data(3, Fin::NoFin, "some".into()),
    ];
    client.expect(&before).await;
    client.expect_only(&fault(Http2Code::FrameSizeError, &[2, 3])).await;
    assert_eq!(raw.expect_end().await, Some(Http2Code::FrameSizeError));
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_the_connection_has_its_code() {
    use Http2Code::{EnhanceYourCalm, FlowControlError, FrameSizeError, ProtocolError};
    let setting = |id: u8, value: u32| frame(SETTINGS, 0, 0, [&[0, id][..], &value.to_be_bytes()].concat());
    let cases = [
        (vec![frame(0, 0, 0, b"data")], ProtocolError),
        (vec![frame(0, 0, 7, b"data")], ProtocolError),
        (vec![frame(HEADERS, END_HEADERS, 2, OK)], ProtocolError),
        (vec![frame(9, END_HEADERS, 1, OK)], ProtocolError),
        (vec![frame(HEADERS, 0, 1, OK), frame(PING, 0, 0, [0; 8])], ProtocolError),
        (vec![frame(WINDOW_UPDATE, 0, 0, [0; 4])], ProtocolError),
        (vec![frame(RST_STREAM, 0, 9, [0; 4])], ProtocolError),
        (vec![frame(SETTINGS, ACK, 0, [])], ProtocolError),
        (vec![setting(2, 2)], ProtocolError),
        (vec![setting(5, 1)], ProtocolError),
        (vec![setting(4, 1 << 31)], FlowControlError),
        (vec![frame(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])], FlowControlError),
        (vec![frame(SETTINGS, 0, 0, [0; 5])], FrameSizeError),
        (vec![frame(RST_STREAM, 0, 1, [0; 3])], FrameSizeError),
        (vec![frame(0, 0, 1, vec![0; 16_385])], FrameSizeError),
        (vec![head(1, &[("a", "b"); 101])], EnhanceYourCalm),
    ];
    for (frames, code) in cases {
        let (mut client, mut raw) = asked(http2(), &[1]).await;
        raw.send(&frames).await;
        let told = fault(code, &[1]);
        assert_eq!(client.next().await.as_ref(), Some(&told[0]), "{frames:?}");
        client.expect_only(&told[1..]).await;
        assert_eq!(raw.expect_end().await, Some(code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_a_stream_is_that_streams_alone_and_what_comes_late_is_ignored() {
    use Http2Code::{FlowControlError, ProtocolError};
    let no_status = frame(HEADERS, END_HEADERS, 1, field("a", "b"));
    let inform = frame(HEADERS, END_HEADERS | END_STREAM, 1, field(":status", "103"));
    let fin = |text: &str| frame(0, END_STREAM, 1, text);
    let cases = [
        (vec![no_status], ProtocolError, 0),
        (vec![head(1, &[("connection", "close")])], ProtocolError, 0),
        (vec![head(1, &[("content-length", "3")]), fin("four")], ProtocolError, 1),
        (vec![head(1, &[("content-length", "3")]), fin("2.")], ProtocolError, 1),
        (
            vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, [OK, &field("content-length", "3")].concat())],
            ProtocolError,
            0,
        ),
        (vec![inform], ProtocolError, 1),
        (vec![head(1, &[]), frame(0, 0, 1, [0; 11])], FlowControlError, 1),
    ];
    for (frames, code, before) in cases {
        let options = Http2Options { initial_stream_window_size: 10, ..http2() };
        let (mut client, mut raw) = asked(options, &[1, 2]).await;
        raw.send(&frames).await;
        for _ in 0..before {
            assert!(matches!(client.next().await, Some(Told::Response(..) | Told::Inform(..))));
        }
        assert_eq!(client.next().await, Some(Told::Fault(1, code)), "{frames:?}");
        // A stream that has ended both ways cannot be reset.
        if !frames[0].flags & END_STREAM != 0 || frames[0].kind != HEADERS {
            let reset = raw.expect(RST_STREAM).await;
            assert_eq!(reset, frame(RST_STREAM, 0, 1, code.number().to_be_bytes()));
        }
        raw.send(&[answer(1), frame(0, END_STREAM, 1, "late"), answer(3)]).await;
        client.expect_only(&[Told::Response(2, Fin::Fin, 200)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_opened_too_far_is_the_streams_fault() {
    let (mut client, mut raw) = begun(http2()).await;
    client.request(request(1, Method::POST, Body::Streamed(None)));
    raw.expect(HEADERS).await;
    raw.send(&[frame(WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff])]).await;
    client.expect_only(&[Told::Fault(1, Http2Code::FlowControlError)]).await;
    assert_eq!(raw.expect(RST_STREAM).await.payload, [0, 0, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_told_with_its_code_and_the_connection_lives() {
    let (mut client, mut raw) = asked(http2(), &[1, 2, 3]).await;
    let reset = |stream, code: u32| frame(RST_STREAM, 0, stream, code.to_be_bytes());
    raw.send(&[reset(1, 8), head(3, &[]), frame(0, 0, 3, "some"), reset(3, 0), reset(5, 77)]).await;
    let told = [
        Told::Reset(1, Http2Code::Cancel),
        Told::Response(2, Fin::NoFin, 200),
        data(2, Fin::NoFin, "some"),
        Told::Reset(2, Http2Code::NoError),
        Told::Reset(3, Http2Code::Unknown),
    ];
    client.expect_only(&told).await;
    client.request(get(4));
    assert_eq!(raw.expect(HEADERS).await.stream, 7);
    assert_eq!(client.handle.stats().queued, 0);
}
