//! A snapshot in Prometheus's text form.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use super::snapshot::Snapshot;

const INTERFACE: [&str; 3] = ["socket", "id", "role"];
const QUEUE: [&str; 5] = ["socket", "id", "role", "direction", "queue"];

pub(super) fn text(snapshot: &Snapshot) -> String {
    encode(snapshot).unwrap_or_else(|e| {
        log::warn!("metrics: {e}");
        String::new()
    })
}

/// Counters of its own for each snapshot: those of the library are what counts.
fn encode(snapshot: &Snapshot) -> prometheus::Result<String> {
    let registry = Registry::new();
    let counter = |name: &str, help: &str, labels: &[&str]| {
        registered(
            &registry,
            IntCounterVec::new(Opts::new(name, help), labels)?,
        )
    };
    let gauge = |name: &str, help: &str, labels: &[&str]| {
        registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
    };
    let up = gauge(
        "memif_link_up",
        "Whether the link is up: 1 or 0.",
        &INTERFACE,
    )?;
    let links = counter(
        "memif_links_total",
        "Links so far; all but the first are reconnects.",
        &INTERFACE,
    )?;
    let packets = counter(
        "memif_packets_total",
        "Packets received (rx) or sent (tx).",
        &QUEUE,
    )?;
    let bytes = counter(
        "memif_bytes_total",
        "Bytes of the packets received (rx) or sent (tx).",
        &QUEUE,
    )?;
    let dropped = counter(
        "memif_dropped_packets_total",
        "Packets received and not passed on.",
        &QUEUE,
    )?;
    let full = counter(
        "memif_ring_full_total",
        "Times that a ring had no room (tx), or was found full, so that its peer may have dropped \
         packets (rx).",
        &QUEUE,
    )?;
    let overrun = counter(
        "memif_overrun_slots_total",
        "Slots of a receive ring that the peer has overwritten before they were read.",
        &QUEUE,
    )?;
    let used = gauge(
        "memif_ring_used_slots",
        "Slots of the ring that hold packets.",
        &QUEUE,
    )?;
    let slots = gauge(
        "memif_ring_slots",
        "Slots of the ring; 0 without a link.",
        &QUEUE,
    )?;

    for interface in &snapshot.interfaces {
        let id = interface.id.to_string();
        let labels = [&interface.socket[..], &id, &interface.role];
        up.with_label_values(&labels).set(interface.link_up.into());
        links.with_label_values(&labels).inc_by(interface.links);
        for queue in &interface.queues {
            let number = queue.queue.to_string();
            let [socket, id, role] = labels;
            let labels = [socket, id, role, queue.direction.name(), &number];
            packets.with_label_values(&labels).inc_by(queue.packets);
            bytes.with_label_values(&labels).inc_by(queue.bytes);
            dropped.with_label_values(&labels).inc_by(queue.dropped);
            full.with_label_values(&labels).inc_by(queue.ring_full);
            overrun
                .with_label_values(&labels)
                .inc_by(queue.overrun_slots);
            used.with_label_values(&labels).set(queue.ring_used.into());
            slots.with_label_values(&labels).set(queue.ring_size.into());
        }
    }
    if let Some(load) = snapshot.buffer {
        let gauge = |name: &str, help: &str, value: f64| -> prometheus::Result<()> {
            registered(&registry, Gauge::new(name, help)?).map(|gauge| gauge.set(value))
        };
        gauge(
            "memif_buffer_limit_bytes",
            "Memory for packets that wait to be written.",
            load.limit as f64,
        )?;
        gauge(
            "memif_buffer_highest_bytes",
            "Most of it that was in use.",
            load.highest as f64,
        )?;
        gauge(
            "memif_longest_pause_seconds",
            "Longest time between two reads of a ring.",
            load.longest_pause,
        )?;
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}

pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    c: C,
) -> prometheus::Result<C> {
    registry.register(Box::new(c.clone()))?;
    Ok(c)
}
