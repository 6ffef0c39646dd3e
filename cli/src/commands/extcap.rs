//! A memif as a capture interface of Wireshark and tshark: their extcap contract.
//!
//! They call the program with `--extcap-interfaces`, `--extcap-config`, `--extcap-dlts` or
//! `--capture`, and no subcommand. What it prints to standard error counts as a failure.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, io, process};

use memif::LinkType;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::{Failure, finish};
use crate::files::filter::PacketFilter;
use crate::output::print;
use crate::report::{notice, start_log};

/// Make memif a capture interface of Wireshark and tshark
///
/// Links this program into Wireshark's extcap folder. Set the socket in the interface's options, or
/// with `-o extcap.memif.socket:PATH`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["install", "remove"])))]
pub(crate) struct Args {
    /// Create the link
    #[arg(long)]
    install: bool,
    /// Remove the link
    #[arg(long)]
    remove: bool,
    /// For this user [default]
    #[arg(long, conflicts_with = "system")]
    user: bool,
    /// For all users
    #[arg(long)]
    system: bool,
}

/// The interface that connects; a form tells to which memif.
const INTERFACE: &str = "memif";
/// Before the inode of a link that is there already, and is observed.
const LINK: &str = "memif-link-";

/// Fields of the form, and how `tshark -o` calls them.
const FIELDS: [&str; 7] = [
    "socket", "id", "role", "secret", "mode", "snaplen", "rx-mode",
];
const INTERFACE_FIELD: &str = "extcap.memif.";

/// Does what Wireshark asks for, if it is Wireshark that asks.
///
/// `capture` runs `memif capture` with the arguments that it is given.
pub(crate) fn asked(
    args: impl Iterator<Item = OsString>,
    capture: impl FnOnce(Vec<String>) -> Result<(), Failure>,
) -> Option<ExitCode> {
    let args: Vec<String> = args.map(|a| a.to_string_lossy().into_owned()).collect();
    if !args.iter().any(|arg| arg.starts_with("--extcap-")) {
        return None;
    }
    start_log(0);
    let mut fifo = None;
    let result = Call::new(&args).and_then(|call| call.answer(&mut fifo, capture));
    let code = finish(result.map_err(in_form));
    if fifo.is_some() {
        wait_until_told();
    }
    drop(fifo);
    Some(code)
}

