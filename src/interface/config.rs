//! How an interface is set up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Error, LinkType, Memif};

/// Bytes of an interface's or a program's name; longer ones are cut, with a warning.
pub(crate) const NAME_MAX: usize = 31;
const SECRET_MAX: usize = 24;
const PATH_MAX: usize = 107;
const QUEUES_MAX: u16 = 255;
const LOG2_RING_SIZE_MAX: u8 = 14;

/// Which side of the link this is. The slave (client) makes the shared memory
/// and connects; the master (server) listens.
///
/// ```
/// use memif::Role;
///
/// assert_eq!("server".parse(), Ok(Role::Master));
/// assert_eq!(Role::Slave.to_string(), "slave");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Listens on the socket; DPDK calls it server.
    Master,
    /// Connects to the socket and owns the memory; DPDK calls it client.
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Slave => "slave",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "master" | "server" => Ok(Self::Master),
            "slave" | "client" => Ok(Self::Slave),
            _ => Err(format!(
                "'{s}' is no role: master (server) or slave (client)"
            )),
        }
    }
}

/// What packets begin with; both sides must have the same.
///
/// ```
/// use memif::{IfMode, LinkType};
///
/// assert_eq!("ip".parse(), Ok(IfMode::Ip));
/// assert_eq!(IfMode::Ip.link_type(), LinkType::RAW);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IfMode {
    /// An Ethernet header. DPDK knows no other mode.
    #[default]
    Ethernet,
    /// An IPv4 or IPv6 header.
    Ip,
    /// VPP's punt/inject; the packets have VPP's own header.
    PuntInject,
}

impl IfMode {
    /// The link type of a capture of such an interface; punt/inject, which has
    /// none of its own, counts as Ethernet.
    pub fn link_type(self) -> LinkType {
        match self {
            Self::Ip => LinkType::RAW,
            Self::Ethernet | Self::PuntInject => LinkType::ETHERNET,
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Ethernet => 0,
            Self::Ip => 1,
            Self::PuntInject => 2,
        }
    }
}

impl fmt::Display for IfMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "ethernet",
            Self::Ip => "ip",
            Self::PuntInject => "punt-inject",
        })
    }
}

impl FromStr for IfMode {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "ethernet" => Ok(Self::Ethernet),
            "ip" => Ok(Self::Ip),
            "punt-inject" => Ok(Self::PuntInject),
            _ => Err(format!("'{s}' is no mode: ethernet, ip or punt-inject")),
        }
    }
}

/// A function that is called on the control thread.
pub(crate) type Callback = Arc<dyn Fn(&Memif) + Send + Sync>;

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
    pub(crate) socket: String,
    pub(crate) id: u32,
    pub(crate) role: Role,
    pub(crate) mode: IfMode,
    pub(crate) name: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) rx_queues: u16,
    pub(crate) tx_queues: u16,
    pub(crate) buffer_size: u16,
    pub(crate) log2_ring_size: u8,
    pub(crate) allow_unsealed: bool,
    pub(crate) on_connect: Option<Callback>,
    pub(crate) on_disconnect: Option<Callback>,
}

impl MemifConfig {
    /// A slave with id 0 in Ethernet mode, one queue each way, 1024 slots a
    /// ring, 2048 bytes a buffer, no secret.
    ///
    /// `socket` is the path of the control socket, at most 107 bytes; a leading
    /// `@` makes it an abstract name (DPDK's default form).
    pub fn new(socket: impl Into<String>) -> Self {
        Self {
            socket: socket.into(),
            id: 0,
            role: Role::Slave,
            mode: IfMode::Ethernet,
            name: "memif".into(),
            secret: Vec::new(),
            rx_queues: 1,
            tx_queues: 1,
            buffer_size: 2048,
            log2_ring_size: 10,
            allow_unsealed: false,
            on_connect: None,
            on_disconnect: None,
        }
    }

    /// The interface id: both sides of a link have the same.
    pub fn id(mut self, id: u32) -> Self {
        self.id = id;
        self
    }

    /// Master or slave.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// What packets begin with.
    pub fn mode(mut self, mode: IfMode) -> Self {
        self.mode = mode;
        self
    }

