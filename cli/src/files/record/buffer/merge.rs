//! What the readers have put, in the order of time.

use std::collections::VecDeque;
use std::sync::Arc;

use memif::{Direction, Packet, Timestamp};

use super::block::Block;
use super::store::{Buffer, Item, Note, Source, lock};

/// What the writer has taken from each source.
#[derive(Default)]
pub(in super::super) struct Heads(Vec<Head>);

struct Head {
    source: Arc<Source>,
    items: VecDeque<Item>,
    /// Where the next packet of the first block begins.
    at: usize,
}

/// What comes next.
pub(in super::super) enum Next<'a> {
    /// Of one interface and direction.
    Packets(Group<'a>),
    Note(Note),
}

pub(in super::super) struct Group<'a> {
    pub(in super::super) interface: u32,
    pub(in super::super) way: Direction,
    block: &'a Block,
    at: usize,
    end: usize,
}

impl Heads {
    /// Takes what is there of sources that nothing is left of. False when there is nothing at all.
    pub(in super::super) fn fill(&mut self, buffer: &Buffer) -> bool {
        let sources = lock(&buffer.sources);
        for source in &sources[self.0.len()..] {
            self.0.push(Head {
                source: Arc::clone(source),
                items: VecDeque::new(),
                at: 0,
            });
        }
        drop(sources);
        let mut any = false;
        for head in &mut self.0 {
            if head.items.is_empty() {
                head.source.take(&mut head.items);
            }
            any |= !head.items.is_empty();
        }
        any
    }

    /// Hands the oldest that is left to `write`; false when nothing is, or a block is used up, so
    /// that there may be older ones elsewhere.
    pub(in super::super) fn next(&mut self, buffer: &Buffer, write: impl FnOnce(Next<'_>)) -> bool {
        let times = self.0.iter().map(Head::time).enumerate();
        let Some((time, first)) = times.filter_map(|(n, time)| Some((time?, n))).min() else {
            return false;
        };
        let others = self.0.iter().enumerate().filter(|(n, _)| *n != first);
        let until = others.filter_map(|(_, head)| head.time()).min();
        let head = &mut self.0[first];
        let at = head.at;
        match head.items.pop_front() {
            None => false,
            Some(Item::Note(_, note)) => {
                write(Next::Note(note));
                true
            }
            Some(Item::Block(block)) => {
                let (end, packets) = group(&block, at, until.map(|until| until.max(time)));
                if let Some(entry) = block.at(at) {
                    write(Next::Packets(Group {
                        interface: entry.interface,
                        way: entry.way,
                        block: &block,
                        at,
                        end,
                    }));
                }
                buffer.dealt_with(packets);
                if end < block.used() {
                    head.at = end;
                    head.items.push_front(Item::Block(block));
                    return true;
                }
                head.at = 0;
                buffer.recycle(block);
                false
            }
        }
    }
}

/// Where the packets of one interface and direction end, that are not younger; and how many.
fn group(block: &Block, start: usize, until: Option<Timestamp>) -> (usize, u64) {
    let (mut end, mut packets) = (start, 0);
    let mut first = None;
    while let Some(entry) = block.at(end) {
        let from = (entry.interface, entry.way);
        let is_late = until.is_some_and(|until| entry.packet.info().timestamp > until);
        if *first.get_or_insert(from) != from || is_late {
            break;
        }
        end = entry.end;
        packets += 1;
    }
    // What can't be read is no packet.
    (if packets == 0 { block.used() } else { end }, packets)
}

impl Head {
    fn time(&self) -> Option<Timestamp> {
        match self.items.front()? {
            Item::Note(time, _) => Some(*time),
            Item::Block(block) => {
                let entry = block.at(self.at);
                Some(entry.map_or_else(Timestamp::default, |e| e.packet.info().timestamp))
            }
        }
    }
}

impl<'a> Iterator for Group<'a> {
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        if self.at >= self.end {
            return None;
        }
        let entry = self.block.at(self.at)?;
        self.at = entry.end;
        Some(entry.packet)
    }
}
