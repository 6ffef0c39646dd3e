//! What a file says of an interface.

use crate::packet::link_type::LinkType;

/// The description of an interface in a pcapng file. A pcap file has one without a name.
///
/// ```
/// use memif::LinkType;
/// use memif::pcap::InterfaceInfo;
///
/// let mut interface = InterfaceInfo::new("memif0", LinkType::ETHERNET);
/// interface.description = "memif id 0 on /run/vpp/memif.sock, peer VPP".into();
/// assert_eq!(interface.snaplen, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// The short name, at most 65,535 bytes.
    pub name: String,
    /// A longer description, at most 65,535 bytes; empty for none.
    pub description: String,
    /// What its packets begin with.
    pub link_type: LinkType,
    /// The snap length, at least 1: longer packets are cut to this many bytes. `None`:
    /// [`DEFAULT_SNAPLEN`](crate::DEFAULT_SNAPLEN) when a file is written, no limit in one that is
    /// read.
    pub snaplen: Option<u32>,
}

impl InterfaceInfo {
    /// An interface without a description, with the default snap length.
    pub fn new(name: impl Into<String>, link_type: LinkType) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            link_type,
            snaplen: None,
        }
    }
}
