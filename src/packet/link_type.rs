//! What packets begin with.

use std::fmt;

/// What a packet begins with, as numbered in capture files (the LINKTYPE registry of tcpdump.org).
///
/// ```
/// use memif::LinkType;
///
/// assert_eq!(LinkType::from(101), LinkType::RAW);
/// assert_eq!(u32::from(LinkType::ETHERNET), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(u32);

impl LinkType {
    /// LINKTYPE_ETHERNET: an Ethernet header, without preamble and checksum (FCS).
    pub const ETHERNET: Self = Self(1);
    /// LINKTYPE_RAW: an IPv4 or IPv6 header. Its first four bits tell which.
    pub const RAW: Self = Self(101);
}

impl From<u32> for LinkType {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<LinkType> for u32 {
    fn from(link_type: LinkType) -> Self {
        link_type.0
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ETHERNET => f.write_str("Ethernet (1)"),
            Self::RAW => f.write_str("raw IP (101)"),
            Self(other) => write!(f, "link type {other}"),
        }
    }
}
