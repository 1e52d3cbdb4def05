//! The names of the operating system's errors.

use std::io;

use crate::name::Name;
use crate::term::Terms;

/// The POSIX atom of an error of the operating system, as `inet` has them; `{posix, Number}` for any other.
pub fn posix<T: Terms>(terms: T, error: &io::Error) -> T::Term {
    let Some(number) = error.raw_os_error() else { return terms.atom(name_of_kind(error.kind())) };
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => terms.atom(name),
        None => terms.tagged(Name::Posix, terms.integer(number.unsigned_abs().into())),
    }
}

fn name_of_kind(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::TimedOut => "etimedout",
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => "econnreset",
        io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero => "epipe",
        _ => "eio",
    }
}

const NAMES: [(i32, &str); 53] = [
    (libc::EACCES, "eacces"),
    (libc::EADDRINUSE, "eaddrinuse"),
    (libc::EADDRNOTAVAIL, "eaddrnotavail"),
    (libc::EAFNOSUPPORT, "eafnosupport"),
    (libc::EAGAIN, "eagain"),
    (libc::EALREADY, "ealready"),
    (libc::EBADF, "ebadf"),
    (libc::EBUSY, "ebusy"),
    (libc::ECONNABORTED, "econnaborted"),
    (libc::ECONNREFUSED, "econnrefused"),
    (libc::ECONNRESET, "econnreset"),
    (libc::EDESTADDRREQ, "edestaddrreq"),
    (libc::EFAULT, "efault"),
    (libc::EHOSTDOWN, "ehostdown"),
    (libc::EHOSTUNREACH, "ehostunreach"),
    (libc::EINPROGRESS, "einprogress"),
    (libc::EINTR, "eintr"),
    (libc::EINVAL, "einval"),
    (libc::EIO, "eio"),
    (libc::EISCONN, "eisconn"),
    (libc::EISDIR, "eisdir"),
    (libc::ELOOP, "eloop"),
    (libc::EMFILE, "emfile"),
    (libc::EMSGSIZE, "emsgsize"),
    (libc::ENAMETOOLONG, "enametoolong"),
    (libc::ENETDOWN, "enetdown"),
    (libc::ENETRESET, "enetreset"),
    (libc::ENETUNREACH, "enetunreach"),
    (libc::ENFILE, "enfile"),
    (libc::ENOBUFS, "enobufs"),
    (libc::ENODEV, "enodev"),
    (libc::ENOENT, "enoent"),
    (libc::ENOMEM, "enomem"),
    (libc::ENOPROTOOPT, "enoprotoopt"),
    (libc::ENOSPC, "enospc"),
    (libc::ENOSYS, "enosys"),
    (libc::ENOTCONN, "enotconn"),
    (libc::ENOTDIR, "enotdir"),
    (libc::ENOTSOCK, "enotsock"),
    (libc::ENXIO, "enxio"),
    (libc::EOPNOTSUPP, "eopnotsupp"),
    (libc::EPERM, "eperm"),
    (libc::EPFNOSUPPORT, "epfnosupport"),
    (libc::EPIPE, "epipe"),
    (libc::EPROTO, "eproto"),
    (libc::EPROTONOSUPPORT, "eprotonosupport"),
    (libc::EPROTOTYPE, "eprototype"),
    (libc::EROFS, "erofs"),
    (libc::ESHUTDOWN, "eshutdown"),
    (libc::ESOCKTNOSUPPORT, "esocktnosupport"),
    (libc::ESTALE, "estale"),
    (libc::ETIMEDOUT, "etimedout"),
    (libc::ETOOMANYREFS, "etoomanyrefs"),
];
