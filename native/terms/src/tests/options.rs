//! Maps of options, as Erlang gives them.

use std::time::Duration;

use gun_rs_engine::Http2Options;
use gun_rs_engine::options::{Endpoint, Family, First, Flow, HttpVersion, RawOptions, Steps, TooManyStreams};
use gun_rs_engine::transport::tls::{Key, Name as ServerName, Roots};

use super::{Plain, atom, binary, list, tuple};
use crate::options::{flow, open_options, timeout, tls_options, ws_options};
use crate::{Dialect, InvalidTerm, Name};

fn undefined() -> Plain {
    atom("undefined")
}

fn infinity() -> Plain {
    atom("infinity")
}

fn yes() -> Plain {
    atom("true")
}

fn no() -> Plain {
    atom("false")
}

fn integer(value: i64) -> Plain {
    Plain::Integer(value)
}

/// The map with other values of some keys.
fn with<const N: usize>(map: &Plain, changes: [(Name, Plain); N]) -> Plain {
    let Plain::Map(mut pairs) = map.clone() else { panic!("no map") };
    for (key, value) in changes {
        let pair = pairs.iter_mut().find(|(name, _)| *name == key);
        pair.unwrap_or_else(|| panic!("there is no {key:?}")).1 = value;
    }
    Plain::Map(pairs)
}

/// That each key is looked for, and is not read from a term of another type.
fn check_each_key<R>(map: &Plain, read: impl Fn(&Plain) -> Result<R, InvalidTerm>) {
    let Plain::Map(pairs) = map else { panic!("no map") };
    for (key, _) in pairs {
        let others = pairs.iter().filter(|(name, _)| name != key).cloned().collect();
        assert!(read(&Plain::Map(others)).is_err(), "without {key:?}");
        let invalid = tuple([]);
        assert!(read(&with(map, [(*key, invalid)])).is_err(), "with another {key:?}");
    }
}

fn ws() -> Plain {
    Plain::Map(vec![
        (Name::ClosingTimeout, integer(1)),
        (Name::Compress, undefined()),
        (Name::Flow, infinity()),
        (Name::Http1Fallback, yes()),
        (Name::Keepalive, undefined()),
        (Name::KeepaliveTolerance, infinity()),
        (Name::MaxFrameSize, infinity()),
        (Name::MaxMessageSize, integer(64)),
        (Name::MaxSendQueue, integer(128)),
        (Name::Reupgrade, undefined()),
        (Name::UpgradeTimeout, infinity()),
        (Name::SilencePings, yes()),
        (Name::Subprotocols, list([binary("mqtt"), binary("chat")])),
        (Name::Fragments, list([binary("chat")])),
        (Name::FragmentsByDefault, no()),
    ])
}

fn http() -> Plain {
    Plain::Map(vec![
        (Name::Version, atom("HTTP/1.1")),
        (Name::ClosingTimeout, integer(2)),
        (Name::Flow, atom("auto")),
        (Name::Keepalive, infinity()),
        (Name::MaxHeaderBlockSize, integer(1000)),
        (Name::MaxHeaders, integer(10)),
        (Name::MaxTrailerBlockSize, infinity()),
        (Name::MaxSendQueue, infinity()),
        (Name::MaxInforms, integer(3)),
        (Name::Pipeline, integer(4)),
        (Name::TitleCaseHeaders, no()),
    ])
}

fn http2() -> Plain {
    Plain::Map(vec![
        (Name::ClosingTimeout, infinity()),
        (Name::Flow, integer(7)),
        (Name::InitialConnectionWindowSize, integer(65_535)),
        (Name::InitialStreamWindowSize, integer(0)),
        (Name::Keepalive, integer(1)),
        (Name::KeepaliveTolerance, infinity()),
        (Name::MaxConcurrentStreams, infinity()),
        (Name::MaxDecodeTableSize, integer(2)),
        (Name::MaxFragmentedHeaderBlockSize, integer(3)),
        (Name::MaxFrameSizeReceived, integer(4)),
        (Name::MaxHeaderListSize, integer(5)),
        (Name::MaxHeaders, integer(6)),
        (Name::MaxInforms, infinity()),
        (Name::MaxSendQueue, integer(8)),
        (Name::NotifySettingsChanged, yes()),
        (Name::PrefaceTimeout, integer(9)),
        (Name::Push, no()),
        (Name::SettingsTimeout, infinity()),
        (Name::TooManyStreams, atom("error")),
    ])
}

fn raw() -> Plain {
    Plain::Map(vec![(Name::Flow, integer(3)), (Name::MaxSendQueue, infinity())])
}

