//! Standard output: one way to write to it, and one rule for a reader that has gone.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::failure::Failure;

/// Writes it all, at once. Where nobody reads any more, the command ends, and that is no failure.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    standard_output()?.write_all(text.as_ref()).map_err(failure)
}

/// As it is, without a buffer.
pub(crate) fn standard_output() -> Result<File, Failure> {
    let fd = io::stdout().as_fd().try_clone_to_owned().map_err(failure)?;
    Ok(fd.into())
}

/// What it means that standard output takes no more.
pub(crate) fn failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::Failed(format!("standard output: {error}")),
    }
}

/// Whether this process was started without one. Rust then opens /dev/null in its place, to be
/// read too, as a shell does not.
pub(crate) fn is_closed(output: &File) -> bool {
    const NULL: u64 = 0x103;
    let flags = fcntl(output, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    let both_ways = flags.is_ok_and(|flags| flags & OFlag::O_ACCMODE == OFlag::O_RDWR);
    both_ways
        && output
            .metadata()
            .is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == NULL)
}

/// Of standard output, where it is a terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into())
}

/// Another handle of it, if it is a pipe.
pub(crate) fn pipe_of(output: &impl AsFd) -> Option<OwnedFd> {
    let file = File::from(output.as_fd().try_clone_to_owned().ok()?);
    let kind = file.metadata().ok()?.file_type();
    (kind.is_fifo() || kind.is_socket()).then(|| file.into())
}
