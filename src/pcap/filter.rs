//! Filters in libpcap's language.

use std::fmt;

use pcap::{BpfProgram, Capture, Linktype};

use crate::error::Error;
use crate::packet::link_type::LinkType;

/// A filter expression in the language of tcpdump, compiled by libpcap. Needs the feature `filter`.
///
/// ```
/// use memif::LinkType;
/// use memif::pcap::Filter;
///
/// let filter = Filter::new(LinkType::RAW, "udp port 9")?;
/// assert!(!filter.matches(&[0x60; 40]));
/// let error = Filter::new(LinkType::RAW, "udp prt 9").unwrap_err();
/// assert!(error.to_string().contains("syntax error"));
/// # Ok::<(), memif::Error>(())
/// ```
pub struct Filter {
    program: BpfProgram,
    expression: String,
}

impl Filter {
    /// Compiles an expression for packets of this link type. An empty expression matches every
    /// packet. Names in it, for example of hosts, are resolved, which may block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with libpcap's message if the expression is invalid or does not fit the
    /// link type.
    pub fn new(link_type: LinkType, expression: &str) -> Result<Self, Error> {
        let wrong = |error: pcap::Error| {
            let says = match error {
                pcap::Error::PcapError(text) => text,
                other => other.to_string(),
            };
            Error::config(
                "filter",
                format!(
                    "'{expression}': {says}; the language is that of pcap-filter(7), as 'udp port 9'"
                ),
            )
        };
        // libpcap uses another number for raw IP.
        let number = match u32::from(link_type) {
            101 => 12,
            other => i32::try_from(other).unwrap_or(i32::MAX),
        };
        let program = Capture::dead(Linktype(number))
            .and_then(|capture| capture.compile(expression, true))
            .map_err(wrong)?;
        Ok(Self {
            program,
            expression: expression.to_owned(),
        })
    }

    /// Whether a packet matches. Bytes that were cut off match nothing.
    #[inline]
    pub fn matches(&self, packet: &[u8]) -> bool {
        self.program.filter(packet)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.expression).finish()
    }
}
