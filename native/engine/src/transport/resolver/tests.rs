//! With resolvers that answer when the test lets them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::runtime::Builder;
use tokio::time::timeout;

use super::*;

/// For what must come. It is long, since a machine may be busy.
const LONG: Duration = Duration::from_secs(60);

const SHORT: Duration = Duration::from_millis(1);

/// Names that begin with "dead" are not answered before the test opens the gate; others are at once.
struct Gate {
    resolver: Resolver,
    asked: Arc<Mutex<Vec<String>>>,
    /// Dropped to open it.
    gate: Option<mpsc::Sender<()>>,
}

fn gate(limits: Limits) -> Gate {
    let (gate, closed) = mpsc::channel::<()>();
    let (closed, asked) = (Mutex::new(closed), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&asked);
    let waiting = AtomicUsize::new(0);
    let resolver = Resolver::with_limits(limits, move |name| {
        log.lock().unwrap().push(name.to_owned());
        if name.starts_with("dead") {
            waiting.fetch_add(1, Ordering::Relaxed);
            // The channel's end is what all of them wait for, one after the other.
            let _ = closed.lock().unwrap().recv();
            return Err(io::Error::other("no answer"));
        }
        Ok(vec!["127.0.0.1:0".parse().unwrap()])
    });
    Gate { resolver, asked, gate: Some(gate) }
}

impl Gate {
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Asks for a name and gives up at once.
    async fn give_up(&self, name: &str) {
        assert!(timeout(SHORT, self.resolver.addresses(name, 80)).await.is_err());
    }

    fn running(&self) -> usize {
        self.resolver.0.lock().running.len()
    }
}

const FEW: Limits = Limits { awaited: 2, threads: 6, waiting: 3, memory: Duration::ZERO };

#[tokio::test]
async fn an_address_is_not_looked_up() {
    let gate = gate(FEW);
    for (host, expected) in [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("fe80::1%1", "[fe80::1%1]:80")] {
        assert_eq!(gate.resolver.addresses(host, 80).await.unwrap(), [expected.parse().unwrap()]);
    }
    assert_eq!(gate.asked(), [""; 0]);
    assert_eq!(gate.resolver.0.lock().threads, 0);
}

#[tokio::test]
async fn names_that_hang_and_that_nobody_waits_for_any_more_keep_no_place_from_others() {
    let gate = gate(FEW);
    for n in 0..2 {
        gate.give_up(&format!("dead{n}")).await;
    }
    assert_eq!(gate.running(), 2);
    let found = timeout(LONG, gate.resolver.addresses("alive", 443)).await.unwrap();
    assert_eq!(found.unwrap(), ["127.0.0.1:443".parse().unwrap()]);
    // There are threads for so many of them and no more.
    for n in 2..20 {
        gate.give_up(&format!("dead{n}")).await;
    }
    assert_eq!(gate.running(), FEW.threads);
    assert_eq!(gate.resolver.0.lock().threads, FEW.threads);
}

#[tokio::test]
async fn a_name_is_begun_when_those_before_it_are_waited_for_no_more() {
    let gate = gate(FEW);
    let (first, second) = (gate.resolver.addresses("dead0", 80), gate.resolver.addresses("dead1", 80));
    let mut hanging = Box::pin(async { tokio::join!(first, second) });
    assert!(timeout(SHORT, &mut hanging).await.is_err());
    assert_eq!(gate.running(), 2);
    let mut alive = Box::pin(gate.resolver.addresses("alive", 80));
    assert!(timeout(SHORT, &mut alive).await.is_err(), "as many are waited for as may be");
    assert_eq!(gate.running(), 2);
    drop(hanging);
    timeout(LONG, alive).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_begun() {
    let mut gate = gate(FEW);
    let hanging: Vec<_> = ["dead0", "dead1"].map(|name| Box::pin(gate.resolver.addresses(name, 80))).into();
    let mut hanging = Box::pin(futures_util::future::join_all(hanging));
    assert!(timeout(SHORT, &mut hanging).await.is_err());
    assert_eq!(gate.running(), 2);
    for name in ["one", "two", "three", "four", "five", "six"] {
        assert!(timeout(SHORT, gate.resolver.addresses(name, 80)).await.is_err());
    }
    gate.gate = None;
    let answers = timeout(LONG, hanging).await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(ConnectError::NameNotFound))), "{answers:?}");
    gate.resolver.addresses("last", 80).await.unwrap();
    let asked: HashSet<String> = gate.asked().into_iter().collect();
    assert_eq!(asked, ["dead0", "dead1", "last"].map(String::from).into());
    assert!(gate.resolver.0.lock().look_ups.is_empty(), "nothing is kept");
}

