//! Interfaces whose last owner is gone, and whose peer has a moment to read what was sent. All of
//! it on the control thread.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::taken::Untaken;
use crate::ffi::{Conn, Loop};

/// How long until the control thread looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// An interface that is deleted when the peer has read everything, or the time is over.
pub(super) struct Lingering {
    pub(super) conn: Conn,
    /// What another interface can't have at the same time.
    pub(super) place: Place,
    pub(super) label: String,
    pub(super) deadline: Instant,
    pub(super) untaken: Untaken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) socket: PathBuf,
    pub(super) id: u32,
}

thread_local! {
    static LINGERING: RefCell<Vec<Lingering>> = const { RefCell::new(Vec::new()) };
}

impl Lingering {
    pub(super) fn begin(self) {
        LINGERING.with_borrow_mut(|all| all.push(self));
    }

    fn is_over(&mut self) -> bool {
        let slots = self.untaken.slots(&self.conn);
        if slots > 0 && Instant::now() >= self.deadline {
            log::warn!(
                "{}: closed before the peer took the last {slots} slots",
                self.label
            );
            return true;
        }
        slots == 0
    }
}

/// Deletes those whose time is over; when to look at the others.
pub(super) fn look(control: &Loop) -> Option<Duration> {
    delete_if(control, Lingering::is_over);
    LINGERING.with_borrow(|all| (!all.is_empty()).then_some(PAUSE))
}

pub(super) fn is_taken(place: &Place) -> bool {
    LINGERING.with_borrow(|all| all.iter().any(|one| one.place == *place))
}

/// Deletes those in this place at once.
pub(super) fn vacate(control: &Loop, place: &Place) {
    delete_if(control, |one| one.place == *place);
}

fn delete_if(control: &Loop, mut over: impl FnMut(&mut Lingering) -> bool) {
    // Outside of the list: deleting runs code of the C core.
    let all = LINGERING.take();
    let (gone, left): (Vec<_>, Vec<_>) = all
        .into_iter()
        .map(|mut one| (over(&mut one), one))
        .partition(|(over, _)| *over);
    LINGERING.set(left.into_iter().map(|(_, one)| one).collect());
    for (_, one) in gone {
        control.delete(one.conn);
    }
}
