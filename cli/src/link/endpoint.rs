//! The interface that a command works on: the options that say which.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::RangedU64ValueParser;
use memif::{Context, IfMode, MemifConfig, Role};

use crate::events::Events;
use crate::failure::Failure;
use crate::link::access::Access;
use crate::link::session::Session;
use crate::values::{Secret, mode};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Endpoint {
    /// Control socket; a leading '@', or 'abstract:' as in VPP, means an abstract name
    #[arg(short, long, value_name = "PATH", value_parser = crate::values::socket)]
    pub(crate) socket: Option<String>,
    /// Interface id, the same on both sides
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) id: u32,
    /// Role of this side: master (server) listens, slave (client) connects [default: slave; master
    /// for `bench recv` and `bench pong`]
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<Role>,
    /// Secret, at most 24 bytes; the environment hides it from other users
    #[arg(
        long,
        env = "MEMIF_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub(crate) secret: Option<Secret>,
    /// Read the secret from the first line of a file
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Interface mode: ethernet, ip
    #[arg(long, default_value = "ethernet", value_name = "MODE", value_parser = mode)]
    pub(crate) mode: IfMode,
    /// Queues in each direction, 1 to 255 [default: 1; as master, as many as the slave has]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u8>::new().range(1..=255))]
    pub(crate) queues: Option<u8>,
    /// log2 of the ring size, 1 to 14; the slave's value applies
    #[arg(long, default_value_t = 10, value_name = "LOG2",
          value_parser = RangedU64ValueParser::<u8>::new().range(1..=14))]
    pub(crate) ring_size: u8,
    /// Buffer size in bytes, 64 to 65535; the slave's value applies
    #[arg(long, default_value_t = 2048, value_name = "BYTES",
          value_parser = RangedU64ValueParser::<u16>::new().range(64..=65535))]
    pub(crate) buffer_size: u16,
    /// Interface name sent to the peer
    #[arg(long, default_value = "memif", value_name = "NAME")]
    pub(crate) name: String,
    /// Accept memory that the peer can truncate, which would kill this process (DPDK zero-copy)
    #[arg(long)]
    pub(crate) allow_unsealed: bool,
    #[command(flatten)]
    pub(crate) access: Access,
}

impl Endpoint {
    pub(crate) fn open(&self, events: &Events, quiet: bool) -> Result<Session, Failure> {
        self.open_as(Role::Slave, events, quiet)
    }

    /// For a command that works on the first queue: a slave is not to use others, unless asked.
    pub(crate) fn of_one_queue(&self) -> Self {
        Self {
            queues: self.queues.or(Some(1)),
            ..self.clone()
        }
    }

    fn secret(&self) -> Result<String, Failure> {
        let Some(path) = &self.secret_file else {
            return Ok(self.secret.clone().unwrap_or_default().0);
        };
        let text = fs::read_to_string(path)
            .map_err(|e| Failure::Failed(format!("the secret in {}: {e}", path.display())))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// In this role, unless another was asked for.
    pub(crate) fn open_as(
        &self,
        role: Role,
        events: &Events,
        quiet: bool,
    ) -> Result<Session, Failure> {
        self.open_in(self.context()?, role, events, quiet)
    }

    pub(crate) fn context(&self) -> Result<Arc<Context>, Failure> {
        let context = self.access.apply(Context::builder("memif")).build()?;
        Ok(Arc::new(context))
    }

    /// In a context that another interface may share.
    pub(crate) fn open_in(
        &self,
        context: Arc<Context>,
        role: Role,
        events: &Events,
        quiet: bool,
    ) -> Result<Session, Failure> {
        let role = self.role.unwrap_or(role);
        let Some(socket) = &self.socket else {
            return Err(Failure::Usage("no socket given; use --socket PATH".into()));
        };
        let config = MemifConfig::new(socket)
            .id(self.id)
            .role(role)
            .secret(self.secret()?)
            .mode(self.mode)
            .log2_ring_size(self.ring_size)
            .buffer_size(self.buffer_size)
            .name(&self.name)
            .allow_unsealed_regions(self.allow_unsealed);
        let config = match self.queues {
            Some(queues) => config.queues(queues, queues),
            None => config,
        };
        Session::open(context, config, role, quiet, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_shown() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            endpoint: Endpoint,
        }
        let line = ["memif", "-s", "x", "--secret", "hunter2"];
        let args = <Line as clap::Parser>::try_parse_from(line).unwrap();
        assert_eq!(args.endpoint.secret, Some(Secret("hunter2".into())));
        let shown = format!("{args:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
