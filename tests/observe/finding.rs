//! What is found, and what is said of it.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use memif::observe::Direction;
use memif::{Burst, Context, Memif, MemifConfig, Role};
use memif_hostile::peer::{BUFFER, LOG2, Memory, Message, P_REGION1, Plan, Step};

use crate::common::{Pair, context, down, socket, until, up};
use crate::traffic::{link_of, only_link, own_links, turn};

#[test]
fn a_link_is_found_while_it_is_up() {
    let _turn = turn();
    until("no link", || own_links().is_empty());
    let pair = Pair::with(|c| c.queues(3, 3).log2_ring_size(7));
    let link = link_of(&pair);
    let rings = link.rings();
    let expected = [Direction::ToMaster, Direction::ToSlave]
        .into_iter()
        .flat_map(|d| (0..3).map(move |queue| (Some(d), queue, 128)));
    let found = rings.iter().map(|r| (r.direction, r.queue, r.size));
    assert!(found.eq(expected), "{rings:?}");
    assert!(rings.iter().all(|r| r.used() == 0), "{rings:?}");
    let slave = &pair.slave;
    let packets = vec![[0u8; 64]; 5];
    assert_eq!(slave.tx_queue(1).unwrap().tx_burst(&packets).unwrap(), 5);
    assert_eq!(link.rings()[1].used(), 5);
    assert_eq!(link.rings()[1].sent(), 5);
    let details = slave.details().unwrap();
    let bytes: u64 = details.regions.iter().map(|r| u64::from(r.size)).sum();
    assert_eq!(link.memory(), bytes);
    assert_eq!(link.problem(), None);
    assert!(link.is_up());
    assert_eq!(link.processes().len(), 1);
    assert!(link.process(Role::Master).is_none(), "both ends are here");

    // A close would wait for whoever reads them.
    let mut burst = Burst::new(5);
    assert_eq!(
        pair.master
            .rx_queue(1)
            .unwrap()
            .rx_burst(&mut burst)
            .unwrap(),
        5
    );
    pair.slave.close();
    down(&pair.master);
    until("the end of the link", || !link.is_up());
    assert!(own_links().is_empty());
}

/// The kernel does not always number the two files of a link in a row.
#[test]
fn the_memory_of_the_only_link_is_known_whatever_the_inodes() {
    let _turn = turn();
    until("no link", || own_links().is_empty());
    let (socket, context) = (socket(), context());
    let master = MemifConfig::new(&socket).role(Role::Master);
    let _master = context.create_interface(master).unwrap();
    let mut plan = Plan::new(0);
    let buffers = Memory::new(2 * (BUFFER << LOG2));
    let size = buffers.len() as u64;
    plan.steps[P_REGION1] = Step::new(Message::add_region(1, size), &[&buffers.fd]);
    plan.regions[1] = buffers;
    let rings = plan.regions[0].len() as u64;
    let _slave = plan.up(&socket);
    assert_eq!(only_link().memory(), rings + size);
}

/// Where there is no link yet.
fn two_masters() -> (String, Context, [Memif; 2]) {
    until("no link", || own_links().is_empty());
    let (socket, context) = (socket(), context());
    let masters = [0, 1].map(|id| {
        let master = MemifConfig::new(&socket).id(id).role(Role::Master);
        context.create_interface(master).unwrap()
    });
    (socket, context, masters)
}

/// Also beside another link, if the files of that one are numbered in a row.
#[test]
fn the_memory_of_a_link_is_known_beside_that_of_another() {
    let _turn = turn();
    let (socket, _context, _masters) = two_masters();
    let inode = |memory: &Memory| {
        let file = File::from(memory.fd.try_clone().unwrap());
        file.metadata().unwrap().ino()
    };
    let in_a_row = |plan: &Plan| inode(&plan.regions[0]) + 1 == inode(&plan.regions[1]);
    let first = loop {
        let plan = Plan::new(0);
        if in_a_row(&plan) {
            break plan;
        }
    };
    let mut other = Plan::new(1);
    let buffers = Memory::new(3 * (BUFFER << LOG2));
    let size = buffers.len() as u64;
    other.steps[P_REGION1] = Step::new(Message::add_region(1, size), &[&buffers.fd]);
    other.regions[1] = buffers;
    assert!(!in_a_row(&other));
    let memory = |plan: &Plan| plan.regions.iter().map(|r| r.len() as u64).sum::<u64>();
    let mut expected = [&first, &other].map(memory);
    let _slaves = [first, other].map(|plan| plan.up(&socket));
    let mut found: Vec<u64> = own_links().iter().map(|link| link.memory()).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn memory_that_links_share_counts_once() {
    let _turn = turn();
    let (socket, _context, _masters) = two_masters();
    let shared = Memory::new(2 * (BUFFER << LOG2));
    let size = shared.len() as u64;
    let slaves = [0, 1].map(|id| {
        let mut plan = Plan::new(id);
        plan.steps[P_REGION1] = Step::new(Message::add_region(1, size), &[&shared.fd]);
        plan.regions[1] = Memory::map(shared.fd.clone(), shared.len());
        let rings = plan.regions[0].len() as u64;
        (plan.up(&socket), rings)
    });
    let memory = own_links().iter().map(|link| link.memory()).sum::<u64>();
    assert_eq!(memory, slaves[0].1 + slaves[1].1 + size);
}

#[test]
fn two_hundred_links_are_found() {
    const LINKS: u32 = 200;
    let _turn = turn();
    until("no link", || own_links().is_empty());
    // With the usual pause between attempts: of 200 slaves that try every 5 ms nearly all are refused,
    // and the thread that refuses them is the one that takes the steps of the others.
    let (socket, context) = (socket(), Context::new("test").unwrap());
    let config = |id, role| {
        let config = MemifConfig::new(&socket).id(id).role(role);
        config.log2_ring_size(4).buffer_size(64)
    };
    let all = [Role::Master, Role::Slave].map(|role| {
        let create = |id| context.create_interface(config(id, role)).unwrap();
        (0..LINKS).map(create).collect::<Vec<_>>()
    });
    // All at once, though a process may have 48 unfinished handshakes at a time.
    all.iter().flatten().for_each(up);
    let start = Instant::now();
    let links = own_links();
    println!("{} links in {:?}", links.len(), start.elapsed());
    assert_eq!(links.len(), LINKS as usize);
    assert!(links.iter().all(|link| link.socket() == Some(&socket)));
    drop(all);
}
