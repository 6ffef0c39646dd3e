//! The filter at the end of a command line.

use std::ffi::OsStr;

use memif::LinkType;

use crate::failure::Failure;

/// Which packets are wanted; all of them without an expression.
#[derive(Debug, Default)]
pub(crate) struct PacketFilter {
    #[cfg(feature = "filter")]
    filter: Option<memif::pcap::Filter>,
}

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
        Self::compile(&expression, link_type)
    }

    #[cfg(feature = "filter")]
    fn compile(expression: &str, link_type: LinkType) -> Result<Self, Failure> {
        let filter = memif::pcap::Filter::new(link_type, expression)?;
        Ok(Self {
            filter: Some(filter),
        })
    }

    #[cfg(not(feature = "filter"))]
    fn compile(expression: &str, _link_type: LinkType) -> Result<Self, Failure> {
        Err(Failure::Usage(format!(
            "'{expression}': this memif was built without filter support"
        )))
    }

    /// Whether it lets every packet pass.
    pub(crate) fn is_open(&self) -> bool {
        #[cfg(feature = "filter")]
        return self.filter.is_none();
        #[cfg(not(feature = "filter"))]
        true
    }

    #[inline]
    pub(crate) fn matches(&self, packet: &[u8]) -> bool {
        #[cfg(feature = "filter")]
        return self
            .filter
            .as_ref()
            .is_none_or(|filter| filter.matches(packet));
        #[cfg(not(feature = "filter"))]
        {
            let _ = packet;
            true
        }
    }
}
