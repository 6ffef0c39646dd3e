//! What the tests of links share.

use memif::{Context, Memif, MemifConfig, Role};

use crate::common::*;

pub(crate) fn master_on(context: &Context, socket: &str) -> Memif {
    let config = MemifConfig::new(socket).role(Role::Master);
    context.create_interface(config).unwrap()
}

pub(crate) fn slave_on(context: &Context, socket: &str) -> Memif {
    context.create_interface(MemifConfig::new(socket)).unwrap()
}

/// One packet each way.
#[track_caller]
pub(crate) fn works(a: &Memif, b: &Memif) {
    up(a);
    up(b);
    let mut a = a.packet_handle(0).unwrap().with_burst(4);
    let mut b = b.packet_handle(0).unwrap().with_burst(4);
    a.write_packet_timeout(b"there", Some(LONG)).unwrap();
    b.write_packet_timeout(b"back", Some(LONG)).unwrap();
    assert_eq!(read(&mut b), b"there");
    assert_eq!(read(&mut a), b"back");
}
