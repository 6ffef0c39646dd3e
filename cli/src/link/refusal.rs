//! Why there is no link: what a peer's refusal means, and what to do about it.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use memif::{Error, ErrorKind};

use crate::failure::Failure;

/// With what is at the path instead, as the system's answer is the same.
pub(crate) fn nobody_listens(socket: &str) -> String {
    let nobody = format!("nobody listens on {socket}");
    if let Some(other) = namesake(socket) {
        return format!("{nobody}, but {other} exists; use --socket {other}");
    }
    let path = Path::new(socket);
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    match folder.filter(|_| !socket.starts_with('@')) {
        Some(_) if fs::metadata(path).is_ok_and(|m| !m.file_type().is_socket()) => {
            format!("{nobody}, which is not a socket; use the master's path with --socket")
        }
        Some(folder) if !folder.exists() => format!(
            "{nobody}: there is no folder {}; use the master's path with --socket",
            folder.display()
        ),
        _ => format!("{nobody}; start the master first, or use --role master"),
    }
}

/// A path and an abstract name that differ by the '@' alone are two places, and easily mistaken.
fn namesake(socket: &str) -> Option<String> {
    if let Some(path) = socket.strip_prefix('@') {
        let found = fs::metadata(path).is_ok_and(|m| m.file_type().is_socket());
        return found.then(|| path.to_owned());
    }
    let name = format!("@{socket}");
    // DPDK pads its names with NULs, which are shown as more of these.
    let is_name = |line: &str| line.trim_end_matches('@').ends_with(&format!(" {name}"));
    let sockets = fs::read_to_string("/proc/net/unix").ok()?;
    sockets.lines().any(is_name).then_some(name)
}

/// How long a peer may say that it does not know the interface id.
pub(crate) const UNKNOWN_ID_PATIENCE: Duration = Duration::from_secs(5);

/// Why a peer refuses, as far as its words tell: only some give a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Busy,
    UnknownId,
    Secret,
    Mode,
    Other,
}

/// `text` has the peer's words after "the peer refuses" or "says"; what comes before may name our
/// own socket.
pub(crate) fn refusal(kind: ErrorKind, text: &str) -> Refusal {
    let text = text.to_lowercase();
    let said = ["the peer refuses: ", "the peer says: "]
        .iter()
        .find_map(|before| text.split_once(before))
        .map_or("", |(_, said)| said);
    match kind {
        ErrorKind::AlreadyConnected => Refusal::Busy,
        ErrorKind::InterfaceId => Refusal::UnknownId,
        ErrorKind::WrongSecret | ErrorKind::SecretRequired => Refusal::Secret,
        ErrorKind::ModeMismatch => Refusal::Mode,
        _ if said.contains("already") => Refusal::Busy,
        _ if said.contains("secret") => Refusal::Secret,
        _ if said.contains("mode") => Refusal::Mode,
        // A word of its own: "invalid" has it too.
        _ if said
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| word == "id") =>
        {
            Refusal::UnknownId
        }
        _ => Refusal::Other,
    }
}

/// With what to do about it.
pub(crate) fn refused(error: &Error) -> Failure {
    let text = error.to_string();
    let hint = refusal(error.kind(), &text).hint();
    Failure::Failed(text).hint(hint)
}

impl Refusal {
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Secret => "use the peer's secret with --secret",
            Self::Mode => "use the peer's mode with --mode",
            Self::UnknownId => "use the peer's interface id with --id",
            Self::Busy => "an interface has one link only; end the other one, or use another --id",
            Self::Other => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_without_a_number_are_told_by_their_words() {
        for (words, is) in [
            ("ID not found", Refusal::UnknownId),
            ("unmatched interface id", Refusal::UnknownId),
            ("invalid ring size", Refusal::Other),
            ("Only ethernet mode supported", Refusal::Mode),
            ("Incorrect secret", Refusal::Secret),
            ("Already connected", Refusal::Busy),
        ] {
            for verb in ["refuses", "says"] {
                let text = format!("id 7 on /secret/mode: the peer {verb}: {words}");
                assert_eq!(refusal(ErrorKind::Disconnected, &text), is, "{text}");
            }
        }
        assert_eq!(
            refusal(ErrorKind::Disconnected, "id 7 on @secret"),
            Refusal::Other
        );
    }
}
