//! Blocks of the readers, the bound of all, and who wakes whom.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use memif::pcap::InterfaceInfo;
use memif::{Direction, Packet, Timestamp};

use super::block::{BLOCK, Block};
use crate::failure::Failure;
use crate::files::record::summary::Load;

/// Blocks that are kept for the next packets.
pub(super) const SPARE: usize = 8;

/// How long the writer lets packets gather that come in small numbers.
const GATHER: Duration = Duration::from_millis(1);

/// What a reader tells in between packets.
pub(in super::super) enum Note {
    /// From now on packets come from these interfaces.
    Interfaces(Vec<InterfaceInfo>),
    /// Packets of an interface that passed and could not be read; perhaps there were more.
    Missed(u32, u64, bool),
    /// The reader has failed.
    Failed(Failure),
    /// So many packets of an interface found no memory.
    Lost(u32, u64, io::Error),
}

pub(in super::super) struct Buffer {
    limit: usize,
    /// Of blocks with packets.
    pub(super) used: AtomicUsize,
    highest: AtomicUsize,
    /// Packets in them.
    packets: AtomicI64,
    pub(super) sources: Mutex<Vec<Arc<Source>>>,
    pub(super) spare: Mutex<Vec<Block>>,
    /// The writer, and whether it sleeps.
    writer: OnceLock<Thread>,
    sleep: AtomicU8,
    /// The last reader has gone.
    closing: AtomicBool,
    /// A ring was found empty after packets.
    idle: AtomicBool,
    flush: AtomicBool,
    /// Readers wait for room.
    waiting: Mutex<usize>,
    room: Condvar,
}

/// Of `Buffer::sleep`.
const AWAKE: u8 = 0;
/// It lets packets gather; a block that is full wakes it.
const GATHERING: u8 = 1;
const ASLEEP: u8 = 2;

/// What comes from one reader.
#[derive(Default)]
pub(in super::super) struct Source {
    inner: Mutex<Inner>,
    /// Nanoseconds that it did not look at its ring.
    longest_pause: AtomicU64,
}

#[derive(Default)]
struct Inner {
    ready: VecDeque<Item>,
    current: Option<Block>,
}

pub(super) enum Item {
    Block(Block),
    Note(Timestamp, Note),
}

