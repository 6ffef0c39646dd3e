//! What a thread brings packets by.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Instant;

use memif::pcap::InterfaceInfo;
use memif::{Direction, Packet};

use super::buffer::{Buffer, Note, Source};
use super::recording::Recording;
use crate::events::Events;
use crate::failure::Failure;

/// Brings packets to a recording, for one thread.
pub(crate) struct Feed {
    recording: Recording,
    /// Its place in the buffer, where there is one.
    source: Option<Arc<Source>>,
    /// Something was brought since nothing was waiting.
    busy: bool,
    /// When the ring was looked at, if it has been read all the time since.
    looked: Option<Instant>,
}

impl Feed {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self {
            source: recording.buffer().map(Buffer::add_source),
            recording: recording.clone(),
            busy: true, // interfaces may have been described
            looked: None,
        }
    }

    fn buffered(&self) -> Option<(&Buffer, &Source)> {
        self.recording.buffer().zip(self.source.as_deref())
    }

    /// How many packets may be taken from the ring now; `None`: as many as come. Waits until there
    /// is room, and until it is known; 0 when the recording is done.
    pub(crate) fn wanted(&mut self) -> Option<u64> {
        let recording = &self.recording;
        let wanted = loop {
            // Once: another reader may bring the last one at any moment.
            let left = recording.left();
            let Some(buffer) = recording.buffer() else {
                break left;
            };
            if recording.is_done() {
                break Some(0);
            }
            if left != Some(0) && buffer.has_room() {
                break left;
            }
            buffer
                .wait(|| recording.is_done() || (recording.left() != Some(0) && buffer.has_room()));
        };
        self.look();
        wanted
    }

    /// As `wanted`, of one whose packets go elsewhere too, when the recording is done.
    pub(crate) fn wait_for_room(&mut self, events: &Events) {
        let recording = &self.recording;
        if let Some(buffer) = recording.buffer() {
            let is_over = || recording.is_done() || events.is_stopped() || buffer.has_room();
            while !is_over() {
                buffer.wait(is_over);
            }
        }
        self.look();
    }

    /// The ring is looked at now.
    fn look(&mut self) {
        if let Some(source) = &self.source {
            let now = Instant::now();
            if let Some(looked) = self.looked {
                source.paused(now - looked);
            }
            self.looked = Some(now);
        }
    }

    pub(crate) fn take<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        interface: u32,
        packets: impl IntoIterator<Item = P>,
    ) {
        self.take_as(interface, Some(Direction::Inbound), packets);
    }

    /// As `take`, of packets that went this way; `None`: as each of them says.
    pub(crate) fn take_as<'p, P: Borrow<Packet<'p>>>(
        &mut self,
        interface: u32,
        way: Option<Direction>,
        packets: impl IntoIterator<Item = P>,
    ) {
        self.busy |= !self.recording.is_past_its_end();
        match self.buffered() {
            // Else they would wait for a writer that may be blocked, and there is no end to them.
            Some(_) if self.recording.is_past_its_end() => {
                let packets = packets.into_iter();
                let lengths = packets.map(|packet| packet.borrow().info().length as u64);
                self.recording.pass(lengths);
            }
            Some((buffer, source)) => {
                let packets = packets.into_iter().map(|packet| *packet.borrow());
                buffer.put(source, (interface, way), packets);
            }
            None => {
                self.recording
                    .with(|state| state.take(interface, way, packets));
            }
        }
    }

    /// Nothing is waiting: what is held back goes out.
    pub(crate) fn idle(&mut self) {
        self.looked = None;
        if std::mem::take(&mut self.busy) {
            match self.recording.buffer() {
                Some(buffer) => buffer.set_idle(),
                None => self
                    .recording
                    .with(|state| state.let_out(|output| output.idle())),
            }
        }
    }

    /// From now on packets come from these interfaces.
    pub(crate) fn describe(&mut self, interfaces: Vec<InterfaceInfo>) {
        self.note(Note::Interfaces(interfaces));
    }

    /// Packets of an interface that passed and could not be read; perhaps there were more.
    pub(crate) fn missed(&mut self, interface: u32, packets: u64, at_least: bool) {
        self.note(Note::Missed(interface, packets, at_least));
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.note(Note::Failed(failure));
    }

    fn note(&mut self, note: Note) {
        self.busy = true;
        match self.buffered() {
            Some((buffer, source)) => buffer.note(source, note),
            None => self.recording.with(|state| state.note(note)),
        }
    }
}
