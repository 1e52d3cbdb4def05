//! A read. What it brings stands in memory that the connections of a thread share, so that those that wait hold none.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncReadExt;

use crate::transport::ByteStream;

/// How much memory is taken at a time, and how many bytes one read takes at most.
const BLOCK: usize = 64 * 1024;

/// A read has room for this at least.
const MIN_ROOM: usize = 8 * 1024;

thread_local! {
    /// What is left of the block that the last read went to. It is used again once all that was read is gone.
    static ROOM: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Reads once: no bytes are the end of the stream.
///
/// # Errors
/// Those of a read, when nothing was read before.
pub(super) fn poll_read<S: ByteStream>(io: &mut S, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
    ROOM.with_borrow_mut(|room| {
        if room.capacity() < MIN_ROOM {
            room.reserve(BLOCK);
        }
        if io.reads_in_place() {
            let mut limited = (&mut *room).limit(wanted.min(BLOCK));
            ready!(pin!(io.read_buf(&mut limited)).poll(cx))?;
        } else {
            ready!(io.poll_read_pieces(wanted, cx, &mut |piece| room.extend_from_slice(piece)))?;
        }
        Poll::Ready(Ok(room.split()))
    })
}
