//! Accepting connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

use crate::args::Http2;
use crate::{connection, http2, tls};

/// Tests open thousands of connections in one burst; a full backlog would cost each late one a second.
const BACKLOG: u32 = 4096;

/// Listens on the loopback address; must be called within the runtime.
///
/// # Errors
///
/// Those of the system: the port is taken, or may not be used.
pub(crate) fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restarted server must get its port back although old connections linger in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

/// How connections are served.
#[derive(Clone, Default)]
pub(crate) struct Service {
    /// What they are accepted with, and how much a record may hold.
    pub(crate) tls: Option<(TlsAcceptor, Option<usize>)>,
    /// Whether messages may be compressed.
    pub(crate) deflate: bool,
    /// How HTTP/2 is spoken. It is spoken on every connection but on those whose TLS has chosen another protocol.
    pub(crate) http2: Option<Http2>,
}

/// Serves every connection, each in a task of its own, for as long as the process lives.
pub(crate) async fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let Service { tls, deflate, http2 } = service.clone();
                match (tls, http2) {
                    (Some((acceptor, max_fragment)), _) => {
                        tokio::spawn(tls::serve(stream, acceptor, max_fragment, deflate, http2))
                    }
                    (None, Some(http2)) => tokio::spawn(http2::serve(stream, None, deflate, http2)),
                    (None, None) => tokio::spawn(connection::serve(stream, None, deflate)),
                };
            }
            // The usual cause is a lack of file descriptors, which ends when other connections do.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
