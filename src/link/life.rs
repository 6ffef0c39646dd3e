//! The life of an interface in the C core: it is created, reports events, is closed and deleted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::time::Instant;

use super::back_off::back_off;
use super::control::{Control, lock};
use super::counters::Counters;
use super::linger::{self, Lingering, Place};
use super::status::{ConnectFailure, Status};
use super::taken::Untaken;
use super::{CLOSE_FLUSH, Link, Listener};
use crate::config::{Role, Settings};
use crate::error::{Error, ErrorKind, Refusal};
use crate::ffi::{ConnArgs, ConnEvents};

impl Link {
    pub(crate) fn create(
        control: Arc<Control>,
        config: Settings,
        listener: Box<dyn Listener>,
    ) -> Result<Arc<Self>, Error> {
        let args = ConnArgs {
            is_master: config.role == Role::Master,
            id: config.id,
            mode: config.mode.number(),
            name: config.name.clone(),
            secret: config.secret.clone(),
            rx_queues: config.rx_queues(),
            tx_queues: config.tx_queues(),
            buffer_size: config.buffer_size,
            log2_ring_size: config.log2_ring_size,
            allow_unsealed: config.allow_unsealed,
        };
        let socket = control.socket_args(&config.socket);
        let label = format!(
            "{} id {} on {}",
            config.role,
            config.id,
            config.socket.display()
        );
        let link = Arc::new(Self {
            counters: Counters::new(config.queues.unwrap_or((1, 1))),
            spins: (0..config.rx_queues()).map(|_| AtomicU64::new(0)).collect(),
            bells: Mutex::default(),
            config,
            control,
            listener,
            conn: OnceLock::new(),
            label,
            status: Mutex::default(),
            changed: Condvar::new(),
            #[cfg(feature = "tokio")]
            notify: tokio::sync::Notify::new(),
            closed: AtomicBool::new(false),
        });

        link.await_place();
        let events = Box::new(Events(Arc::downgrade(&link)));
        let on_thread = Arc::clone(&link);
        let result = link.control.call(move |l| {
            linger::vacate(l, &on_thread.place());
            let conn = l.create(&socket, &args, events)?;
            // Set once, here.
            let _ = on_thread.conn.set(conn);
            Ok(())
        });
        match result {
            Some(Ok(())) => Ok(link),
            Some(Err((code, said))) => {
                let creating = format!("creating {}", link.label);
                let context = if said.is_empty() {
                    creating
                } else {
                    format!("{creating}: {said}")
                };
                Err(Error::memif(ErrorKind::from_code(code), context))
            }
            None => Err(link.error(ErrorKind::NotInitialised, "creating it")),
        }
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.close_by(Instant::now() + CLOSE_FLUSH);
    }

    pub(crate) fn close_by(self: &Arc<Self>, deadline: Instant) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.flush(deadline);
        let link = Arc::clone(self);
        self.control.call(move |l| {
            if let Some(conn) = link.conn.get() {
                l.close(conn);
                conn.rx_wake_all();
            }
        });
        let mut status = lock(&self.status);
        status.up = false;
        drop(status);
        self.tell();
        self.ring(|| None);
    }

    fn place(&self) -> Place {
        Place {
            socket: self.config.socket.clone(),
            id: self.config.id,
        }
    }

    /// An interface that was dropped a moment ago may still be in the place of this one.
    fn await_place(&self) {
        if self.control.is_control_thread() {
            return;
        }
        let place = self.place();
        let end = Instant::now() + CLOSE_FLUSH;
        let mut tries = 0;
        while Instant::now() < end {
            let place = place.clone();
            if self.control.call(move |_| linger::is_taken(&place)) != Some(true) {
                return;
            }
            back_off(&mut tries);
        }
    }

    /// Waits until the peer has read what was sent on all queues.
    fn flush(&self, deadline: Instant) {
        let Some(conn) = self.conn.get() else {
            return;
        };
        // On the control thread, all other links would have to wait too.
        if self.control.is_control_thread() {
            return;
        }
        let (mut tries, mut untaken) = (0, Untaken::default());
        loop {
            let pending = untaken.slots(conn);
            if pending == 0 {
                return;
            }
            if Instant::now() >= deadline {
                log::warn!(
                    "{}: closed before the peer took the last {pending} slots",
                    self.label
                );
                return;
            }
            back_off(&mut tries);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ring(|| None);
        let closed = self.closed.swap(true, Ordering::AcqRel);
        let Some(conn) = self.conn.take() else {
            return;
        };
        // Nobody waits here: the control thread lets the peer read what was sent.
        let now = Instant::now();
        let lingering = Lingering {
            conn,
            place: self.place(),
            label: std::mem::take(&mut self.label),
            deadline: if closed { now } else { now + CLOSE_FLUSH },
            untaken: Untaken::default(),
        };
        // Posted even from the control thread itself, because a callback may be running.
        self.control.post(move |_| lingering.begin());
    }
}

/// Called by the C core.
struct Events(Weak<Link>);

impl Events {
    fn change(&self, f: impl FnOnce(&Link, &mut Status)) -> Option<Arc<Link>> {
        let link = self.0.upgrade()?;
        f(&link, &mut lock(&link.status));
        link.tell();
        Some(link)
    }
}

impl ConnEvents for Events {
    fn name(&self) -> String {
        let link = self.0.upgrade();
        link.map_or_else(|| "an interface".into(), |link| link.label.clone())
    }

    fn connected(&self) {
        let link = self.change(|link, status| {
            link.counters.link(link.queues());
            status.went_up();
        });
        if let Some(link) = link {
            link.ring(|| None); // it may have more queues than the one before
            link.listener.went_up(&link);
        }
    }

    fn disconnected(&self, reason: &str) {
        let link = self.change(|link, status| {
            if let Ok(conn) = link.conn() {
                link.counters.went_down(|queue| conn.tx_pending(queue).0);
            }
            status.up = false;
            status.last_disconnect = reason.into();
        });
        if let Some(link) = link {
            let doing = format!("the link went down ({reason})");
            link.ring(|| Some(link.error(ErrorKind::Disconnected, &doing)));
            link.listener.went_down(&link);
        }
    }

    fn failed(&self, err: i32, refused: bool, reason: &str, peer: &str) {
        self.change(|link, status| {
            let kind = ErrorKind::from_code(err);
            // A master waits for the next slave, whatever the last one said.
            if link.config.role == Role::Slave {
                if refused {
                    let words = reason.strip_prefix("the peer says: ").unwrap_or(reason);
                    status.refused(Error::Refused(Arc::new(Refusal {
                        interface: link.label.clone(),
                        peer: peer.into(),
                        kind,
                        reason: words.into(),
                    })));
                } else if kind == ErrorKind::IncompatibleProtocol {
                    status.refused(link.error(kind, reason));
                }
            }
            status.failure = Some(ConnectFailure {
                kind,
                refused,
                reason: reason.into(),
            });
        });
    }
}
