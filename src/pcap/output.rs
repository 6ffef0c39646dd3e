//! Records that a writer has accepted but not yet written.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::file::{Compression, Effort};
use super::packer::Packer;
use crate::error::Error;

/// The size of the first record in some bytes, and whether it is a packet; `None` if its header is
/// not complete. `first` marks the first record of a file.
pub(super) type Measure = fn(&[u8], first: bool) -> Option<(usize, bool)>;

/// Complete records, and before them the file's header, that are to be written.
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    measure: Measure,
    /// How many of `bytes` have been written.
    taken: usize,
    /// Where in `bytes` the first record begins that has not been written completely.
    boundary: usize,
    pub(super) packets_in: u64,
    pub(super) bytes_in: u64,
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
}

impl Pending {
    const CAPACITY: usize = 256 << 10;

    fn new(measure: Measure) -> Self {
        Self {
            bytes: Vec::with_capacity(Self::CAPACITY),
            measure,
            taken: 0,
            boundary: 0,
            packets_in: 0,
            bytes_in: 0,
            packets_out: 0,
            bytes_out: 0,
        }
    }

    /// Counts records that have been appended to `bytes`.
    #[inline]
    pub(super) fn appended(&mut self, bytes: usize, packets: u64) {
        self.packets_in += packets;
        self.bytes_in += bytes as u64;
    }

    fn write_to(&mut self, writer: &mut impl Write) -> io::Result<()> {
        if let Err(error) = write_on(writer, &self.bytes, &mut self.taken) {
            self.settle();
            return Err(error);
        }
        self.all_written();
        self.bytes.clear();
        self.taken = 0;
        self.boundary = 0;
        Ok(())
    }

    /// Writes records, once nothing is held. What can't be written is held.
    fn write_through(&mut self, writer: &mut impl Write, records: &[u8]) -> io::Result<()> {
        let mut taken = 0;
        if let Err(error) = write_on(writer, records, &mut taken) {
            self.bytes.extend_from_slice(records);
            self.taken = taken;
            self.settle();
            return Err(error);
        }
        self.all_written();
        Ok(())
    }

    fn all_written(&mut self) {
        self.packets_out = self.packets_in;
        self.bytes_out = self.bytes_in;
    }

    /// Counts the records that have been written completely.
    fn settle(&mut self) {
        while let Some((size, packet)) =
            (self.measure)(&self.bytes[self.boundary..], self.bytes_out == 0)
        {
            if self.boundary + size > self.taken {
                return;
            }
            self.boundary += size;
            self.bytes_out += size as u64;
            self.packets_out += u64::from(packet);
        }
    }
}

/// Writes from `taken` on, and moves it.
fn write_on(writer: &mut impl Write, bytes: &[u8], taken: &mut usize) -> io::Result<()> {
    while *taken < bytes.len() {
        match writer.write(&bytes[*taken..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A writer, and the records that are still to be written to it.
///
/// Dropping it writes them too, but can only log errors.
pub(super) struct Outgoing<W: Write> {
    /// There until `into_inner`.
    writer: Option<Packer<W>>,
    path: Option<PathBuf>,
    pub(super) flush_each: bool,
    pub(super) pending: Pending,
    /// Set while the writer runs. If it panics, dropping must not call it again.
    writing: bool,
    /// Nothing is written on drop, because `close` has reported the error already, or the rest was
    /// discarded.
    closed: bool,
}

impl<W: Write> Outgoing<W> {
    /// Counts as closed until `open` is called.
    pub(super) fn new(writer: Packer<W>, path: Option<PathBuf>, measure: Measure) -> Self {
        Self {
            writer: Some(writer),
            path,
            flush_each: false,
            pending: Pending::new(measure),
            writing: false,
            closed: true,
        }
    }

    /// Writes the file's header. Without a header, there is nothing that a drop could save.
    pub(super) fn open(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.closed = false;
        Ok(())
    }

    /// Makes room for a record of this many bytes.
    #[inline]
    pub(super) fn make_room(&mut self, length: usize) -> Result<(), Error> {
        let used = self.pending.bytes.len();
        if used == 0 || used + length <= Pending::CAPACITY {
            return Ok(());
        }
        self.guarded(|writer, pending| pending.write_to(writer))
    }

    #[inline]
    pub(super) fn packet_appended(&mut self, bytes: usize) -> Result<(), Error> {
        self.pending.appended(bytes, 1);
        if self.flush_each {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Takes whole records. A few are held; many are written as they are.
    pub(super) fn records(&mut self, records: &[u8], packets: u64) -> Result<(), Error> {
        const MANY: usize = 32 << 10;
        if records.len() < MANY {
            self.make_room(records.len())?;
            self.pending.bytes.extend_from_slice(records);
            self.pending.appended(records.len(), packets);
        } else {
            self.guarded(|writer, pending| {
                pending.write_to(writer)?;
                pending.appended(records.len(), packets);
                pending.write_through(writer, records)
            })?;
        }
        match self.flush_each {
            true => self.flush(),
            false => Ok(()),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.guarded(|writer, pending| {
            pending.write_to(writer)?;
            loop {
                match writer.flush() {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => return other,
                }
            }
        })
    }

    /// Writes everything, and the end of a compressed file.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let result = self.guarded(|writer, pending| {
            pending.write_to(writer)?;
            writer.finish()
        });
        self.closed = true;
        result
    }

    pub(super) fn close(mut self) -> Result<W, Error> {
        self.finish()?;
        let writer = self.writer.take().map(Packer::into_inner);
        let writer = writer.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        writer.map_err(|error| self.failed(error))
    }

    pub(super) fn abandon(&mut self) {
        self.closed = true;
    }

    pub(super) fn get_mut(&mut self) -> &mut W {
        // `close` takes it, and the whole with it.
        self.writer.as_mut().expect("it is there").get_mut()
    }

    fn guarded(
        &mut self,
        work: impl FnOnce(&mut Packer<W>, &mut Pending) -> io::Result<()>,
    ) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        self.writing = true;
        let result = work(writer, &mut self.pending);
        self.writing = false;
        result.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let name = self.path.as_deref().unwrap_or(Path::new("a capture"));
        let packets = self.pending.packets_out;
        let doing = format!(
            "writing {}, {packets} packets are complete in it",
            name.display()
        );
        Error::io(doing, error)
    }
}

impl<W: Write> Drop for Outgoing<W> {
    fn drop(&mut self) {
        if self.closed || self.writing {
            return;
        }
        if let Err(error) = self.finish() {
            let lost = self.pending.packets_in - self.pending.packets_out;
            log::warn!("{error}; {lost} packets are lost");
        }
    }
}

impl<W: Write> fmt::Debug for Outgoing<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("path", &self.path)
            .field("flush_each", &self.flush_each)
            .field("packets_written", &self.pending.packets_out)
            .field("packets_accepted", &self.pending.packets_in)
            .finish_non_exhaustive()
    }
}

/// A file to be written, compressed as its name says, and whether somebody reads along: each packet
/// of a pipe or a device is to be written at once.
pub(super) fn create(path: &Path) -> Result<(Packer<File>, bool), Error> {
    let failed = |error| Error::io(format!("creating {}", path.display()), error);
    let compression = Compression::of_name(path);
    let file = File::create(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    let each = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    Ok((Packer::new(file, compression, Effort::default())?, each))
}
