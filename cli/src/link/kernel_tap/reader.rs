//! The frames that the kernel sends.

use std::io::{self, IoSliceMut};

use memif::{Packet, Timestamp};

use super::device::Tap;
use crate::failure::Failure;
use crate::link::offload::{Frames, Virtio};

/// Reading ends with the frame that reaches one of these: what was read is still in the core's own
/// cache when it is passed on.
const BURST: usize = 64;
const ENOUGH: usize = 128 << 10;

/// The frames of a queue.
pub(crate) struct TapReader {
    tap: Tap,
    queue: u8,
    frames: Frames,
    dropped: usize,
    timestamp: Timestamp,
}

impl TapReader {
    pub(crate) fn new(tap: Tap, queue: u8) -> Self {
        Self {
            tap,
            queue,
            frames: Frames::default(),
            dropped: 0,
            timestamp: Timestamp::default(),
        }
    }

    /// Takes what is waiting, without blocking; the number of frames. TCP segments in frames of up
    /// to `whole` bytes are not cut.
    pub(crate) fn fill(&mut self, whole: usize) -> Result<usize, Failure> {
        self.frames.clear();
        self.dropped = 0;
        while self.frames.len() + self.dropped < BURST && self.frames.bytes() < ENOUGH {
            match self.read(whole) {
                Ok(true) => {}
                Ok(false) => self.dropped += 1,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // The kernel had one that it can't describe, and has thrown it away.
                Err(e) if e.kind() == io::ErrorKind::InvalidInput => self.dropped += 1,
                Err(e) => {
                    return Err(Failure::Failed(format!("tap:{}: {e}", self.tap.name)));
                }
            }
        }
        if self.frames.len() > 0 {
            self.timestamp = Timestamp::now();
        }
        Ok(self.frames.len())
    }

    /// `false` if it got none that can be passed on.
    fn read(&mut self, whole: usize) -> io::Result<bool> {
        let device = self.tap.device(self.queue);
        if !self.tap.has_headers() {
            let length = device.recv(self.frames.room())?;
            self.frames.take(length);
            return Ok(true);
        }
        let mut header = [0; Virtio::LENGTH];
        let mut parts = [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(self.frames.room()),
        ];
        let length = device.recv_vectored(&mut parts)?;
        let done = length
            .checked_sub(Virtio::LENGTH)
            .zip(Virtio::decode(header))
            .and_then(|(length, left)| self.frames.finish(length, &left, whole));
        if done.is_none() {
            log::debug!("tap:{}: not understood: {header:02x?}", self.tap.name);
        }
        Ok(done.is_some())
    }

    /// How many frames could not be passed on when it was filled.
    pub(crate) fn dropped(&self) -> usize {
        self.dropped
    }

    /// Waits for a frame: `false` when the device was closed meanwhile.
    pub(crate) fn wait(&self) -> Result<bool, Failure> {
        let device = self.tap.device(self.queue);
        match device.wait_readable_intr(&self.tap.stop) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(!self.tap.stop.is_trigger()),
            Err(e) => Err(Failure::Failed(format!("tap:{}: {e}", self.tap.name))),
        }
    }

    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let frames = self.frames.iter();
        frames.map(|frame| Packet::whole(frame, self.timestamp))
    }
}
