//! gzip in parallel: blocks are compressed by threads, each to a member of its own. Readers take
//! such members for one file.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of a block. Smaller ones compress less well.
const BLOCK: usize = 1 << 20;

/// A block, and where it goes when it is compressed.
type Job = (Vec<u8>, Sender<Vec<u8>>);

pub(super) struct ParallelGzip<W> {
    writer: W,
    /// What is still to be compressed.
    block: Vec<u8>,
    jobs: Sender<Job>,
    threads: usize,
    /// The blocks that are compressed now, in order. Locked for nobody: it makes writers `Sync`.
    running: VecDeque<Mutex<Receiver<Vec<u8>>>>,
    /// Compressed, and from here on not written yet.
    done: Vec<u8>,
    written: usize,
    /// There is a member.
    any: bool,
}

impl<W: Write> ParallelGzip<W> {
    pub(super) fn new(writer: W, level: Compression, threads: usize) -> io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads {
            let todo = Arc::clone(&todo);
            // Ends with its sender.
            thread::Builder::new().name("gzip".into()).spawn(move || {
                loop {
                    let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((block, result)) = job else { return };
                    // Whoever waited for it may have gone.
                    let _ = compressed(&block, level).map(|bytes| result.send(bytes));
                }
            })?;
        }
        Ok(Self {
            writer,
            block: Vec::with_capacity(BLOCK),
            jobs,
            threads,
            running: VecDeque::new(),
            done: Vec::new(),
            written: 0,
            any: false,
        })
    }

    pub(super) fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    pub(super) fn into_inner(self) -> W {
        self.writer
    }

    /// Compresses and writes all that there is.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if !self.block.is_empty() || !self.any {
            self.start()?;
        }
        while !self.running.is_empty() || self.written < self.done.len() {
            self.write_next()?;
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<()> {
        let (result, finished) = channel();
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        self.jobs.send((block, result)).map_err(|_| gone())?;
        self.running.push_back(Mutex::new(finished));
        self.any = true;
        Ok(())
    }

    /// Writes the oldest block, once it is compressed. After an error it goes on where it was.
    fn write_next(&mut self) -> io::Result<()> {
        if self.written == self.done.len()
            && let Some(next) = self.running.pop_front()
        {
            let next = next.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.done = next.recv().map_err(|_| gone())?;
            self.written = 0;
        }
        while self.written < self.done.len() {
            match self.writer.write(&self.done[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Before anything is taken: what failed is not to be given again.
        if self.block.len() >= BLOCK {
            while self.running.len() > 2 * self.threads || self.written < self.done.len() {
                self.write_next()?;
            }
            self.start()?;
        }
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.any || !self.block.is_empty() {
            self.finish()?;
        }
        self.writer.flush()
    }
}

fn compressed(block: &[u8], level: Compression) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(block)?;
    packer.finish()
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    /// Takes a few bytes at a time, and fails now and then.
    struct Stuttering(Vec<u8>, u32);

    impl Write for Stuttering {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(1000);
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_goes_in_comes_out_after_errors_too() {
        for size in [0, 1, BLOCK - 1, BLOCK, 7 * BLOCK + 5] {
            let bytes: Vec<u8> = (0..size).map(|n| (n / 7 % 251) as u8).collect();
            let mut packer =
                ParallelGzip::new(Stuttering(Vec::new(), 0), Compression::fast(), 2).unwrap();
            let mut left = &bytes[..];
            while !left.is_empty() {
                if let Ok(count) = packer.write(left) {
                    left = &left[count..];
                }
                if left.len().is_multiple_of(5) {
                    let _ = packer.flush();
                }
            }
            while packer.finish().is_err() {}
            let mut got = Vec::new();
            let file = packer.into_inner().0;
            MultiGzDecoder::new(&file[..])
                .read_to_end(&mut got)
                .unwrap();
            assert!(got == bytes, "{size}");
        }
    }
}
