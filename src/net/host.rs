//! The host as its user has it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use super::state::State;
use crate::link::control::lock;
use crate::phy::DeviceStats;

/// A host with TCP, UDP and ping on a memif. The [module](super) has an example.
///
/// It is a handle, and clones are handles of the same host. The host ends when the last handle and
/// the last of its sockets are dropped; connections that are being closed are brought to their end
/// first.
#[derive(Clone)]
pub struct Net {
    host: Arc<Host>,
}

/// What every socket of a host has.
pub(crate) struct Host {
    state: Arc<Mutex<State>>,
}

impl Host {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.abandoned = true;
        state.wake_driver();
    }
}

impl Net {
    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(super) fn of(state: Arc<Mutex<State>>) -> Self {
        Self {
            host: Arc::new(Host { state }),
        }
    }

    /// The host's addresses, with the lengths of their prefixes. The link-local address, which is
    /// made from the Ethernet address, is the last.
    pub fn addresses(&self) -> Vec<(IpAddr, u8)> {
        let state = self.host.lock();
        let own = state.addresses.own.iter();
        own.map(|cidr| (cidr.address().into(), cidr.prefix_len()))
            .collect()
    }

    /// Counts of what the device has done so far.
    pub fn stats(&self) -> DeviceStats {
        self.host.lock().device.stats()
    }

    /// The number of sockets that there are now: connections (also those that are being made or
    /// closed), UDP sockets and pings, but not listeners.
    pub fn sockets(&self) -> usize {
        self.host.lock().slots.len()
    }

    /// Waits until the connections whose streams have been dropped are closed on both sides, or
    /// given up. Call it before the runtime ends, if what they sent last must arrive.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the host has ended.
    pub async fn drained(&self) -> io::Result<()> {
        let notify = self.host.lock().drained.clone();
        loop {
            let mut notified = pin!(notify.notified());
            notified.as_mut().enable();
            {
                let state = self.host.lock();
                state.works()?;
                if state.orphans.is_empty() {
                    return Ok(());
                }
            }
            notified.await;
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}
