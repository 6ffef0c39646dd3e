//! The links of a host in Prometheus's text form.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use super::observed::{Host, direction_name, ends, socket};
use super::prometheus::registered;

const LINK: [&str; 4] = ["socket", "master", "slave", "link"];
const RING: [&str; 6] = ["socket", "master", "slave", "link", "direction", "queue"];

pub(super) fn text(host: &Host) -> String {
    encode(host).unwrap_or_else(|e| {
        log::warn!("metrics: {e}");
        String::new()
    })
}

fn encode(host: &Host) -> prometheus::Result<String> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| {
        registered(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
    };
    let up = gauge(
        "memif_observed_link_up",
        "Whether the link is there: 1, or 0 after it has gone.",
        &LINK,
    )?;
    let used = gauge(
        "memif_observed_ring_used_slots",
        "Slots of the ring with packets that their receiver has not taken.",
        &RING,
    )?;
    let slots = gauge("memif_observed_ring_slots", "Slots of the ring.", &RING)?;
    let packets = registered(
        &registry,
        IntCounterVec::new(
            Opts::new(
                "memif_observed_packets_total",
                "Slots that were sent since the link was found: packets, of which those longer than a buffer take several.",
            ),
            &RING,
        )?,
    )?;
    // Several links between the same programs on the same socket are numbered.
    let mut numbers = BTreeMap::new();
    for observed in host.links.values() {
        let program =
            |p: Option<&memif::observe::Process>| p.map_or_else(String::new, |p| p.program.clone());
        let (master, slave) = ends(&observed.link);
        let name = (socket(&observed.link), program(master), program(slave));
        let number = numbers.entry(name.clone()).or_insert(0);
        let (socket, master, slave) = &name;
        let link = number.to_string();
        *number += 1;
        let labels = [&socket[..], master, slave, &link];
        up.with_label_values(&labels).set(observed.up.into());
        for (ring, passed) in observed.link.rings().iter().zip(&observed.rings) {
            let queue = ring.queue.to_string();
            let way = direction_name(ring.direction).unwrap_or("unknown");
            let labels = [&socket[..], master, slave, &link, way, &queue];
            packets.with_label_values(&labels).inc_by(passed.slots);
            if observed.up {
                used.with_label_values(&labels).set(ring.used().into());
                slots.with_label_values(&labels).set(ring.size.into());
            }
        }
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}
