//! A plain Rust client: what the wire and the server take at best, without a VM.
//!
//! usage: gun_rs_bench_client HOST PORT WORKLOAD CONNECTIONS COUNT SIZE [--deflate] [--root FILE]
//!
//! It prints what the whole of the workload came to, such as `wall=1234 cpu=1000`: the wall time and the client's own
//! CPU time in microseconds, or what else the workload has.
//!
//! The modules: [`connection`] opens connections, [`workloads`], [`others`], [`http2`] and, for a server that is measured,
//! [`load`] do the work on them, and [`process`] asks the operating system what it took. [`carrier`] makes a byte stream of
//! a stream of HTTP/2.

/// The test server's.
#[path = "../../../testserver/src/http2/carrier.rs"]
mod carrier;
mod connection;
mod http2;
mod load;
mod others;
mod process;
mod workloads;

use std::error::Error;

use connection::Target;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Numbers with their names.
type Told = Vec<(&'static str, u64)>;

/// What is done, as often and on as many connections as asked for, with messages of `size` bytes.
#[derive(Clone, Copy)]
struct Amount {
    connections: usize,
    count: usize,
    size: usize,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, workload, connections, count, size, rest @ ..] = args.as_slice() else {
        return Err(
            "usage: gun_rs_bench_client HOST PORT WORKLOAD CONNECTIONS COUNT SIZE [--deflate] [--root FILE]".into()
        );
    };
    let deflate = rest.iter().any(|word| word == "--deflate");
    let root = rest.iter().skip_while(|word| *word != "--root").nth(1);
    let target = Target::new(host.clone(), port.parse()?, root.map(String::as_str), deflate)?;
    let amount = Amount { connections: connections.parse()?, count: count.parse()?, size: size.parse()? };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let told = runtime.block_on(run(&target, workload, amount))?;
    let pairs: Vec<String> = told.iter().map(|(name, number)| format!("{name}={number}")).collect();
    println!("{}", pairs.join(" "));
    Ok(())
}

async fn run(target: &Target, workload: &str, amount: Amount) -> Result<Told> {
    match workload {
        "rtt" => workloads::echo(target, amount, 1).await,
        "echo" => workloads::echo(target, amount, 64).await,
        "send" => workloads::send(target, amount).await,
        "recv" => workloads::receive(target, amount).await,
        "connect" => workloads::connect(target, amount).await,
        "idle" => workloads::idle(target, amount).await,
        "echo_many" => workloads::echo_many(target, amount).await,
        "paced" => workloads::paced(target, amount).await,
        "curve" => workloads::curve(target, amount).await,
        "beside_recv" => others::round_trips(target, amount, others::Flood::Receive).await,
        "beside_send" => others::round_trips(target, amount, others::Flood::Send).await,
        "http2_get" => http2::get(target, amount, 1).await,
        "http2_get_100" => http2::get(target, amount, 100).await,
        "http2_down" => http2::down(target, amount).await,
        "http2_up" => http2::up(target, amount).await,
        "http2_echo" => http2::echo(target, amount, 64).await,
        "load_echo" => load::echo(target, amount, 64).await,
        "load_echo_many" => load::echo(target, amount, 8).await,
        "load_broadcast" => load::broadcast(target, amount, 8).await,
        "load_broadcast_wait" => load::broadcast(target, amount, 1).await,
        "load_upgrades" => load::upgrades(target, amount).await,
        "load_idle" => load::idle(target, amount).await,
        _ => Err(format!("there is no workload {workload}").into()),
    }
}
