//! Sockets that listen, and those that they accept.

use std::fs::symlink_metadata;
use std::io;
use std::net::{self, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use socket2::{Domain, SockAddr, SockRef, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::Io;
use super::socket::Socket;
use super::tcp::{set_buffers, set_options};
use crate::options::{Address, TcpOptions};

/// A socket that listens. When this is dropped, it is closed.
pub(crate) struct ListenSocket {
    socket: Listening,
    address: Address,
    /// The file of a Unix domain socket, by its device and number: it goes with the socket.
    file: Option<(PathBuf, (u64, u64))>,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that was accepted. It belongs to no runtime yet.
pub(crate) enum Accepted {
    /// Over TCP, with the address of the other end.
    Tcp(net::TcpStream, SocketAddr),
    /// Over a Unix domain socket, which has no addresses.
    Unix(unix::UnixStream),
}

impl ListenSocket {
    /// Binds a socket, and listens. The caller is in the context of the runtime that accepts.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn bind(address: &Address, backlog: u32, options: &TcpOptions) -> io::Result<Self> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match address {
            Address::Tcp(wanted) => {
                let socket = socket2::Socket::new(Domain::for_address(*wanted), Type::STREAM, None)?;
                set_options(SockRef::from(&socket), wanted.is_ipv4(), options)?;
                socket.bind(&(*wanted).into())?;
                socket.set_nonblocking(true)?;
                socket.listen(backlog)?;
                let socket = TcpListener::from_std(socket.into())?;
                let address = Address::Tcp(socket.local_addr()?);
                Ok(Self { socket: Listening::Tcp(socket), address, file: None })
            }
            Address::Unix(path) => {
                let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
                set_buffers(&SockRef::from(&socket), options)?;
                socket.bind(&SockAddr::unix(path)?)?;
                let file = Some((path.clone(), identity(path)?));
                socket.set_nonblocking(true)?;
                socket.listen(backlog)?;
                let socket = UnixListener::from_std(socket.into())?;
                Ok(Self { socket: Listening::Unix(socket), address: address.clone(), file })
            }
        }
    }

    /// What it listens on, with the port that it has got.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(match &self.socket {
            Listening::Tcp(socket) => {
                let (stream, remote) = ready!(socket.poll_accept(cx))?;
                stream.into_std().map(|stream| Accepted::Tcp(stream, remote))
            }
            Listening::Unix(socket) => {
                let (stream, _) = ready!(socket.poll_accept(cx))?;
                stream.into_std().map(Accepted::Unix)
            }
        })
    }
}

impl Drop for ListenSocket {
    fn drop(&mut self) {
        if let Some((path, file)) = &self.file
            && identity(path).is_ok_and(|found| found == *file)
        {
            // Somebody else may have removed it just now.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Accepted {
    /// The address of the other end.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        if let Self::Tcp(_, remote) = self { Some(*remote) } else { None }
    }

    /// The byte stream, with its own address, on the runtime in whose context the caller is.
    ///
    /// # Errors
    /// What the operating system says: the other end may be gone.
    pub(crate) fn into_stream(self, options: &TcpOptions) -> io::Result<(Io, Option<SocketAddr>)> {
        let socket = match self {
            Self::Tcp(socket, remote) => {
                set_options(SockRef::from(&socket), remote.is_ipv4(), &of_accepted(options))?;
                Socket::Tcp(TcpStream::from_std(socket)?)
            }
            Self::Unix(socket) => {
                set_buffers(&SockRef::from(&socket), options)?;
                Socket::Unix(UnixStream::from_std(socket)?)
            }
        };
        let local = socket.local_addr();
        Ok((Box::new(socket), local))
    }
}

/// The options that a connected socket can still be given. It has the others from the one that listens.
fn of_accepted(options: &TcpOptions) -> TcpOptions {
    TcpOptions { reuse_address: false, reuse_port: false, only_v6: None, device: None, ..options.clone() }
}
