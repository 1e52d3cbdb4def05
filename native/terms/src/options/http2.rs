//! The options of HTTP/2.

use gun_rs_engine::Http2Options;
use gun_rs_engine::options::TooManyStreams;

use super::{Result, flag_of, flow, limit, number_of, one_of, timeout_of, value};
use crate::name::Name;
use crate::term::ReadTerm;

pub(super) fn http2_options<T: ReadTerm>(map: &T) -> Result<Http2Options> {
    let too_many = [(Name::Wait, TooManyStreams::Wait), (Name::Error, TooManyStreams::Error)];
    Ok(Http2Options {
        closing_timeout: timeout_of(map, Name::ClosingTimeout)?,
        flow: flow(&value(map, Name::Flow)?)?,
        initial_connection_window_size: number_of(map, Name::InitialConnectionWindowSize)?,
        initial_stream_window_size: number_of(map, Name::InitialStreamWindowSize)?,
        keepalive: timeout_of(map, Name::Keepalive)?,
        keepalive_tolerance: limit(map, Name::KeepaliveTolerance)?,
        max_concurrent_streams: limit(map, Name::MaxConcurrentStreams)?,
        max_decode_table_size: number_of(map, Name::MaxDecodeTableSize)?,
        max_fragmented_header_block_size: number_of(map, Name::MaxFragmentedHeaderBlockSize)?,
        max_frame_size_received: number_of(map, Name::MaxFrameSizeReceived)?,
        max_header_list_size: number_of(map, Name::MaxHeaderListSize)?,
        max_headers: number_of(map, Name::MaxHeaders)?,
        max_informs: limit(map, Name::MaxInforms)?.unwrap_or(u32::MAX),
        max_send_queue: limit(map, Name::MaxSendQueue)?,
        notify_settings_changed: flag_of(map, Name::NotifySettingsChanged)?,
        preface_timeout: timeout_of(map, Name::PrefaceTimeout)?,
        push: flag_of(map, Name::Push)?,
        settings_timeout: timeout_of(map, Name::SettingsTimeout)?,
        too_many_streams: one_of(&value(map, Name::TooManyStreams)?, &too_many)?,
    })
}
