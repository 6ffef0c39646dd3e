//! The settings of an interface, as the lower floors see them.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;
use crate::packet::link_type::LinkType;

/// The most bytes that the name of an interface or program has. Longer names are cut, with a
/// warning.
pub(crate) const NAME_MAX: usize = 31;
const SECRET_MAX: usize = 24;
const PATH_MAX: usize = 107;
const LOG2_RING_SIZE_MAX: u8 = 14;

/// Which side of the link this is. The slave (client) connects and creates the shared memory. The
/// master (server) listens.
///
/// ```
/// use memif::Role;
///
/// assert_eq!("server".parse(), Ok(Role::Master));
/// assert_eq!(Role::Slave.to_string(), "slave");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Listens on the socket. DPDK calls it server.
    Master,
    /// Connects to the socket and creates the shared memory. DPDK calls it client.
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

/// What a packet begins with. Both sides must use the same mode.
///
/// ```
/// use memif::{IfMode, LinkType};
///
/// assert_eq!("ip".parse(), Ok(IfMode::Ip));
/// assert_eq!(IfMode::Ip.link_type(), LinkType::RAW);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IfMode {
    /// An Ethernet header. DPDK supports no other mode.
    #[default]
    Ethernet,
    /// An IPv4 or IPv6 header.
    Ip,
    /// VPP's punt/inject mode. The packets begin with VPP's own header.
    PuntInject,
}

impl IfMode {
    /// The link type for captures of such an interface. Punt/inject mode has none and counts as
    /// Ethernet.
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

/// The settings of an interface.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) socket: PathBuf,
    pub(crate) id: u32,
    pub(crate) role: Role,
    pub(crate) mode: IfMode,
    pub(crate) name: String,
    pub(crate) secret: Vec<u8>,
    /// To receive from and to send to; `None`: what the role has by default.
    pub(crate) queues: Option<(u8, u8)>,
    pub(crate) buffer_size: u16,
    pub(crate) log2_ring_size: u8,
    pub(crate) allow_unsealed: bool,
}

impl Settings {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            id: 0,
            role: Role::Slave,
            mode: IfMode::Ethernet,
            name: "memif".into(),
            secret: Vec::new(),
            queues: None,
            buffer_size: 2048,
            log2_ring_size: 10,
            allow_unsealed: false,
        }
    }

    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        let path = self.socket.as_os_str().as_bytes();
        if path.is_empty() || path == b"@" {
            return Err(Error::config("socket", "the path is empty"));
        }
        if path.len() > PATH_MAX {
            return Err(Error::config(
                "socket",
                format!(
                    "{} has {} bytes, a socket's path may have {PATH_MAX}: try a shorter folder",
                    self.socket.display(),
                    path.len()
                ),
            ));
        }
        if path.contains(&0) {
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
        if let Some((0, _) | (_, 0)) = self.queues {
            return Err(Error::config(
                "queues",
                "0 asked for, 1 to 255 are possible",
            ));
        }
        if self.buffer_size == 0 {
            return Err(Error::config(
                "buffer size",
                "0 bytes asked for, 1 to 65535 are possible",
            ));
        }
        if !(1..=LOG2_RING_SIZE_MAX).contains(&self.log2_ring_size) {
            return Err(Error::config(
                "ring size",
                format!(
                    "2^{} slots asked for, 2^1 to 2^{LOG2_RING_SIZE_MAX} are possible",
                    self.log2_ring_size
                ),
            ));
        }
        self.name = cut_name("interface name", self.name);
        Ok(self)
    }

    /// How many queues there can be to receive from, and to send to. A master takes all that a
    /// slave has, unless told otherwise.
    fn most_queues(&self) -> (u8, u8) {
        self.queues.unwrap_or(match self.role {
            Role::Master => (u8::MAX, u8::MAX),
            Role::Slave => (1, 1),
        })
    }

    pub(crate) fn rx_queues(&self) -> u8 {
        self.most_queues().0
    }

    pub(crate) fn tx_queues(&self) -> u8 {
        self.most_queues().1
    }
}

/// Prints the name of the public type, and does not show the secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemifConfig")
            .field("socket", &self.socket)
            .field("id", &self.id)
            .field("role", &self.role)
            .field("mode", &self.mode)
            .field("name", &self.name)
            .field("secret", &(!self.secret.is_empty()).then_some("…"))
            .field("queues", &self.queues)
            .field("buffer_size", &self.buffer_size)
            .field("log2_ring_size", &self.log2_ring_size)
            .finish_non_exhaustive()
    }
}

/// Cuts a name to the size of its field on the wire, at the end of a character.
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
