//! What the control thread tells of an interface.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::{ConnectFailure, Inner, Status};
use crate::context::lock;
use crate::error::REFUSES;
use crate::ffi::ConnEvents;
use crate::{ErrorKind, Memif, Role};

/// What the C core calls.
pub(super) struct Events(pub(super) Weak<Inner>);

impl Events {
    fn change(&self, f: impl FnOnce(&Inner, &mut Status)) -> Option<Arc<Inner>> {
        let inner = self.0.upgrade()?;
        f(&inner, &mut lock(&inner.status));
        inner.tell();
        Some(inner)
    }
}

impl ConnEvents for Events {
    fn name(&self) -> String {
        let inner = self.0.upgrade();
        inner.map_or_else(|| "an interface".into(), |inner| inner.label.clone())
    }

    fn connected(&self) {
        let inner = self.change(|inner, status| {
            inner.counters.links.fetch_add(1, Ordering::Relaxed);
            *status = Status {
                up: true,
                last_disconnect: std::mem::take(&mut status.last_disconnect),
                ..Status::default()
            };
        });
        if let Some(inner) = inner
            && let Some(f) = inner.config.on_connect.clone()
        {
            f(&Memif::from_inner(inner));
        }
    }

    fn disconnected(&self, reason: &str) {
        let inner = self.change(|_, status| {
            status.up = false;
            status.last_disconnect = reason.into();
        });
        if let Some(inner) = &inner {
            let code = ErrorKind::Disconnected.code();
            inner.ring(|| Some(inner.error(code, &format!("the link went down ({reason})"))));
        }
        if let Some(inner) = inner
            && let Some(f) = inner.config.on_disconnect.clone()
        {
            f(&Memif::from_inner(inner));
        }
    }

    fn failed(&self, err: i32, refused: bool, reason: &str) {
        self.change(|inner, status| {
            let kind = ErrorKind::from_code(err);
            // A master waits for the next slave, whatever the last one said.
            if refused && inner.config.role == Role::Slave {
                let words = reason.strip_prefix("the peer says: ").unwrap_or(reason);
                let context = format!("{REFUSES}{words}");
                status.refusal = Some(inner.error(err, &context));
            } else if kind == ErrorKind::IncompatibleProtocol && inner.config.role == Role::Slave {
                status.refusal = Some(inner.error(err, reason));
            }
            status.failure = Some(ConnectFailure {
                kind,
                refused,
                reason: reason.into(),
            });
        });
    }
}
