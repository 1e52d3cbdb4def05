//! SOCKS 5 of a client (RFC 1928), on any byte stream.
//!
//! It reads no byte behind the proxy's answers, which are the destination's, and it names every error: the libraries that
//! there are lose the number of an unknown reply, and choose the methods of authentication themselves.

use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ByteStream;
use crate::error::{ConnectError, SocksError, is_cut};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The version of the negotiation of RFC 1929.
const PASSWORD_VERSION: u8 = 1;

/// A method of authentication that is offered.
#[derive(Clone, Copy)]
pub(crate) enum Method<'a> {
    /// None.
    None,
    /// A user's name, and the password (RFC 1929): 255 bytes each at most.
    Password(&'a [u8], &'a [u8]),
}

impl Method<'_> {
    fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password(..) => 2,
        }
    }
}

/// Where the proxy is to connect to.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// An address.
    Address(IpAddr),
    /// A name, which the proxy resolves: 255 bytes at most.
    Name(&'a str),
}

/// Has the proxy behind `io` connect to the target: from then on the stream is the target's.
///
/// # Errors
/// See [`ConnectError`].
pub(crate) async fn connect<S: ByteStream>(
    io: &mut S,
    methods: &[Method<'_>],
    target: Target<'_>,
    port: u16,
) -> Result<(), ConnectError> {
    greet(io, methods).await?;
    let mut request = vec![VERSION, CONNECT, 0];
    match target {
        Target::Address(IpAddr::V4(ip)) => {
            request.push(IPV4);
            request.extend(ip.octets());
        }
        Target::Address(IpAddr::V6(ip)) => {
            request.push(IPV6);
            request.extend(ip.octets());
        }
        Target::Name(name) => {
            request.push(NAME);
            push_short(name.as_bytes(), &mut request)?;
        }
    }
    request.extend(port.to_be_bytes());
    write(io, &request).await?;
    let [version, reply, reserved, kind] = read(io).await?;
    if version != VERSION || reserved != 0 {
        return Err(SocksError::InvalidReply.into());
    }
    if let Some(error) = SocksError::of_reply(reply) {
        return Err(error.into());
    }
    take_address(io, kind).await
}

/// Agrees on a method, and proves who we are.
async fn greet<S: ByteStream>(io: &mut S, methods: &[Method<'_>]) -> Result<(), ConnectError> {
    let numbers: Vec<u8> = methods.iter().map(|method| method.number()).collect();
    let mut greeting = vec![VERSION];
    push_short(&numbers, &mut greeting)?;
    write(io, &greeting).await?;
    let [version, chosen] = read(io).await?;
    if version != VERSION {
        return Err(SocksError::InvalidReply.into());
    }
    let Some(method) = methods.iter().find(|method| method.number() == chosen) else {
        return Err(SocksError::NoAcceptableMethod.into());
    };
    let Method::Password(user, password) = method else { return Ok(()) };
    let mut proof = vec![PASSWORD_VERSION];
    push_short(user, &mut proof)?;
    push_short(password, &mut proof)?;
    write(io, &proof).await?;
    let [version, status] = read(io).await?;
    match (version, status) {
        (PASSWORD_VERSION, 0) => Ok(()),
        (PASSWORD_VERSION, _) => Err(SocksError::AuthFailure.into()),
        _ => Err(SocksError::InvalidReply.into()),
    }
}

/// The address that the proxy connects from, which is of no use to anybody.
async fn take_address<S: ByteStream>(io: &mut S, kind: u8) -> Result<(), ConnectError> {
    let len = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(read::<_, 1>(io).await?[0]),
        _ => return Err(SocksError::InvalidReply.into()),
    };
    let mut rest = vec![0; len + 2];
    io.read_exact(&mut rest).await.map_err(cut)?;
    Ok(())
}

/// What is longer than its length can say was refused before.
fn push_short(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ConnectError> {
    let len = u8::try_from(bytes.len()).map_err(|_| ConnectError::Io(io::ErrorKind::InvalidInput.into()))?;
    out.push(len);
    out.extend_from_slice(bytes);
    Ok(())
}

async fn write<S: ByteStream>(io: &mut S, bytes: &[u8]) -> Result<(), ConnectError> {
    io.write_all(bytes).await.map_err(cut)?;
    io.flush().await.map_err(cut)
}

async fn read<S: ByteStream, const N: usize>(io: &mut S) -> Result<[u8; N], ConnectError> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await.map_err(cut)?;
    Ok(bytes)
}

fn cut(error: io::Error) -> ConnectError {
    if is_cut(&error) { ConnectError::Closed } else { error.into() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// The client's result, and its stream, against a proxy that says these things one after the other, each after it has
    /// received what stands beside it.
    async fn talk(
        methods: &[Method<'_>],
        target: Target<'_>,
        script: &[(&[u8], &[u8])],
    ) -> (Result<(), String>, DuplexStream) {
        let (mut near, mut far) = duplex(1024);
        let script: Vec<(Vec<u8>, Vec<u8>)> = script.iter().map(|(a, b)| (a.to_vec(), b.to_vec())).collect();
        let proxy = tokio::spawn(async move {
            for (expected, answer) in script {
                let mut received = vec![0; expected.len()];
                far.read_exact(&mut received).await.unwrap();
                assert_eq!(received, expected);
                for byte in answer {
                    far.write_all(&[byte]).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let result = connect(&mut near, methods, target, 258).await.map_err(|error| error.to_string());
        proxy.await.unwrap();
        (result, near)
    }

    const NAMED: Target<'_> = Target::Name("a.b");
    const ASKED: &[u8] = b"\x05\x01\x00\x03\x03a.b\x01\x02";

    #[tokio::test]
    async fn every_kind_of_address_is_asked_for_and_answered_with() {
        let v4 = Target::Address([127, 0, 0, 1].into());
        let v6 = Target::Address([0, 0, 0, 0, 0, 0, 0, 1].into());
        let asked_v6 = [&b"\x05\x01\x00\x04"[..], &[0; 15], &[1, 1, 2]].concat();
        let answered_v6 = [&b"\x05\x00\x00\x04"[..], &[7; 18]].concat();
        for (target, asked, answered) in [
            (NAMED, ASKED, &b"\x05\x00\x00\x01\x01\x02\x03\x04\x05\x06"[..]),
            (v4, &b"\x05\x01\x00\x01\x7f\x00\x00\x01\x01\x02"[..], &b"\x05\x00\x00\x03\x03xyz\x05\x06"[..]),
            (v6, &asked_v6[..], &answered_v6[..]),
        ] {
            let (result, _) = talk(&[Method::None], target, &[(b"\x05\x01\x00", b"\x05\x00"), (asked, answered)]).await;
            assert_eq!(result, Ok(()));
        }
    }

    #[tokio::test]
    async fn what_stands_behind_the_answer_is_left_for_others() {
        let answer = b"\x05\x00\x00\x01\x01\x02\x03\x04\x05\x06early";
        let (result, mut near) = talk(&[Method::None], NAMED, &[(b"\x05\x01\x00", b"\x05\x00"), (ASKED, answer)]).await;
        assert_eq!(result, Ok(()));
        let mut rest = String::new();
        near.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "early");
    }

    #[tokio::test]
    async fn a_password_proves_who_we_are_where_it_is_asked_for() {
        let methods = [Method::Password(b"me", b"secret"), Method::None];
        let greeting = (&b"\x05\x02\x02\x00"[..], &b"\x05\x02"[..]);
        let proof = &b"\x01\x02me\x06secret"[..];
        let done = (ASKED, &b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..]);
        let (result, _) = talk(&methods, NAMED, &[greeting, (proof, b"\x01\x00"), done]).await;
        assert_eq!(result, Ok(()));
        let (result, _) = talk(&methods, NAMED, &[(greeting.0, b"\x05\x00"), done]).await;
        assert_eq!(result, Ok(()));
        let (result, _) = talk(&methods, NAMED, &[greeting, (proof, b"\x01\x01")]).await;
        assert_eq!(result, Err(SocksError::AuthFailure.to_string()));
    }

    #[tokio::test]
    async fn errors_have_their_names() {
        for (answer, error) in [
            (&b"\x05\xff"[..], SocksError::NoAcceptableMethod),
            (b"\x05\x02", SocksError::NoAcceptableMethod),
            (b"\x04\x00", SocksError::InvalidReply),
            (b"HT", SocksError::InvalidReply),
        ] {
            let (result, _) = talk(&[Method::None], NAMED, &[(b"\x05\x01\x00", answer)]).await;
            assert_eq!(result, Err(error.to_string()));
        }
        for (reply, error) in [
            (&b"\x05\x01\x00\x01"[..], SocksError::GeneralFailure),
            (b"\x05\x02\x00\x01", SocksError::NotAllowed),
            (b"\x05\x05\x00\x01", SocksError::ConnectionRefused),
            (b"\x05\x63\x00\x01", SocksError::Unknown(99)),
            (b"\x04\x00\x00\x01", SocksError::InvalidReply),
            (b"\x05\x00\x00\x09", SocksError::InvalidReply),
        ] {
            let (result, _) = talk(&[Method::None], NAMED, &[(b"\x05\x01\x00", b"\x05\x00"), (ASKED, reply)]).await;
            assert_eq!(result, Err(error.to_string()));
        }
        let (result, _) = talk(&[Method::None], NAMED, &[(b"\x05\x01\x00", b"\x05")]).await;
        assert_eq!(result, Err(ConnectError::Closed.to_string()));
    }
}
