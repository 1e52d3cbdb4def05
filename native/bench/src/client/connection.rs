//! A WebSocket connection, plain or in TLS: by tokio-tungstenite, or by yawc where messages are compressed.
//!
//! fastwebsockets is no faster. Wall time for a message in us, the best of three runs each against `gun_rs_testserver`,
//! both on the same two cores (tokio-tungstenite 0.30, fastwebsockets 0.10 with buffers of 128 KiB):
//!
//! | | tokio-tungstenite | fastwebsockets |
//! |---|---:|---:|
//! | send 16 B, 1 KiB, 64 KiB, 1 MiB | 0.075, 0.19, 9.2, 212 | 0.071, 0.24, 11.3, 222 |
//! | receive 16 B, 1 KiB, 64 KiB, 1 MiB | 0.052, 0.17, 8.6, 215 | 0.041, 0.17, 13.8, 266 |
//! | echo 1 KiB, 64 under way | 4.7 | 6.1 |

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use yawc::{Frame, OpCode};

use crate::Result;

/// As much as tungstenite gathers in its buffer before it writes.
const WRITE_BUFFER: usize = 128 * 1024;

/// What a connection is made of.
#[derive(Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
    /// Where it is, if that has been looked up.
    address: Option<SocketAddr>,
    tls: Option<TlsConnector>,
    pub(crate) deflate: bool,
}

/// Either stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection after its upgrade.
pub(crate) enum Socket {
    Plain(Box<WebSocketStream<Box<dyn Stream>>>),
    Deflate(Box<yawc::WebSocket<Box<dyn Stream>>>),
}

impl Target {
    /// With TLS where `root` names the file of the server's authority.
    pub(crate) fn new(host: String, port: u16, root: Option<&str>, deflate: bool) -> Result<Self> {
        Ok(Self { host, port, address: None, tls: root.map(connector).transpose()?, deflate })
    }

    /// The same server, without compression.
    pub(crate) fn plain(&self) -> Self {
        Self { deflate: false, ..self.clone() }
    }

    /// The same server, whose name is looked up only now.
    pub(crate) async fn resolved(&self) -> Result<Self> {
        Ok(Self { address: Some(self.connect().await?.peer_addr()?), ..self.clone() })
    }

    async fn connect(&self) -> Result<TcpStream> {
        Ok(match self.address {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
        })
    }

    /// A connection that has said nothing yet, but in its TLS.
    pub(crate) async fn stream(&self) -> Result<Box<dyn Stream>> {
        let stream = self.connect().await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some(tls) => Box::new(tls.connect(ServerName::try_from(self.host.clone())?, stream).await?),
            None => Box::new(stream),
        })
    }

    pub(crate) async fn open(&self, path: &str) -> Result<Socket> {
        let stream = self.stream().await?;
        let url = format!("ws://{}:{}{path}", self.host, self.port);
        Ok(if self.deflate {
            // zlib's own level, which gun and gun_rs use too.
            let options = yawc::Options::default().with_balanced_compression().with_utf8();
            let options = options.with_backpressure_boundary(WRITE_BUFFER);
            Socket::Deflate(Box::new(yawc::WebSocket::handshake(url.parse()?, stream, options).await?))
        } else {
            Socket::Plain(Box::new(client_async(url, stream).await?.0))
        })
    }
}

fn connector(root: &str) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Socket {
    /// What is below it. The server must not have sent anything yet: what the handshake has read of it would be lost.
    pub(crate) fn into_stream(self) -> Result<Box<dyn Stream>> {
        match self {
            Self::Plain(socket) => Ok(socket.into_inner()),
            Self::Deflate(_) => Err("compressed messages need their WebSocket".into()),
        }
    }

    /// Takes a message that leaves with others, at [`Socket::flush`] at the latest.
    pub(crate) async fn feed(&mut self, payload: Bytes) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.feed(Message::Binary(payload)).await?,
            Self::Deflate(socket) => socket.feed(Frame::binary(payload)).await?,
        }
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.flush().await?,
            Self::Deflate(socket) => socket.flush().await?,
        }
        Ok(())
    }

    pub(crate) async fn send_text(&mut self, text: &'static str) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.send(Message::text(text)).await?,
            Self::Deflate(socket) => socket.send(Frame::text(text)).await?,
        }
        Ok(())
    }

    /// The next text or binary message.
    pub(crate) async fn next(&mut self) -> Result<Bytes> {
        let message = match self {
            Self::Plain(socket) => match socket.next().await.ok_or("the server has closed")?? {
                message @ (Message::Text(_) | Message::Binary(_)) => Some(message.into_data()),
                _ => None,
            },
            Self::Deflate(socket) => {
                let frame = socket.next_frame().await?;
                matches!(frame.opcode(), OpCode::Text | OpCode::Binary).then(|| frame.into_payload())
            }
        };
        Ok(message.ok_or("the server sends what is no message")?)
    }

    /// Has `count` messages echoed, each payload in its turn, with at most `ahead` of them under way.
    pub(crate) async fn echo(&mut self, payloads: &[Bytes], count: usize, ahead: usize) -> Result<()> {
        let mut next = payloads.iter().cycle().take(count);
        let mut sent = 0;
        for received in 0..count {
            while sent - received < ahead
                && let Some(payload) = next.next()
            {
                self.feed(payload.clone()).await?;
                sent += 1;
            }
            self.flush().await?;
            self.next().await?;
        }
        Ok(())
    }

    /// How many messages the server's sink has counted.
    pub(crate) async fn count(&mut self) -> Result<usize> {
        self.send_text("count").await?;
        Ok(std::str::from_utf8(&self.next().await?)?.parse()?)
    }
}
