//! A file for each queue.

use memif::{Context, MemifConfig};

use crate::packets::{assert_numbered, numbered, read, write_numbered};
use crate::process::{PATIENCE, Place, run};
use crate::replay::start_capture;

const QUEUES: u8 = 4;
const EACH: u64 = 3000;

#[test]
fn each_queue_has_a_file_of_its_own() {
    for rotation in [&[][..], &["-b", "packets:100000"]] {
        let place = Place::new();
        let out = place.text("out.pcap");
        let options = [&["--once", "--split", "queue", "-w", &out][..], rotation].concat();
        let capture = start_capture(&place, "master", &options);
        let context = Context::new("four queues").unwrap();
        let config = MemifConfig::new(place.socket()).queues(QUEUES, QUEUES);
        let slave = context.create_interface(config).unwrap();
        slave.wait_link_up(Some(PATIENCE)).unwrap();
        for queue in 0..QUEUES {
            let mut to = slave.tx_queue(queue).unwrap();
            for n in 0..EACH {
                let packet = numbered(u64::from(queue) * EACH + n, 64);
                while to.tx_burst(&[&packet]).unwrap() == 0 {
                    let _ = to.wait_writable(packet.len(), Some(PATIENCE)).unwrap();
                }
            }
        }
        slave.close();
        let ended = capture.finish().good();
        for queue in 0..QUEUES {
            let stem = format!("out_q{queue}");
            let line = format!("3000 packets written to {}", place.text(&stem));
            assert!(ended.said.contains(&line), "{}", ended.said);
            let files = std::fs::read_dir(place.path("")).unwrap();
            let mut files = files.map(|file| file.unwrap().path());
            let file = files.find(|path| path.to_str().unwrap().contains(&stem));
            let from = u64::from(queue) * EACH;
            assert_numbered(&read(file.unwrap()), from, from + EACH);
        }
    }
}

#[test]
fn several_files_are_merged_by_time() {
    let place = Place::new();
    let (first, second, out) = (
        place.text("a.pcap"),
        place.text("b.pcap"),
        place.text("out.pcap"),
    );
    write_numbered(&first, 0, 50, &[64]);
    write_numbered(&second, 50, 100, &[64]);
    run(&["capture", "-r", &second, "-r", &first, "-w", &out])
        .good()
        .says("100 packets written");
    assert_numbered(&read(&out), 0, 100);
}

#[test]
fn what_has_no_queues_is_not_split() {
    for options in [
        &["-w", "-"][..],
        &["-w", "tcp-listen:0"],
        &["-w", "x.pcap", "-c", "5"],
        &["-w", "x.pcap", "-r", "y.pcap"],
    ] {
        run(&[&["capture", "--split", "queue"][..], options].concat()).refused("--split");
    }
    let bridge = [
        "bridge", "memif:x", "memif:y", "-w", "z.pcap", "--split", "queue",
    ];
    run(&bridge).refused("--split");
}
