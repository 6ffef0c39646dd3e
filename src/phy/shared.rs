//! A device that can be used from two places.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smoltcp::phy::{self, Device, DeviceCapabilities, PacketMeta};
use smoltcp::time::Instant;

use super::device::MemifDevice;
use super::outgoing;
use super::stats::DeviceStats;
use crate::error::Error;

/// A [`MemifDevice`] for middleware that gives no access to the device it wraps, such as smoltcp's
/// `FaultInjector`. Give one clone to the middleware and use another for [`wait`](super::wait). It
/// is slower than the device itself, because each packet is copied once more. While one clone
/// waits, calls on the others block.
///
/// ```
/// use memif::phy::{self, MemifDevice, SharedDevice};
/// use memif::{Context, MemifConfig, Role};
/// use smoltcp::phy::FaultInjector;
/// use smoltcp::time::Duration;
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-shared-{}", std::process::id());
/// let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
/// let mut shared = SharedDevice::from(MemifDevice::new(&memif, 0)?);
/// let mut faulty = FaultInjector::new(shared.clone(), 1);
/// faulty.set_drop_chance(5);
/// // … iface.poll(now, &mut faulty, &mut sockets) …
/// phy::wait(&mut shared, Some(Duration::ZERO))?;
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedDevice(Arc<Mutex<MemifDevice>>);

impl From<MemifDevice> for SharedDevice {
    fn from(device: MemifDevice) -> Self {
        Self(Arc::new(Mutex::new(device)))
    }
}

impl SharedDevice {
    /// Counts of what the device has done so far.
    pub fn stats(&self) -> DeviceStats {
        self.lock().stats()
    }

    /// Returns the last error of the link or of a packet, once; see [`MemifDevice::take_error`].
    pub fn take_error(&self) -> Option<Error> {
        self.lock().take_error()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, MemifDevice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for SharedDevice {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken;

    fn receive(&mut self, timestamp: Instant) -> Option<(RxToken, TxToken)> {
        let mut device = self.lock();
        let (rx, _) = device.receive(timestamp)?;
        let packet = phy::RxToken::consume(rx, <[u8]>::to_vec);
        drop(device);
        Some((RxToken { packet }, self.token()))
    }

    fn transmit(&mut self, timestamp: Instant) -> Option<TxToken> {
        self.lock()
            .transmit(timestamp)
            .is_some()
            .then(|| self.token())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.lock().capabilities()
    }
}

impl SharedDevice {
    fn token(&self) -> TxToken {
        TxToken {
            device: self.clone(),
            meta: PacketMeta::default(),
        }
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct RxToken {
    packet: Vec<u8>,
}

impl phy::RxToken for RxToken {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&[u8]) -> R,
    {
        f(&self.packet)
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct TxToken {
    device: SharedDevice,
    meta: PacketMeta,
}

impl phy::TxToken for TxToken {
    fn consume<R, F>(self, len: usize, f: F) -> R
    where
        F: FnOnce(&mut [u8]) -> R,
    {
        let mut buffer = vec![0; len];
        let result = f(&mut buffer);
        // The caller's code has already run, so it does not matter here what it locks.
        let mut device = self.device.lock();
        let token = outgoing::TxToken {
            outgoing: &mut device.out,
            segment_size: self.meta.segmentation_offload_size,
        };
        phy::TxToken::consume(token, len, |out| out.copy_from_slice(&buffer));
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.meta = meta;
    }
}
