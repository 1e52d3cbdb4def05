//! TCP: the name is looked up, its addresses are tried, the socket is set up.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::{happy_eyeballs, resolver, within};
use crate::error::ConnectError;
use crate::options::{ConnectOptions, Family, TcpOptions};

/// Connects to the host.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(host: &str, port: u16, options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
    let addresses = within(options.domain_lookup_timeout, resolve(host, port, &options.tcp)).await?;
    let attempts = happy_eyeballs::connect(addresses, |address| connect_to(address, &options.tcp));
    within(options.connect_timeout, async { Ok(attempts.await?) }).await
}

async fn resolve(host: &str, port: u16, options: &TcpOptions) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = resolver::SYSTEM.addresses(host, port).await?;
    let addresses = happy_eyeballs::interleave(found.into_iter().filter(|address| is_usable(address, options)));
    if addresses.is_empty() { Err(ConnectError::NameNotFound) } else { Ok(addresses) }
}

fn is_usable(address: &SocketAddr, options: &TcpOptions) -> bool {
    let of_family = match options.family {
        Family::Any => true,
        Family::Inet => address.is_ipv4(),
        Family::Inet6 => address.is_ipv6(),
    };
    of_family && options.ip.is_none_or(|ip| ip.is_ipv4() == address.is_ipv4())
}

async fn connect_to(address: SocketAddr, options: &TcpOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(options.nodelay)?;
    socket.set_keepalive(options.keepalive)?;
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(ip) = options.ip {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(address).await
}
