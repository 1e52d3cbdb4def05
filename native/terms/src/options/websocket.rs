//! The options of a WebSocket.

use std::time::Duration;

use gun_rs_engine::options::DeflateOptions;
use gun_rs_engine::options::{ReupgradeOptions, WsOptions};

use super::{Result, defined, each_of, flag_of, flow, limit, number, number_of, text, timeout, timeout_of, value};
use crate::name::Name;
use crate::term::ReadTerm;

/// Reads the options of a WebSocket. Where they leave `keepalive` undefined, the one given here counts.
///
/// # Errors
/// [`crate::InvalidTerm`] where an option is missing or has another type.
pub fn ws_options<T: ReadTerm>(map: &T, keepalive: Option<Duration>) -> Result<WsOptions> {
    Ok(WsOptions {
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        compress: defined(map, Name::Compress, deflate_options)?,
        flow: flow(&value(map, Name::Flow)?)?,
        http1_fallback: flag_of(map, Name::Http1Fallback)?,
        keepalive: defined(map, Name::Keepalive, timeout)?.unwrap_or(keepalive),
        keepalive_tolerance: limit(map, Name::KeepaliveTolerance)?,
        // These are a server's.
        idle_timeout: None,
        linger: true,
        max_frame_size: limit(map, Name::MaxFrameSize)?,
        max_message_size: limit(map, Name::MaxMessageSize)?,
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        reupgrade: defined(map, Name::Reupgrade, reupgrade_options)?,
        upgrade_timeout: timeout_of(map, Name::UpgradeTimeout)?,
        silence_pings: flag_of(map, Name::SilencePings)?,
        subprotocols: each_of(map, Name::Subprotocols, text)?,
        fragments: each_of(map, Name::Fragments, text)?,
        fragments_by_default: flag_of(map, Name::FragmentsByDefault)?,
    })
}

fn reupgrade_options<T: ReadTerm>(map: &T) -> Result<ReupgradeOptions> {
    Ok(ReupgradeOptions {
        queue: number_of(map, Name::Queue)?,
        retry_statuses: each_of(map, Name::RetryStatuses, number)?,
        max_retry_after: timeout_of(map, Name::MaxRetryAfter)?.unwrap_or(Duration::MAX),
    })
}

pub(super) fn deflate_options<T: ReadTerm>(map: &T) -> Result<DeflateOptions> {
    let offers_client_window = !value(map, Name::ClientMaxWindowBits)?.is(Name::NotOffered);
    let client_max_window_bits =
        if offers_client_window { defined(map, Name::ClientMaxWindowBits, number)? } else { None };
    Ok(DeflateOptions {
        server_no_context_takeover: flag_of(map, Name::ServerNoContextTakeover)?,
        client_no_context_takeover: flag_of(map, Name::ClientNoContextTakeover)?,
        server_max_window_bits: defined(map, Name::ServerMaxWindowBits, number)?,
        client_max_window_bits,
        offers_client_window,
        level: number_of(map, Name::Level)?,
        mem_level: number_of(map, Name::MemLevel)?,
    })
}