fn tcp() -> Plain {
    let mut pairs = vec![
        (Name::Family, atom("any")),
        (Name::Nodelay, yes()),
        (Name::Keepalive, no()),
        (Name::Reuseaddr, no()),
        (Name::Reuseport, no()),
        (Name::SendTimeout, infinity()),
    ];
    let optional = [
        Name::Ip,
        Name::Keepidle,
        Name::Keepintvl,
        Name::Keepcnt,
        Name::Linger,
        Name::Priority,
        Name::Tos,
        Name::Tclass,
        Name::Ttl,
        Name::Ipv6V6only,
        Name::BindToDevice,
        Name::UserTimeout,
        Name::Quickack,
        Name::Sndbuf,
        Name::Recbuf,
    ];
    pairs.extend(optional.map(|key| (key, undefined())));
    Plain::Map(pairs)
}

fn open() -> Plain {
    Plain::Map(vec![
        (Name::Authority, binary("localhost")),
        (Name::ConnectTimeout, infinity()),
        (Name::Dialect, atom("gun_2")),
        (Name::DomainLookupTimeout, infinity()),
        (Name::Endpoint, tuple([atom("tcp"), binary("localhost"), integer(80)])),
        (Name::Http, http()),
        (Name::First, atom("http")),
        (Name::Http2Inside, http2()),
        (Name::RawOpts, raw()),
        (Name::Http1, yes()),
        (Name::Http2, undefined()),
        (Name::Observed, list([])),
        (Name::Processed, no()),
        (Name::Reconnects, yes()),
        (Name::Tcp, tcp()),
        (Name::TlsHandshakeTimeout, integer(5000)),
        (Name::Ws, ws()),
    ])
}

#[test]
fn every_option_must_be_there() {
    check_each_key(&open(), open_options);
    check_each_key(&ws(), |map| ws_options(map, None));
    check_each_key(&tls(), tls_options);
    check_each_key(&http(), |http| open_options(&with(&open(), [(Name::Http, http.clone())])));
    check_each_key(&http2(), |http2| open_options(&with(&open(), [(Name::Http2, http2.clone())])));
    check_each_key(&tcp(), |tcp| open_options(&with(&open(), [(Name::Tcp, tcp.clone())])));
    check_each_key(&deflate(), |deflate| ws_options(&with(&ws(), [(Name::Compress, deflate.clone())]), None));
    check_each_key(&reupgrade(), |map| ws_options(&with(&ws(), [(Name::Reupgrade, map.clone())]), None));
}

#[test]
fn options_of_open() {
    let options = open_options(&open()).unwrap();
    assert_eq!(options.dialect, Dialect::Gun2);
    assert_eq!(options.connect.http.flow, Flow::Auto);
    assert!(!options.processed);
    assert_eq!(options.connect.observed, Steps::NONE);
    let connect = options.connect;
    let Endpoint::Tcp { host, port: 80 } = connect.endpoint else { panic!("another endpoint") };
    assert_eq!(host, "localhost");
    assert_eq!(connect.authority, "localhost");
    assert_eq!(connect.connect_timeout, None);
    assert_eq!(connect.tls_handshake_timeout, Some(Duration::from_secs(5)));
    assert!(connect.reconnects);
    assert_eq!(connect.http.version, HttpVersion::Http11);
    assert_eq!((connect.http.max_header_block_size, connect.http.max_trailer_block_size), (1000, usize::MAX));
    let http = &connect.http;
    assert_eq!((http.max_headers, http.max_informs, http.pipeline), (10, 3, Some(4)));
    assert_eq!((connect.http.max_send_queue, connect.ws.max_send_queue), (None, Some(128)));
    assert_eq!(connect.ws.subprotocols, ["mqtt", "chat"]);
}

#[test]
fn options_of_raw() {
    check_each_key(&raw(), |raw| open_options(&with(&open(), [(Name::RawOpts, raw.clone())])));
    let connect = open_options(&with(&open(), [(Name::First, atom("raw"))])).unwrap().connect;
    assert_eq!(connect.first, First::Raw);
    assert_eq!(connect.raw, RawOptions { flow: Flow::Messages(3), max_send_queue: None });
}

