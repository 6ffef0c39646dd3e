//! What the tests share: sockets of their own, pairs of interfaces, packets whose content
//! tells what they are.

// Each test program uses a part of it.
#![allow(dead_code)]

pub(crate) mod heap;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memif::{Context, Eof, Error, Memif, MemifConfig, PacketHandle, Role};

/// Longer than anything here takes on the slowest machine: who waits as long has hung.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const ROLES: [Role; 2] = [Role::Master, Role::Slave];

/// Whether full counts are asked for, as in CI: MEMIF_LONG=1.
pub(crate) fn is_long() -> bool {
    std::env::var_os("MEMIF_LONG").is_some_and(|v| v == "1")
}

/// An abstract socket that no other test has.
pub(crate) fn socket() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("@memif-test-{}-{n}", std::process::id())
}

/// A context that tries again soon.
pub(crate) fn context() -> Context {
    Context::builder("test")
        .reconnect_interval(Duration::from_millis(5))
        .build()
        .expect("a context")
}

/// Waits for a condition that something else brings about.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "this never came: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

#[track_caller]
pub(crate) fn up(memif: &Memif) {
    memif.wait_link_up(Some(LONG)).unwrap();
}

/// Waits until the slave has offered its buffers: a link is up a moment before that.
#[track_caller]
pub(crate) fn writable(memif: &Memif) {
    until("offered buffers", || {
        let queues = memif.details().unwrap().tx_queues;
        memif.role() == Role::Slave || queues.iter().all(|queue| queue.head != queue.tail)
    });
}

#[track_caller]
pub(crate) fn down(memif: &Memif) {
    until("the link's end", || !memif.is_link_up());
}

/// Two interfaces, each in a context of its own, with their link up.
pub(crate) struct Pair {
    pub(crate) socket: String,
    pub(crate) master: Memif,
    pub(crate) slave: Memif,
    pub(crate) master_context: Context,
    pub(crate) slave_context: Context,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }

    /// `settings` is applied to both sides.
    pub(crate) fn with(settings: impl Fn(MemifConfig) -> MemifConfig) -> Self {
        let socket = socket();
        let master_context = context();
        let slave_context = context();
        let master = settings(MemifConfig::new(&socket)).role(Role::Master);
        let slave = settings(MemifConfig::new(&socket)).role(Role::Slave);
        let master = master_context.create_interface(master).unwrap();
        let slave = slave_context.create_interface(slave).unwrap();
        up(&slave);
        up(&master);
        writable(&master);
        Self {
            socket,
            master,
            slave,
            master_context,
            slave_context,
        }
    }

    /// Small rings, so that they are full soon: 2^log2 slots of `buffer_size` bytes.
    pub(crate) fn small(log2: u8, buffer_size: u16) -> Self {
        Self::with(|c| c.log2_ring_size(log2).buffer_size(buffer_size))
    }

    pub(crate) fn side(&self, role: Role) -> &Memif {
        match role {
            Role::Master => &self.master,
            _ => &self.slave,
        }
    }

    /// Handles of queue 0: the writer's, and the reader's, who has this role.
    pub(crate) fn handles(&self, reader: Role, rx_count: u16) -> (PacketHandle, PacketHandle) {
        let to = self
            .side(other(reader))
            .packet_handle(0)
            .unwrap()
            .with_burst(rx_count);
        let from = self
            .side(reader)
            .packet_handle(0)
            .unwrap()
            .with_burst(rx_count);
        (to, from)
    }
}

pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Master => Role::Slave,
        _ => Role::Master,
    }
}

/// A packet of this length whose bytes follow from its number.
pub(crate) fn pattern(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ length as u64;
    (0..length)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// As it is compared, without a page of bytes in the message of a failure.
#[track_caller]
pub(crate) fn assert_same(got: &[u8], wanted: &[u8], what: impl std::fmt::Display) {
    assert_eq!(got.len(), wanted.len(), "{what}: length");
    if let Some(at) = got.iter().zip(wanted).position(|(a, b)| a != b) {
        panic!("{what}: differs at byte {at} of {}", got.len());
    }
}

/// The reason of an end of file.
#[track_caller]
pub(crate) fn eof<T: std::fmt::Debug>(result: Result<T, Error>) -> Eof {
    match result {
        Err(Error::Eof(reason)) => reason,
        other => panic!("expected an end of file, got {other:?}"),
    }
}

/// The next packet, waiting for it.
#[track_caller]
pub(crate) fn read(handle: &mut PacketHandle) -> Vec<u8> {
    handle
        .read_packet_timeout(Some(LONG))
        .expect("a packet")
        .to_vec()
}

/// All that can be read now, and what ended it.
#[track_caller]
pub(crate) fn drain(handle: &mut PacketHandle) -> (Vec<Vec<u8>>, Eof) {
    let mut packets = Vec::new();
    loop {
        match handle.read_packet() {
            Ok(packet) => packets.push(packet.to_vec()),
            Err(Error::Eof(reason)) => return (packets, reason),
            Err(e) => panic!("{e}"),
        }
    }
}