#[tokio::test]
async fn as_many_names_may_wait_as_the_limit_says() {
    let gate = gate(FEW);
    let names: Vec<String> = (0..5).map(|n| format!("dead{n}")).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| gate.resolver.addresses(name, 80)));
    let mut all = Box::pin(all);
    assert!(timeout(SHORT, &mut all).await.is_err());
    assert_eq!(gate.resolver.0.lock().threads, FEW.awaited, "no more threads than may work");
    let refused = timeout(LONG, gate.resolver.addresses("alive", 80)).await.unwrap();
    assert!(matches!(refused, Err(ConnectError::ResolverBusy)));
    // A name that is looked up, or waits for it, may have any number that wait.
    gate.give_up("dead4").await;
    drop(all);
    timeout(LONG, gate.resolver.addresses("alive", 80)).await.unwrap().unwrap();
}

#[test]
fn a_name_that_many_ask_for_is_looked_up_once_whatever_their_threads() {
    const THREADS: usize = 4;
    const EACH: usize = 50;
    let mut gate = gate(FEW);
    let answered = AtomicUsize::new(0);
    let opened = gate.gate.take();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let all = futures_util::future::join_all((0..EACH).map(|_| gate.resolver.addresses("dead", 80)));
                let answers = Builder::new_current_thread().enable_time().build().unwrap().block_on(all);
                let told = answers.iter().filter(|answer| matches!(answer, Err(ConnectError::NameNotFound))).count();
                answered.fetch_add(told, Ordering::Relaxed);
            });
        }
        let asking = || gate.resolver.0.lock().look_ups.get("dead").map_or(0, watch::Sender::receiver_count);
        let deadline = std::time::Instant::now() + LONG;
        while asking() < THREADS * EACH {
            assert!(std::time::Instant::now() < deadline);
            thread::sleep(SHORT);
        }
        drop(opened);
    });
    assert_eq!(answered.into_inner(), THREADS * EACH);
    assert_eq!(gate.asked(), ["dead"]);
}

#[tokio::test]
async fn an_error_of_the_operating_system_is_told_as_such() {
    const EMFILE: i32 = 24;
    let resolver = Resolver::new(|_| Err(io::Error::from_raw_os_error(EMFILE)));
    match resolver.addresses("name", 80).await {
        Err(ConnectError::Io(error)) => assert_eq!(error.raw_os_error(), Some(EMFILE)),
        other => panic!("{other:?}"),
    }
}

/// Where a connection asks: the timeout is told as such, whatever the resolver says later.
#[tokio::test]
async fn a_look_up_that_takes_longer_than_it_may_is_a_timeout() {
    let gate = gate(FEW);
    let looked_up = super::super::within(Some(SHORT), gate.resolver.addresses("dead", 80)).await;
    assert!(matches!(looked_up, Err(ConnectError::Timeout)));
}

#[tokio::test]
async fn addresses_that_were_found_lately_are_not_looked_up_again() {
    let gate = gate(Limits { memory: LONG, ..FEW });
    for port in [80, 81, 82] {
        let found = gate.resolver.addresses("alive", port).await.unwrap();
        assert_eq!(found, [SocketAddr::new([127, 0, 0, 1].into(), port)]);
    }
    gate.resolver.addresses("other", 80).await.unwrap();
    assert_eq!(gate.asked(), ["alive", "other"]);
}

#[tokio::test]
async fn only_so_many_names_are_remembered_and_the_old_ones_are_forgotten() {
    let gate = gate(Limits { memory: LONG, ..FEW });
    for n in 0..MAX_REMEMBERED + 10 {
        gate.resolver.addresses(&format!("alive{n}"), 80).await.unwrap();
    }
    assert_eq!(gate.resolver.0.lock().remembered.len(), MAX_REMEMBERED);
    let found = Arc::from(["127.0.0.1:0".parse::<SocketAddr>().unwrap()]);
    // All of them are old by this measure.
    gate.resolver.0.lock().remember("one".into(), found, Duration::ZERO);
    assert_eq!(gate.resolver.0.lock().remembered.len(), 1);
}

#[test]
fn a_lack_of_descriptors_counts_whatever_else_the_system_says() {
    let failed =
        |errno: Option<i32>| Err(errno.map_or_else(|| io::Error::other("no name"), io::Error::from_raw_os_error));
    for errno in [None, Some(busy())] {
        assert!(matches!(answer(failed(errno), || Some(24)), Answer::System(24)));
    }
    assert!(matches!(answer(failed(Some(busy())), || None), Answer::System(number) if number == busy()));
    assert!(matches!(answer(failed(None), || None), Answer::NotFound));
}

/// What pthreads may leave behind on the way.
fn busy() -> i32 {
    rustix::io::Errno::BUSY.raw_os_error()
}
