//! Blocks of the readers, the bound of all, and who wakes whom.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use memif::pcap::{InterfaceInfo, RecordFormat};
use memif::{Direction, Packet, Timestamp};

use super::block::{BLOCK, Block, Fate};
use crate::failure::Failure;
use crate::files::record::intake::Intake;
use crate::files::record::summary::Load;
use crate::lock::lock;

/// Blocks that are kept for the next packets, while they come and when none do.
const SPARE: usize = 64;
pub(super) const SPARE_IDLE: usize = 8;

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
    /// So many packets of an interface could not be kept.
    Lost(u32, u64, Failure),
}

pub(in super::super) struct Buffer {
    pub(super) format: RecordFormat,
    intake: Arc<Intake>,
    limit: usize,
    /// Of blocks with packets.
    pub(super) used: AtomicUsize,
    highest: AtomicUsize,
    /// Packets in them.
    packets: AtomicI64,
    pub(super) sources: Mutex<Vec<Arc<Source>>>,
    pub(super) spare: Mutex<Vec<Block>>,
    /// Full blocks, and notes, that were not taken yet.
    ready: AtomicUsize,
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
    /// The block that is being filled. Its reader holds it for as long as a burst takes; a writer that
    /// waited for it would be put to sleep, and woken by the reader.
    current: Mutex<Option<Block>>,
    /// What comes before it; held for a moment. Taken after `current` by who takes both.
    ready: Mutex<VecDeque<Item>>,
    /// Nanoseconds that it did not look at its ring.
    longest_pause: AtomicU64,
}

pub(super) enum Item {
    Block(Block),
    Note(Timestamp, Note),
}