#[test]
fn options_of_http2() {
    let connect = open_options(&open()).unwrap().connect;
    assert!(connect.http1 && connect.http2.is_none());
    let given = with(&open(), [(Name::Http1, no()), (Name::Http2, http2())]);
    let connect = open_options(&given).unwrap().connect;
    assert!(!connect.http1);
    let expected = Http2Options {
        closing_timeout: None,
        flow: Flow::Messages(7),
        initial_connection_window_size: 65_535,
        initial_stream_window_size: 0,
        keepalive: Some(Duration::from_millis(1)),
        keepalive_tolerance: None,
        max_concurrent_streams: None,
        max_decode_table_size: 2,
        max_fragmented_header_block_size: 3,
        max_frame_size_received: 4,
        max_header_list_size: 5,
        max_headers: 6,
        max_informs: u32::MAX,
        max_send_queue: Some(8),
        notify_settings_changed: true,
        preface_timeout: Some(Duration::from_millis(9)),
        push: false,
        settings_timeout: None,
        too_many_streams: TooManyStreams::Error,
    };
    assert_eq!(connect.http2.as_deref(), Some(&expected));
    let limited = with(&http2(), [(Name::KeepaliveTolerance, integer(0)), (Name::TooManyStreams, atom("wait"))]);
    let limited = open_options(&with(&open(), [(Name::Http2, limited)])).unwrap().connect.http2;
    let tolerance = limited.map(|http2| (http2.keepalive_tolerance, http2.too_many_streams));
    assert_eq!(tolerance, Some((Some(0), TooManyStreams::Wait)));
}

#[test]
fn endpoints() {
    let endpoint = |term| open_options(&with(&open(), [(Name::Endpoint, term)])).map(|open| open.connect.endpoint);
    let Ok(Endpoint::Unix(path)) = endpoint(tuple([atom("unix"), binary("/run/x")])) else { panic!("no path") };
    assert_eq!(path.as_os_str(), "/run/x");
    assert!(endpoint(tuple([atom("unix"), binary("host"), integer(80)])).is_err());
    assert!(endpoint(tuple([atom("tcp"), binary("/run/x")])).is_err());
    assert!(endpoint(tuple([atom("tcp"), binary("host"), integer(65_536)])).is_err());
}

#[test]
fn dialects() {
    for dialect in Dialect::ALL {
        let map = with(&open(), [(Name::Dialect, atom(dialect.name().text()))]);
        assert_eq!(open_options(&map).unwrap().dialect, dialect);
    }
    assert!(open_options(&with(&open(), [(Name::Dialect, atom("ws"))])).is_err());
}

#[test]
fn options_of_the_socket() {
    let options = |tcp| open_options(&with(&open(), [(Name::Tcp, tcp)])).map(|open| open.connect.tcp);
    let bare = options(tcp()).unwrap();
    assert!(bare.nodelay && bare.ip.is_none() && bare.ttl.is_none() && bare.send_timeout.is_none());
    assert_eq!((bare.family, bare.keepalive_probes), (Family::Any, (None, None, None)));
    let set = options(with(
        &tcp(),
        [
            (Name::Ip, binary("::1")),
            (Name::Family, atom("inet6")),
            (Name::Keepidle, integer(1)),
            (Name::Keepcnt, integer(3)),
            (Name::Linger, yes()),
            (Name::Ipv6V6only, no()),
            (Name::BindToDevice, binary("lo")),
            (Name::UserTimeout, integer(10)),
            (Name::Sndbuf, integer(4096)),
            (Name::SendTimeout, integer(7)),
        ],
    ))
    .unwrap();
    assert_eq!(set.ip, Some("::1".parse().unwrap()));
    assert_eq!((set.family, set.keepalive_probes), (Family::Inet6, (Some(1), None, Some(3))));
    assert_eq!((set.reset_on_close, set.only_v6), (Some(true), Some(false)));
    assert_eq!(set.device.as_deref(), Some(&b"lo"[..]));
    assert_eq!((set.user_timeout, set.send_timeout), (Some(Duration::from_millis(10)), Some(Duration::from_millis(7))));
    assert_eq!(set.send_buffer, Some(4096));
    assert!(options(with(&tcp(), [(Name::Ip, binary("localhost"))])).is_err());
}

#[test]
fn options_of_a_websocket() {
    let options = ws_options(&ws(), Some(Duration::from_secs(9))).unwrap();
    assert_eq!(options.keepalive, Some(Duration::from_secs(9)), "open's counts");
    assert_eq!((options.closing_timeout, options.upgrade_timeout), (Some(Duration::from_millis(1)), None));
    assert_eq!((options.max_frame_size, options.max_message_size), (None, Some(64)));
    assert!(
        options.http1_fallback && options.silence_pings && options.compress.is_none() && options.reupgrade.is_none()
    );
    assert_eq!(options.fragments, ["chat"]);
    let own = |keepalive| ws_options(&with(&ws(), [(Name::Keepalive, keepalive)]), Some(Duration::from_secs(9)));
    assert_eq!(own(integer(5)).unwrap().keepalive, Some(Duration::from_millis(5)));
    assert_eq!(own(infinity()).unwrap().keepalive, None);
}

