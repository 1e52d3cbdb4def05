//! A process that has no descriptor left accepts nothing, and does not spin. It is alone in its process.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use gun_rs_engine::options::TcpOptions;
use gun_rs_engine::server::{Accept, Address, ListenOptions, Peer, ServeOptions, listen};
use gun_rs_engine::{Event, Handle, Sink};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;

const LONG: Duration = Duration::from_secs(60);

/// How long there is no descriptor.
const DROUGHT: Duration = Duration::from_millis(1000);

struct Nothing;

impl Sink for Nothing {
    type Stream = u32;
    type StreamId = u32;
    type Caller = ();
    type Receipt = ();
    type Control = Infallible;
    type Payload = Vec<u8>;
    type Source = Vec<u8>;

    fn event(&mut self, _event: Event<'_, Self>) {}

    fn control(&mut self, control: Infallible) {
        match control {}
    }
}

enum Told {
    Accepted(Box<Handle<Nothing>>),
    Failed(Option<i32>),
    Recovered,
}

struct Door(Sender<Told>);

impl Accept for Door {
    type Sink = Nothing;

    fn connection(&self, handle: Handle<Nothing>, _peer: Peer) -> Nothing {
        let _ = self.0.send(Told::Accepted(Box::new(handle)));
        Nothing
    }

    fn accept_failed(&self, error: &io::Error) {
        let _ = self.0.send(Told::Failed(error.raw_os_error()));
    }

    fn accept_recovered(&self) {
        let _ = self.0.send(Told::Recovered);
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

#[test]
fn accepting_pauses_while_there_is_no_descriptor_and_goes_on_afterwards() {
    let options = ListenOptions {
        address: Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
        backlog: 100,
        reuse_address: true,
        reuse_port: false,
        only_v6: None,
        tcp: TcpOptions::default(),
        handshake_timeout: None,
        max_per_address: None,
        max_connections: Some(0),
        serve: ServeOptions {
            request_timeout: None,
            idle_timeout: None,
            max_request_line: 8000,
            max_head_size: 100_000,
            head_too_large: 431,
            max_headers: 100,
            max_header_name: 64,
            max_header_value: 4096,
            max_keepalive: None,
            max_send_queue: None,
            send_timeout: None,
            closing_timeout: None,
            linger_timeout: Duration::ZERO,
        },
    };
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (sender, told) = channel();
    let listener = listen(&[runtime.handle().clone()], options, None, Door(sender)).unwrap();
    let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(listener.local().unwrap()).unwrap()).collect();
    let limit = Rlimit { current: Some(256), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let before = processor_time();
    listener.set_max_connections(None);
    let Told::Failed(error) = told.recv_timeout(LONG).unwrap() else { panic!("accepted") };
    assert_eq!(error, Some(24), "EMFILE");
    assert!(told.recv_timeout(DROUGHT).is_err(), "it is told once");
    assert!(processor_time() - before < DROUGHT / 4, "it spins");
    files.clear();
    assert!(matches!(told.recv_timeout(LONG), Ok(Told::Recovered)));
    let handles = clients.iter().map(|_| match told.recv_timeout(LONG) {
        Ok(Told::Accepted(handle)) => handle,
        _ => panic!("not accepted"),
    });
    let handles: Vec<_> = handles.collect();
    assert_eq!((listener.counts().active, handles.len()), (5, 5));
}
