//! The filter at the end of a command line.

use std::ffi::OsStr;

use memif::LinkType;
use memif::pcap::Filter;

use crate::failure::Failure;

/// Which packets are wanted; all of them without an expression.
#[derive(Debug, Default)]
pub(crate) struct PacketFilter(Option<Filter>);

impl PacketFilter {
    /// From the words of the command line, joined by spaces.
    pub(crate) fn new<W: AsRef<OsStr>>(words: &[W], link_type: LinkType) -> Result<Self, Failure> {
        let words: Vec<_> = words
            .iter()
            .map(|word| word.as_ref().to_string_lossy())
            .collect();
        let expression = words.join(" ");
        if expression.trim().is_empty() {
            return Ok(Self::default());
        }
        Ok(Self(Some(Filter::new(link_type, &expression)?)))
    }

    /// Whether it lets every packet pass.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(crate) fn matches(&self, packet: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|filter| filter.matches(packet))
    }
}
