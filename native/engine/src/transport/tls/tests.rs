//! Handshakes with a server of rustls's on a real socket.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyPair, NameConstraints, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server};

use super::*;
use crate::error::{ConnectionError, DownReason};

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(super) fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(super) fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A server's certificate and key: issued by the authority, and as the function makes it.
pub(super) fn issued(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, Vec<u8>) {
    let mut params = named("a server", &["localhost", "127.0.0.1"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.der().to_vec(), key.serialize_der())
}

fn server_config((certificate, key): (Vec<u8>, Vec<u8>)) -> ServerConfig {
    server_config_of(vec![certificate], key)
}

fn server_config_of(chain: Vec<Vec<u8>>, key: Vec<u8>) -> ServerConfig {
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::Pkcs8(key.into())).unwrap()
}

pub(super) fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions {
        verify: true,
        roots: Roots::These(vec![authority.der().to_vec()]),
        name: Name::Host,
        further_names: Vec::new(),
        identities: Vec::new(),
        tls12: true,
        tls13: true,
        ciphers: None,
        signature_schemes: None,
        groups: None,
        alpn: Vec::new(),
        depth: 10,
        resume: true,
    }
}

type Client = Result<TlsByteStream<TcpStream>, ConnectError>;
type Server = std::io::Result<server::TlsStream<TcpStream>>;

/// Both ends of a handshake.
async fn shaken(server: &Arc<ServerConfig>, options: TlsOptions, host: &str) -> (Client, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    let client = TlsClient::new(options).unwrap();
    let acceptor = TlsAcceptor::from(Arc::clone(server));
    tokio::join!(connect(near, host, &client, None), acceptor.accept(far))
}

/// The alert of a handshake that fails, and its text.
async fn refused(server: ServerConfig, options: TlsOptions, host: &str) -> (&'static str, String) {
    match shaken(&Arc::new(server), options, host).await.0 {
        Err(ConnectError::Tls(error)) => (error.alert, error.text),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the server was accepted"),
    }
}

#[tokio::test]
async fn a_server_that_a_root_vouches_for_is_accepted_by_name_and_by_address() {
    let root = authority("a root");
    let server = Arc::new(server_config(issued(&root, |_| ())));
    for host in ["localhost", "LocalHost.", "127.0.0.1"] {
        let (near, far) = shaken(&server, trusting(&root), host).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        near.write_all(b"hello").await.unwrap();
        near.flush().await.unwrap();
        let mut received = [0; 5];
        far.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");
        let name = far.get_ref().1.server_name().map(str::to_ascii_lowercase);
        assert_eq!(name.as_deref(), (host != "127.0.0.1").then_some("localhost"), "no name is sent for an address");
    }
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_its_alert_and_says_what_it_is() {
    let root = authority("a root");
    let other = authority("another root");
    let expect = |(alert, text): (&str, String), expected: &str, words: &[&str]| {
        assert_eq!(alert, expected, "{text}");
        for word in [&["localhost", "CN=a server"], words].concat() {
            assert!(text.contains(word), "{text}: {word}");
        }
    };
    let expired = server_config(issued(&root, |params| params.not_after = date_time_ymd(2002, 3, 4)));
    expect(refused(expired, trusting(&root), "localhost").await, "certificate_expired", &["2002-03-04 00:00:00 UTC"]);
    let future = server_config(issued(&root, |params| params.not_before = date_time_ymd(2101, 2, 3)));
    expect(refused(future, trusting(&root), "localhost").await, "certificate_expired", &["2101-02-03"]);
    let elsewhere =
        server_config(issued(&root, |params| params.subject_alt_names = named("", &["a.test"]).subject_alt_names));
    expect(refused(elsewhere, trusting(&root), "localhost").await, "handshake_failure", &["a.test"]);
    let unknown = server_config(issued(&other, |_| ()));
    expect(refused(unknown, trusting(&root), "localhost").await, "unknown_ca", &["CN=another root"]);
    let client = server_config(issued(&root, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }));
    expect(refused(client, trusting(&root), "localhost").await, "unsupported_certificate", &[]);
    let key = KeyPair::generate().unwrap();
    let own = named("a server", &["localhost"]).self_signed(&key).unwrap();
    let own = server_config((own.der().to_vec(), key.serialize_der()));
    expect(refused(own, trusting(&root), "localhost").await, "bad_certificate", &["its own key"]);
}

