//! The callbacks that a program sets for an interface.

use std::sync::Arc;

use super::Memif;
use crate::link::{Link, Listener};

/// A function that is called on the control thread.
pub(super) type Callback = Arc<dyn Fn(&Memif) + Send + Sync>;

/// Called when the link has come up, and when it has gone down.
#[derive(Clone, Default)]
pub(crate) struct Callbacks {
    pub(super) on_connect: Option<Callback>,
    pub(super) on_disconnect: Option<Callback>,
}

impl Listener for Callbacks {
    fn went_up(&self, link: &Arc<Link>) {
        call(&self.on_connect, link);
    }

    fn went_down(&self, link: &Arc<Link>) {
        call(&self.on_disconnect, link);
    }
}

fn call(callback: &Option<Callback>, link: &Arc<Link>) {
    if let Some(f) = callback {
        f(&Memif::from_link(Arc::clone(link)));
    }
}
