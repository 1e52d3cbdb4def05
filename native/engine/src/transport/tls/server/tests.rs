//! Handshakes with clients, rustls's own and ours, on a real socket.

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, PKCS_ED25519, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::super::tests::{Authority, authority, ca, issued, named, trusting};
use super::super::{Identity, Key, Name, TlsClient, TlsOptions, connect};
use super::*;

type Near = Result<TlsByteStream<TcpStream>, ConnectError>;
type Far = Result<(TlsByteStream<TcpStream, ServerSide>, TlsPeer), ConnectError>;

fn certificate(names: Option<&[&str]>, (certificate, key): (Vec<u8>, Vec<u8>)) -> ServerCertificate {
    let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    ServerCertificate { names, chain: vec![certificate], key }
}

fn serving(root: &Authority) -> TlsServerOptions {
    TlsServerOptions {
        certificates: vec![certificate(None, issued(root, |_| ()))],
        client_auth: ClientAuth::None,
        client_roots: None,
        depth: 10,
        tls12: true,
        tls13: true,
        ciphers: None,
        honor_cipher_order: false,
        alpn: Vec::new(),
        resume: true,
    }
}

fn server(options: &TlsServerOptions) -> Arc<TlsServer> {
    TlsServer::new(options).unwrap()
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Both ends of a handshake.
async fn shaken(server: &TlsServer, options: TlsOptions, host: &str) -> (Near, Far) {
    let (near, far) = sockets().await;
    let client = TlsClient::new(options).unwrap();
    tokio::join!(connect(near, host, &client, None), accept(far, server, None))
}

/// What the server knows of a client that it takes.
async fn peer(server: &TlsServer, options: TlsOptions, host: &str) -> TlsPeer {
    let (near, far) = shaken(server, options, host).await;
    near.unwrap();
    far.unwrap().1
}

/// Why the server refuses a client.
async fn refused(server: &TlsServer, options: TlsOptions) -> TlsError {
    match shaken(server, options, "localhost").await.1 {
        Err(ConnectError::Tls(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the client was accepted"),
    }
}

/// A client's certificate.
fn identity(root: &Authority) -> Identity {
    let (certificate, key) =
        issued(root, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    Identity { chain: vec![certificate], key: Key::Pkcs8(key) }
}

#[tokio::test]
async fn what_either_side_sends_arrives_whatever_the_version() {
    let root = authority("a root");
    let server = server(&serving(&root));
    for (tls12, tls13) in [(true, false), (false, true)] {
        let (near, far) = shaken(&server, TlsOptions { tls12, tls13, ..trusting(&root) }, "LocalHost.").await;
        let (mut near, (mut far, peer)) = (near.unwrap(), far.unwrap());
        assert_eq!(peer, TlsPeer { server_name: Some("localhost".into()), ..TlsPeer::default() });
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let there = async {
            near.write_all(&sent).await.unwrap();
            near.flush().await.unwrap();
            let mut received = vec![0; sent.len()];
            near.read_exact(&mut received).await.unwrap();
            assert!(received == sent);
        };
        let back = async {
            let mut received = vec![0; sent.len()];
            far.read_exact(&mut received).await.unwrap();
            far.write_all(&received).await.unwrap();
            far.flush().await.unwrap();
        };
        tokio::join!(there, back);
        drop(far);
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0, "to drop it says goodbye");
    }
}

#[tokio::test]
async fn a_client_of_rustls_gets_the_certificate_for_its_name() {
    let root = authority("a root");
    let rows =
        [(Some(&["a.test", "B.test."][..]), "exact"), (Some(&["*.test", "*.c.test"]), "any label"), (None, "default")];
    let certificates: Vec<_> = rows
        .iter()
        .map(|(names, what)| {
            let mut one = named(what, &["a.test", "b.test", "x.test", "x.c.test", "x.y.c.test", "test"]);
            one.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate().unwrap();
            let one = one.signed_by(&key, &root).unwrap();
            certificate(*names, (one.der().to_vec(), key.serialize_der()))
        })
        .collect();
    let server = server(&TlsServerOptions { certificates: certificates.clone(), ..serving(&root) });
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let hosts =
        [("a.test", 0), ("A.Test", 0), ("b.test", 0), ("x.test", 1), ("x.c.test", 1), ("x.y.c.test", 2), ("test", 2)];
    for (host, expected) in hosts {
        let (near, far) = sockets().await;
        let name = ServerName::try_from(host).unwrap();
        let (near, far) = tokio::join!(connector.connect(name, near), accept(far, &server, None));
        let (near, (_, peer)) = (near.unwrap(), far.unwrap());
        let presented = near.get_ref().1.peer_certificates().unwrap();
        assert_eq!(presented, [CertificateDer::from(certificates[expected].chain[0].clone())], "{host}");
        assert_eq!(peer.server_name, Some(host.to_ascii_lowercase()));
    }
}

#[tokio::test]
async fn without_a_certificate_for_others_a_client_that_asks_for_another_name_is_refused() {
    let root = authority("a root");
    let certificates = vec![certificate(Some(&["localhost"]), issued(&root, |_| ()))];
    let server = server(&TlsServerOptions { certificates, ..serving(&root) });
    assert!(shaken(&server, trusting(&root), "localhost").await.0.is_ok());
    for host in ["127.0.0.1", "a.test"] {
        let (near, far) = shaken(&server, trusting(&root), host).await;
        assert!(matches!(near, Err(ConnectError::Tls(error)) if error.alert == "access_denied"));
        assert!(matches!(far, Err(ConnectError::Tls(_))));
    }
}

#[tokio::test]
async fn a_client_gets_a_certificate_whose_key_it_can_use() {
    let root = authority("a root");
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let edwards = named("a server", &["localhost"]).signed_by(&key, &root).unwrap();
    let certificates = vec![
        certificate(None, (edwards.der().to_vec(), key.serialize_der())),
        certificate(None, issued(&root, |_| ())),
    ];
    let server = server(&TlsServerOptions { certificates, ..serving(&root) });
    for schemes in [&["ecdsa_secp256r1_sha256"][..], &["ed25519", "ecdsa_secp256r1_sha256"]] {
        let schemes = schemes.iter().map(|scheme| (*scheme).to_owned()).collect();
        let options = TlsOptions { signature_schemes: Some(schemes), ..trusting(&root) };
        peer(&server, options, "localhost").await;
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_it_is_asked_to() {
    let (root, stranger) = (authority("a root"), authority("another root"));
    let client_roots = Some(vec![root.der().to_vec()]);
    let with =
        |client_auth| server(&TlsServerOptions { client_auth, client_roots: client_roots.clone(), ..serving(&root) });
    let known = identity(&root);
    for (tls12, tls13) in [(true, false), (false, true)] {
        let nobody = TlsOptions { tls12, tls13, ..trusting(&root) };
        let showing = |identity: &Identity| TlsOptions { identities: vec![identity.clone()], ..nobody.clone() };
        assert_eq!(peer(&with(ClientAuth::None), showing(&known), "localhost").await.certificate, None);
        for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
            let server = with(client_auth);
            let shown = peer(&server, showing(&known), "localhost").await.certificate;
            assert_eq!(shown.as_ref(), Some(&known.chain[0]));
            let error = refused(&server, showing(&identity(&stranger))).await;
            assert_eq!((error.alert, &*error.text), ("unknown_ca", "the client's certificate is not accepted"));
            let (certificate, key) = issued(&root, |_| ());
            let of_server = Identity { chain: vec![certificate], key: Key::Pkcs8(key) };
            assert_eq!(refused(&server, showing(&of_server)).await.alert, "unsupported_certificate");
            let (certificate, key) = issued(&root, |params| {
                params.extended_key_usages.clear();
                params.not_after = date_time_ymd(2002, 3, 4);
            });
            let expired = Identity { chain: vec![certificate], key: Key::Pkcs8(key) };
            assert_eq!(refused(&server, showing(&expired)).await.alert, "certificate_expired");
        }
        assert_eq!(peer(&with(ClientAuth::Optional), nobody.clone(), "localhost").await.certificate, None);
        let error = refused(&with(ClientAuth::Required), nobody.clone()).await;
        assert_eq!((error.alert, &*error.text), ("certificate_required", "the client sent no certificate"));
    }
}

#[tokio::test]
async fn a_clients_certificate_may_stand_as_far_from_its_root_as_depth_says() {
    let root = authority("a root");
    let between = ca("between", &root);
    let mut identity = identity(&between);
    identity.chain.push(between.der().to_vec());
    for (depth, is_accepted) in [(0, false), (1, true)] {
        let client_roots = Some(vec![root.der().to_vec()]);
        let options = TlsServerOptions { client_auth: ClientAuth::Required, client_roots, depth, ..serving(&root) };
        let client = TlsOptions { identities: vec![identity.clone()], ..trusting(&root) };
        assert_eq!(shaken(&server(&options), client, "localhost").await.1.is_ok(), is_accepted);
    }
}

#[tokio::test]
async fn a_client_whose_certificates_may_vouch_for_each_other_in_too_many_ways_is_refused() {
    let root = authority("a root");
    let forger = authority("between");
    let mut identity = identity(&forger);
    identity.chain.extend((0..8).map(|_| ca("between", &forger).der().to_vec()));
    let client_roots = Some(vec![root.der().to_vec()]);
    let options = TlsServerOptions { client_auth: ClientAuth::Optional, client_roots, ..serving(&root) };
    let client = TlsOptions { identities: vec![identity], ..trusting(&root) };
    assert_eq!(refused(&server(&options), client).await.alert, "bad_certificate");
}

#[tokio::test]
async fn a_protocol_is_chosen_as_the_server_prefers_it_or_the_client_is_refused() {
    let root = authority("a root");
    let protocols = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    let server = server(&TlsServerOptions { alpn: protocols(&["http/1.1", "x"]), ..serving(&root) });
    let offering = |names: &[&str]| TlsOptions { alpn: protocols(names), ..trusting(&root) };
    assert_eq!(peer(&server, offering(&["h2", "x", "http/1.1"]), "localhost").await.alpn, Some(b"http/1.1".to_vec()));
    assert_eq!(peer(&server, offering(&["x"]), "localhost").await.alpn, Some(b"x".to_vec()));
    assert_eq!(peer(&server, offering(&[]), "localhost").await.alpn, None);
    assert_eq!(refused(&server, offering(&["h2"])).await.alert, "no_application_protocol");
}

#[tokio::test]
async fn versions_and_cipher_suites_are_those_of_the_options_in_their_order_where_that_counts() {
    let root = authority("a root");
    let only = |tls12, tls13| server(&TlsServerOptions { tls12, tls13, ..serving(&root) });
    let error = refused(&only(true, false), TlsOptions { tls12: false, ..trusting(&root) }).await;
    assert_eq!(error.alert, "protocol_version");
    let error = refused(&only(false, true), TlsOptions { tls13: false, ..trusting(&root) }).await;
    assert_eq!(error.alert, "protocol_version");
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let (one, other) = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384");
    let client = TlsOptions { ciphers: names(&[other, one]), tls12: false, ..trusting(&root) };
    for (honor_cipher_order, expected) in
        [(false, CipherSuite::TLS13_AES_256_GCM_SHA384), (true, CipherSuite::TLS13_AES_128_GCM_SHA256)]
    {
        let options = TlsServerOptions { ciphers: names(&[one, other]), honor_cipher_order, ..serving(&root) };
        let (_, far) = shaken(&server(&options), client.clone(), "localhost").await;
        let suite = far.unwrap().0.side_mut().common().negotiated_cipher_suite().map(|suite| suite.suite());
        assert_eq!(suite, Some(expected));
    }
    let options = TlsServerOptions { ciphers: names(&["TLS_CHACHA20_POLY1305_SHA256"]), ..serving(&root) };
    assert_eq!(refused(&server(&options), client).await.alert, "handshake_failure");
}

#[tokio::test]
async fn sessions_are_resumed_with_all_that_is_known_of_the_client_unless_that_is_not_wanted() {
    let root = authority("a root");
    for (tls12, tls13) in [(true, false), (false, true)] {
        for resume in [true, false] {
            let client_roots = Some(vec![root.der().to_vec()]);
            let options =
                TlsServerOptions { client_auth: ClientAuth::Required, client_roots, resume, ..serving(&root) };
            let server = server(&options);
            let identity = identity(&root);
            let client = TlsOptions { tls12, tls13, identities: vec![identity.clone()], ..trusting(&root) };
            for again in [false, true] {
                let (near, far) = shaken(&server, client.clone(), "localhost").await;
                let (mut near, (mut far, peer)) = (near.unwrap(), far.unwrap());
                // The tickets of TLS 1.3 come with what is read first.
                far.write_all(b"x").await.unwrap();
                near.read_u8().await.unwrap();
                assert_eq!(peer.certificate.as_ref(), Some(&identity.chain[0]));
                assert_eq!(peer.server_name.as_deref(), Some("localhost"));
                let is_resumed = far.side_mut().common().handshake_kind() == Some(HandshakeKind::Resumed);
                assert_eq!(is_resumed, again && resume);
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_or_no_tls_or_leaves_is_told_apart() {
    let server = server(&serving(&authority("a root")));
    let (_near, far) = sockets().await;
    let result = accept(far, &server, Some(Duration::from_millis(20))).await;
    assert!(matches!(result.err(), Some(ConnectError::Timeout)));
    let (mut near, far) = sockets().await;
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = accept(far, &server, None).await.err();
    let Some(ConnectError::Tls(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.alert, "unexpected_message");
    assert!(error.text.starts_with("the client sent what is no TLS"), "{error}");
    let (near, far) = sockets().await;
    drop(near);
    assert!(matches!(accept(far, &server, None).await.err(), Some(ConnectError::Closed)));
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_server_says_so() {
    let (root, other) = (authority("a root"), authority("another root"));
    let error = refused(&server(&serving(&root)), trusting(&other)).await;
    assert_eq!((error.alert, &*error.text), ("unknown_ca", "the client sent the alert unknown_ca"));
    let options = TlsOptions { name: Name::Disabled, ..trusting(&root) };
    assert_eq!(peer(&server(&serving(&root)), options, "localhost").await.server_name, None);
}

#[test]
fn what_cannot_be_honoured_is_named() {
    let root = authority("a root");
    let option = |options: TlsServerOptions| match TlsServer::new(&options) {
        Err(TlsClientError::Option(error)) => error.option,
        other => panic!("{other:?}"),
    };
    let (der, key) = issued(&root, |_| ());
    let with = |one: ServerCertificate| TlsServerOptions { certificates: vec![one], ..serving(&root) };
    assert_eq!(option(TlsServerOptions { certificates: Vec::new(), ..serving(&root) }), "certificates");
    assert_eq!(option(with(certificate(Some(&["a b"]), (der.clone(), key.clone())))), "certificates");
    assert_eq!(option(with(certificate(Some(&["*.*.test"]), (der.clone(), key.clone())))), "certificates");
    assert_eq!(option(with(certificate(None, (der.clone(), vec![0x30, 0])))), "certificates");
    assert_eq!(option(with(certificate(None, (vec![0x30, 0], key)))), "certificates");
    let stranger = KeyPair::generate().unwrap().serialize_der();
    assert_eq!(option(with(certificate(None, (der, stranger)))), "certificates");
    let client_auth = ClientAuth::Optional;
    assert_eq!(option(TlsServerOptions { client_auth, ..serving(&root) }), "client_roots");
    let client_roots = Some(vec![vec![0x30, 0]]);
    assert_eq!(option(TlsServerOptions { client_auth, client_roots, ..serving(&root) }), "client_roots");
    assert_eq!(option(TlsServerOptions { ciphers: Some(vec!["TLS_NONE".into()]), ..serving(&root) }), "ciphers");
    assert_eq!(option(TlsServerOptions { tls12: false, tls13: false, ..serving(&root) }), "versions");
}
