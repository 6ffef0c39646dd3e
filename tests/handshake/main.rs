//! The handshake and a link by the book, message by message, against a raw peer, and what is odd
//! but no offence. Offences are in tests/hostile.

#[path = "../common/mod.rs"]
mod common;

mod book;
mod fenceless;
mod hello;
mod limits;
mod memory;
mod refusals;
mod wakeups;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use memif::{Context, Eof, Error, ErrorKind, IfMode, Memif, MemifConfig, Role, Wait};
use memif_hostile::peer::*;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

fn side(context: &Context, role: Role) -> Memif {
    let config = MemifConfig::new(socket()).role(role).name("ours0");
    // The raw peer's buffers and rings are what the default plan has.
    let config = config.log2_ring_size(LOG2).buffer_size(BUFFER as u16);
    context.create_interface(config).unwrap()
}

/// A packet goes each way.
#[track_caller]
fn works_as_slave(link: &Link, master: &Memif) {
    up(master);
    let mut handle = master.packet_handle(0).unwrap().with_burst(8);
    link.slave_sends(b"to the master");
    assert_eq!(read(&mut handle), b"to the master");
    link.offer();
    handle.write_packet(b"to the slave").unwrap();
    let ring = link.m2s();
    assert_eq!(ring.tail(), 1);
    assert_eq!(link.data(ring.desc(0)), b"to the slave");
}

#[track_caller]
fn works_as_master(link: &Link, slave: &Memif) {
    up(slave);
    let mut handle = slave.packet_handle(0).unwrap().with_burst(8);
    until("offered buffers", || link.m2s().head() == 1 << LOG2);
    link.master_sends(b"to the slave");
    assert_eq!(read(&mut handle), b"to the slave");
    handle.write_packet(b"to the master").unwrap();
    let ring = link.s2m();
    assert_eq!(ring.head(), 1);
    assert_eq!(link.data(ring.desc(0)), b"to the master");
    ring.set_tail(1); // or closing would wait for it
}

fn works_as_master_after(raw: &Master, slave: &Memif) {
    let _link = raw.go(Stage::Up);
    // A waiter may still be told of an earlier refusal.
    until("a link", || slave.is_link_up());
}

/// A raw master, our slave, a link that is up.
fn attacked() -> (Context, Master, Memif) {
    let context = context();
    let socket = socket();
    let raw = Master::listen(&socket);
    let config = MemifConfig::new(&socket).log2_ring_size(LOG2);
    let config = config.buffer_size(BUFFER as u16);
    let slave = context.create_interface(config).unwrap();
    (context, raw, slave)
}
