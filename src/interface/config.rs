//! The settings of an interface.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::Memif;
use super::events::Callbacks;
use crate::config::{IfMode, Role, Settings};
use crate::error::Error;

/// The settings of an interface. Each method sets one of them.
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
/// assert_eq!(config.socket().to_str(), Some("/run/vpp/memif.sock"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct MemifConfig {
    settings: Settings,
    callbacks: Callbacks,
}

impl MemifConfig {
    /// The default settings: a slave with id 0 in Ethernet mode, one queue in each direction, rings
    /// of 1024 slots, buffers of 2048 bytes, no secret. A master takes the queues, rings and
    /// buffers that its slave brings.
    ///
    /// `socket` is the path of the control socket, at most 107 bytes. A leading `@` makes it an
    /// abstract name, as in the settings of VPP and DPDK; see
    /// [`with_abstract`](Self::with_abstract).
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            settings: Settings::new(socket.as_ref().to_owned()),
            callbacks: Callbacks::default(),
        }
    }

    /// Like [`new`](Self::new), with a socket in the abstract namespace: it has a name of at most
    /// 106 bytes, and no file. It is DPDK's default.
    ///
    /// ```
    /// use memif::MemifConfig;
    ///
    /// let config = MemifConfig::with_abstract("memif.sock");
    /// assert_eq!(config.socket().to_str(), Some("@memif.sock"));
    /// ```
    pub fn with_abstract(name: impl AsRef<OsStr>) -> Self {
        let mut socket = OsString::from("@");
        socket.push(name);
        Self::new(socket)
    }

    /// The interface id, 0 by default. Both sides of a link must use the same id.
    pub fn id(mut self, id: u32) -> Self {
        self.settings.id = id;
        self
    }

    /// Master or slave; slave by default.
    pub fn role(mut self, role: Role) -> Self {
        self.settings.role = role;
        self
    }

    /// What a packet begins with; an Ethernet header by default. Both sides must use the same mode.
    pub fn mode(mut self, mode: IfMode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// The interface's name, which the peer is told. Names above 31 bytes are cut, with a warning.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The secret, at most 24 bytes without NUL; empty for none. A master with a secret refuses
    /// slaves that do not know it. A longer secret is an error when the interface is created,
    /// because cutting it would change who may connect.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.settings.secret = secret.into();
        self
    }

    /// The number of receive queues and transmit queues, 1 to 255 each. A link gets as many as both
    /// sides support, so on a master this is the most that it takes.
    ///
    /// By default a slave has one queue in each direction, and a master takes as many as the slave
    /// brings. [`Memif::rx_queues`] and [`Memif::tx_queues`] tell how many the present link has.
    pub fn queues(mut self, rx: u8, tx: u8) -> Self {
        self.settings.queues = Some((rx, tx));
        self
    }

    /// The size of a buffer in bytes, 1 to 65535; 2048 by default. The slave's setting applies.
    /// Packets that are longer than a buffer are sent as chains of buffers. With less than 64
    /// bytes, long packets become chains of more than 1024 buffers, for which a master of this
    /// crate ends the link.
    pub fn buffer_size(mut self, bytes: u16) -> Self {
        self.settings.buffer_size = bytes;
        self
    }

    /// log2 of the number of slots in each ring, 1 to 14; 10 by default. The slave's setting
    /// applies.
    pub fn log2_ring_size(mut self, log2: u8) -> Self {
        self.settings.log2_ring_size = log2;
        self
    }

    /// For a master: accepts memory that the peer could take away. If the peer does so while the
    /// memory is read, this process is killed. Peers with hugepage memory need it, for example
    /// DPDK's zero-copy clients. `false` by default.
    pub fn allow_unsealed_regions(mut self, allow: bool) -> Self {
        self.settings.allow_unsealed = allow;
        self
    }

    /// A function that is called on the control thread whenever the link has come up. It may use
    /// the interface, and create and close interfaces, but should not block.
    pub fn on_connect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.callbacks.on_connect = Some(Arc::new(f));
        self
    }

    /// A function that is called on the control thread whenever the link has gone down. The rules
    /// are those of [`on_connect`](Self::on_connect).
    pub fn on_disconnect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.callbacks.on_disconnect = Some(Arc::new(f));
        self
    }

    /// The control socket.
    pub fn socket(&self) -> &Path {
        &self.settings.socket
    }

    /// Checks the settings. Returns those of the link, and the callbacks.
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
    fn names_are_cut_at_the_end_of_a_character() {
        let config = MemifConfig::new("@x").name("ä".repeat(20));
        assert_eq!(config.settings.checked().unwrap().name, "ä".repeat(15));
    }

    #[test]
    fn a_master_takes_what_comes_unless_told_otherwise() {
        let queues = |config: MemifConfig| {
            let settings = config.settings.checked().unwrap();
            (settings.rx_queues(), settings.tx_queues())
        };
        let config = MemifConfig::new("@x");
        assert_eq!(queues(config.clone()), (1, 1));
        assert_eq!(queues(config.clone().role(Role::Master)), (255, 255));
        assert_eq!(queues(config.queues(2, 3).role(Role::Master)), (2, 3));
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
            (MemifConfig::new("a").queues(0, 1), "0 asked for"),
            (MemifConfig::new("a").queues(1, 0), "0 asked for"),
            (MemifConfig::new("a").buffer_size(0), "0 bytes"),
            (MemifConfig::new("a").log2_ring_size(0), "2^0"),
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
