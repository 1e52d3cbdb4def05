//! What the VM takes at best: a native thread sends a process ready-made messages of the shape that gun_rs sends, and
//! there is no network.

use std::thread;

use rustler::env::SavedTerm;
use rustler::{Atom, Encoder, Env, LocalPid, NewBinary, OwnedEnv, Term};

mod atoms {
    rustler::atoms! { binary, gun_ws, ok }
}

/// Sends the process `count` times `{gun_ws, ConnPid, StreamRef, {binary, Binary}}`, each with a binary of its own of
/// `size` bytes, from a thread of its own.
#[rustler::nif]
fn flood(to: LocalPid, conn_pid: LocalPid, stream_ref: Term<'_>, count: usize, size: usize) -> Atom {
    let kept = OwnedEnv::new();
    let stream_ref = kept.save(stream_ref);
    thread::spawn(move || send(&kept, &stream_ref, to, conn_pid, count, size));
    atoms::ok()
}

fn send(kept: &OwnedEnv, stream_ref: &SavedTerm, to: LocalPid, conn_pid: LocalPid, count: usize, size: usize) {
    let payload = vec![b'x'; size];
    let mut message = OwnedEnv::new();
    for _ in 0..count {
        let sent = message.run(|env| {
            let stream_ref = kept.run(|kept| stream_ref.load(kept).in_env(env));
            let data: Term<'_> = NewBinary::from_slice(env, &payload).into();
            env.send(&to, (atoms::gun_ws(), conn_pid, stream_ref, (atoms::binary(), data)).encode(env))
        });
        if sent.is_err() {
            return;
        }
        message.clear();
    }
}

fn load(_env: Env<'_>, _info: Term<'_>) -> bool {
    true
}

rustler::init!("bench_vm", load = load);
