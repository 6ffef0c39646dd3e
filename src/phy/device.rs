//! The device: its settings, tokens and counts.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};

use smoltcp::phy::{self, Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use super::outgoing::{Outgoing, Ring, TxToken};
use super::segment::Layout;
use super::settings::{DEFAULT_BURST, MAX_FRAME, Segmentation};
use super::stats::DeviceStats;
use crate::config::IfMode;
use crate::error::{Eof, Error};
use crate::interface::Memif;
use crate::link::rx_mode::RxMode;
use crate::queue::{Burst, RxQueue};

/// The length of an Ethernet header.
const ETHERNET: usize = 14;
/// The smallest and the largest IP MTU: the minimum of IPv4, and the largest IP packet.
const LEAST_MTU: usize = 576;
const GREATEST_MTU: usize = 65_535;

/// A [`smoltcp::phy::Device`] on one pair of queues of an interface. The [module](super) has an
/// example.
///
/// A device can be created at any time, whether the link is up or not, and continues to work after
/// a reconnect. While the link is down the stack gets no transmit token, so it keeps what it has to
/// send.
///
/// ```
/// use memif::phy::MemifDevice;
/// use memif::{Context, IfMode, MemifConfig, Role};
/// use smoltcp::phy::{Device, Medium};
///
/// let context = Context::new("doc")?;
/// let socket = format!("@memif-doc-device-{}", std::process::id());
/// let config = MemifConfig::new(&socket).role(Role::Master).mode(IfMode::Ip);
/// let memif = context.create_interface(config)?;
/// let device = MemifDevice::new(&memif, 0)?.with_mtu(9000);
/// assert_eq!(device.capabilities().medium, Medium::Ip);
/// assert_eq!(device.capabilities().max_transmission_unit, 9000);
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct MemifDevice {
    pub(super) rx: RxQueue,
    burst: Burst,
    next: usize,
    pub(super) out: Outgoing,
    mtu: usize,
    max_burst_size: Option<Option<usize>>,
    /// The number of waits in a row in which only the transmit side was stuck.
    pub(super) tries: u32,
    closed: bool,
}

impl MemifDevice {
    /// Creates a device on the receive queue and the transmit queue with this id. It has an IP MTU
    /// of 1500, all checksums, and no segmentation.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if a queue is not configured or has another owner. [`Error::Config`] in
    /// punt/inject mode, which smoltcp does not support.
    pub fn new(memif: &Memif, queue: u8) -> Result<Self, Error> {
        let medium = match memif.mode() {
            IfMode::Ethernet => Medium::Ethernet,
            IfMode::Ip => Medium::Ip,
            IfMode::PuntInject => {
                return Err(Error::config(
                    "mode",
                    "punt-inject; a stack needs ethernet or ip",
                ));
            }
        };
        let config = &memif.link().config;
        let ring = Ring {
            slots: 1 << config.log2_ring_size,
            buffer_size: config.buffer_size.into(),
        };
        let tx = memif.tx_queue(queue)?;
        Ok(Self {
            rx: memif.rx_queue(queue)?,
            burst: burst(DEFAULT_BURST),
            next: 0,
            out: Outgoing::new(tx, medium, ring),
            mtu: 1500,
            max_burst_size: None,
            tries: 0,
            closed: false,
        })
    }

    /// Sets the MTU: the size in bytes of the largest IP packet, without the Ethernet header, as in
    /// Linux. 576 to 65535, and at least 1280 for IPv6; other values become the nearest of these.
    /// 1500 by default. Packets longer than a buffer are sent as chains.
    #[must_use]
    pub fn with_mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes.clamp(LEAST_MTU, GREATEST_MTU);
        self
    }

    /// Sets which checksums the stack computes and verifies; all by default. Shared memory does not
    /// corrupt packets, so a program that controls both ends may use
    /// `ChecksumCapabilities::ignored()`.
    #[must_use]
    pub fn with_checksum(mut self, checksum: ChecksumCapabilities) -> Self {
        self.out.checksum = checksum;
        self
    }

    /// Sets what happens to TCP segments larger than the MTU; by default none are made.
    #[must_use]
    pub fn with_segmentation(mut self, segmentation: Segmentation) -> Self {
        self.out.segmentation = segmentation;
        self
    }

    /// Sets how many packets are copied between the ring and private memory at a time, at least 1;
    /// [`DEFAULT_BURST`] by default. Call it before the device is used, because packets that were
    /// received but not passed on are lost.
    #[must_use]
    pub fn with_burst(mut self, packets: u16) -> Self {
        self.burst = burst(packets);
        self.next = 0;
        self.out.burst = usize::from(packets.max(1));
        self
    }

    /// Sets the longest burst that the stack is told, in frames of the MTU; `None` for no limit.
    /// smoltcp uses it only to limit TCP's window. The default is what the ring holds.
    #[must_use]
    pub fn with_max_burst_size(mut self, frames: Option<usize>) -> Self {
        self.max_burst_size = Some(frames);
        self
    }

    /// Sets how [`wait`](super::wait) waits for packets.
    ///
    /// # Errors
    ///
    /// [`Error::Memif`] if the C core refuses; no case is known.
    pub fn set_rx_mode(&mut self, mode: RxMode) -> Result<(), Error> {
        self.rx.set_rx_mode(mode)
    }

    /// Puts the frames that the stack has sent on the ring, as far as there is room. Never blocks.
    /// [`wait`](super::wait) does this too.
    pub fn publish(&mut self) {
        self.out.publish();
    }

    /// The number of frames that the stack has sent but that are not on the ring yet.
    pub fn unpublished(&self) -> usize {
        self.out.waiting()
    }

    /// Counts of what the device has done so far.
    pub fn stats(&self) -> DeviceStats {
        self.out.stats
    }

    /// Returns the last error of the link or of a packet, once. It is needed because a token's
    /// `consume` can't return errors. An end of file is not an error.
    pub fn take_error(&mut self) -> Option<Error> {
        self.out.last_error.take()
    }

    /// Whether a received packet is waiting in private memory.
    pub(super) fn has_cached(&self) -> bool {
        self.next < self.burst.len()
    }

    /// The next packet, which [`receive`](Device::receive) passes on or [`skip`](Self::skip) drops.
    #[cfg(feature = "net")]
    pub(crate) fn peek(&mut self) -> Option<&[u8]> {
        let index = self.next_packet()?;
        Some(self.burst.get(index)?.data())
    }

    /// Drops the packet that [`peek`](Self::peek) has shown.
    #[cfg(feature = "net")]
    pub(crate) fn skip(&mut self) {
        self.next += 1;
        self.out.stats.rx_dropped += 1;
    }

    /// Whether the stack would get a transmit token.
    #[cfg(feature = "net")]
    pub(crate) fn may_send(&mut self) -> bool {
        self.out.may_send()
    }

    #[cfg(feature = "net")]
    pub(crate) fn is_link_up(&mut self) -> bool {
        self.out.queue.is_up()
    }

    /// Whether the interface was found closed, with every packet read: nothing will come any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The number of links that there have been so far. After a change the peer may be another.
    pub fn links(&self) -> u64 {
        self.out.queue.links()
    }

    /// The index of the next packet in the burst.
    fn next_packet(&mut self) -> Option<usize> {
        loop {
            if !self.has_cached() {
                // Answers to the last burst are sent before the next burst is received.
                self.out.publish();
                self.fill()?;
            }
            if !self.out.may_answer() {
                return None;
            }
            let index = self.next;
            let packet = self.burst.get(index)?;
            let stats = &mut self.out.stats;
            let large = self.out.segmentation != Segmentation::Off;
            if packet.info().is_truncated()
                || large
                    && Layout::of(&packet, self.out.medium)
                        .is_some_and(|layout| layout.announces_too_little(&packet))
            {
                stats.rx_dropped += 1;
                self.next += 1;
                continue;
            }
            return Some(index);
        }
    }

    /// Receives at least one packet, or returns `None`.
    fn fill(&mut self) -> Option<()> {
        self.next = 0;
        match self.rx.rx_burst(&mut self.burst) {
            Ok(0) => None,
            Ok(_) => Some(()),
            Err(Error::Eof(reason)) => {
                self.out.down = true;
                self.closed = reason == Eof::Closed;
                None
            }
            Err(error) => {
                log::warn!("smoltcp device: {error}");
                self.out.stats.rx_errors += 1;
                self.out.last_error = Some(error);
                None
            }
        }
    }
}

