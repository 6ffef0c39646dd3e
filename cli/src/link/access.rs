//! Who may be a peer: options of all commands that open a memif.

use std::str::FromStr;

use memif::ContextBuilder;
use nix::unistd::{Group, User};

#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Access {
    /// Octal permissions of the socket file, when this side listens [default: 0600]
    #[arg(long, value_name = "MODE", value_parser = file_mode)]
    socket_mode: Option<u32>,
    /// Owner of the socket file, when this side listens: names or numbers, as with chown
    #[arg(long, value_name = "[USER][:GROUP]")]
    socket_owner: Option<Owner>,
    /// Accept only peers of this user, by name or number; may be repeated
    #[arg(long = "allow-user", value_name = "USER", value_parser = user)]
    users: Vec<u32>,
    /// Accept only peers of this group (their effective group); may be repeated
    #[arg(long = "allow-group", value_name = "GROUP", value_parser = group)]
    groups: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Access {
    pub(crate) fn apply(&self, mut context: ContextBuilder) -> ContextBuilder {
        if let Some(mode) = self.socket_mode {
            context = context.socket_mode(mode);
        }
        if let Some(owner) = self.socket_owner {
            context = context.socket_owner(owner.uid, owner.gid);
        }
        context
            .allow_uids(self.users.iter().copied())
            .allow_gids(self.groups.iter().copied())
    }

    /// An option of a bridge's end; `false`: it is none of these.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "socket-mode" => self.socket_mode = Some(file_mode(value)?),
            "socket-owner" => self.socket_owner = Some(value.parse()?),
            "allow-user" => self.users.push(user(value)?),
            "allow-group" => self.groups.push(group(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (owner, of_group) = text.split_once(':').unwrap_or((text, ""));
        if owner.is_empty() && of_group.is_empty() {
            return Err("must name a user or a group".into());
        }
        let given = |text: &str, id: fn(&str) -> Result<u32, String>| {
            (!text.is_empty()).then(|| id(text)).transpose()
        };
        Ok(Self {
            uid: given(owner, user)?,
            gid: given(of_group, group)?,
        })
    }
}

fn file_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 1..=0o777) => Ok(mode),
        _ => Err(format!("'{text}' is not an octal file mode such as 0660")),
    }
}

fn user(text: &str) -> Result<u32, String> {
    number(text)
        .or_else(|| Some(User::from_name(text).ok()??.uid.as_raw()))
        .ok_or_else(|| format!("there is no user '{text}'"))
}

fn group(text: &str) -> Result<u32, String> {
    number(text)
        .or_else(|| Some(Group::from_name(text).ok()??.gid.as_raw()))
        .ok_or_else(|| format!("there is no group '{text}'"))
}

/// The largest number is nobody's: system calls take it for "as it is".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_names_or_numbers() {
        let owner = |uid, gid| Ok(Owner { uid, gid });
        for (text, wanted) in [
            ("root", owner(Some(0), None)),
            ("root:", owner(Some(0), None)),
            (":root", owner(None, Some(0))),
            ("7:root", owner(Some(7), Some(0))),
            ("4294967294:8", owner(Some(4_294_967_294), Some(8))),
        ] {
            assert_eq!(text.parse::<Owner>(), wanted, "{text}");
        }
        for text in [
            "",
            ":",
            "no such user",
            "0:no such group",
            "-1",
            "4294967295",
        ] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(file_mode("0660"), Ok(0o660));
        assert_eq!(file_mode("7"), Ok(7));
        for text in ["", "0", "8", "1000", "rw-------", "-1"] {
            assert!(file_mode(text).is_err(), "{text}");
        }
    }
}