impl Buffer {
    /// Of about so many bytes: a reader that finds room may still put a burst.
    pub(in super::super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            highest: AtomicUsize::new(0),
            packets: AtomicI64::new(0),
            sources: Mutex::default(),
            spare: Mutex::default(),
            writer: OnceLock::new(),
            sleep: AtomicU8::new(AWAKE),
            closing: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            flush: AtomicBool::new(false),
            waiting: Mutex::default(),
            room: Condvar::new(),
        }
    }

    pub(in super::super) fn load(&self) -> Load {
        let pauses = lock(&self.sources);
        let pauses = pauses
            .iter()
            .map(|s| s.longest_pause.load(Ordering::Relaxed));
        Load {
            highest: self.highest.load(Ordering::Relaxed),
            limit: self.limit,
            longest_pause: pauses.max().unwrap_or(0) as f64 * 1e-9,
        }
    }

    /// Packets that the writer has not dealt with.
    pub(in super::super) fn packets(&self) -> u64 {
        u64::try_from(self.packets.load(Ordering::Acquire)).unwrap_or(0)
    }

    // The readers' side.

    pub(in super::super) fn add_source(&self) -> Arc<Source> {
        let source = Arc::<Source>::default();
        lock(&self.sources).push(Arc::clone(&source));
        source
    }

    /// Whether a burst may be taken from the ring.
    pub(in super::super) fn has_room(&self) -> bool {
        let used = self.used.load(Ordering::Acquire);
        used <= BLOCK || used + 2 * BLOCK <= self.limit
    }

    /// Waits for room, or for what was put to be dealt with: not for ever, as other things end it.
    pub(in super::super) fn wait(&self, is_over: impl Fn() -> bool) {
        const STEP: Duration = Duration::from_millis(100);
        let mut waiting = lock(&self.waiting);
        *waiting += 1;
        self.wake();
        if !is_over() {
            let woken = self.room.wait_timeout(waiting, STEP);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *waiting -= 1;
    }

    /// Copies packets, in order.
    pub(in super::super) fn put<'p>(
        &self,
        source: &Source,
        interface: u32,
        way: Direction,
        packets: impl Iterator<Item = Packet<'p>>,
    ) {
        let (mut count, mut full, mut lost) = (0, false, None);
        let mut inner = lock(&source.inner);
        for packet in packets {
            while lost.is_none() {
                let current = inner.current.as_mut();
                if current.is_some_and(|block| block.put(interface, way, &packet)) {
                    count += 1;
                    break;
                }
                let last = inner.current.take();
                full |= last.is_some();
                inner.ready.extend(last.map(Item::Block));
                match self.block(packet.data().len()) {
                    Ok(block) => inner.current = Some(block),
                    Err(error) => lost = Some((0, error)),
                }
            }
            lost.iter_mut().for_each(|(lost, _)| *lost += 1);
        }
        if let Some((lost, error)) = lost {
            inner.note(Note::Lost(interface, lost, error));
        }
        drop(inner);
        self.packets.fetch_add(count, Ordering::AcqRel);
        if full {
            self.wake();
        }
    }

    pub(in super::super) fn note(&self, source: &Source, note: Note) {
        lock(&source.inner).note(note);
        self.wake();
    }

    /// Nothing is waiting in a ring.
    pub(in super::super) fn set_idle(&self) {
        self.idle.store(true, Ordering::SeqCst);
        // One that lets packets gather goes on by itself.
        let seq = Ordering::SeqCst;
        if self.sleep.compare_exchange(ASLEEP, AWAKE, seq, seq).is_ok() {
            self.unpark();
        }
    }

    fn block(&self, bytes: usize) -> io::Result<Block> {
        let spare = lock(&self.spare).pop_if(|block| block.suits(bytes));
        let block = spare.map_or_else(|| Block::for_packet(bytes), Ok)?;
        let used = self.used.fetch_add(block.size(), Ordering::AcqRel) + block.size();
        self.highest.fetch_max(used, Ordering::Relaxed);
        Ok(block)
    }

    // The writer's side.

    /// The thread that calls it is the writer.
    pub(in super::super) fn attach(&self) {
        let _ = self.writer.set(thread::current()); // there is but one
    }

    /// There will be no more packets.
    pub(in super::super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(in super::super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Once all that was put before has been written, everything is to go out.
    pub(in super::super) fn ask_flush(&self) {
        self.flush.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(in super::super) fn take_idle(&self) -> bool {
        self.idle.swap(false, Ordering::SeqCst)
    }

    pub(in super::super) fn take_flush(&self) -> bool {
        self.flush.swap(false, Ordering::SeqCst)
    }

    /// Sleeps until there is something to do. Packets that come in small numbers may gather a
    /// little, so that they are written together.
    pub(in super::super) fn sleep(&self, may_gather: bool) {
        self.sleep.store(ASLEEP, Ordering::SeqCst);
        while self.sleep.load(Ordering::SeqCst) == ASLEEP
            && !self.is_asked()
            && !self.idle.load(Ordering::SeqCst)
        {
            thread::park();
        }
        if may_gather && self.idle.load(Ordering::SeqCst) {
            self.sleep.store(GATHERING, Ordering::SeqCst);
            if !self.is_asked() {
                thread::park_timeout(GATHER);
            }
        }
        self.sleep.store(AWAKE, Ordering::SeqCst);
    }

    /// Whether there is what does not wait.
    fn is_asked(&self) -> bool {
        let sources = lock(&self.sources);
        self.closing.load(Ordering::SeqCst)
            || self.flush.load(Ordering::SeqCst)
            || *lock(&self.waiting) > 0
            || sources.iter().any(|s| !lock(&s.inner).ready.is_empty())
    }

    /// So many packets have been dealt with.
    pub(super) fn dealt_with(&self, packets: u64) {
        self.packets.fetch_sub(packets as i64, Ordering::AcqRel);
    }

    /// Takes an empty block back.
    pub(super) fn recycle(&self, mut block: Block) {
        block.clear();
        let size = block.size();
        let mut spare = lock(&self.spare);
        if size == BLOCK && spare.len() < SPARE {
            spare.push(block);
        }
        drop(spare);
        self.used.fetch_sub(size, Ordering::AcqRel);
        if *lock(&self.waiting) > 0 {
            self.room.notify_all();
        }
    }

    fn wake(&self) {
        if self.sleep.swap(AWAKE, Ordering::SeqCst) != AWAKE {
            self.unpark();
        }
    }

    fn unpark(&self) {
        self.writer.get().into_iter().for_each(Thread::unpark);
    }
}

impl Source {
    pub(in super::super) fn paused(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Its reader alone writes it.
        if nanos > self.longest_pause.load(Ordering::Relaxed) {
            self.longest_pause.store(nanos, Ordering::Relaxed);
        }
    }

    /// All that is there.
    pub(super) fn take(&self, to: &mut VecDeque<Item>) {
        let mut inner = lock(&self.inner);
        to.append(&mut inner.ready);
        to.extend(inner.current.take().map(Item::Block));
    }
}

impl Inner {
    fn note(&mut self, note: Note) {
        let last = self.current.take().filter(|block| !block.is_empty());
        self.ready.extend(last.map(Item::Block));
        self.ready.push_back(Item::Note(Timestamp::now(), note));
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
