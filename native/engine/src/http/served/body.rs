//! The body of a response, as hyper has it.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::stream::upload::Upload;

/// How many bytes of a file are read at once.
const PIECE: u64 = 64 * 1024;

/// The body of a response.
pub(crate) struct ResponseBytes {
    content: Content,
    /// Set when hyper has done with it.
    answered: Arc<AtomicBool>,
}

/// Where the bytes come from.
pub(crate) enum Content {
    /// There are none.
    Empty,
    /// All of them are here.
    Whole(Bytes),
    /// They come in parts.
    Streamed(Arc<Upload>),
    /// They stand in a file.
    File(FileBytes),
}

impl ResponseBytes {
    /// `answered` is set when hyper has done with it.
    pub(crate) fn new(content: Content, answered: Arc<AtomicBool>) -> Self {
        Self { content, answered }
    }
}

impl Drop for ResponseBytes {
    fn drop(&mut self) {
        if let Content::Streamed(upload) = &self.content {
            upload.abandon();
        }
        self.answered.store(true, Ordering::Relaxed);
    }
}

impl Body for ResponseBytes {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match &mut self.get_mut().content {
            Content::Empty => None,
            Content::Whole(bytes) => {
                Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes)))
            }
            Content::Streamed(upload) => match ready!(upload.poll_next(cx)) {
                Some(bytes) => Some(Ok(Frame::data(bytes))),
                None => upload.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
            },
            Content::File(file) => ready!(file.poll_next(cx)).map(|bytes| bytes.map(Frame::data)),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Whole(bytes) => bytes.is_empty(),
            // Even a body that turns out to have no bytes was announced, and is ended as such.
            Content::Streamed(_) => false,
            Content::File(file) => file.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed(_) => SizeHint::default(),
            Content::File(file) => SizeHint::with_exact(file.left),
        }
    }
}

/// A job on a thread that may wait for a disk.
pub(crate) type Job<T> = JoinHandle<io::Result<T>>;

/// A part of a file, which is read piece by piece on a thread that may wait for the disk.
pub(crate) struct FileBytes {
    file: Option<File>,
    left: u64,
    reading: Option<Job<(File, Bytes)>>,
}

impl FileBytes {
    /// Opens a file, to read so many bytes of it.
    pub(crate) fn open(path: PathBuf, offset: u64, length: u64) -> Job<Self> {
        spawn_blocking(move || {
            // To open a pipe could take for ever.
            if !std::fs::metadata(&path)?.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(Self { file: Some(file), left: length, reading: None })
        })
    }

    /// The next piece. A file that ends too early is an error: the client expects more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(file) = self.file.take_if(|_| self.left > 0) {
            let most = self.left.min(PIECE);
            self.reading = Some(spawn_blocking(move || read(file, most)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(poll_job(reading, cx));
        self.reading = None;
        Poll::Ready(Some(read.and_then(|(file, bytes)| {
            self.left = self.left.saturating_sub(bytes.len() as u64);
            self.file = Some(file);
            if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
        })))
    }
}

/// Waits for a job.
pub(crate) fn poll_job<T>(job: &mut Job<T>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    Pin::new(job).poll(cx).map(|result| result.unwrap_or_else(|error| Err(io::Error::other(error))))
}

fn read(mut file: File, most: u64) -> io::Result<(File, Bytes)> {
    let mut bytes = Vec::new();
    (&mut file).take(most).read_to_end(&mut bytes)?;
    Ok((file, bytes.into()))
}