fn burst(packets: u16) -> Burst {
    Burst::new(packets).with_snaplen(MAX_FRAME as u32)
}

impl Device for MemifDevice {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _timestamp: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let index = self.next_packet()?;
        self.next += 1;
        let packet = self.burst.get(index)?.data();
        self.out.stats.rx_packets += 1;
        self.out.stats.rx_bytes += packet.len() as u64;
        let tx = TxToken {
            outgoing: &mut self.out,
            segment_size: None,
        };
        Some((RxToken { packet }, tx))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<Self::TxToken<'_>> {
        if !self.out.may_send() {
            return None;
        }
        Some(TxToken {
            outgoing: &mut self.out,
            segment_size: None,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = self.out.medium;
        let header = match self.out.medium {
            Medium::Ethernet => ETHERNET,
            Medium::Ip => 0,
        };
        caps.max_transmission_unit = self.mtu + header;
        let ring = self.out.ring;
        let frame_slots = caps.max_transmission_unit.div_ceil(ring.buffer_size);
        caps.max_burst_size = self
            .max_burst_size
            .unwrap_or(Some((ring.slots / frame_slots).max(1)));
        caps.checksum = self.out.checksum.clone();
        if self.out.segmentation != Segmentation::Off {
            // At most half the ring, so that a segment does not have to wait for all others.
            let most = (GREATEST_MTU + header).min(ring.slots / 2 * ring.buffer_size);
            let most = NonZeroUsize::new(most.max(caps.max_transmission_unit));
            caps.segmentation.tcpv4 = most;
            // Not tcpv6, because smoltcp 0.14.0 drops IPv6 packets above the MTU anyway.
            caps.checksum.tcp = match caps.checksum.tcp {
                Checksum::Both | Checksum::Rx => Checksum::Rx,
                Checksum::Tx | Checksum::None => Checksum::None,
            };
        }
        caps
    }
}

impl AsFd for MemifDevice {
    /// The descriptor of the device's [`RxQueue`], for your own poll loop. Call
    /// [`publish`](Self::publish) before you sleep on it, and poll the interface until it finds
    /// nothing more.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rx.as_fd()
    }
}

impl Drop for MemifDevice {
    fn drop(&mut self) {
        self.out.publish();
        let left = self.out.waiting();
        if left > 0 {
            log::warn!("smoltcp device: dropped with {left} frames that the ring had no room for");
        }
    }
}

#[doc(hidden)]
#[derive(Debug)]
pub struct RxToken<'a> {
    packet: &'a [u8],
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F>(self, f: F) -> R
    where
        F: FnOnce(&[u8]) -> R,
    {
        f(self.packet)
    }
}
