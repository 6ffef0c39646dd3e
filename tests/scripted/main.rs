//! Peers that do what known peers were seen to do, message by message and slot by slot, so that it
//! is always tested. docs/peers.md names the peers.

#[path = "../common/mod.rs"]
mod common;

mod chains;
mod listeners;
mod offers;
mod overrun;
mod settings;

use common::*;
use memif::{Memif, MemifConfig, Role};
use memif_hostile::peer::*;

/// The side that is tested, with the sizes of the raw peer's default plan.
fn ours(context: &memif::Context, role: Role) -> Memif {
    let config = MemifConfig::new(socket()).role(role);
    let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
    context.create_interface(config).unwrap()
}

/// A slave by the default plan that calls itself by this name.
fn slave_named(name: &str, socket: impl AsRef<std::path::Path>) -> Link {
    let mut plan = Plan::new(0);
    plan.steps[P_INIT].message = plan.steps[P_INIT]
        .message
        .put(at::INIT_NAME, name.as_bytes());
    plan.up(socket)
}

/// As slave: writes a packet into slots from this one on, and publishes nothing.
fn put_chain(link: &Link, at: u16, packet: &[u8], last: bool) -> u16 {
    let ring = link.s2m();
    let parts: Vec<&[u8]> = packet.chunks(BUFFER).collect();
    for (i, part) in parts.iter().enumerate() {
        let slot = at.wrapping_add(i as u16);
        let mut desc = ring.desc(slot);
        link.regions[usize::from(desc.region)].write(desc.offset as usize, part);
        desc.length = part.len() as u32;
        desc.flags = if last && i + 1 == parts.len() {
            0
        } else {
            NEXT
        };
        ring.set_desc(slot, desc);
    }
    at.wrapping_add(parts.len() as u16)
}