    /// The interface's name, told to the peer. Longer than 31 bytes it is cut, with a warning.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The secret, at most 24 bytes without NUL; a master with a secret refuses slaves without
    /// it. Empty: none. A longer one is an error, as cutting it would change who may connect.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = secret.into();
        self
    }

    /// Queues to receive from and to send to, 1 to 255 each; 0 means 1. The
    /// slave settles on what both sides have.
    pub fn queues(mut self, rx: u16, tx: u16) -> Self {
        self.rx_queues = rx;
        self.tx_queues = tx;
        self
    }

    /// Bytes of a buffer, 1 to 65535; 0 means 2048. Longer packets cross as
    /// chains. The slave's setting counts. Below 64 a master of this crate may take the slave for
    /// an attacker, as chains of more than 1024 buffers come of it.
    pub fn buffer_size(mut self, bytes: u16) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// Slots of each ring as a power of two, 1 to 14; 0 means 10. The slave's setting counts.
    pub fn log2_ring_size(mut self, log2: u8) -> Self {
        self.log2_ring_size = log2;
        self
    }

    /// Master only: accept memory that the peer could take away while it is being read, which
    /// kills this process. Needed for peers with hugepage memory, as DPDK's zero-copy clients.
    pub fn allow_unsealed_regions(mut self, allow: bool) -> Self {
        self.allow_unsealed = allow;
        self
    }

    /// Called on the control thread whenever the link has come up. It may use
    /// the interface, and create and close interfaces, but should not block.
    pub fn on_connect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.on_connect = Some(Arc::new(f));
        self
    }

    /// Called on the control thread whenever the link has gone down.
    pub fn on_disconnect(mut self, f: impl Fn(&Memif) + Send + Sync + 'static) -> Self {
        self.on_disconnect = Some(Arc::new(f));
        self
    }

    /// The control socket.
    pub fn socket(&self) -> &str {
        &self.socket
    }

    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let path = &self.socket;
        if path.is_empty() || path == "@" {
            return Err(Error::config("socket", "the path is empty"));
        }
        if path.len() > PATH_MAX {
            return Err(Error::config(
                "socket",
                format!(
                    "{path} has {} bytes, a socket's path may have {PATH_MAX}: try a shorter folder",
                    path.len()
                ),
            ));
        }
        if path.contains('\0') {
            return Err(Error::config("socket", "the path contains a NUL byte"));
        }
        if self.secret.len() > SECRET_MAX {
            return Err(Error::config(
                "secret",
                format!(
                    "it has {} bytes, at most {SECRET_MAX} are possible",
                    self.secret.len()
                ),
            ));
        }
        if self.secret.contains(&0) {
            return Err(Error::config("secret", "it contains a NUL byte"));
        }
        for (what, count) in [
            ("receive queues", self.rx_queues),
            ("transmit queues", self.tx_queues),
        ] {
            if count > QUEUES_MAX {
                return Err(Error::config(
                    what,
                    format!("{count} asked for, at most {QUEUES_MAX} are possible"),
                ));
            }
        }
        if self.log2_ring_size > LOG2_RING_SIZE_MAX {
            return Err(Error::config(
                "ring size",
                format!(
                    "2^{} slots asked for, 2^1 to 2^{LOG2_RING_SIZE_MAX} are possible",
                    self.log2_ring_size
                ),
            ));
        }
        self.name = cut_name("interface name", self.name);
        self.rx_queues = self.rx_queues.max(1);
        self.tx_queues = self.tx_queues.max(1);
        if self.buffer_size == 0 {
            self.buffer_size = 2048;
        }
        if self.log2_ring_size == 0 {
            self.log2_ring_size = 10;
        }
        Ok(self)
    }
}

/// The secret is not shown.
impl fmt::Debug for MemifConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemifConfig")
            .field("socket", &self.socket)
            .field("id", &self.id)
            .field("role", &self.role)
            .field("mode", &self.mode)
            .field("name", &self.name)
            .field("secret", &(!self.secret.is_empty()).then_some("…"))
            .field("rx_queues", &self.rx_queues)
            .field("tx_queues", &self.tx_queues)
            .field("buffer_size", &self.buffer_size)
            .field("log2_ring_size", &self.log2_ring_size)
            .finish_non_exhaustive()
    }
}

/// Cuts a name to its field on the wire, at a character's end.
pub(crate) fn cut_name(what: &str, mut name: String) -> String {
    let mut end = name.find('\0').unwrap_or(name.len()).min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if end < name.len() {
        log::warn!("{what} {name:?} is cut to {end} bytes: {:?}", &name[..end]);
        name.truncate(end);
    }
    name
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
            let error = config.checked().unwrap_err();
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
