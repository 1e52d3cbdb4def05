//! TCP: looks up the host, sets up a socket for each address, and connects.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use super::{happy_eyeballs, resolver, within};
use crate::error::ConnectError;
use crate::options::{ConnectOptions, Family, TcpOptions};

/// Looks up the usable addresses of the host, in the order in which they are to be tried.
///
/// # Errors
/// See [`ConnectError`].
pub(super) async fn look_up(host: &str, port: u16, options: &ConnectOptions) -> Result<Vec<SocketAddr>, ConnectError> {
    within(options.domain_lookup_timeout, resolve(host, port, &options.tcp)).await
}

/// Connects to one of the addresses.
///
/// # Errors
/// See [`ConnectError`].
pub(super) async fn connect(addresses: Vec<SocketAddr>, options: &ConnectOptions) -> Result<TcpStream, ConnectError> {
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
    set_options(SockRef::from(&socket), address.is_ipv4(), options)?;
    if let Some(ip) = options.ip {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(address).await
}

/// Sets the options that must be set before the socket is bound or connected.
pub(super) fn set_options(socket: SockRef<'_>, is_ipv4: bool, options: &TcpOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    socket.set_keepalive(options.keepalive)?;
    if options.keepalive_probes != (None, None, None) {
        let (idle, interval, count) = options.keepalive_probes;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let probes = TcpKeepalive::new();
        let probes = if let Some(idle) = idle { probes.with_time(seconds(idle)) } else { probes };
        let probes = if let Some(interval) = interval { probes.with_interval(seconds(interval)) } else { probes };
        let probes = if let Some(count) = count { probes.with_retries(count) } else { probes };
        // That has turned them on, whatever the option says.
        socket.set_tcp_keepalive(&probes)?;
        socket.set_keepalive(options.keepalive)?;
    }
    set_buffers(&socket, options)?;
    if options.reuse_address {
        socket.set_reuse_address(true)?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if let Some(reset) = options.reset_on_close {
        socket.set_linger(reset.then_some(Duration::ZERO))?;
    }
    if let Some(tos) = options.tos.filter(|_| is_ipv4) {
        socket.set_tos_v4(tos)?;
    }
    if let Some(class) = options.traffic_class.filter(|_| !is_ipv4) {
        socket.set_tclass_v6(class)?;
    }
    match options.ttl {
        Some(ttl) if is_ipv4 => socket.set_ttl_v4(ttl)?,
        Some(ttl) => socket.set_unicast_hops_v6(ttl)?,
        None => {}
    }
    if let Some(only) = options.only_v6.filter(|_| !is_ipv4) {
        socket.set_only_v6(only)?;
    }
    set_linux_options(&socket, options)
}

/// Sets the options that a Unix domain socket has as well.
pub(super) fn set_buffers(socket: &SockRef<'_>, options: &TcpOptions) -> io::Result<()> {
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes as usize)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_linux_options(socket: &SockRef<'_>, options: &TcpOptions) -> io::Result<()> {
    if let Some(priority) = options.priority {
        socket.set_priority(priority)?;
    }
    if let Some(device) = &options.device {
        socket.bind_device(Some(device))?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    if let Some(quick) = options.quick_ack {
        socket.set_tcp_quickack(quick)?;
    }
    Ok(())
}

/// Erlang refuses them on other systems.
#[cfg(not(target_os = "linux"))]
fn set_linux_options(_socket: &SockRef<'_>, _options: &TcpOptions) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn all() -> TcpOptions {
        TcpOptions {
            nodelay: true,
            keepalive: true,
            keepalive_probes: (Some(11), Some(12), Some(3)),
            reuse_address: true,
            reuse_port: true,
            reset_on_close: Some(true),
            priority: Some(5),
            tos: Some(16),
            traffic_class: Some(32),
            ttl: Some(33),
            only_v6: Some(true),
            device: Some(b"lo".to_vec()),
            user_timeout: Some(Duration::from_millis(4321)),
            quick_ack: Some(false),
            send_buffer: Some(20_000),
            receive_buffer: Some(30_000),
            ..TcpOptions::default()
        }
    }

    #[tokio::test]
    async fn every_option_is_set_on_the_socket_that_is_connected() {
        let mut families = 0;
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // There may be no IPv6.
            let Ok(listener) = TcpListener::bind(host).await else { continue };
            families += 1;
            let stream = connect_to(listener.local_addr().unwrap(), &all()).await.unwrap();
            let socket = SockRef::from(&stream);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(11));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(12));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            assert!(socket.reuse_address().unwrap() && socket.reuse_port().unwrap());
            assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
            assert_eq!(socket.device().unwrap().as_deref(), Some(&b"lo"[..]));
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(4321)));
            // Linux doubles them.
            assert_eq!(socket.send_buffer_size().unwrap(), 40_000);
            assert_eq!(socket.recv_buffer_size().unwrap(), 60_000);
            if host.starts_with('[') {
                assert_eq!(socket.tclass_v6().unwrap(), 32);
                assert_eq!(socket.unicast_hops_v6().unwrap(), 33);
                assert!(socket.only_v6().unwrap());
                assert_eq!(socket.priority().unwrap(), 5);
            } else {
                assert_eq!(socket.tos_v4().unwrap(), 16);
                assert_eq!(socket.ttl_v4().unwrap(), 33);
                assert_eq!(socket.priority().unwrap(), 5, "tos has one of its own, which must not come last");
            }
        }
        assert!(families > 0);
    }

    #[tokio::test]
    async fn what_is_not_asked_for_is_left_to_the_system() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = connect_to(address, &TcpOptions::default()).await.unwrap();
        let (ours, fresh) = (SockRef::from(&stream), TcpSocket::new_v4().unwrap());
        let fresh = SockRef::from(&fresh);
        assert_eq!(ours.linger().unwrap(), None);
        assert_eq!(ours.tos_v4().unwrap(), fresh.tos_v4().unwrap());
        assert_eq!(ours.ttl_v4().unwrap(), fresh.ttl_v4().unwrap());
        assert_eq!(ours.priority().unwrap(), 0);
        assert_eq!(ours.device().unwrap(), None);
        assert_eq!(ours.tcp_user_timeout().unwrap(), None);
        assert!(!ours.keepalive().unwrap() && !ours.reuse_address().unwrap() && !ours.reuse_port().unwrap());
    }
}
