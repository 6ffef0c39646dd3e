//! Many handles in one thread.

use memif::stream::AsyncPacketHandle;
use memif::{Context, MemifConfig, Role};

use crate::common::*;
use crate::soon;

/// A hundred links, so two hundred handles, each with a task: all move on, none waits for another.
#[tokio::test(flavor = "current_thread")]
async fn a_hundred_links_in_one_thread() {
    const LINKS: u32 = 100;
    const PACKETS: u64 = 500;
    let (socket, there) = (socket(), context());
    // All of one process may ask before one has its answer.
    let here = Context::builder("test").max_half_open(2 * LINKS);
    let here = here.build().unwrap();
    let mut tasks = Vec::new();
    for id in 0..LINKS {
        let config = || MemifConfig::new(&socket).id(id).log2_ring_size(5);
        let master = here.create_interface(config().role(Role::Master)).unwrap();
        let slave = there.create_interface(config()).unwrap();
        tasks.push(tokio::spawn(async move {
            soon(master.link_up()).await.unwrap();
            let handle = master.packet_handle(0).unwrap().with_burst(16);
            let mut handle = AsyncPacketHandle::new(handle).unwrap();
            // Sends back what comes.
            for n in 0..PACKETS {
                let packet = handle.read_packet().await.unwrap().to_vec();
                assert_same(&packet, &pattern(n, 100), format!("link {id}, packet {n}"));
                handle.write_packet(&packet).await.unwrap();
            }
            handle.close().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            soon(slave.link_up()).await.unwrap();
            let handle = slave.packet_handle(0).unwrap().with_burst(16);
            let (mut reader, mut writer) = AsyncPacketHandle::new(handle).unwrap().split();
            let writing = tokio::spawn(async move {
                for n in 0..PACKETS {
                    writer.write_packet(&pattern(n, 100)).await.unwrap();
                }
                writer
            });
            for n in 0..PACKETS {
                let packet = reader.read_packet().await.unwrap();
                assert_same(&packet, &pattern(n, 100), format!("echo {id}, packet {n}"));
            }
            soon(writing).await.unwrap();
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
}
