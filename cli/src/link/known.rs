//! What is known of peers and of settings that do not suit them, each with what to do.
//!
//! It knows nothing that a test does not hold: `tests/scripted` and `tests/interop` of the library,
//! and `cli/tests`.

use std::time::Duration;

use memif::{MemifDetails, Role};

/// Something that does not suit, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) what: String,
    pub(crate) to_do: String,
}

/// The longest descriptor that VPP takes.
const VPP_MOST: u16 = 9216;
/// Before this version VPP overruns rings.
const VPP_MENDED: (u32, u32) = (26, 6);
/// A receiver may pause for so long: scheduling, a page fault, a file that is written out.
const PAUSE: Duration = Duration::from_millis(10);
/// log2 of the largest ring that every peer takes.
const LARGEST_RING: u32 = 14;

/// What arrived while somebody looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// On the busiest queue.
    pub(crate) slots: u64,
    pub(crate) time: Duration,
}

/// VPP's release, as its name in the handshake says: "VPP 26.10-rc0~374-gb575ec2c".
fn vpp(name: &str) -> Option<(u32, u32)> {
    let version = name.strip_prefix("VPP ")?.trim_start_matches('v');
    let (year, rest) = version.split_once('.')?;
    let month: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((year.parse().ok()?, month.parse().ok()?))
}

/// VPP refuses what is longer in one buffer.
pub(crate) fn too_large_for_vpp(details: &MemifDetails) -> Option<Advice> {
    let largest = details.tx_queues.iter().map(|q| q.buffer_size).max()?;
    (details.remote_name.starts_with("VPP") && largest > VPP_MOST).then(|| Advice {
        what: format!(
            "VPP drops packets of more than {VPP_MOST} bytes that lie in one buffer, and buffers \
             have {largest}"
        ),
        to_do: match details.role {
            Role::Master => format!("give VPP's interface a buffer-size of at most {VPP_MOST}"),
            _ => format!("use --buffer-size {VPP_MOST} or less; longer packets take several"),
        },
    })
}

/// Of a link that is up.
pub(crate) fn of_link(details: &MemifDetails, arrived: Arrived) -> Vec<Advice> {
    let mut all = Vec::new();
    let name = &details.remote_name;
    let receive = details.rx_queues.first();
    let buffer = receive.map_or(0, |q| q.buffer_size);
    let settings = match details.role {
        Role::Master => "its ring-size and buffer-size",
        _ => "--ring-size and --buffer-size",
    };
    if vpp(name).is_some_and(|version| version < VPP_MENDED) {
        all.push(Advice {
            what: format!(
                "{name} writes over packets that were not read when frames longer than a buffer \
                 ({buffer} bytes) fill the ring; 26.06 and later do not"
            ),
            to_do: format!("update VPP, or enlarge {settings} until frames fit"),
        });
    }
    if name.starts_with("VPP") && details.role == Role::Master {
        all.push(Advice {
            what: "VPP's slave, unless it has no-zero-copy, gives back its buffers 32 at a time: \
                   whether it took the last packets can't be seen"
                .into(),
            to_do: "nothing; or create it with no-zero-copy where a replay has to be confirmed"
                .into(),
        });
    }
    all.extend(too_large_for_vpp(details));
    if let Some(queue) = receive
        && let Some(holds) = time_to_fill(queue.ring_size, arrived)
        && holds < PAUSE
    {
        let wanted =
            (arrived.slots as f64 * PAUSE.as_secs_f64() * 5.0 / arrived.time.as_secs_f64()) as u64;
        let log2 = wanted.max(2).next_power_of_two().ilog2().min(LARGEST_RING);
        let larger = queue.ring_size < 1 << log2;
        all.push(Advice {
            what: format!(
                "at the present rate the receive ring of {} slots is full after {:.1} ms, and the \
                 peer drops packets when a reader pauses for longer",
                queue.ring_size,
                holds.as_secs_f64() * 1e3
            ),
            to_do: match (larger, details.role) {
                (false, _) => "use more queues, or --rx-mode polling".into(),
                (true, Role::Master) => format!("give the peer a ring-size of {}", 1 << log2),
                (true, _) => format!("use --ring-size {log2}"),
            },
        });
    }
    all
}

fn time_to_fill(ring: u32, arrived: Arrived) -> Option<Duration> {
    let rate = arrived.slots as f64 / arrived.time.as_secs_f64();
    let time = f64::from(ring) / rate;
    Duration::try_from_secs_f64(time).ok()
}

/// Of a socket: who can't reach it.
pub(crate) fn of_socket(details: &MemifDetails, mode: u32) -> Vec<Advice> {
    let mut all = Vec::new();
    let socket = details.socket.display().to_string();
    if socket.starts_with('@') {
        all.push(Advice {
            what: "an abstract name is known in this network namespace only".into(),
            to_do: "use a path in a folder that both sides share, where the peer is in another"
                .into(),
        });
    } else if details.role == Role::Master && mode & 0o066 == 0 {
        all.push(Advice {
            what: format!("only this user and root may connect: {socket} has mode {mode:04o}"),
            to_do: "use --socket-mode 0660 --socket-owner :GROUP where the peer is another user"
                .into(),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vpp_s_versions_are_in_its_name() {
        for (name, is) in [
            ("VPP 26.10-rc0~374-gb575ec2c56d", Some((26, 10))),
            ("VPP 26.02-release", Some((26, 2))),
            ("VPP 24.10.1", Some((24, 10))),
            ("VPP", None),
            ("VPP x.y", None),
            ("DPDK 22.11.11", None),
        ] {
            assert_eq!(vpp(name), is, "{name}");
        }
    }
}
