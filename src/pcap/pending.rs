//! What a writer has accepted and not yet written.

use std::io::{self, Write};

use super::classic::{FILE_HEADER, RECORD_HEADER};

/// Whole records (and first the file's header) on their way to the file.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` the writer has taken.
    taken: usize,
    /// Where in `bytes` the first record begins that was not taken whole.
    boundary: usize,
    pub(super) packets_in: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
}

impl Pending {
    const CAPACITY: usize = 256 << 10;

    pub(super) fn has_room(&self, length: usize) -> bool {
        self.bytes.is_empty() || self.bytes.len() + RECORD_HEADER + length <= Self::CAPACITY
    }

    /// By hand: this is the hot path, and the header four numbers.
    pub(super) fn push(&mut self, seconds: u32, nanos: u32, length: u32, data: &[u8]) {
        let mut header = [0; RECORD_HEADER];
        for (field, number) in
            header
                .chunks_exact_mut(4)
                .zip([seconds, nanos, data.len() as u32, length])
        {
            field.copy_from_slice(&number.to_ne_bytes());
        }
        if self.bytes.capacity() < Self::CAPACITY {
            self.bytes.reserve_exact(Self::CAPACITY - self.bytes.len());
        }
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(data);
        self.packets_in += 1;
        self.bytes_in += (header.len() + data.len()) as u64;
    }

    pub(super) fn write_to(&mut self, writer: &mut impl Write) -> io::Result<()> {
        while self.taken < self.bytes.len() {
            match writer.write(&self.bytes[self.taken..]) {
                Ok(0) => {
                    self.settle();
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(count) => self.taken += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.settle();
                    return Err(error);
                }
            }
        }
        self.packets_out = self.packets_in;
        self.bytes_out = self.bytes_in;
        self.bytes.clear();
        self.taken = 0;
        self.boundary = 0;
        Ok(())
    }

    /// Counts the records that were taken whole, by their own lengths.
    fn settle(&mut self) {
        loop {
            let rest = &self.bytes[self.boundary..];
            let header = self.bytes_out == 0;
            let size = if header {
                FILE_HEADER
            } else {
                let Some(length) = rest.get(8..).and_then(|rest| rest.first_chunk()) else {
                    return;
                };
                RECORD_HEADER + u32::from_ne_bytes(*length) as usize
            };
            if self.boundary + size > self.taken {
                return;
            }
            self.boundary += size;
            self.bytes_out += size as u64;
            self.packets_out += u64::from(!header);
        }
    }
}