impl Buffer {
    /// Of about so many bytes: a reader that finds room may still put a burst.
    pub(in super::super) fn new(limit: usize, format: RecordFormat, intake: Arc<Intake>) -> Self {
        Self {
            format,
            intake,
            limit,
            used: AtomicUsize::new(0),
            highest: AtomicUsize::new(0),
            packets: AtomicI64::new(0),
            sources: Mutex::default(),
            spare: Mutex::default(),
            ready: AtomicUsize::new(0),
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

    /// Keeps what is wanted of packets of an interface and direction, in order.
    pub(in super::super) fn put<'p>(
        &self,
        source: &Source,
        from: (u32, Option<Direction>),
        packets: impl Iterator<Item = Packet<'p>>,
    ) {
        let (mut kept, mut wakes, mut lost) = (0, false, None);
        let mut current = lock(&source.current);
        for packet in packets {
            match &mut lost {
                Some((lost, _)) => *lost += 1,
                None => match self.keep(source, &mut current, from, &packet, &mut kept) {
                    Ok(full) => wakes |= full,
                    Err(failure) => lost = Some((1, failure)),
                },
            }
        }
        self.packets.fetch_add(kept, Ordering::AcqRel);
        if let Some((lost, failure)) = lost {
            self.append(source, &mut current, Note::Lost(from.0, lost, failure));
            wakes = true;
        }
        drop(current);
        if wakes {
            self.wake();
        }
    }

    /// Counts the packet if it is wanted. True when a block is full.
    #[inline]
    fn keep(
        &self,
        source: &Source,
        current: &mut Option<Block>,
        from: (u32, Option<Direction>),
        packet: &Packet<'_>,
        kept: &mut i64,
    ) -> Result<bool, Failure> {
        let (mut size, mut full) = (0, false);
        loop {
            if let Some(block) = current {
                match block.put(self.format, &self.intake, from, packet)? {
                    Fate::Kept => {
                        *kept += 1;
                        return Ok(full);
                    }
                    Fate::Rejected => return Ok(full),
                    Fate::NoRoom(needed) => size = needed,
                }
            }
            // Before the writer deals with them.
            self.packets
                .fetch_add(std::mem::take(kept), Ordering::AcqRel);
            full |= self.next_block(source, current, size)?;
        }
    }

    /// For a record of so many bytes. True when the last is full.
    #[cold]
    #[inline(never)]
    fn next_block(
        &self,
        source: &Source,
        current: &mut Option<Block>,
        bytes: usize,
    ) -> Result<bool, Failure> {
        let full = self.pass_on(source, current);
        // An empty one stays, and is too small.
        current.take().into_iter().for_each(|b| self.recycle(b));
        let no_memory = |e| Failure::Failed(format!("memory for packets: {e}"));
        *current = Some(self.block(bytes).map_err(no_memory)?);
        Ok(full)
    }

    pub(in super::super) fn note(&self, source: &Source, note: Note) {
        self.append(source, &mut lock(&source.current), note);
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
        let block = spare.map_or_else(|| Block::for_record(bytes), Ok)?;
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

    /// Whether a reader waits for what is there to be dealt with.
    pub(in super::super) fn is_waited_for(&self) -> bool {
        *lock(&self.waiting) > 0
    }

    pub(in super::super) fn take_idle(&self) -> bool {
        self.idle.swap(false, Ordering::SeqCst)
    }

    pub(in super::super) fn take_flush(&self) -> bool {
        self.flush.swap(false, Ordering::SeqCst)
    }

    /// Sleeps until there is something to do; whether all that there is may be taken. Packets that
    /// come in small numbers may gather a little, so that they are written together. After some have
    /// been written, more are looked for without being woken.
    pub(in super::super) fn sleep(&self, may_gather: bool, has_written: bool) -> bool {
        let mut gather = may_gather && has_written;
        if !gather {
            self.give_back();
            self.sleep.store(ASLEEP, Ordering::SeqCst);
            while self.sleep.load(Ordering::SeqCst) == ASLEEP
                && !self.is_asked()
                && !self.idle.load(Ordering::SeqCst)
            {
                thread::park();
            }
            gather = may_gather && self.idle.load(Ordering::SeqCst);
        }
        let mut all = !may_gather;
        if gather {
            self.sleep.store(GATHERING, Ordering::SeqCst);
            if !self.is_asked() {
                thread::park_timeout(GATHER);
            }
            all = !self.is_asked();
        }
        self.sleep.store(AWAKE, Ordering::SeqCst);
        all
    }

    /// Memory that the next packets will hardly need.
    pub(super) fn give_back(&self) {
        let mut spare = lock(&self.spare);
        let kept = spare.len().min(SPARE_IDLE);
        let given = spare.split_off(kept);
        drop(spare);
        drop(given); // takes its time, and a reader may want one
    }

    /// Whether there is what does not wait.
    fn is_asked(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
            || self.flush.load(Ordering::SeqCst)
            || self.is_waited_for()
            || self.ready.load(Ordering::SeqCst) > 0
    }

    /// So many packets have been dealt with.
    pub(super) fn dealt_with(&self, packets: u64) {
        self.packets.fetch_sub(packets as i64, Ordering::AcqRel);
    }

    /// What is there of a source; the block that is being filled too, if all is to be taken.
    pub(super) fn take(&self, source: &Source, to: &mut VecDeque<Item>, all: bool) {
        if all {
            self.pass_on(source, &mut lock(&source.current));
        }
        let mut ready = lock(&source.ready);
        self.ready.fetch_sub(ready.len(), Ordering::SeqCst);
        to.append(&mut ready);
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
        if self.is_waited_for() {
            self.room.notify_all();
        }
    }

    fn append(&self, source: &Source, current: &mut Option<Block>, note: Note) {
        self.pass_on(source, current);
        self.push(source, Item::Note(Timestamp::now(), note));
    }

    /// The block that is being filled goes to the others, unless there is nothing in it.
    fn pass_on(&self, source: &Source, current: &mut Option<Block>) -> bool {
        let Some(mut block) = current.take_if(|block| !block.is_empty()) else {
            return false;
        };
        block.close();
        self.push(source, Item::Block(block));
        true
    }

    fn push(&self, source: &Source, item: Item) {
        let mut ready = lock(&source.ready);
        ready.push_back(item);
        self.ready.fetch_add(1, Ordering::SeqCst);
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
}
