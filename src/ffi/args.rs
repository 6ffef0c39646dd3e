//! The settings of sockets and interfaces of the C core.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;

/// Settings of a control socket.
#[derive(Clone, Debug)]
pub(crate) struct SocketArgs {
    pub(crate) path: PathBuf,
    pub(crate) app_name: String,
    pub(crate) reconnect: Duration,
    pub(crate) handshake: Duration,
    pub(crate) max_half_open: u32,
    pub(crate) log_lines: u32,
    pub(crate) access: Access,
}

/// Who may be a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Permissions of the socket's file; `None` means 0600.
    pub(crate) file_mode: Option<u32>,
    pub(crate) file_uid: Option<u32>,
    pub(crate) file_gid: Option<u32>,
    pub(crate) uids: Vec<u32>,
    pub(crate) gids: Vec<u32>,
}

impl Access {
    /// Checks the values that the C core can't represent.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(mode) = self.file_mode.filter(|mode| *mode > 0o777) {
            let said = format!("0{mode:o} is no mode of a file, 0 to 0777 are");
            return Err(Error::config("socket mode", said));
        }
        for (what, ids) in [
            ("allowed users", &self.uids),
            ("allowed groups", &self.gids),
        ] {
            if ids.len() > usize::from(u16::MAX) {
                let said = format!("{} given, at most {} are possible", ids.len(), u16::MAX);
                return Err(Error::config(what, said));
            }
        }
        Ok(())
    }
}

/// Settings of an interface, checked by the caller.
#[derive(Clone)]
pub(crate) struct ConnArgs {
    pub(crate) is_master: bool,
    pub(crate) id: u32,
    pub(crate) mode: u32,
    pub(crate) name: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) rx_queues: u8,
    pub(crate) tx_queues: u8,
    pub(crate) buffer_size: u16,
    pub(crate) log2_ring_size: u8,
    pub(crate) allow_unsealed: bool,
}
