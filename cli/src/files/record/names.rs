//! What the files are called.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use jiff::Zoned;

use crate::failure::Failure;

/// How file names are made, one after another.
#[derive(Clone, Debug)]
pub(super) enum Names {
    /// The very name; a file that is there is begun anew, as tcpdump does.
    Fixed(String),
    /// With a number and the time before the extension.
    Numbered { stem: String, extension: String },
    /// As strftime has it.
    Timed { pattern: String },
}

impl Names {
    pub(super) fn new(name: &str, rotates: bool) -> Result<Self, Failure> {
        if !rotates {
            return Ok(Self::Fixed(name.to_owned()));
        }
        if name.contains('%') {
            jiff::fmt::strtime::format(name, &Zoned::now())
                .map_err(|e| Failure::Usage(format!("the file name '{name}': {e}")))?;
            return Ok(Self::Timed {
                pattern: name.to_owned(),
            });
        }
        let (stem, extension) = split(name);
        Ok(Self::Numbered {
            stem: stem.to_owned(),
            extension: extension.to_owned(),
        })
    }

    /// The name as the user gave it.
    pub(super) fn given(&self) -> String {
        match self {
            Self::Fixed(name) => name.clone(),
            Self::Numbered { stem, extension } => format!("{stem}{extension}"),
            Self::Timed { pattern } => pattern.clone(),
        }
    }

    /// Creates the file with this number, counted from 1, begun now. Of several files only the one that a fixed name means
    /// may have been there before.
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
                Ok(file) => return Ok((name.into(), file)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && again < MOST_AGAIN => {
                    again += 1;
                }
                Err(e) => return Err(Failure::Failed(format!("creating {name}: {e}"))),
            }
        }
    }

    fn name(&self, number: u64, again: u32, now: &Zoned) -> String {
        let name = match self {
            Self::Fixed(name) => return name.clone(),
            Self::Numbered { stem, extension } => {
                format!(
                    "{stem}_{number:05}_{}{extension}",
                    now.strftime("%Y%m%d%H%M%S")
                )
            }
            // The pattern has been tried, so it can't fail now.
            Self::Timed { pattern } => {
                jiff::fmt::strtime::format(pattern, now).unwrap_or_else(|_| pattern.clone())
            }
        };
        if again == 1 {
            return name;
        }
        let (stem, extension) = split(&name);
        format!("{stem}_{again}{extension}")
    }
}

/// So many files of the same name are no accident.
const MOST_AGAIN: u32 = 1_000_000;

/// Before the extension, of which a compressed file has two.
fn split(name: &str) -> (&str, &str) {
    let folder = name.rfind('/').map_or(0, |at| at + 1);
    let file = &name[folder..];
    let mut end = file.len();
    if let Some(at) = file.rfind('.').filter(|at| *at > 0) {
        end = at;
        let packed = matches!(&file[at..], ".gz" | ".zst");
        if packed && let Some(at) = file[..at].rfind('.').filter(|at| *at > 0) {
            end = at;
        }
    }
    name.split_at(folder + end)
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
            assert_eq!(split(name), (stem, extension), "{name}");
        }
    }

    #[test]
    fn each_file_has_a_name_of_its_own() {
        let now: Zoned = "2023-11-14T22:13:20[UTC]".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
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
        assert!(Names::new("%!.pcap", true).is_err());
    }
}
