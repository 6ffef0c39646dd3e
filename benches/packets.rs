//! What a packet costs, sent and received in one thread, beside the floor: the protocol's ring,
//! its checks and two copies, and nothing else.
//!
//!     cargo bench --features full
//!
//! Figures are for a whole burst; criterion's throughput is in packets.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use memif::pcap::{CaptureReader, PcapWriter};
use memif::{
    Burst, CaptureInfo, Context, LinkType, Memif, MemifConfig, Packet, PacketSink, PacketSource,
    Role, RxMode, Timestamp,
};

mod floor;

const SIZES: [usize; 4] = [64, 512, 1518, 9000];
const BURSTS: [usize; 3] = [1, 32, 256];

/// Slots enough for 256 packets of 9000 bytes in chains.
const LOG2_RING_SIZE: u8 = 11;

struct Pair {
    master: Memif,
    slave: Memif,
    _context: Context,
}

impl Pair {
    fn new() -> Self {
        let context = Context::new("bench").expect("a control thread");
        let socket = format!("@memif-criterion-{}", std::process::id());
        let config = MemifConfig::new(socket).log2_ring_size(LOG2_RING_SIZE);
        let create = |role| context.create_interface(config.clone().role(role));
        let master = create(Role::Master).expect("a master");
        let slave = create(Role::Slave).expect("a slave");
        slave.wait_link_up(None).expect("a link");
        master.wait_link_up(None).expect("a link");
        Self {
            master,
            slave,
            _context: context,
        }
    }
}

fn each(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut bench: impl FnMut(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId, usize, usize),
) {
    for size in SIZES {
        for burst in BURSTS {
            group.throughput(Throughput::Elements(burst as u64));
            bench(
                group,
                BenchmarkId::new(name, format!("{size}x{burst}")),
                size,
                burst,
            );
        }
    }
}

fn ring(c: &mut Criterion) {
    let mut group = c.benchmark_group("ring");
    each(&mut group, "floor", |group, id, size, burst| {
        let mut floor = floor::Ring::new(1 << LOG2_RING_SIZE, size);
        group.bench_function(id, |b| b.iter(|| floor.burst(black_box(size), burst)));
    });
    let pair = Pair::new();
    each(&mut group, "queues", |group, id, size, burst| {
        let mut tx = pair.slave.tx_queue(0).expect("the queue is free");
        let mut rx = pair.master.rx_queue(0).expect("the queue is free");
        rx.set_rx_mode(RxMode::Polling).expect("an open interface");
        let data = vec![7; size];
        let packets = vec![&data[..]; burst];
        let mut received = Burst::new(burst as u16);
        group.bench_function(id, |b| {
            b.iter(|| {
                let sent = tx.tx_burst(black_box(&packets)).expect("a link");
                let mut left = sent;
                while left > 0 {
                    left -= rx.rx_burst(&mut received).expect("a link");
                    for packet in &received {
                        black_box(packet.data());
                    }
                }
            });
        });
    });
    each(&mut group, "handle", |group, id, size, burst| {
        let mut to = pair.slave.packet_handle(0).expect("the queue is free");
        let mut from = pair.master.packet_handle(0).expect("the queue is free");
        from.set_rx_mode(RxMode::Polling)
            .expect("an open interface");
        let data = vec![7; size];
        let packets = vec![&data[..]; burst];
        group.bench_function(id, |b| {
            b.iter(|| {
                let sent = match packets[..] {
                    [one] => to.write_packet(black_box(one)).map(|()| 1),
                    _ => to.write_packets(black_box(&packets)),
                };
                for _ in 0..sent.expect("a link with room") {
                    black_box(from.read_packet().expect("a packet").data());
                }
            });
        });
    });
    group.finish();
}

/// Only the half between the ring and the file is timed.
fn files(c: &mut Criterion) {
    let mut group = c.benchmark_group("files");
    let pair = Pair::new();
    each(&mut group, "capture", |group, id, size, burst| {
        let mut to = pair.slave.packet_handle(0).expect("the queue is free");
        let mut from = pair.master.packet_handle(0).expect("the queue is free");
        from.set_rx_mode(RxMode::Polling)
            .expect("an open interface");
        let data = vec![7; size];
        let packets = vec![&data[..]; burst];
        let mut file =
            PcapWriter::new(io::sink(), LinkType::ETHERNET, None).expect("a sink takes all");
        group.bench_function(id, |b| {
            b.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    let sent = to.write_packets(&packets).expect("a link with room");
                    let start = Instant::now();
                    for _ in 0..sent {
                        let packet = from.read_packet().expect("a packet");
                        file.write_packet(&packet).expect("a sink takes all");
                    }
                    time += start.elapsed();
                }
                time
            });
        });
    });
    each(&mut group, "replay", |group, id, size, burst| {
        let mut to = pair.slave.packet_handle(0).expect("the queue is free");
        let mut from = pair.master.packet_handle(0).expect("the queue is free");
        from.set_rx_mode(RxMode::Polling)
            .expect("an open interface");
        let mut capture = Vec::new();
        let mut writer =
            PcapWriter::new(&mut capture, LinkType::ETHERNET, None).expect("memory takes all");
        let data = vec![7; size];
        for n in 0..burst {
            let info = CaptureInfo::whole(size, Timestamp::from_nanos(n as u64));
            writer
                .write_packet(&Packet::new(&data, info))
                .expect("memory takes all");
        }
        writer.close().expect("memory takes all");
        group.bench_function(id, |b| {
            b.iter_custom(|rounds| {
                let mut time = Duration::ZERO;
                for _ in 0..rounds {
                    let mut reader = CaptureReader::new(&capture[..]).expect("a capture");
                    let start = Instant::now();
                    for _ in 0..burst {
                        let packet = reader.read_packet().expect("a packet");
                        to.write_packet(&packet).expect("a link with room");
                    }
                    time += start.elapsed();
                    for _ in 0..burst {
                        black_box(from.read_packet().expect("a packet").data());
                    }
                }
                time
            });
        });
    });
    group.finish();
}

/// smoltcp's tokens, on a device at either end.
#[cfg(feature = "smoltcp")]
fn device(c: &mut Criterion) {
    use memif::phy::MemifDevice;
    use smoltcp::phy::{Device, RxToken, TxToken};
    use smoltcp::time::Instant;

    let mut group = c.benchmark_group("device");
    let pair = Pair::new();
    each(&mut group, "tokens", |group, id, size, burst| {
        let open = |memif| {
            MemifDevice::new(memif, 0)
                .expect("the queue is free")
                .with_mtu(9000)
        };
        let (mut to, mut from) = (open(&pair.slave), open(&pair.master));
        from.set_rx_mode(RxMode::Polling)
            .expect("an open interface");
        let data = vec![7; size];
        group.bench_function(id, |b| {
            b.iter(|| {
                for _ in 0..burst {
                    let token = to.transmit(Instant::ZERO).expect("a link with room");
                    token.consume(size, |frame| frame.copy_from_slice(black_box(&data)));
                }
                to.publish();
                for _ in 0..burst {
                    let (token, _) = from.receive(Instant::ZERO).expect("a frame");
                    token.consume(|frame| black_box(frame[0]));
                }
            });
        });
    });
    group.finish();
}

#[cfg(not(feature = "smoltcp"))]
fn device(_: &mut Criterion) {}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = ring, files, device
}
criterion_main!(benches);
