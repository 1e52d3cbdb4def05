//! TLS below a connection.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use crate::args::{Http2, Tls};
use crate::{connection, http2};

/// What every connection is accepted with.
///
/// # Errors
///
/// A file cannot be read or does not hold what it should.
pub(crate) fn acceptor(args: &Tls) -> io::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let versions: &[&SupportedProtocolVersion] = match args.version.as_deref() {
        Some("1.2") => &[&TLS12],
        Some("1.3") => &[&TLS13],
        _ => &[&TLS12, &TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).map_err(io::Error::other)?;
    let builder = match &args.client_ca {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&args.key).map_err(|error| named(&args.key, error))?;
    let mut config = builder.with_single_cert(certificates(&args.cert)?, key).map_err(io::Error::other)?;
    config.alpn_protocols = args.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).map_err(|error| named(file, error))?;
    read.collect::<Result<_, _>>().map_err(|error| named(file, error))
}

fn named(file: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", file.display()))
}

/// Serves a connection, if its handshake succeeds. No record holds more than `max_fragment` bytes of data.
pub(crate) async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    max_fragment: Option<usize>,
    deflate: bool,
    http2: Option<Http2>,
) {
    if let Ok(stream) = acceptor.accept(stream).await {
        let told = tell(stream.get_ref().1);
        let chosen = stream.get_ref().1.alpn_protocol();
        let http2 = http2.filter(|_| chosen.is_none_or(|name| name == b"h2"));
        match max_fragment {
            Some(size) => serve_on(Fragments { stream, size }, told, deflate, http2).await,
            None => serve_on(stream, told, deflate, http2).await,
        }
    }
}

async fn serve_on<S>(stream: S, told: String, deflate: bool, http2: Option<Http2>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match http2 {
        Some(http2) => http2::serve(stream, Some(told), deflate, http2).await,
        None => connection::serve(stream, Some(told), deflate).await,
    }
}

/// Writes a few bytes at a time, each time a record of its own. rustls has an option for this too, which does not take
/// less than 32 bytes.
struct Fragments<S> {
    stream: S,
    size: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Fragments<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fragments<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let size = self.size.min(data.len());
        Pin::new(&mut self.stream).poll_write(cx, &data[..size])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn tell(connection: &ServerConnection) -> String {
    let mut told = String::new();
    let mut line = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            // A String takes everything.
            let _ = writeln!(told, "{word} {value}");
        }
    };
    line("version", connection.protocol_version().map(|version| format!("{version:?}")));
    line("cipher", connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())));
    let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
    line("resumed", Some(resumed.to_string()));
    line("sni", connection.server_name().map(str::to_owned));
    line("alpn", connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()));
    line("client_certificates", connection.peer_certificates().map(|chain| chain.len().to_string()));
    told
}
