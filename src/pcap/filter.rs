//! Which packets are wanted, in libpcap's language.

use crate::error::Error;
use crate::ffi::libpcap::Program;
use crate::packet::link_type::LinkType;

/// A filter expression as tcpdump takes it, compiled by libpcap. Needs the feature `filter`.
///
/// libpcap is loaded when the first filter is made. Where it is not installed that fails, with an
/// error that says so.
///
/// ```
/// use memif::LinkType;
/// use memif::pcap::Filter;
///
/// # if let Err(e) = Filter::new(LinkType::RAW, "") {
/// #     assert!(e.to_string().contains("libpcap, which is not installed"), "{e}");
/// #     return Ok(());
/// # }
/// let filter = Filter::new(LinkType::RAW, "udp port 9")?;
/// assert!(!filter.matches(&[0x60; 40]));
/// let error = Filter::new(LinkType::RAW, "udp prt 9").unwrap_err();
/// assert!(error.to_string().contains("syntax error"));
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Debug)]
pub struct Filter(Program);

impl Filter {
    /// Compiles an expression for packets that begin with such a header. An empty one matches every
    /// packet. Names in it, of hosts for one, are looked up, which may block.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with libpcap's message when the expression is wrong, or does not fit the
    /// link type, and where libpcap is not installed.
    pub fn new(link_type: LinkType, expression: &str) -> Result<Self, Error> {
        // libpcap has a number of its own for raw IP.
        let number = match u32::from(link_type) {
            101 => 12,
            other => i32::try_from(other).unwrap_or(i32::MAX),
        };
        let wrong = |says| {
            let problem = format!(
                "'{expression}': {says}; the syntax is that of pcap-filter(7), as 'udp port 9'"
            );
            Error::config("filter", problem)
        };
        Program::compile(number, expression)
            .map(Self)
            .map_err(wrong)
    }

    /// Whether a packet is wanted. Bytes that were cut off don't match anything.
    #[inline]
    pub fn matches(&self, packet: &[u8]) -> bool {
        self.0.matches(packet)
    }
}