fn deflate() -> Plain {
    Plain::Map(vec![
        (Name::ServerNoContextTakeover, no()),
        (Name::ClientNoContextTakeover, yes()),
        (Name::ServerMaxWindowBits, integer(12)),
        (Name::ClientMaxWindowBits, undefined()),
        (Name::Level, integer(6)),
        (Name::MemLevel, integer(8)),
    ])
}

#[test]
fn options_of_compression() {
    let options = |deflate| ws_options(&with(&ws(), [(Name::Compress, deflate)]), None).map(|ws| ws.compress.unwrap());
    let offered = options(deflate()).unwrap();
    assert_eq!((offered.server_max_window_bits, offered.client_max_window_bits), (Some(12), None));
    assert!(offered.offers_client_window && offered.client_no_context_takeover);
    assert_eq!((offered.level, offered.mem_level), (6, 8));
    let client = |bits| options(with(&deflate(), [(Name::ClientMaxWindowBits, bits)]));
    assert_eq!(client(integer(9)).unwrap().client_max_window_bits, Some(9));
    assert!(!client(atom("not_offered")).unwrap().offers_client_window);
    assert!(client(integer(256)).is_err());
}

fn reupgrade() -> Plain {
    Plain::Map(vec![
        (Name::Queue, integer(100)),
        (Name::RetryStatuses, list([integer(502), integer(503)])),
        (Name::MaxRetryAfter, infinity()),
    ])
}

#[test]
fn options_of_an_upgrade_that_is_repeated() {
    let options = ws_options(&with(&ws(), [(Name::Reupgrade, reupgrade())]), None).unwrap().reupgrade.unwrap();
    assert_eq!((options.queue, options.max_retry_after), (100, Duration::MAX));
    assert_eq!(options.retry_statuses, [502, 503]);
}

#[test]
fn flows_and_timeouts() {
    assert_eq!(flow(&infinity()), Ok(Flow::Unlimited));
    assert_eq!(flow(&atom("auto")), Ok(Flow::Auto));
    assert_eq!(flow(&integer(3)), Ok(Flow::Messages(3)));
    assert_eq!(flow(&undefined()), Err(InvalidTerm));
    assert_eq!(timeout(&infinity()), Ok(None));
    assert_eq!(timeout(&integer(0)), Ok(Some(Duration::ZERO)));
    assert_eq!(timeout(&integer(-1)), Err(InvalidTerm));
}

fn tls() -> Plain {
    let identity = tuple([list([binary("cert"), binary("ca")]), tuple([atom("pkcs8"), binary("key")])]);
    Plain::Map(vec![
        (Name::Verify, atom("peer")),
        (Name::Roots, list([binary("root")])),
        (Name::ServerName, atom("host")),
        (Name::FurtherNames, list([binary("other")])),
        (Name::Identities, list([identity])),
        (Name::Versions, list([atom("tlsv1.3")])),
        (Name::Ciphers, atom("default")),
        (Name::SignatureAlgs, list([atom("ed25519"), binary("rsa_pss_rsae_sha256")])),
        (Name::Groups, atom("default")),
        (Name::Alpn, list([binary("http/1.1")])),
        (Name::Depth, integer(10)),
        (Name::Resume, yes()),
    ])
}

#[test]
fn options_of_tls() {
    let options = tls_options(&tls()).unwrap();
    assert!(options.verify && !options.tls12 && options.tls13 && options.resume);
    assert_eq!(options.roots, Roots::These(vec![b"root".to_vec()]));
    assert_eq!((options.name, options.depth), (ServerName::Host, 10));
    assert_eq!(options.further_names, ["other"]);
    assert!(options.ciphers.is_none() && options.groups.is_none());
    assert_eq!(options.signature_schemes.unwrap(), ["ed25519", "rsa_pss_rsae_sha256"]);
    assert_eq!(options.alpn, [b"http/1.1".to_vec()]);
    assert_eq!(options.identities[0].chain, [b"cert".to_vec(), b"ca".to_vec()]);
    assert!(options.identities[0].key == Key::Pkcs8(b"key".to_vec()));
    let changed = tls_options(&with(
        &tls(),
        [
            (Name::Verify, atom("none")),
            (Name::Roots, atom("system")),
            (Name::ServerName, atom("disable")),
            (Name::Versions, list([atom("tlsv1.2"), atom("tlsv1.3")])),
        ],
    ))
    .unwrap();
    assert!(!changed.verify && changed.tls12 && changed.tls13);
    assert_eq!((changed.roots, changed.name), (Roots::System, ServerName::Disabled));
    let named = tls_options(&with(&tls(), [(Name::ServerName, binary("example.org"))])).unwrap();
    assert_eq!(named.name, ServerName::Other("example.org".into()));
}