#[tokio::test]
async fn a_server_must_have_the_further_names_too_whatever_it_is_asked_for() {
    let root = authority("a root");
    let options = |name, further: &str| TlsOptions { name, further_names: vec![further.into()], ..trusting(&root) };
    for name in [Name::Host, Name::Disabled] {
        let server = Arc::new(server_config(issued(&root, |_| ())));
        assert!(shaken(&server, options(name.clone(), "Localhost."), "localhost").await.0.is_ok());
        let server = server_config(issued(&root, |_| ()));
        let (alert, text) = refused(server, options(name, "a.test"), "localhost").await;
        assert_eq!(alert, "handshake_failure");
        assert!(text.contains("for another host than a.test: it is valid for localhost, 127.0.0.1"), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_is_its_own_root_by_its_name_and_its_key() {
    let root = authority("a root");
    let server = || server_config((root.der().to_vec(), root.key().serialize_der()));
    let options = || TlsOptions { name: Name::Disabled, ..trusting(&root) };
    assert!(shaken(&Arc::new(server()), options(), "localhost").await.0.is_ok());
    // Its name alone is anybody's.
    let namesake = authority("a root");
    let options = TlsOptions { name: Name::Disabled, ..trusting(&namesake) };
    assert_eq!(refused(server(), options, "localhost").await.0, "bad_certificate");
}

#[tokio::test]
async fn a_root_that_may_not_vouch_for_a_host_is_not_trusted_as_its_server() {
    let mut params = authority_params("a root");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("corp.example".into())],
        excluded_subtrees: Vec::new(),
    });
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    // Who has the key of the root makes a certificate of its name for whatever host.
    let own = named("a root", &["localhost"]).self_signed(root.key()).unwrap();
    let server = server_config((own.der().to_vec(), root.key().serialize_der()));
    let (alert, text) = refused(server, trusting(&root), "localhost").await;
    assert_eq!(alert, "bad_certificate", "{text}");
}

