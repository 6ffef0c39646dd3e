//! Which links `memif capture --observe` is about.

use std::fmt;
use std::str::FromStr;

/// By what links are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Any,
    Pid(u32),
    /// Its file of rings, as `memif list --json` tells it.
    Inode(u64),
    Socket(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(number) = text.strip_prefix("inode:") {
            let number = number.parse();
            return number
                .map(Self::Inode)
                .map_err(|_| format!("'{text}' is not inode:NUMBER"));
        }
        Ok(match text {
            "" => return Err("PID, SOCKET or any".into()),
            "any" => Self::Any,
            _ => match text.parse() {
                Ok(pid) => Self::Pid(pid),
                Err(_) => Self::Socket(text.to_owned()),
            },
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any process"),
            Self::Pid(pid) => write!(f, "process {pid}"),
            Self::Inode(inode) => write!(f, "inode {inode}"),
            Self::Socket(path) => f.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(target("any"), Ok(Target::Any));
        assert_eq!(target("12"), Ok(Target::Pid(12)));
        assert_eq!(target("inode:7"), Ok(Target::Inode(7)));
        assert_eq!(target("./12"), Ok(Target::Socket("./12".into())));
        assert_eq!(target("@any"), Ok(Target::Socket("@any".into())));
        assert!(target("").is_err() && target("inode:x").is_err());
    }
}
