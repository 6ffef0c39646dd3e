//! What the files are called.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::failure::Failure;
use crate::files::tcp;

/// How file names are made, one after another.
#[derive(Clone, Debug)]
pub(super) enum Names {
    /// The very name; a file that is there is begun anew, as tcpdump does.
    Fixed(PathBuf),
    /// With a number and the time before the extension.
    Numbered { stem: OsString, extension: OsString },
    /// As strftime has it.
    Timed { pattern: String },
}

impl Names {
    pub(super) fn new(name: &Path, rotates: bool) -> Result<Self, Failure> {
        if !rotates {
            return Ok(Self::Fixed(name.to_owned()));
        }
        if name.as_os_str().as_bytes().contains(&b'%') {
            let wrong = |why| Failure::Usage(format!("the file name '{}': {why}", name.display()));
            let pattern = name.to_str().ok_or_else(|| wrong("not UTF-8".to_owned()))?;
            jiff::fmt::strtime::format(pattern, &Zoned::now()).map_err(|e| wrong(e.to_string()))?;
            return Ok(Self::Timed {
                pattern: pattern.to_owned(),
            });
        }
        let (stem, extension) = split(name.as_os_str());
        Ok(Self::Numbered { stem, extension })
    }

    /// Whether it is no file: it can't be followed by another.
    pub(super) fn is_stream(name: &Path) -> bool {
        name.as_os_str() == "-" || tcp::peer(name).is_some() || tcp::listener(name).is_some()
    }

    /// The name, where it is the only one.
    pub(super) fn fixed(&self) -> Option<&Path> {
        match self {
            Self::Fixed(name) => Some(name),
            _ => None,
        }
    }

    /// Creates the file with this number, counted from 1, begun now. Of several files only the one
    /// that a fixed name means may have been there before.
    pub(super) fn create(&self, number: u64, now: &Zoned) -> Result<(PathBuf, File), Failure> {
        let mut again = 1;
        loop {
            let name = self.name(number, again, now);
            let mut options = OpenOptions::new();
            options.write(true);
            match self {
                Self::Fixed(_) => options.create(true).truncate(true),
                _ => options.create_new(true),
            };
            match options.open(&name) {
                Ok(file) => return Ok((name, file)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && again < MOST_AGAIN => {
                    again += 1;
                }
                Err(e) => {
                    return Err(Failure::Failed(format!("creating {}: {e}", name.display())));
                }
            }
        }
    }

    fn name(&self, number: u64, again: u32, now: &Zoned) -> PathBuf {
        let name: OsString = match self {
            Self::Fixed(name) => return name.clone(),
            Self::Numbered { stem, extension } => {
                let middle = format!("_{number:05}_{}", now.strftime("%Y%m%d%H%M%S"));
                [stem, OsStr::new(&middle), extension].into_iter().collect()
            }
            // The pattern has been tried, so it can't fail now.
            Self::Timed { pattern } => jiff::fmt::strtime::format(pattern, now)
                .unwrap_or_else(|_| pattern.clone())
                .into(),
        };
        if again == 1 {
            return name.into();
        }
        let (mut stem, extension) = split(&name);
        stem.push(format!("_{again}"));
        stem.push(extension);
        stem.into()
    }
}

/// The name of the file of a queue: with its number before the extension.
pub(super) fn of_queue(name: &Path, queue: u8) -> PathBuf {
    let (mut stem, extension) = split(name.as_os_str());
    stem.push(format!("_q{queue}"));
    stem.push(extension);
    stem.into()
}

/// So many files of the same name are no accident.
const MOST_AGAIN: u32 = 1_000_000;

/// Before the extension, of which a compressed file has two.
fn split(name: &OsStr) -> (OsString, OsString) {
    let name = name.as_bytes();
    let folder = name.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let dot = |end: usize| {
        let at = name[folder..end].iter().rposition(|b| *b == b'.');
        at.filter(|at| *at > 0).map(|at| folder + at)
    };
    let mut end = dot(name.len()).unwrap_or(name.len());
    if matches!(&name[end..], b".gz" | b".zst") {
        end = dot(end).unwrap_or(end);
    }
    let part = |bytes| OsStr::from_bytes(bytes).to_owned();
    (part(&name[..end]), part(&name[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_before_all_of_the_extension() {
        for (name, stem, extension) in [
            ("x.pcap", "x", ".pcap"),
            ("/tmp/a.b/x.pcapng.gz", "/tmp/a.b/x", ".pcapng.gz"),
            ("a.b/x", "a.b/x", ""),
            (".hidden", ".hidden", ""),
            ("x.1.pcap", "x.1", ".pcap"),
            ("x.zst", "x", ".zst"),
        ] {
            assert_eq!(
                split(name.as_ref()),
                (stem.into(), extension.into()),
                "{name}"
            );
        }
    }

    #[test]
    fn each_file_has_a_name_of_its_own() {
        let now: Zoned = "2023-11-14T22:13:20[UTC]".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let made = |names: &Names, number| {
            let (path, _) = names.create(number, &now).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        let names = Names::new(&path("x.pcapng.gz"), true).unwrap();
        assert_eq!(made(&names, 1), "x_00001_20231114221320.pcapng.gz");
        assert_eq!(made(&names, 2), "x_00002_20231114221320.pcapng.gz");
        // A second run in the same second.
        assert_eq!(made(&names, 1), "x_00001_20231114221320_2.pcapng.gz");
        let names = Names::new(&path("%H-%M.pcap"), true).unwrap();
        assert_eq!(made(&names, 1), "22-13.pcap");
        assert_eq!(made(&names, 2), "22-13_2.pcap");
        assert_eq!(made(&names, 3), "22-13_3.pcap");
        let names = Names::new(&path("%H.pcap"), false).unwrap();
        assert_eq!(made(&names, 1), "%H.pcap");
        assert_eq!(made(&names, 1), "%H.pcap");
        assert!(Names::new("%!.pcap".as_ref(), true).is_err());
    }
}
