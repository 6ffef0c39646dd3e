//! A Linux TAP device as one end of a bridge: how the kernel's own stack gets onto a memif.

use std::io;
use std::sync::Arc;

use memif::{CaptureInfo, Packet, Timestamp};
use tun_rs::{DeviceBuilder, InterruptEvent, Layer, SyncDevice};

use crate::failure::Failure;

/// Frames read before they are passed on together.
const BURST: usize = 64;
/// An IP packet of the greatest length, with Ethernet and VLAN headers.
const MAX_FRAME: usize = 65_535 + 18;

/// A TAP that is up. Clones are the same device.
#[derive(Clone)]
pub(crate) struct Tap {
    device: Arc<SyncDevice>,
    stop: Arc<InterruptEvent>,
    name: String,
}

impl Tap {
    /// Attaches to the device of this name; creates it where there is none.
    pub(crate) fn open(name: &str, mtu: Option<u16>) -> Result<Self, Failure> {
        let failed = |e: io::Error| {
            let failure = Failure::Failed(format!("tap:{name}: {e}"));
            match e.kind() {
                io::ErrorKind::PermissionDenied => failure.hint("it needs CAP_NET_ADMIN"),
                io::ErrorKind::ResourceBusy => failure.hint("another program has it open"),
                io::ErrorKind::InvalidInput => failure.hint("is there a device of another kind?"),
                _ => failure,
            }
        };
        let mut builder = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .tx_queue_len(10_000)
            .enable(true);
        if let Some(mtu) = mtu {
            builder = builder.mtu(mtu);
        }
        let device = builder.build_sync().map_err(failed)?;
        device.set_nonblocking(true).map_err(failed)?;
        Ok(Self {
            device: Arc::new(device),
            stop: Arc::new(InterruptEvent::new().map_err(failed)?),
            name: name.to_owned(),
        })
    }

    /// Ends a read in progress, and all later ones.
    pub(crate) fn close(&self) {
        if let Err(e) = self.stop.trigger() {
            log::warn!("tap:{}: {e}", self.name);
        }
    }

    pub(crate) fn reader(&self) -> TapReader {
        TapReader {
            tap: self.clone(),
            frames: vec![Vec::new(); BURST],
            filled: Vec::with_capacity(BURST),
            timestamp: Timestamp::default(),
        }
    }

    /// Hands frames to the kernel; how many it took, and their bytes. Too long ones, and all while
    /// the device is down, it does not take.
    pub(crate) fn write(&self, packets: &[Packet<'_>]) -> (usize, usize) {
        let (mut taken, mut bytes) = (0, 0);
        for packet in packets {
            match self.device.send(packet) {
                Ok(_) => {
                    taken += 1;
                    bytes += packet.len();
                }
                Err(e) => log::debug!("tap:{}: {e}", self.name),
            }
        }
        (taken, bytes)
    }
}

/// The frames that the kernel sends.
pub(crate) struct TapReader {
    tap: Tap,
    frames: Vec<Vec<u8>>,
    filled: Vec<usize>,
    timestamp: Timestamp,
}

impl TapReader {
    /// Takes what is waiting, without blocking; the number of frames.
    pub(crate) fn fill(&mut self) -> Result<usize, Failure> {
        self.filled.clear();
        for frame in &mut self.frames {
            frame.resize(MAX_FRAME, 0);
            match self.tap.device.recv(frame) {
                Ok(length) => self.filled.push(length),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    return Err(Failure::Failed(format!("tap:{}: {e}", self.tap.name)));
                }
            }
        }
        if !self.filled.is_empty() {
            self.timestamp = Timestamp::now();
        }
        Ok(self.filled.len())
    }

    /// Waits for a frame: `false` when the device was closed meanwhile.
    pub(crate) fn wait(&self) -> Result<bool, Failure> {
        match self.tap.device.wait_readable_intr(&self.tap.stop) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(!self.tap.stop.is_trigger()),
            Err(e) => Err(Failure::Failed(format!("tap:{}: {e}", self.tap.name))),
        }
    }

    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let frames = self.frames.iter().zip(&self.filled);
        frames.map(|(frame, length)| {
            Packet::new(
                &frame[..*length],
                CaptureInfo::whole(*length, self.timestamp),
            )
        })
    }
}
