//! A tunnel on a stream of HTTP/2 (RFC 9113, 8.5): the server is a proxy.

use bytes::Bytes;
use h2::server::SendResponse;
use http::Response;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::{Carrier, Request, answer};

/// Leads to the host and the port that the request names.
///
/// # Errors
///
/// The client has reset the stream, or is gone, before the answer.
pub(super) async fn lead(request: Request, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    match TcpStream::connect(&authority).await {
        Ok(mut far) => {
            let _ = far.set_nodelay(true);
            let sent = respond.send_response(Response::new(()), false)?;
            // How it ends is the client's to judge.
            let _ = copy_bidirectional(&mut Carrier::new(request.into_body(), sent), &mut far).await;
            Ok(())
        }
        Err(error) => answer::text(respond, 502, &format!("There is no way to {authority}: {error}")).await,
    }
}
