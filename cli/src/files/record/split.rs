//! One recording for all queues, or one for each.

use std::sync::{Arc, Mutex};

use super::output::Output;
use super::recording::Recording;
use super::start::{Setup, begin};
use super::summary::{Load, Summary};
use crate::events::Events;
use crate::failure::Failure;
use crate::lock::lock;

/// What a recording of this queue writes to, or one of all.
type Make<'a> = dyn Fn(Option<u8>) -> Result<(Box<dyn Output>, Setup), Failure> + Sync + 'a;

pub(crate) struct Recordings<'a> {
    make: &'a Make<'a>,
    events: &'a Events,
    tell: Arc<dyn Fn(&Summary) + Send + Sync>,
    split: bool,
    all: Arc<Mutex<Vec<Recording>>>,
}

impl<'a> Recordings<'a> {
    /// Starts the first. SIGUSR1 tells the numbers of each, by `tell`; SIGUSR2 flushes.
    pub(crate) fn start(
        split: bool,
        make: &'a Make<'a>,
        events: &'a Events,
        tell: impl Fn(&Summary) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let this = Self {
            make,
            events,
            tell: Arc::new(tell),
            split,
            all: Arc::default(),
        };
        this.of(0)?;
        let all = Arc::clone(&this.all);
        events.on_request(move |request| {
            for recording in lock(&all).iter() {
                recording.ask(request);
            }
        })?;
        Ok(this)
    }

    pub(crate) fn is_split(&self) -> bool {
        self.split
    }

    /// The one that packets of this queue go to. Queues are asked for in order.
    pub(crate) fn of(&self, queue: u8) -> Result<Recording, Failure> {
        let mut all = lock(&self.all);
        let number = if self.split { usize::from(queue) } else { 0 };
        while all.len() <= number {
            let next = u8::try_from(all.len()).unwrap_or(u8::MAX);
            let (output, setup) = (self.make)(self.split.then_some(next))?;
            let tell = Arc::clone(&self.tell);
            all.push(begin(output, setup, self.events, move |s: &Summary| {
                tell(s)
            })?);
        }
        Ok(all[number].clone())
    }

    /// How full the buffers were: the fullest.
    pub(crate) fn load(&self) -> impl Fn() -> Option<Load> + Send + Sync + 'static {
        let all = Arc::clone(&self.all);
        move || {
            lock(&all)
                .iter()
                .filter_map(Recording::load)
                .reduce(Load::max)
        }
    }

    /// Ends them, and tells what there was; why the first that did ended early.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        let all = std::mem::take(&mut *lock(&self.all));
        let ends = all.iter().map(|recording| {
            let (summary, ended) = recording.end();
            (self.tell)(&summary);
            ended
        });
        ends.fold(Ok(()), Result::and)
    }
}
