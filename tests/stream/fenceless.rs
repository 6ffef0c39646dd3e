//! A packet that a sender without a fence did not tell of; see tests/handshake/fenceless.rs.

use std::time::Instant;

use memif_hostile::peer::{LOG2, Plan};

use crate::*;

#[tokio::test]
async fn a_sleeping_reader_finds_it() {
    let context = context();
    let config = MemifConfig::new(socket()).role(Role::Master);
    let master = context
        .create_interface(config.log2_ring_size(LOG2))
        .unwrap();
    let link = Plan::new(0).up(master.socket());
    up(&master);
    let mut handle = handle(&master, 4);
    link.slave_sends(b"first");
    assert_eq!(soon(handle.read_packet()).await.unwrap().data(), b"first");
    for _ in 0..10 {
        let reading = tokio::spawn(async move {
            soon(handle.read_packet()).await.unwrap();
            handle
        });
        while link.s2m().flags() & 1 != 0 {
            tokio::task::yield_now().await;
        }
        let ring = link.s2m();
        ring.set_head(ring.head().wrapping_add(1));
        let start = Instant::now();
        handle = reading.await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
