//! Decompressing in a thread of its own, ahead of whoever needs the bytes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Bytes that are taken together, and how many such blocks there are.
const BLOCK: usize = 256 << 10;
const BLOCKS: usize = 4;

/// The result of a read: the block, and how many of its bytes were filled.
type Filled = (Vec<u8>, io::Result<usize>);

/// What a thread has read. The thread ends after this, once its read returns.
pub(super) struct Ahead {
    /// Locked for nobody: it makes readers `Sync`.
    filled: Mutex<Receiver<Filled>>,
    empty: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    /// Of the block, what was not taken yet.
    start: usize,
    end: usize,
}

impl Ahead {
    pub(super) fn new(mut reader: impl Read + Send + 'static) -> io::Result<Self> {
        let (give, filled) = sync_channel::<Filled>(BLOCKS);
        let (empty, take) = sync_channel::<Vec<u8>>(BLOCKS);
        for _ in 1..BLOCKS {
            let _ = empty.send(vec![0; BLOCK]); // there is room for all
        }
        // After the end and after errors it reads again, as whoever asks again expects.
        let read = move || {
            for mut block in take {
                let count = reader.read(&mut block);
                if give.send((block, count)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("decompress".into())
            .spawn(read)?;
        Ok(Self {
            filled: Mutex::new(filled),
            empty,
            block: vec![0; BLOCK],
            start: 0,
            end: 0,
        })
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let gone = |_| io::Error::other("the thread that decompresses the file has ended");
        if self.start == self.end {
            let filled = self.filled.get_mut();
            let next = filled.unwrap_or_else(PoisonError::into_inner).recv();
            let (block, count) = next.map_err(gone)?;
            let last = std::mem::replace(&mut self.block, block);
            let _ = self.empty.send(last); // without a thread the next read fails
            (self.start, self.end) = (0, count?);
        }
        let count = buffer.len().min(self.end - self.start);
        buffer[..count].copy_from_slice(&self.block[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}
