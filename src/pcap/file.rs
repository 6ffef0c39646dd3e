//! Files on the disk, plain or compressed.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "compress")]
use super::ahead::Ahead;
use crate::error::Error;

/// How a file is compressed. Compression needs the feature `compress`.
///
/// ```
/// use memif::pcap::Compression;
///
/// assert_eq!(Compression::of_name("x.pcapng.zst"), Compression::Zstd);
/// assert_eq!(Compression::of_name("x.pcapng"), Compression::None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    None,
    /// gzip, `.gz`.
    Gzip,
    /// Zstandard, `.zst`.
    Zstd,
}

impl Compression {
    /// The compression that the end of a file name stands for.
    pub fn of_name(path: impl AsRef<Path>) -> Self {
        match path.as_ref().extension().and_then(|end| end.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }

    #[cfg(feature = "compress")]
    fn of_magic(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// How hard a compressor tries, and in how many threads.
///
/// ```
/// use memif::LinkType;
/// use memif::pcap::{Compression, Effort, PcapWriter};
///
/// let mut effort = Effort::default();
/// (effort.threads, effort.level) = (2, Some(1));
/// # if cfg!(feature = "compress") {
/// let (file, zstd) = (Vec::new(), Compression::Zstd);
/// PcapWriter::compressed_by(effort, file, zstd, LinkType::ETHERNET, None)?.close()?;
/// # }
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Effort {
    /// Threads beside the caller's, which have up to some megabytes each, and which a flush waits
    /// for. With 0 the caller's does it.
    pub threads: u32,
    /// As the tools of the compression have it: 0 to 9 for gzip, usually 6; for Zstandard 1 to 22,
    /// usually 3, and below 0 for those in a hurry.
    pub level: Option<i32>,
}

/// A file that is decompressed while it is read, if its first bytes show that it is compressed.
///
/// Without the feature `compress` the bytes are returned as they are.
///
/// ```no_run
/// use memif::pcap::{CaptureReader, FileReader};
///
/// // As `CaptureReader::open("x.pcap.gz")` does.
/// let reader = CaptureReader::new(FileReader::open("x.pcap.gz")?)?;
/// # Ok::<(), memif::Error>(())
/// ```
pub struct FileReader {
    reader: Box<dyn Read + Send + Sync>,
    #[cfg(feature = "compress")]
    compression: Compression,
    position: Arc<AtomicU64>,
}

impl FileReader {
    /// Opens a file. Blocks until it has four bytes, which may take a while for a named pipe.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file can't be opened or read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |error| Error::io(format!("opening {}", path.display()), error);
        Self::new(File::open(path).map_err(failed)?).map_err(failed)
    }

    /// Reads from any reader, for example standard input. Blocks until it has four bytes.
    ///
    /// # Errors
    ///
    /// The errors of the reader.
    pub fn new(reader: impl Read + Send + Sync + 'static) -> io::Result<Self> {
        let position = Arc::<AtomicU64>::default();
        let mut reader = Counting {
            reader,
            position: Arc::clone(&position),
        };
        let mut magic = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut magic)?;
        #[cfg(feature = "compress")]
        let compression = Compression::of_magic(&magic);
        let reader = Cursor::new(magic).chain(reader);
        #[cfg(feature = "compress")]
        let reader: Box<dyn Read + Send + Sync> = match compression {
            Compression::None => Box::new(reader),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Compression::Zstd => Box::new(zstd::Decoder::new(reader)?),
        };
        #[cfg(not(feature = "compress"))]
        let reader = Box::new(reader);
        Ok(Self {
            reader,
            #[cfg(feature = "compress")]
            compression,
            position,
        })
    }

    /// The same, decompressed by a thread, if there is anything to decompress.
    pub(super) fn decompress_ahead(self) -> io::Result<Self> {
        #[cfg(feature = "compress")]
        if self.compression != Compression::None {
            return Ok(Self {
                reader: Box::new(Ahead::new(self.reader)?),
                compression: Compression::None, // nothing is left to do
                position: self.position,
            });
        }
        Ok(self)
    }

    /// The number of bytes that have been read from the file, before decompression.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

struct Counting<R> {
    reader: R,
    position: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
