//! Decompressing in a thread of its own, ahead of whoever needs the bytes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Bytes that are taken together, and how many such blocks there are.
const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// A block, and the result of reading into it.
type Filled = (Vec<u8>, io::Result<usize>);

/// What a thread has read, until it meets the end or an error.
pub(super) struct Ahead<R> {
    /// Locked for nobody: it makes readers `Sync`.
    filled: Mutex<Receiver<Filled>>,
    empty: SyncSender<Vec<u8>>,
    /// It has the reader. It ends after this, once its read returns.
    thread: Option<JoinHandle<R>>,
    /// Afterwards: whoever tries again reads by himself.
    reader: Option<R>,
    block: Vec<u8>,
    /// Of the block, what was not taken yet.
    start: usize,
    end: usize,
}

impl<R: Read + Send + 'static> Ahead<R> {
    pub(super) fn new(mut reader: R) -> io::Result<Self> {
        let (give, filled) = sync_channel::<Filled>(BLOCKS);
        let (empty, take) = sync_channel::<Vec<u8>>(BLOCKS);
        for _ in 1..BLOCKS {
            let _ = empty.send(vec![0; BLOCK]); // there is room for all
        }
        let read = move || {
            for mut block in take {
                let count = reader.read(&mut block);
                let last = !matches!(count, Ok(1..));
                if give.send((block, count)).is_err() || last {
                    break;
                }
            }
            reader
        };
        let thread = thread::Builder::new()
            .name("decompress".into())
            .spawn(read)?;
        Ok(Self {
            filled: Mutex::new(filled),
            empty,
            thread: Some(thread),
            reader: None,
            block: vec![0; BLOCK],
            start: 0,
            end: 0,
        })
    }

    /// The next block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let gone = |_| io::Error::other("the thread that decompresses the file has ended");
        let filled = self.filled.get_mut();
        let next = filled.unwrap_or_else(PoisonError::into_inner).recv();
        let (block, count) = next.map_err(gone)?;
        if !matches!(count, Ok(1..)) {
            let thread = self.thread.take();
            self.reader = thread.and_then(|thread| thread.join().ok());
        }
        let last = std::mem::replace(&mut self.block, block);
        let _ = self.empty.send(last); // nobody may want it any more
        (self.start, self.end) = (0, count?);
        Ok(self.end > 0)
    }
}

impl<R: Read + Send + 'static> Read for Ahead<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            if let Some(reader) = &mut self.reader {
                return reader.read(buffer);
            }
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.end - self.start);
        buffer[..count].copy_from_slice(&self.block[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}
