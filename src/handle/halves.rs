//! A handle in two halves, and in one again.

use std::fmt;

use super::{PacketHandle, PacketReader, PacketWriter};

impl PacketHandle {
    /// Splits the handle into a reading and a writing half, for two threads. Closing one half
    /// closes both.
    pub fn split(self) -> (PacketReader, PacketWriter) {
        (self.reader, self.writer)
    }
}

impl PacketReader {
    /// Makes one handle of the two halves again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of the same handle.
    ///
    /// ```
    /// # use memif::{Context, MemifConfig, Role};
    /// # let context = Context::new("doc")?;
    /// # let socket = format!("@memif-doc-reunite-{}", std::process::id());
    /// # let memif = context.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// let (reader, writer) = memif.packet_handle(0)?.split();
    /// let handle = reader.reunite(writer).expect("they belong together");
    /// # drop(handle);
    /// # Ok::<(), memif::Error>(())
    /// ```
    // Whoever gives away both halves gets both back.
    #[allow(clippy::result_large_err)]
    pub fn reunite(self, writer: PacketWriter) -> Result<PacketHandle, ReuniteError> {
        if !self.closer().is_same(&writer.closer()) {
            return Err(ReuniteError(self, writer));
        }
        Ok(PacketHandle {
            reader: self,
            writer,
        })
    }
}

/// Two halves that are not of the same handle.
#[derive(Debug)]
pub struct ReuniteError(pub PacketReader, pub PacketWriter);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different handles")
    }
}

impl std::error::Error for ReuniteError {}