#[test]
fn a_certificate_that_is_broken_anywhere_is_no_panic() {
    let root = authority("a root");
    let between = ca("between", &root);
    let (leaf, _) = issued(&between, |_| ());
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
    let anchors = roots::these(&[root.der().to_vec()]).unwrap();
    let describe = |end_entity: &[u8], other: &[u8]| {
        let (end_entity, others) = (CertificateDer::from(end_entity), [CertificateDer::from(other)]);
        let presented =
            fault::Presented { end_entity: &end_entity, others: &others, anchors: &anchors, algorithms: &algorithms };
        for error in [
            webpki::Error::UnknownIssuer,
            webpki::Error::BadDer,
            webpki::Error::InvalidCertValidity,
            webpki::Error::InvalidSignatureForPublicKey,
            webpki::Error::NameConstraintViolation,
            webpki::Error::PathLenConstraintViolated,
            webpki::Error::EndEntityUsedAsCa,
            webpki::Error::EmptyEkuExtension,
        ] {
            let text = presented.describe(&error.into());
            assert!(text.contains("certificate"), "{text}");
        }
        presented.describe(&verifier::Objection::WeakKey.into());
    };
    for at in 0..leaf.len().max(between.der().len()) {
        for certificate in [&leaf, &between.der().to_vec()] {
            let mut changed = certificate.clone();
            for byte in [0, 0x30, 0x80, 0xff] {
                let Some(one) = changed.get_mut(at) else { continue };
                *one = byte;
                describe(&changed, between.der());
                describe(&leaf, &changed);
            }
            describe(certificate.get(..at).unwrap_or_default(), certificate.get(at..).unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn a_chain_may_have_as_many_certificates_between_its_ends_as_depth_says() {
    let root = authority("a root");
    let key = KeyPair::generate().unwrap();
    let between = CertifiedIssuer::signed_by(authority_params("between"), key, &root).unwrap();
    let (certificate, key) = issued(&between, |_| ());
    let server = || server_config_of(vec![certificate.clone(), between.der().to_vec()], key.clone());
    let (near, _) = shaken(&Arc::new(server()), TlsOptions { depth: 1, ..trusting(&root) }, "localhost").await;
    assert!(near.is_ok());
    let (alert, text) = refused(server(), TlsOptions { depth: 0, ..trusting(&root) }, "localhost").await;
    assert_eq!(alert, "bad_certificate");
    assert!(text.contains("depth"), "{text}");
}

/// A certificate, which the authority has signed if it says so, and its key.
pub(super) fn ca(subject: &str, issuer: &Authority) -> Authority {
    CertifiedIssuer::signed_by(authority_params(subject), KeyPair::generate().unwrap(), issuer).unwrap()
}

#[tokio::test]
async fn certificates_that_may_vouch_for_each_other_in_too_many_ways_are_not_tried() {
    let (root, forger) = (authority("a root"), authority("between"));
    let (certificate, key) = issued(&forger, |_| ());
    // Each is by its name an issuer of each: webpki alone tries 8 * 7 * 6 * 5 * 4 * 3 orders of them.
    let between = (0..8).map(|_| ca("between", &forger).der().to_vec());
    let chain: Vec<_> = std::iter::once(certificate).chain(between).collect();
    let (alert, text) = refused(server_config_of(chain, key), trusting(&root), "localhost").await;
    assert_eq!(alert, "bad_certificate");
    assert!(text.contains("too many ways"), "{text}");
    // As many signatures of a root's own name: all of them are wrong, and each would be checked.
    let forger = authority("a root");
    let (certificate, key) = issued(&forger, |_| ());
    let between = (0..30).map(|_| ca("a root", &forger).der().to_vec());
    let chain: Vec<_> = std::iter::once(certificate).chain(between).collect();
    let (_, text) = refused(server_config_of(chain, key), trusting(&root), "localhost").await;
    assert!(text.contains("too many ways"), "{text}");
}

#[tokio::test]
async fn certificates_beside_the_path_and_several_paths_are_no_fault() {
    let root = authority("a root");
    let other = authority("another root");
    let between = ca("between", &root);
    let (certificate, key) = issued(&between, |_| ());
    // The same authority, by another root's word; the roots themselves; and many that have nothing to do with it.
    let params = authority_params("between");
    let crossed = params.signed_by(between.key(), &other).unwrap();
    let mut chain = vec![certificate, crossed.der().to_vec(), other.der().to_vec()];
    chain.extend((0..30).map(|n| ca(&format!("authority {n}"), &other).der().to_vec()));
    chain.extend([vec![0x30, 0], between.der().to_vec(), root.der().to_vec()]);
    let server = Arc::new(server_config_of(chain, key));
    for options in [trusting(&root), trusting(&other)] {
        let (near, _) = shaken(&server, options, "localhost").await;
        assert!(near.is_ok(), "{:?}", near.err());
    }
}

#[tokio::test]
async fn a_server_is_not_verified_where_that_is_asked_for() {
    let root = authority("a root");
    let other = authority("another root");
    let server = Arc::new(server_config(issued(&other, |params| params.not_after = date_time_ymd(2002, 3, 4))));
    let (near, _) = shaken(&server, TlsOptions { verify: false, ..trusting(&root) }, "localhost").await;
    assert!(near.is_ok());
}

#[tokio::test]
async fn a_servers_alert_is_told_with_its_name_and_the_hosts() {
    let root = authority("a root");
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = issued(&root, |_| ());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_client_cert_verifier(verifier);
    let server = server.with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.into())).unwrap();
    let (alert, text) = refused(server.clone(), TlsOptions { tls13: false, ..trusting(&root) }, "localhost").await;
    assert_eq!(alert, "certificate_required");
    assert!(text.contains("localhost"), "{text}");
    // TLS 1.3 has no answer to the client's certificate: the alert comes when the handshake is done.
    let (near, far) = shaken(&Arc::new(server), trusting(&root), "localhost").await;
    let error = near.unwrap().read_u8().await.unwrap_err();
    assert!(far.is_err());
    match DownReason::from(&error) {
        DownReason::Error(ConnectionError::Tls(error)) => {
            assert_eq!(error.alert, "certificate_required");
            assert!(error.text.contains("localhost"), "{}", error.text);
        }
        reason => panic!("{reason}"),
    }
}

#[tokio::test]
async fn a_clean_end_is_told_from_a_cut_by_both_sides() {
    let root = authority("a root");
    let server = Arc::new(server_config(issued(&root, |_| ())));
    let (near, far) = shaken(&server, trusting(&root), "localhost").await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    far.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    drop(near);
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "to drop it says goodbye");

    let (near, far) = shaken(&server, trusting(&root), "localhost").await;
    drop(far.unwrap().into_inner().0);
    let error = near.unwrap().read(&mut [0]).await.unwrap_err();
    assert!(matches!(DownReason::from(&error), DownReason::Error(ConnectionError::Truncated)), "{error}");
}

#[tokio::test]
async fn sessions_are_resumed_unless_that_is_not_wanted() {
    let root = authority("a root");
    for (tls12, tls13) in [(true, false), (false, true)] {
        for resume in [true, false] {
            let server = Arc::new(server_config(issued(&root, |_| ())));
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let options = TlsOptions { tls12, tls13, resume, ..trusting(&root) };
                let (near, far) = shaken(&server, options, "localhost").await;
                let (mut near, mut far) = (near.unwrap(), far.unwrap());
                // The tickets of TLS 1.3 come with what is read first.
                far.write_all(b"x").await.unwrap();
                near.read_u8().await.unwrap();
                kinds.push(far.get_ref().1.handshake_kind().unwrap());
            }
            assert_eq!(kinds[0], HandshakeKind::Full);
            assert_eq!(kinds[1] == HandshakeKind::Resumed, resume);
        }
    }
}

