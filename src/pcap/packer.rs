//! Writers that compress.

use std::io::{self, Write};
#[cfg(feature = "compress")]
use std::ops::RangeInclusive;

use super::file::{Compression, Effort};
#[cfg(feature = "compress")]
use super::gzip::ParallelGzip;
use crate::error::Error;

/// A writer, with a compressor before it if asked for.
pub(super) enum Packer<W: Write> {
    Plain(W),
    #[cfg(feature = "compress")]
    Gzip(flate2::write::GzEncoder<W>),
    #[cfg(feature = "compress")]
    ParallelGzip(Box<ParallelGzip<W>>),
    #[cfg(feature = "compress")]
    Zstd(Box<zstd::Encoder<'static, W>>),
}

/// The usual levels.
#[cfg(feature = "compress")]
const GZIP_LEVEL: i32 = 6;
#[cfg(feature = "compress")]
const ZSTD_LEVEL: i32 = 3;

impl<W: Write> Packer<W> {
    pub(super) fn new(writer: W, compression: Compression, effort: Effort) -> Result<Self, Error> {
        #[cfg(not(feature = "compress"))]
        let _ = effort;
        #[cfg(feature = "compress")]
        let starting = |e| Error::io("starting to compress", e);
        Ok(match compression {
            Compression::None => Self::Plain(writer),
            #[cfg(feature = "compress")]
            Compression::Gzip => {
                let level = level(effort, GZIP_LEVEL, 0..=9)?;
                let level = flate2::Compression::new(level.unsigned_abs());
                match effort.threads as usize {
                    0 => Self::Gzip(flate2::write::GzEncoder::new(writer, level)),
                    threads => {
                        let packer = ParallelGzip::new(writer, level, threads);
                        Self::ParallelGzip(Box::new(packer.map_err(starting)?))
                    }
                }
            }
            #[cfg(feature = "compress")]
            Compression::Zstd => {
                let level = level(effort, ZSTD_LEVEL, zstd::compression_level_range())?;
                let mut encoder = zstd::Encoder::new(writer, level).map_err(starting)?;
                encoder.multithread(effort.threads).map_err(starting)?;
                Self::Zstd(Box::new(encoder))
            }
            #[cfg(not(feature = "compress"))]
            _ => {
                return Err(Error::config(
                    "compression",
                    "it needs memif's feature `compress`",
                ));
            }
        })
    }

    pub(super) fn get_mut(&mut self) -> &mut W {
        match self {
            Self::Plain(writer) => writer,
            #[cfg(feature = "compress")]
            Self::Gzip(packer) => packer.get_mut(),
            #[cfg(feature = "compress")]
            Self::ParallelGzip(packer) => packer.get_mut(),
            #[cfg(feature = "compress")]
            Self::Zstd(packer) => packer.get_mut(),
        }
    }

    /// Writes the end of a compressed file, and flushes. It may be called again after an error, and
    /// once it has worked.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => {}
            #[cfg(feature = "compress")]
            Self::Gzip(packer) => packer.try_finish()?,
            #[cfg(feature = "compress")]
            Self::ParallelGzip(packer) => packer.finish()?,
            #[cfg(feature = "compress")]
            Self::Zstd(packer) => packer.do_finish()?,
        }
        self.get_mut().flush()
    }

    /// The writer, after [`finish`](Self::finish).
    pub(super) fn into_inner(self) -> io::Result<W> {
        match self {
            Self::Plain(writer) => Ok(writer),
            #[cfg(feature = "compress")]
            Self::Gzip(packer) => packer.finish(),
            #[cfg(feature = "compress")]
            Self::ParallelGzip(packer) => Ok(packer.into_inner()),
            #[cfg(feature = "compress")]
            Self::Zstd(packer) => packer.finish(),
        }
    }
}

#[cfg(feature = "compress")]
fn level(effort: Effort, usual: i32, range: RangeInclusive<i32>) -> Result<i32, Error> {
    let level = effort.level.unwrap_or(usual);
    if range.contains(&level) {
        return Ok(level);
    }
    let (least, most) = (range.start(), range.end());
    let problem = format!("{level}, where {least} to {most} are possible");
    Err(Error::config("compression level", problem))
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(writer) => writer.write(bytes),
            #[cfg(feature = "compress")]
            Self::Gzip(packer) => packer.write(bytes),
            #[cfg(feature = "compress")]
            Self::ParallelGzip(packer) => packer.write(bytes),
            #[cfg(feature = "compress")]
            Self::Zstd(packer) => packer.write(bytes),
        }
    }

    /// Afterwards, everything written so far can be read from the file.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(writer) => writer.flush(),
            #[cfg(feature = "compress")]
            Self::Gzip(packer) => packer.flush(),
            #[cfg(feature = "compress")]
            Self::ParallelGzip(packer) => packer.flush(),
            #[cfg(feature = "compress")]
            Self::Zstd(packer) => packer.flush(),
        }
    }
}