/// Names the fields of the form instead of options: Wireshark's user has no others.
fn in_form(failure: Failure) -> Failure {
    let words = |text: String| {
        let text = text.replace("--role ", "--role:");
        let word = |word: &str| match word.strip_prefix("--") {
            Some(rest) if FIELDS.contains(&rest.split([';', ',', ':']).next().unwrap_or(rest)) => {
                format!("{INTERFACE_FIELD}{rest}")
            }
            _ => word.to_owned(),
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    match failure {
        Failure::Failed(text) => Failure::Failed(words(text)),
        Failure::Usage(text) => Failure::Usage(words(text)),
        other => other,
    }
}

/// Waits until what was said on standard error has been read, a second at most.
///
/// When the fifo closes, tshark shows what it has read of it by then, and no more.
fn wait_until_told() {
    let stderr = io::stderr();
    // With room for one write, there is room only once that has been read.
    if fcntl(&stderr, FcntlArg::F_SETPIPE_SZ(1)).is_ok() {
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let _ = poll(&mut fds, PollTimeout::from(1000_u16));
    }
}

/// What the arguments say. Those that are unknown are for other versions of Wireshark.
#[derive(Debug, Default)]
struct Call {
    interfaces: bool,
    config: bool,
    dlts: bool,
    capture: bool,
    interface: Option<String>,
    filter: Option<String>,
    fifo: Option<String>,
    /// For `memif capture`.
    options: Vec<String>,
}

impl Call {
    fn new(args: &[String]) -> Result<Self, Failure> {
        let mut call = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let (name, given) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let mut value = || {
                given
                    .clone()
                    .or_else(|| args.next().cloned())
                    .ok_or_else(|| Failure::Usage(format!("{name} needs a value")))
            };
            match name {
                "--extcap-interfaces" => call.interfaces = true,
                "--extcap-config" => call.config = true,
                "--extcap-dlts" => call.dlts = true,
                "--capture" => call.capture = true,
                "--extcap-interface" => call.interface = Some(value()?),
                "--extcap-capture-filter" => call.filter = Some(value()?),
                "--fifo" => call.fifo = Some(value()?),
                field
                    if field
                        .strip_prefix("--")
                        .is_some_and(|f| FIELDS.contains(&f)) =>
                {
                    let value = value()?;
                    // An empty field of the form.
                    if !value.is_empty() {
                        call.options.push(format!("{name}={value}"));
                    }
                }
                _ => {}
            }
        }
        Ok(call)
    }

    /// The fifo of a capture is left open, so that the caller decides when its reader sees the end.
    fn answer(
        self,
        fifo: &mut Option<File>,
        capture: impl FnOnce(Vec<String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.interfaces {
            let version = env!("CARGO_PKG_VERSION");
            return print(format!(
                "extcap {{version={version}}}{{display=memif}}\n\
                 interface {{value={INTERFACE}}}{{display=Shared memory packet interface}}\n{}",
                links()
            ));
        }
        let link = self.link()?;
        if self.config {
            return print(match link {
                Some(_) => LINK_FORM,
                None => FORM,
            });
        } else if self.dlts {
            return print("dlt {number=1}{name=EN10MB}{display=Ethernet}\n");
        } else if self.capture {
            return capture(self.capture_options(link, fifo)?);
        } else if let Some(filter) = self.filter {
            // A line says what is wrong; none, that nothing is.
            if let Err(Failure::Usage(text) | Failure::Failed(text)) =
                PacketFilter::new(&[filter], LinkType::ETHERNET)
            {
                return print(format!("{text}\n"));
            }
        }
        Ok(())
    }

    /// The inode of the link that is meant, where it is one of those that are there.
    fn link(&self) -> Result<Option<u64>, Failure> {
        match self.interface.as_deref() {
            None | Some(INTERFACE) => Ok(None),
            Some(name) => match name.strip_prefix(LINK).map(str::parse) {
                Some(Ok(inode)) => Ok(Some(inode)),
                _ => Err(Failure::Usage(format!("unknown interface {name}"))),
            },
        }
    }

    /// The arguments of `memif capture`. Opens the fifo.
    fn capture_options(
        self,
        link: Option<u64>,
        held: &mut Option<File>,
    ) -> Result<Vec<String>, Failure> {
        let fifo = self
            .fifo
            .ok_or_else(|| Failure::Usage("--capture needs --fifo".into()))?;
        // First of all: should the capture fail early, who reads would otherwise wait for ever for
        // it to be opened.
        let opened = fs::OpenOptions::new().write(true).open(&fifo);
        *held = Some(opened.map_err(|e| Failure::Failed(format!("opening {fifo}: {e}")))?);
        let socket = self.options.iter().any(|o| o.starts_with("--socket="));
        if link.is_none() && !socket {
            return Err(Failure::Usage(
                "no control socket: set it in the interface's options, or with -o extcap.memif.socket:PATH".into(),
            ));
        }
        let mut words = vec!["--silent".to_owned(), "--pcapng".into()];
        words.extend([format!("--write={fifo}"), "--name=wireshark".into()]);
        match link {
            Some(inode) => {
                words.push(format!("--observe=inode:{inode}"));
                let of_both = |o: &String| !o.starts_with("--socket=");
                words.extend(self.options.into_iter().filter(of_both));
            }
            None => words.extend(self.options),
        }
        words.push("--".into());
        words.extend(self.filter);
        Ok(words)
    }
}

/// A line for each link of the host. What separates Wireshark's fields is left out.
fn links() -> String {
    let found = memif::observe::links().unwrap_or_default();
    let line = |link: &memif::observe::Link| {
        let name = link.to_string().replace(['{', '}', '\n'], "");
        let inode = link.id().inode();
        format!("interface {{value={LINK}{inode}}}{{display=memif link {name}}}\n")
    };
    found.links.iter().map(line).collect()
}

const LINK_FORM: &str = "\
arg {number=0}{call=--mode}{display=Mode}{tooltip=Link header of the packets}{type=selector}{default=ethernet}
value {arg=0}{value=ethernet}{display=Ethernet}{default=true}
value {arg=0}{value=ip}{display=IP}{default=false}
arg {number=1}{call=--snaplen}{display=Snap length}{tooltip=Bytes captured of each packet}{type=unsigned}{range=1,262144}{default=262144}
";

const FORM: &str = "\
arg {number=0}{call=--socket}{display=Control socket}{tooltip=Path of the socket on which the master listens. A leading @ makes it an abstract name}{type=string}{placeholder=/run/vpp/memif.sock}{required=true}
arg {number=1}{call=--id}{display=Interface id}{tooltip=The same on both sides}{type=unsigned}{default=0}
arg {number=2}{call=--role}{display=Role}{tooltip=A slave connects, a master listens}{type=selector}{default=slave}
value {arg=2}{value=slave}{display=slave, connects}{default=true}
value {arg=2}{value=master}{display=master, listens}{default=false}
arg {number=3}{call=--secret}{display=Secret}{tooltip=The peer's secret, at most 24 bytes}{type=password}{save=false}
arg {number=4}{call=--mode}{display=Mode}{tooltip=Link header of the packets}{type=selector}{default=ethernet}
value {arg=4}{value=ethernet}{display=Ethernet}{default=true}
value {arg=4}{value=ip}{display=IP}{default=false}
arg {number=5}{call=--snaplen}{display=Snap length}{tooltip=Bytes captured of each packet}{type=unsigned}{range=1,262144}{default=262144}{group=Receiving}
arg {number=6}{call=--rx-mode}{display=Receive mode}{tooltip=How to wait for packets}{type=selector}{default=interrupt}{group=Receiving}
value {arg=6}{value=interrupt}{display=interrupt, sleeps}{default=true}
value {arg=6}{value=polling}{display=polling, spins}{default=false}
value {arg=6}{value=adaptive}{display=adaptive, does both}{default=false}
";

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let program = env::current_exe()
        .map_err(|e| Failure::Failed(format!("finding this program's own path: {e}")))?;
    for folder in folders(args.system)? {
        let link = folder.join("memif");
        let failed =
            |what: &str, e: io::Error| Failure::Failed(format!("{what} {}: {e}", link.display()));
        match fs::symlink_metadata(&link) {
            Ok(there) if !there.is_symlink() => {
                return Err(Failure::Failed(format!(
                    "{} is not a symbolic link; it was not replaced",
                    link.display()
                )));
            }
            Ok(_) => fs::remove_file(&link).map_err(|e| failed("removing", e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if args.remove {
                    notice(format_args!("{} does not exist", link.display()));
                    continue;
                }
            }
            Err(e) => return Err(failed("looking at", e)),
        }
        if args.remove {
            notice(format_args!("removed {}", link.display()));
            continue;
        }
        fs::create_dir_all(&folder).map_err(|e| failed("making the folder of", e))?;
        std::os::unix::fs::symlink(&program, &link).map_err(|e| failed("linking", e))?;
        notice(format_args!(
            "linked {} to {}; the interface is '{INTERFACE}' (tshark -D)",
            link.display(),
            program.display()
        ));
    }
    Ok(())
}

/// Where Wireshark looks, as tshark tells; else the usual places, which differ with its version.
fn folders(system: bool) -> Result<Vec<PathBuf>, Failure> {
    // Older ones tell of the folder for all users only, without saying whose it is.
    let labels: &[&str] = if system {
        &["Global Extcap path:", "Extcap path:"]
    } else {
        &["Personal Extcap path:"]
    };
    let told = process::Command::new("tshark")
        .args(["-G", "folders"])
        .output();
    if let Ok(told) = told {
        let text = String::from_utf8_lossy(&told.stdout);
        let found = labels
            .iter()
            .find_map(|label| text.lines().find_map(|line| line.strip_prefix(label)));
        if let Some(path) = found {
            // Several are parted by colons.
            let path = path.trim().split(':').next().unwrap_or_default();
            return Ok(vec![path.into()]);
        }
    }
    if system {
        let triple = format!("{}-linux-gnu", env::consts::ARCH);
        return Ok(vec![format!("/usr/lib/{triple}/wireshark/extcap").into()]);
    }
    let home = env::home_dir().ok_or_else(|| Failure::Failed("$HOME is not set".into()))?;
    Ok(vec![
        home.join(".config/wireshark/extcap"),
        home.join(".local/lib/wireshark/extcap"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_fields_of_the_form() {
        for (hint, told) in [
            ("x; use another --id", "x; use another extcap.memif.id"),
            ("use --role master", "use extcap.memif.role:master"),
            ("(--socket-mode, --id)", "(--socket-mode, --id)"),
            ("--socket, --x", "extcap.memif.socket, --x"),
        ] {
            let Failure::Failed(text) = in_form(Failure::Failed(hint.into())) else {
                panic!("{hint}");
            };
            assert_eq!(text, told);
        }
    }
}
