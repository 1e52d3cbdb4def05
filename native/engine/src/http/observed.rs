//! What the versions of HTTP report of requests to whoever observes them.

use crate::event::step::{Function, RequestHead, Step};
use crate::options::Steps;
use crate::protocol::Context;
use crate::sink::Sink;
use crate::stream::upload::UploadBody;

/// A request is sent, up to its headers: the head, as each version has it, begun by this.
pub(crate) fn observe_request<'a, K: Sink>(
    stream: &'a K::Stream,
    body: &UploadBody,
    is_upgrade: bool,
    context: &mut Context<'_, K>,
    head: impl FnOnce(Function) -> RequestHead<'a>,
) {
    if is_upgrade {
        context.observe(Steps::WS_UPGRADE, || Step::Upgrade { stream });
    }
    context.observe(Steps::REQUEST_START.with(Steps::REQUEST_HEADERS), || {
        let function = match body {
            _ if is_upgrade => Function::WsUpgrade,
            UploadBody::Streamed(_) => Function::Headers,
            UploadBody::Tunnel(_) => Function::Connect,
            UploadBody::Empty | UploadBody::Whole(..) => Function::Request,
        };
        Step::Request { stream, head: head(function) }
    });
}
