//! One file that is being written.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use jiff::Zoned;
use memif::pcap::{
    Compression, InterfaceInfo, InterfaceStatistics, PcapNgWriter, PcapWriter, RecordFormat,
};
use memif::{Error, LinkType, PacketSink};

use super::options::Plan;
use super::output::Records;
use super::serve::Server;
use crate::failure::Failure;
use crate::files::tcp;
use crate::output::{is_closed, pipe_of, standard_output};
use crate::report::count;

type Target = Box<dyn Write + Send>;

pub(super) struct OpenFile {
    writer: Writer,
    pub(super) path: PathBuf,
    /// The file, where it is one and no pipe or device: it may be cut, and nobody reads along.
    regular: Option<File>,
    pipe: Option<OwnedFd>,
    server: Option<Server>,
    compression: Compression,
    /// Of the first of the interfaces that packets come from now.
    base: u32,
}

/// What is written to.
struct Opened {
    path: PathBuf,
    sink: Target,
    pipe: Option<OwnedFd>,
    regular: Option<File>,
    server: Option<Server>,
}

impl Opened {
    fn of(plan: &Plan, number: u64, now: &Zoned) -> Result<Self, Failure> {
        let failed = |path: &Path, e: &dyn Display| {
            Failure::Failed(format!("writing {}: {e}", path.display()))
        };
        let name = plan.names.fixed().unwrap_or(Path::new(""));
        let to = |sink: Target, pipe| Self {
            path: name.to_owned(),
            sink,
            pipe,
            regular: None,
            server: None,
        };
        if name.as_os_str() == "-" {
            let stdout = standard_output()?;
            if stdout.is_terminal() {
                return Err(Failure::Usage(
                    "standard output is a terminal; use '-w - | …' or '-w FILE'".into(),
                ));
            }
            if is_closed(&stdout) {
                return Err(Failure::Failed("standard output is closed".into()));
            }
            let pipe = pipe_of(&stdout);
            return Ok(to(Box::new(stdout), pipe));
        }
        if let Some(peer) = tcp::peer(name) {
            let stream = tcp::connect(peer).map_err(|e| failed(name, &e))?;
            let pipe = pipe_of(&stream);
            return Ok(to(Box::new(stream), pipe));
        }
        if let Some(address) = tcp::listener(name) {
            let server = Server::listen(address.map_err(Failure::Usage)?);
            let server = server.map_err(|e| failed(name, &e))?;
            return Ok(Self {
                server: Some(server.clone()),
                ..to(Box::new(server), None)
            });
        }
        let (path, file) = plan.names.create(number, now)?;
        // By the open file, not by its name: that may be another's by then.
        let regular = match file.metadata() {
            Ok(m) if m.is_file() => file.try_clone().ok(),
            _ => None,
        };
        let pipe = pipe_of(&file);
        Ok(Self {
            path,
            regular,
            ..to(Box::new(file), pipe)
        })
    }
}

enum Writer {
    Pcap(PcapWriter<Target>),
    PcapNg(PcapNgWriter<Target>),
}

impl OpenFile {
    pub(super) fn create(
        plan: &Plan,
        number: u64,
        now: &Zoned,
        link_type: LinkType,
        snaplen: u32,
    ) -> Result<Self, Failure> {
        let Opened {
            path,
            sink,
            pipe,
            regular,
            server,
        } = Opened::of(plan, number, now)?;
        let (compression, each) = (plan.compression, plan.each_packet);
        // Who reads along is not to wait for others to come.
        let mut effort = plan.effort;
        if regular.is_none() {
            effort.threads = 0;
        }
        let writer = match plan.format {
            RecordFormat::Pcap => {
                PcapWriter::compressed_by(effort, sink, compression, link_type, Some(snaplen))
                    .map(|writer| Writer::Pcap(writer.flush_each(each)))
            }
            RecordFormat::PcapNg => PcapNgWriter::compressed_by(effort, sink, compression, &[])
                .map(|writer| Writer::PcapNg(writer.flush_each(each))),
        };
        let writer = writer.map_err(|error| match error {
            Error::Io { error, .. } => {
                Failure::Failed(format!("writing {}: {error}", path.display()))
            }
            other => other.into(),
        })?;
        Ok(Self {
            writer,
            path,
            regular,
            pipe,
            server,
            compression: plan.compression,
            base: 0,
        })
    }

    pub(super) fn put(&mut self, records: Records<'_>) -> Result<(), Error> {
        match &mut self.writer {
            Writer::Pcap(writer) => writer.write_records(records.bytes, records.packets),
            Writer::PcapNg(writer) => {
                if self.base > 0 {
                    records.format.renumber(records.bytes, self.base);
                }
                writer.write_records(records.bytes, records.packets)
            }
        }
    }

