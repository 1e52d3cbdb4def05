//! Listeners: how many connections they accept, and when.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gun_rs_engine::server::{Address, ListenOptions};

use crate::harness::*;

#[test]
fn a_suspended_listener_refuses_connections_until_it_resumes_on_its_port() {
    let server = Server::start(serve_options());
    let address = server.address();
    let (mut client, conn) = server.connect();
    for _ in 0..3 {
        server.listener.suspend();
        server.listener.suspend();
        assert!(TcpStream::connect(address).is_err());
        client.get("/");
        conn.page(conn.request().id, "still here");
        assert_eq!(client.response().1, "still here");
        server.listener.resume().unwrap();
        server.listener.resume().unwrap();
        assert_eq!(server.address(), address);
        let (mut client, conn) = server.connect();
        client.get("/");
        conn.page(conn.request().id, "again");
        assert_eq!(client.response().1, "again");
    }
    server.listener.close();
    assert!(TcpStream::connect(address).is_err());
    assert!(server.listener.resume().is_err());
    client.get("/");
    conn.page(conn.request().id, "to the end");
    assert_eq!(client.response().1, "to the end");
}

#[test]
fn a_listener_that_is_dropped_is_closed() {
    let server = Server::start(serve_options());
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn two_listeners_cannot_have_one_port() {
    let server = Server::start(serve_options());
    let options = ListenOptions { address: Address::Tcp(server.address()), ..listen_options(serve_options()) };
    assert_eq!(Server::try_with(options).err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn beyond_the_limit_clients_wait_until_a_connection_ends_or_is_upgraded() {
    let server = Server::with(ListenOptions { max_connections: Some(2), ..listen_options(serve_options()) });
    let (first, _conn) = server.connect();
    let (mut second, conn) = server.connect();
    let third = Client::connect(server.address());
    let mut waiting = vec![third, Client::connect(server.address()), Client::connect(server.address())];
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.has_accepted().is_none());
    assert_eq!(server.listener.counts().active, 2);
    drop(first);
    let third = server.accepted();
    second.write(
        "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: a\r\n\r\n",
    );
    conn.accept(&conn.request(), gun_rs_engine::WsOptions::default());
    let fourth = server.accepted();
    assert!(server.has_accepted().is_none());
    server.listener.set_max_connections(Some(3));
    let fifth = server.accepted();
    assert_eq!(server.listener.counts().upgraded, 1);
    // They are served as any other.
    let served = [&third, &fourth, &fifth];
    for (client, conn) in waiting.iter_mut().zip(served) {
        client.get("/");
        conn.page(conn.request().id, "page");
        assert_eq!(client.response().1, "page");
    }
    drop((waiting, second));
    let counts = server.await_counts(|counts| counts.active == 0 && counts.upgraded == 0);
    assert_eq!(counts.accepted, 5);
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let server = Server::with(ListenOptions { max_per_address: Some(2), ..listen_options(serve_options()) });
    let pairs = [server.connect(), server.connect()];
    let mut third = Client::connect(server.address());
    assert_eq!(third.rest_in_order(), "");
    server.await_counts(|counts| counts.refused == 1 && counts.active == 2);
    drop(pairs);
    server.await_counts(|counts| counts.active == 0);
    let (mut client, conn) = server.connect();
    client.get("/");
    conn.page(conn.request().id, "page");
    assert_eq!(client.response().1, "page");
}

#[test]
fn a_thousand_connections_that_come_and_go_leave_nothing_behind() {
    let server = Server::start(serve_options());
    for round in 0..10 {
        let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
        for (n, (client, conn)) in clients.iter_mut().enumerate() {
            match n % 3 {
                0 => client.get("/"),
                1 => client.write("GET / HT"),
                _ => continue,
            }
            if n % 3 == 0 {
                conn.page(conn.request().id, "page");
                assert_eq!(client.response().1, "page");
            }
        }
        if round % 2 == 0 {
            clients.reverse();
        }
        drop(clients);
    }
    let counts = server.await_counts(|counts| counts.active == 0);
    assert_eq!((counts.accepted, counts.upgraded, counts.handshake_failures), (1000, 0, 0));
}

#[test]
fn a_unix_domain_socket_is_served_and_its_file_goes_with_it() {
    let path = std::env::temp_dir().join(format!("gun_rs-listener-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let options = || ListenOptions { address: Address::Unix(path.clone()), ..listen_options(serve_options()) };
    let server = Server::with(options());
    assert_eq!(server.listener.local(), None);
    assert!(Server::try_with(options()).is_err());
    for _ in 0..2 {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let conn = server.accepted();
        assert_eq!((conn.peer.remote, conn.peer.local), (None, None));
        conn.page(conn.request().id, "page");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\npage"));
        server.listener.suspend();
        assert!(!path.exists());
        server.listener.resume().unwrap();
    }
    drop(server);
    assert!(!path.exists());
}