#[tokio::test]
async fn a_session_is_resumed_with_its_own_host_where_no_name_is_sent_too() {
    let root = authority("a root");
    for (tls12, tls13) in [(true, false), (false, true)] {
        let server = Arc::new(server_config(issued(&root, |_| ())));
        let options = TlsOptions { tls12, tls13, name: Name::Disabled, ..trusting(&root) };
        let mut kinds = Vec::new();
        // Names that no certificate can have are hosts as well.
        for host in ["a.test", "b.test", "127.0.0.1", "-a-", "-b-", "a.test", "-a-"] {
            let (near, far) = shaken(&server, options.clone(), host).await;
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            far.write_all(b"x").await.unwrap();
            near.read_u8().await.unwrap();
            assert_eq!(far.get_ref().1.server_name(), None);
            kinds.push(far.get_ref().1.handshake_kind().unwrap() == HandshakeKind::Resumed);
        }
        assert_eq!(kinds, [false, false, false, false, false, true, true]);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let client = TlsClient::new(trusting(&authority("a root"))).unwrap();
    let result = connect(near, "localhost", &client, Some(Duration::from_millis(20))).await;
    assert!(matches!(result.err(), Some(ConnectError::Timeout)));
}

#[tokio::test]
async fn what_is_no_tls_and_an_end_in_the_handshake_are_told_apart() {
    for (sent, expected) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Some("unexpected_message")), (b"", None)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let client = TlsClient::new(trusting(&authority("a root"))).unwrap();
        let server = async {
            let mut hello = [0; 16 * 1024];
            let _ = far.read(&mut hello).await.unwrap();
            far.write_all(sent).await.unwrap();
            drop(far);
        };
        let (result, ()) = tokio::join!(connect(near, "localhost", &client, None), server);
        match result.err() {
            Some(ConnectError::Tls(error)) => assert_eq!(Some(error.alert), expected, "{error}"),
            Some(ConnectError::Closed) => assert_eq!(expected, None),
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn equal_options_have_one_configuration() {
    let root = authority("a root");
    let one = TlsClient::new(trusting(&root)).unwrap();
    assert!(Arc::ptr_eq(&one, &TlsClient::new(trusting(&root)).unwrap()));
    assert!(!Arc::ptr_eq(&one, &TlsClient::new(TlsOptions { depth: 1, ..trusting(&root) }).unwrap()));
    assert!(clients() <= 64);
}

#[test]
fn what_cannot_be_honoured_is_named() {
    let root = authority("a root");
    let option = |options| match TlsClient::new(options) {
        Err(TlsClientError::Option(error)) => error.option,
        other => panic!("{other:?}"),
    };
    assert_eq!(option(TlsOptions { roots: Roots::These(vec![vec![0x30, 0]]), ..trusting(&root) }), "roots");
    assert_eq!(option(TlsOptions { further_names: vec!["a b".into()], ..trusting(&root) }), "further_names");
    assert_eq!(option(TlsOptions { ciphers: Some(vec!["TLS_NONE".into()]), ..trusting(&root) }), "ciphers");
    assert_eq!(option(TlsOptions { groups: Some(vec!["secp521r1".into()]), ..trusting(&root) }), "groups");
    let identity = Identity { chain: vec![root.der().to_vec()], key: Key::Pkcs8(vec![0x30, 0]) };
    assert_eq!(option(TlsOptions { identities: vec![identity], ..trusting(&root) }), "identities");
    let (certificate, _) = issued(&root, |_| ());
    let stranger = Key::Pkcs8(KeyPair::generate().unwrap().serialize_der());
    let identity = Identity { chain: vec![certificate], key: stranger };
    assert_eq!(option(TlsOptions { identities: vec![identity], ..trusting(&root) }), "identities");
}

#[tokio::test]
async fn one_protocol_alone_can_be_offered_with_all_else_the_same() {
    let root = authority("a root");
    let mut config = server_config(issued(&root, |_| ()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let client = TlsClient::new(TlsOptions { alpn: vec![b"h2".to_vec()], ..trusting(&root) }).unwrap();
    for (client, chosen) in [(client.with_alpn(b"http/1.1"), &b"http/1.1"[..]), (client, b"h2")] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (server, client) = tokio::join!(acceptor.accept(far), connect(near, "localhost", &client, None));
        assert_eq!(client.unwrap().alpn(), Some(chosen));
        assert_eq!(server.unwrap().get_ref().1.alpn_protocol(), Some(chosen));
    }
}
