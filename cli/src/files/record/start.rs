//! How a recording begins.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::buffer::Buffer;
use super::intake::Intake;
use super::options::Limits;
use super::output::Output;
use super::recording::Recording;
use super::state::State;
use super::summary::Summary;
use super::watch::Watch;
use super::writer;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::filter::PacketFilter;

pub(crate) struct Setup {
    pub(crate) filter: PacketFilter,
    pub(crate) snaplen: u32,
    pub(crate) limits: Limits,
    /// Bytes of packets that may wait to be written; `None`: who brings packets writes them.
    pub(crate) buffer: Option<usize>,
    /// Whether the command ends with it. Otherwise the user is told, and the command goes on.
    pub(crate) ends_command: bool,
}

/// SIGUSR1 tells the numbers, by `tell`; SIGUSR2 flushes.
pub(crate) fn start(
    output: Box<dyn Output>,
    setup: Setup,
    events: &Events,
    tell: impl Fn(&Summary) + Send + 'static,
) -> Result<Recording, Failure> {
    let recording = begin(output, setup, events, tell)?;
    let asked = recording.clone();
    events.on_request(move |request| asked.ask(request))?;
    Ok(recording)
}

/// Without requests: whoever gets them passes them on.
pub(super) fn begin(
    output: Box<dyn Output>,
    setup: Setup,
    events: &Events,
    tell: impl Fn(&Summary) + Send + 'static,
) -> Result<Recording, Failure> {
    let (pipe, is_read_along) = (output.pipe(), output.is_read_along());
    let duration = setup.limits.duration;
    let seen = Summary {
        rejected: (!setup.filter.is_open()).then_some(0),
        snaplen: setup.snaplen,
        ..Summary::default()
    };
    let intake = Arc::new(Intake {
        filter: setup.filter,
        snaplen: setup.snaplen,
    });
    // What takes only packets has none.
    let buffer = setup.buffer.zip(output.format());
    let buffer = buffer.map(|(limit, format)| Buffer::new(limit, format, Arc::clone(&intake)));
    let state = State {
        output,
        left: setup.limits.packets,
        stop_at: duration.and_then(|time| Instant::now().checked_add(time)),
        seen,
        intake: Arc::clone(&intake),
        first: None,
        failure: None,
        unread: None,
        full: false,
        over: None,
        ended: false,
        flush: false,
        on_dropped: None,
        rings: None,
        room: Vec::new(),
    };
    let recording = Recording::new(state, buffer, events, setup.ends_command);
    if recording.buffer().is_some() {
        let this = recording.clone();
        let writer = thread::Builder::new().name("writer".into()).spawn(move || {
            let Some(buffer) = this.buffer() else { return };
            let write = AssertUnwindSafe(|| writer::write(&this, buffer, is_read_along));
            // Or readers would wait for room for ever.
            if catch_unwind(write).is_err() {
                let failure = Failure::Failed("the thread that writes has panicked".into());
                this.with(|state| state.fail(failure));
            }
        });
        let failed = |e| Failure::Failed(format!("starting a thread: {e}"));
        recording.set_writer(writer.map_err(failed)?);
    }
    events.add(Watch {
        recording: recording.clone(),
        pipe,
        gone: false,
        tell: Box::new(tell),
    });
    Ok(recording)
}
