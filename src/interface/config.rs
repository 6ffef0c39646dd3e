//! How an interface is set up.

use std::fmt;
use std::sync::Arc;

use super::Memif;
use super::events::Callbacks;
use crate::config::{IfMode, Role, Settings};
use crate::error::Error;

/// The settings of an interface, set one after the other.
///
/// Zeros mean the default, where one is named.
///
/// ```
/// use memif::{MemifConfig, Role};
///
/// let config = MemifConfig::new("/run/vpp/memif.sock")
///     .role(Role::Slave)
///     .id(7)
///     .name("capture0")
///     .queues(2, 2)
///     .on_connect(|memif| println!("{memif} is up"));
/// assert_eq!(config.socket(), "/run/vpp/memif.sock");
/// ```
#[derive(Clone)]
pub struct MemifConfig {
    settings: Settings,
    callbacks: Callbacks,
}

impl MemifConfig {
    /// A slave with id 0 in Ethernet mode, one queue each way, 1024 slots a
    /// ring, 2048 bytes a buffer, no secret.
    ///
    /// `socket` is the path of the control socket, at most 107 bytes; a leading
    /// `@` makes it an abstract name (DPDK's default form).
    pub fn new(socket: impl Into<String>) -> Self {
        Self {
            settings: Settings::new(socket.into()),
            callbacks: Callbacks::default(),
        }
    }

    /// The interface id: both sides of a link have the same.
    pub fn id(mut self, id: u32) -> Self {
        self.settings.id = id;
        self
    }

    /// Master or slave.
    pub fn role(mut self, role: Role) -> Self {
        self.settings.role = role;
        self
    }

    /// What packets begin with.
    pub fn mode(mut self, mode: IfMode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// The interface's name, told to the peer. Longer than 31 bytes it is cut, with a warning.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The secret, at most 24 bytes without NUL; a master with a secret refuses slaves without
    /// it. Empty: none. A longer one is an error, as cutting it would change who may connect.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.settings.secret = secret.into();
        self
    }

    /// Queues to receive from and to send to, 1 to 255 each; 0 means 1. The
    /// slave settles on what both sides have.
    pub fn queues(mut self, rx: u16, tx: u16) -> Self {
        self.settings.rx_queues = rx;
        self.settings.tx_queues = tx;
        self
    }

    /// Bytes of a buffer, 1 to 65535; 0 means 2048. Longer packets cross as
    /// chains. The slave's setting counts. Below 64 a master of this crate may take the slave for
    /// an attacker, as chains of more than 1024 buffers come of it.
    pub fn buffer_size(mut self, bytes: u16) -> Self {
        self.settings.buffer_size = bytes;
        self
    }

    /// Slots of each ring as a power of two, 1 to 14; 0 means 10. The slave's setting counts.
    pub fn log2_ring_size(mut self, log2: u8) -> Self {
        self.settings.log2_ring_size = log2;
        self
    }

    /// Master only: accept memory that the peer could take away while it is being read, which
    /// kills this process. Needed for peers with hugepage memory, as DPDK's zero-copy clients.
    pub fn allow_unsealed_regions(mut self, allow: bool) -> Self {
        self.settings.allow_unsealed = allow;
        self
    }

    /// Called on the control thread whenever the link has come up. It may use
    /// the interface, and create and close interfaces, but should not block.
    pub fn on_connect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.callbacks.on_connect = Some(Arc::new(f));
        self
    }

    /// Called on the control thread whenever the link has gone down.
    pub fn on_disconnect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.callbacks.on_disconnect = Some(Arc::new(f));
        self
    }

    /// The control socket.
    pub fn socket(&self) -> &str {
        &self.settings.socket
    }

    /// What the link is made with, and who is told of it.
    pub(crate) fn checked(self) -> Result<(Settings, Callbacks), Error> {
        Ok((self.settings.checked()?, self.callbacks))
    }
}

impl fmt::Debug for MemifConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_zeros_become_defaults() {
        let config = MemifConfig::new("@x")
            .name("ä".repeat(20))
            .queues(0, 0)
            .buffer_size(0)
            .log2_ring_size(0)
            .settings
            .checked()
            .unwrap();
        assert_eq!(config.name, "ä".repeat(15));
        assert_eq!((config.rx_queues, config.tx_queues), (1, 1));
        assert_eq!((config.buffer_size, config.log2_ring_size), (2048, 10));
    }

    #[test]
    fn what_would_change_the_meaning_is_refused() {
        let long = "/tmp/".to_owned() + &"x".repeat(103);
        for (config, says) in [
            (MemifConfig::new(long), "108 bytes"),
            (MemifConfig::new(""), "empty"),
            (MemifConfig::new("@"), "empty"),
            (MemifConfig::new("a\0b"), "NUL"),
            (MemifConfig::new("a").secret([b'x'; 25]), "25 bytes"),
            (MemifConfig::new("a").secret("x\0y"), "NUL"),
            (MemifConfig::new("a").queues(256, 1), "256"),
            (MemifConfig::new("a").queues(1, 256), "256"),
            (MemifConfig::new("a").log2_ring_size(15), "2^15"),
        ] {
            let error = config.settings.checked().unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.code(), 11);
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", MemifConfig::new("a").secret("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
