//! Links of others, looked at: their memory, and their rings.

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::ReceivedPacket;
use super::bindings::*;
use super::code::SUCCESS;

pub(crate) use super::bindings::{
    memif_ext_view_ring_t as ViewRing, memif_ext_view_state_t as RingState,
    memif_ext_watch_counts_t as WatchCounts,
};

/// The rings in a file; none where it is no file of rings.
pub(crate) fn find_rings(fd: BorrowedFd<'_>) -> Vec<ViewRing> {
    let mut rings = vec![ViewRing::default(); MEMIF_EXT_VIEW_RINGS as usize];
    // SAFETY: room for as many as it writes at most; the descriptor is open.
    let count = unsafe { memif_ext_view_find(fd.as_raw_fd(), rings.as_mut_ptr()) };
    rings.truncate(usize::from(count));
    rings
}

/// The regions of a link, mapped read-only. Nothing of it changes once it is made, but the bytes
/// themselves, which are read in C only.
#[derive(Debug)]
pub(crate) struct View(NonNull<memif_ext_view>);

// SAFETY: the C side only reads what a view holds, and guards nothing.
unsafe impl Send for View {}
// SAFETY: as for Send.
unsafe impl Sync for View {}

impl View {
    /// The reason when it can't be.
    pub(crate) fn open(
        regions: &[BorrowedFd<'_>],
        allow_unsealed: bool,
    ) -> Result<Self, &'static str> {
        let fds: Vec<RawFd> = regions.iter().map(AsRawFd::as_raw_fd).collect();
        let mut view = ptr::null_mut();
        let mut why: *const c_char = ptr::null();
        let count = u16::try_from(fds.len()).unwrap_or(u16::MAX);
        // SAFETY: `count` is at most the array's length where that fits 16 bits, and refused
        // otherwise; the descriptors are open during the call; the others are written to.
        let err = unsafe {
            memif_ext_view_open(
                &mut view,
                fds.as_ptr(),
                count,
                i32::from(allow_unsealed),
                &mut why,
            )
        };
        match NonNull::new(view) {
            Some(view) if err == SUCCESS => Ok(Self(view)),
            _ if why.is_null() => Err("no memory, or too many regions"),
            // SAFETY: a string literal of the C side.
            _ => Err(unsafe { CStr::from_ptr(why) }.to_str().unwrap_or_default()),
        }
    }

    /// The counters of a ring. `None` where it does not lie in the first region.
    pub(crate) fn state(&self, ring: ViewRing) -> Option<RingState> {
        self.look(ring, None)
    }

    /// With what the descriptors say of this region.
    pub(crate) fn scan(&self, ring: ViewRing, region: u16) -> Option<RingState> {
        self.look(ring, Some(region))
    }

    fn look(&self, ring: ViewRing, scan: Option<u16>) -> Option<RingState> {
        let mut state = RingState::default();
        let (view, region) = (self.0.as_ptr(), scan.unwrap_or(0));
        // SAFETY: a live view; the state outlives the call.
        let err = unsafe {
            memif_ext_view_state(view, ring, i32::from(scan.is_some()), region, &mut state)
        };
        (err == SUCCESS).then_some(state)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: whoever reads it holds an `Arc` of it.
        unsafe { memif_ext_view_close(self.0.as_ptr()) };
    }
}

/// The reading of one ring.
#[derive(Debug)]
pub(crate) struct Watch {
    watch: NonNull<memif_ext_watch>,
    /// It reads there.
    _view: Arc<View>,
}

// SAFETY: it has no thread of its own; those that change it take it `&mut`.
unsafe impl Send for Watch {}

impl Watch {
    pub(crate) fn new(view: Arc<View>, ring: ViewRing, m2s: bool) -> Option<Self> {
        let mut watch = ptr::null_mut();
        // SAFETY: a live view, which is kept as long as the watch.
        let err =
            unsafe { memif_ext_watch_open(&mut watch, view.0.as_ptr(), ring, i32::from(m2s)) };
        let watch = NonNull::new(watch).filter(|_| err == SUCCESS)?;
        Some(Self { watch, _view: view })
    }

    /// Copies packets into the arena. How many, and how many slots are left; or what is wrong.
    pub(crate) fn look(
        &mut self,
        arena: &mut [u8],
        snaplen: u32,
        packets: &mut [ReceivedPacket],
    ) -> Result<(u16, u16), String> {
        let (mut received, mut behind) = (0, 0);
        // SAFETY: the pointers and lengths are those of live slices; the C side writes no more
        // than that. One thread at a time, by `&mut`.
        let err = unsafe {
            memif_ext_watch_look(
                self.watch.as_ptr(),
                arena.as_mut_ptr(),
                u32::try_from(arena.len()).unwrap_or(u32::MAX),
                snaplen,
                packets.as_mut_ptr(),
                u16::try_from(packets.len()).unwrap_or(u16::MAX),
                &mut received,
                &mut behind,
            )
        };
        if err == SUCCESS {
            return Ok((received, behind));
        }
        // SAFETY: text that ends, and lives as long as the watch.
        let text = unsafe { CStr::from_ptr(memif_ext_watch_error(self.watch.as_ptr())) };
        Err(text.to_string_lossy().into_owned())
    }

    pub(crate) fn counts(&self) -> WatchCounts {
        let mut counts = WatchCounts::default();
        // SAFETY: the counts outlive the call; nobody writes meanwhile, as that takes `&mut`.
        unsafe { memif_ext_watch_counts(self.watch.as_ptr(), &mut counts) };
        counts
    }

    /// Slots that were not looked at.
    pub(crate) fn behind(&mut self) -> u16 {
        // SAFETY: as `look`.
        unsafe { memif_ext_watch_behind(self.watch.as_ptr()) }
    }

    /// Slots that a packet stays readable.
    pub(crate) fn window(&mut self) -> u16 {
        // SAFETY: as `look`.
        unsafe { memif_ext_watch_window(self.watch.as_ptr()) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: the view is dropped after it.
        unsafe { memif_ext_watch_close(self.watch.as_ptr()) };
    }
}
