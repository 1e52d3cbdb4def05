//! The server at the other end of a connection.

use std::io::Cursor;
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;
use tungstenite::protocol::frame::FrameHeader;

use super::{PATIENCE, close_payload, lossy, switching};
use crate::transport::ByteStream;
use crate::websocket::frame::Opcode;

/// The server at the other end.
pub(crate) struct Peer<S = DuplexStream> {
    pub(crate) io: S,
    received: Vec<u8>,
}

impl<S: ByteStream> Peer<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, received: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.io.write_all(bytes.as_ref())).await.expect("nothing is read").unwrap();
    }

    /// Reads some more; whether there was any.
    async fn read(&mut self) -> bool {
        timeout(PATIENCE, self.io.read_buf(&mut self.received)).await.expect("nothing was sent").unwrap() > 0
    }

    /// The headers of the next request, which has no body.
    pub(crate) async fn request(&mut self) -> HeaderMap {
        loop {
            let text = lossy(&self.received);
            if let Some(end) = text.find("\r\n\r\n") {
                self.received.drain(..end + 4);
                let lines = text[..end].lines().skip(1).filter_map(|line| line.split_once(": "));
                return lines.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            }
            assert!(self.read().await, "the request ends early");
        }
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.received.drain(..end + 2).take(end).collect::<Vec<_>>();
                return lossy(&line);
            }
            assert!(self.read().await, "the line ends early");
        }
    }

    /// These bytes come next.
    pub(crate) async fn take_received(&mut self, bytes: &[u8]) {
        while self.received.len() < bytes.len() {
            assert!(self.read().await, "the bytes end early");
        }
        assert_eq!(self.received.drain(..bytes.len()).collect::<Vec<_>>(), bytes);
    }

    /// Takes so many bytes, whatever they are.
    pub(crate) async fn take(&mut self, len: usize) {
        let mut bytes = vec![0; len];
        timeout(PATIENCE, self.io.read_exact(&mut bytes)).await.expect("nothing was sent").unwrap();
    }

    /// Reads an upgrade request and gives in to it.
    pub(crate) async fn accept(&mut self) {
        let request = self.request().await;
        self.write(switching(&request)).await;
    }

    /// The next frame, unmasked.
    pub(crate) async fn frame(&mut self) -> (Opcode, Vec<u8>) {
        let (compressed, opcode, payload) = self.any_frame().await;
        assert!(!compressed);
        (opcode, payload)
    }

    /// The same, with RSV1: whether it is compressed.
    pub(crate) async fn any_frame(&mut self) -> (bool, Opcode, Vec<u8>) {
        loop {
            let mut cursor = Cursor::new(&self.received[..]);
            if let Some((header, len)) = FrameHeader::parse(&mut cursor).unwrap() {
                let start = usize::try_from(cursor.position()).unwrap();
                let end = start + usize::try_from(len).unwrap();
                if self.received.len() >= end {
                    assert!(header.is_final && !header.rsv2 && !header.rsv3);
                    let key = header.mask.expect("a client masks");
                    let masked = self.received[start..end].iter().enumerate();
                    let payload = masked.map(|(n, byte)| byte ^ key[n % 4]).collect();
                    self.received.drain(..end);
                    let opcodes = [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
                    let opcode = opcodes.into_iter().find(|opcode| header.opcode == (*opcode).into());
                    return (header.rsv1, opcode.expect("a fragment"), payload);
                }
            }
            assert!(self.read().await, "no frame follows");
        }
    }

    /// This frame comes next.
    pub(crate) async fn expect(&mut self, opcode: Opcode, payload: impl AsRef<[u8]>) {
        assert_eq!(self.frame().await, (opcode, payload.as_ref().to_vec()));
    }

    /// A close frame comes next, with this code and no reason.
    pub(crate) async fn expect_close(&mut self, code: u16) {
        self.expect(Opcode::Close, close_payload(code, "")).await;
    }

    /// Nothing comes before the end of the byte stream.
    pub(crate) async fn expect_end(&mut self) {
        while self.read().await {}
        assert_eq!(self.received, b"");
    }

    /// Nothing comes as long as nothing else is done.
    pub(crate) async fn expect_nothing(&mut self) {
        let more = timeout(Duration::from_millis(1), self.io.read_buf(&mut self.received)).await;
        assert!(more.is_err(), "{:?}", lossy(&self.received));
        assert_eq!(self.received, b"");
    }
}
