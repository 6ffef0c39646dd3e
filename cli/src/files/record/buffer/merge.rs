//! What the readers have put, in the order of time.

use std::collections::VecDeque;
use std::sync::Arc;

use memif::Timestamp;

use super::block::Group;
use super::store::{Buffer, Item, Note, Source};
use crate::lock::lock;

/// What the writer has taken from each source.
#[derive(Default)]
pub(in super::super) struct Heads(Vec<Head>);

struct Head {
    source: Arc<Source>,
    items: VecDeque<Item>,
}

/// What comes next.
pub(in super::super) enum Next<'a> {
    Packets(Group<'a>),
    Note(Note),
}

impl Heads {
    /// Takes what is there of sources that nothing is left of; blocks that are still being filled
    /// only if all is to be taken, or other sources have something that may be younger. False when
    /// there is nothing at all.
    pub(in super::super) fn fill(&mut self, buffer: &Buffer, all: bool) -> bool {
        self.find(buffer);
        let any = self.take(buffer, all, false);
        if any && !all && self.0.len() > 1 {
            self.take(buffer, true, false);
        }
        any
    }

    /// Takes everything that is there, though there may be something left.
    pub(in super::super) fn fill_up(&mut self, buffer: &Buffer) -> bool {
        self.find(buffer);
        self.take(buffer, true, true)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.iter().all(|head| head.items.is_empty())
    }

    fn find(&mut self, buffer: &Buffer) {
        let sources = lock(&buffer.sources);
        for source in &sources[self.0.len()..] {
            self.0.push(Head {
                source: Arc::clone(source),
                items: VecDeque::new(),
            });
        }
    }

    fn take(&mut self, buffer: &Buffer, all: bool, more: bool) -> bool {
        let mut any = false;
        for head in &mut self.0 {
            if more || head.items.is_empty() {
                buffer.take(&head.source, &mut head.items, all);
            }
            any |= !head.items.is_empty();
        }
        any
    }

    /// Hands the oldest that is left to `write`: packets all of which came before the end, or after
    /// it. False when nothing is left, or a block is used up, so that there may be older ones
    /// elsewhere.
    pub(in super::super) fn next(
        &mut self,
        buffer: &Buffer,
        end: Option<Timestamp>,
        mut write: impl FnMut(Next<'_>),
    ) -> bool {
        let times = self.0.iter().map(Head::time).enumerate();
        let Some((time, first)) = times.filter_map(|(n, time)| Some((time?, n))).min() else {
            return false;
        };
        let others = self.0.iter().enumerate().filter(|(n, _)| *n != first);
        let until = others.filter_map(|(_, head)| head.time()).min();
        let until = until.map(|until| until.max(time));
        let items = &mut self.0[first].items;
        if let Some(Item::Block(block)) = items.front_mut() {
            if let Some(group) = block.take(buffer.format, [until, end]) {
                let packets = group.looked.accepted;
                write(Next::Packets(group));
                buffer.dealt_with(packets);
            }
            if block.time().is_some() {
                return true;
            }
        }
        match items.pop_front() {
            None => false,
            Some(Item::Note(_, note)) => {
                write(Next::Note(note));
                true
            }
            Some(Item::Block(block)) => {
                buffer.recycle(block);
                false
            }
        }
    }
}

impl Head {
    fn time(&self) -> Option<Timestamp> {
        match self.items.front()? {
            Item::Note(time, _) => Some(*time),
            // What can't be read is no packet.
            Item::Block(block) => Some(block.time().unwrap_or_default()),
        }
    }
}
