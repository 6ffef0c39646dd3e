//! Shared memory and eventfds.

use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::unistd::ftruncate;

/// A descriptor that several messages may carry.
pub type Fd = Arc<OwnedFd>;

pub fn eventfd() -> Fd {
    let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC);
    Arc::new(fd.expect("an eventfd").into())
}

/// Shared memory, mapped. The other side changes it at any moment, so it is only reached by
/// atomic loads and stores.
#[derive(Debug)]
pub struct Memory {
    pub fd: Fd,
    base: NonNull<std::ffi::c_void>,
    len: NonZeroUsize,
}

// SAFETY: a mapping belongs to the process, not to a thread, and is only accessed atomically.
unsafe impl Send for Memory {}
// SAFETY: as for `Send`.
unsafe impl Sync for Memory {}

impl Memory {
    /// A sealed memfd.
    pub fn new(len: usize) -> Self {
        let fd = Self::file(len);
        fcntl(&*fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("sealing");
        Self::map(fd, len)
    }

    /// A memfd of this size, not sealed.
    pub fn file(len: usize) -> Fd {
        let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
        let fd = memfd_create("raw peer", flags).expect("a memfd");
        ftruncate(&fd, len.try_into().unwrap()).expect("its size");
        Arc::new(fd)
    }

    pub fn map(fd: Fd, len: usize) -> Self {
        let len = NonZeroUsize::new(len).expect("a size");
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, of a file that nobody
        // shrinks (sealed, or ours); it is unmapped when this value goes, and not before.
        let base = unsafe { mmap(None, len, prot, MapFlags::MAP_SHARED, &*fd, 0) }.expect("mmap");
        Self { fd, base, len }
    }

    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// The address of `size` bytes at `offset`, which must lie inside and be aligned to `size`.
    fn ptr<T>(&self, offset: usize) -> *mut T {
        let size = size_of::<T>();
        assert!(
            offset.is_multiple_of(size) && offset + size <= self.len(),
            "{offset} of {}",
            self.len()
        );
        self.base.as_ptr().cast::<u8>().wrapping_add(offset).cast()
    }

    fn atomic8(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: `ptr` has checked the place; the mapping lives as long as `self`, and is only
        // ever accessed atomically in this process's Rust code.
        unsafe { AtomicU8::from_ptr(self.ptr(offset)) }
    }

    fn atomic16(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: as for `atomic8`.
        unsafe { AtomicU16::from_ptr(self.ptr(offset)) }
    }

    fn atomic32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as for `atomic8`.
        unsafe { AtomicU32::from_ptr(self.ptr(offset)) }
    }

    pub fn load16(&self, offset: usize) -> u16 {
        self.atomic16(offset).load(Ordering::Acquire)
    }

    pub fn store16(&self, offset: usize, value: u16) {
        self.atomic16(offset).store(value, Ordering::Release);
    }

    pub fn load32(&self, offset: usize) -> u32 {
        self.atomic32(offset).load(Ordering::Acquire)
    }

    pub fn store32(&self, offset: usize, value: u32) {
        self.atomic32(offset).store(value, Ordering::Release);
    }

    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        (offset..offset + len)
            .map(|at| self.atomic8(at).load(Ordering::Relaxed))
            .collect()
    }

    pub fn write(&self, offset: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            self.atomic8(offset + i).store(*byte, Ordering::Relaxed);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `map`, and no reference into it outlives `self`.
        unsafe { munmap(self.base, self.len()) }.expect("munmap");
    }
}

/// A memfd that nobody can seal.
pub fn unsealable(len: usize) -> Fd {
    let fd = memfd_create("no seals", MFdFlags::MFD_CLOEXEC).unwrap();
    ftruncate(&fd, len as i64).unwrap();
    Arc::new(fd)
}

/// A file on a disk.
pub fn regular_file(len: usize) -> Fd {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len as u64).unwrap();
    Arc::new(file.into())
}
