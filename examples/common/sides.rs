//! One end of a memif by `--master` or `--slave`, or both in this process.
#![allow(dead_code, unreachable_pub)] // No example needs all of it.

use memif::{Context, Error, Memif, MemifConfig, Role};

use crate::args::{flag, option};

pub enum Sides {
    /// One end, with its link up. The peer is another program.
    One(Memif),
    Both {
        master: Memif,
        slave: Memif,
    },
}

/// Opens what the options `--master`, `--slave`, `--socket PATH` and `--id NUMBER` say.
pub fn open(
    context: &Context,
    settings: impl Fn(MemifConfig) -> MemifConfig,
) -> Result<Sides, Error> {
    let role = match (flag("--master"), flag("--slave")) {
        (true, _) => Role::Master,
        (_, true) => Role::Slave,
        _ => return both(context, settings),
    };
    let socket = option("--socket", "/tmp/memif-example.sock");
    let id = option("--id", "0").parse();
    let id = id.unwrap_or_else(|_| crate::args::fail("--id: a number"));
    let config = settings(MemifConfig::new(socket).id(id)).role(role);
    let memif = context.create_interface(config)?;
    println!("{memif}: waiting for the peer");
    memif.wait_link_up(None)?;
    println!("connected to {}", memif.details()?.remote_name);
    Ok(Sides::One(memif))
}

fn both(context: &Context, settings: impl Fn(MemifConfig) -> MemifConfig) -> Result<Sides, Error> {
    let socket = format!("@memif-example-{}", std::process::id());
    let master = settings(MemifConfig::new(&socket)).role(Role::Master);
    let master = context.create_interface(master)?;
    let slave = context.create_interface(settings(MemifConfig::new(&socket)))?;
    slave.wait_link_up(None)?;
    master.wait_link_up(None)?;
    Ok(Sides::Both { master, slave })
}
