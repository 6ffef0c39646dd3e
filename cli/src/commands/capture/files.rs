//! `memif capture -r`: the packets of files.

use std::path::{Path, PathBuf};

use memif::pcap::InterfaceInfo;
use memif::{Eof, Error, LinkType, Packet, PacketSource};

use super::options::Args;
use crate::events::Events;
use crate::failure::Failure;
use crate::files::input::{self, BATCH, Input};
use crate::files::merged::Merged;
use crate::files::record::{Feed, Recording};

/// All of -r by time, those of -V one after the other. The first is open.
pub(super) fn read(
    args: &Args,
    paths: &[PathBuf],
    first: Input,
    events: &Events,
    recording: &Recording,
) -> Result<(), Failure> {
    let link_type = first.link_type();
    let described = |path: &Path| {
        let mut info = InterfaceInfo::new("file", link_type);
        info.description = path.display().to_string();
        info.snaplen = Some(args.snaplen);
        info
    };
    let mut feed = Feed::new(recording);
    let others = paths[1..].iter().map(|path| open(path, link_type, events));
    if args.read.len() > 1 {
        let mut files = vec![first];
        for file in others {
            files.push(file?);
        }
        let mut merged = Merged::new(files);
        feed.describe(paths.iter().map(|path| described(path)).collect());
        return take_all(events, || {
            let next = merged.next()?;
            feed.take_as(next.file as u32, None, [next.packet]);
            Ok(())
        });
    }
    for (file, path) in [Ok(first)].into_iter().chain(others).zip(paths) {
        let mut file = file?.decompress_ahead()?;
        feed.describe(vec![described(path)]);
        take_all(events, || {
            // No more than are wanted: what comes after is not looked at.
            let wanted = match feed.wanted() {
                Some(0) => return Err(Eof::Closed.into()),
                Some(wanted) => wanted.min(BATCH as u64) as usize,
                None => BATCH,
            };
            let mut packets = [Packet::default(); BATCH];
            let count = file.read_packets(&mut packets[..wanted])?;
            feed.take_as(0, None, &packets[..count]);
            Ok(())
        })?;
    }
    Ok(())
}

fn open(path: &Path, first: LinkType, events: &Events) -> Result<Input, Failure> {
    let file = input::open(path, events)?;
    if file.link_type() == first {
        return Ok(file);
    }
    let (path, this) = (path.display(), file.link_type());
    Err(Failure::Failed(format!(
        "{path} holds {this}, the first {first}"
    )))
}

/// Until there are no more, or the command is stopped.
fn take_all(events: &Events, mut take: impl FnMut() -> Result<(), Error>) -> Result<(), Failure> {
    while !events.is_stopped() {
        match take() {
            Ok(()) => {}
            Err(Error::Eof(_)) => break,
            // By what stops the command.
            Err(_) if events.is_stopped() => break,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