    /// From now on packets come from these interfaces.
    pub(super) fn describe(&mut self, interfaces: &[InterfaceInfo]) -> Result<(), Error> {
        let Writer::PcapNg(writer) = &mut self.writer else {
            return Ok(());
        };
        let mut first = None;
        for interface in interfaces {
            let number = writer.add_interface(interface)?;
            first.get_or_insert(number);
        }
        self.base = first.unwrap_or(self.base);
        if self.regular.is_none() {
            writer.flush()?;
        }
        Ok(())
    }

    /// Of the interfaces that packets come from now.
    pub(super) fn statistics(&mut self, counts: &[InterfaceStatistics]) -> Result<(), Error> {
        if let Writer::PcapNg(writer) = &mut self.writer {
            for (interface, counts) in (self.base..).zip(counts) {
                writer.write_statistics(interface, counts)?;
            }
        }
        Ok(())
    }

    /// Bytes that the counts of an interface have at the file's end, at most.
    pub(super) fn counts_size(&self) -> u64 {
        match &self.writer {
            Writer::Pcap(_) => 0,
            Writer::PcapNg(_) => 384,
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Error> {
        match &mut self.writer {
            Writer::Pcap(writer) => PacketSink::flush(writer),
            Writer::PcapNg(writer) => writer.flush(),
        }
    }

    /// Whether somebody reads along.
    pub(super) fn is_pipe(&self) -> bool {
        self.regular.is_none()
    }

    /// Whether flushing often would spoil it.
    pub(super) fn is_compressed(&self) -> bool {
        self.compression != Compression::None
    }

    pub(super) fn packets_accepted(&self) -> u64 {
        match &self.writer {
            Writer::Pcap(writer) => writer.packets_accepted(),
            Writer::PcapNg(writer) => writer.packets_accepted(),
        }
    }

    pub(super) fn bytes_accepted(&self) -> u64 {
        match &self.writer {
            Writer::Pcap(writer) => writer.bytes_accepted(),
            Writer::PcapNg(writer) => writer.bytes_accepted(),
        }
    }

    pub(super) fn packets_written(&self) -> u64 {
        match &self.writer {
            Writer::Pcap(writer) => writer.packets_written(),
            Writer::PcapNg(writer) => writer.packets_written(),
        }
    }

    /// Writes all that is left. After a failure only what is sound is kept.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        self.finish().map_err(|e| {
            self.drop_half_record();
            self.abandon();
            self.failure(e)
        })
    }

    /// By the name that the user gave.
    pub(super) fn failure(&self, error: Error) -> Failure {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};

        let Error::Io { error: system, .. } = &error else {
            return error.into();
        };
        let path = self.path.display();
        let whole = count(self.packets_written(), "packet");
        if matches!(system.kind(), BrokenPipe | ConnectionReset) {
            // Who reads a pipe ends it when he has enough; a recording elsewhere is to be whole.
            return match tcp::peer(&self.path) {
                Some(peer) => Failure::Failed(format!(
                    "{peer} has closed the connection; {whole} were sent before"
                )),
                None => Failure::NobodyReads,
            };
        }
        Failure::Failed(format!("writing {path}: {system}; {whole} written"))
    }

    fn finish(&mut self) -> Result<(), Error> {
        match &mut self.writer {
            Writer::Pcap(writer) => writer.finish(),
            Writer::PcapNg(writer) => writer.finish(),
        }
    }

    /// After a full disk: readers must not stumble over half a record.
    pub(super) fn drop_half_record(&self) {
        let whole = match &self.writer {
            Writer::Pcap(writer) => writer.bytes_written(),
            Writer::PcapNg(writer) => writer.bytes_written(),
        };
        if let Some(file) = &self.regular
            && !self.is_compressed()
            && let Err(e) = file.set_len(whole)
        {
            log::warn!(
                "cutting {} after its last whole packet: {e}",
                self.path.display()
            );
        }
    }

    /// What is left must not follow later.
    pub(super) fn abandon(&mut self) {
        match &mut self.writer {
            Writer::Pcap(writer) => writer.abandon(),
            Writer::PcapNg(writer) => writer.abandon(),
        }
    }

    /// Lets those that it is served to have the rest.
    pub(super) fn linger(&self) {
        self.server.iter().for_each(Server::end);
    }

    /// Those that it was served to, where it was.
    pub(super) fn readers(&self) -> String {
        self.server
            .as_ref()
            .map_or_else(String::new, Server::what_was_done)
    }

    /// The pipe that it is, if it is one.
    pub(super) fn pipe(&self) -> Option<OwnedFd> {
        self.pipe.as_ref()?.try_clone().ok()
    }
}
