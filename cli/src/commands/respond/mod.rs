//! `memif respond`: a host of its own at the other end of a memif, by smoltcp.

mod service;

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::{Duration as StdDuration, SystemTime, UNIX_EPOCH};

use memif::phy::smoltcp;
use memif::phy::{self, MemifDevice};
use memif::{IfMode, RxMode};
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, Route, SocketSet};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Cidr, Ipv6Cidr};

use service::Service;

use crate::events::Events;
use crate::failure::Failure;
use crate::link::endpoint::Endpoint;
use crate::link::session::Linked;
use crate::mac::Mac;
use crate::metrics::MetricsArgs;
use crate::report::{count, notice};
use crate::values::some_time;

/// Connections that each service has at a time.
const CONNECTIONS: usize = 8;
/// How soon a new link is noticed.
const LOOKS: Duration = Duration::from_millis(500);

/// Packets that are received before all else gets its turn.
const TURN: usize = 64;

/// What every link of IPv6 has to carry.
const LEAST_MTU_IPV6: u16 = 1280;

/// Act as a simple host on a memif: answer ARP, NDP and ping, TCP echo on port 7, HTTP on port 80
///
/// Each service accepts 8 connections at a time. Continues when the peer reconnects. Ctrl-C stops
/// it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    #[command(flatten)]
    metrics: MetricsArgs,
    /// IPv4 address and prefix length
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = cidr::<Ipv4Cidr>, required_unless_present = "ip6")]
    ip: Option<Ipv4Cidr>,
    /// IPv6 address and prefix length, beside the link-local one, which is made from the MAC
    #[arg(long, value_name = "ADDRESS/LENGTH", value_parser = cidr::<Ipv6Cidr>)]
    ip6: Option<Ipv6Cidr>,
    /// Ethernet address [default: 02:fe and the IPv4 address]
    #[arg(long, value_name = "MAC", value_parser = mac)]
    mac: Option<Mac>,
    /// Address of the default router, of IPv4 or IPv6; may be given for each
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// Router for a network; may be repeated
    #[arg(long, value_name = "NETWORK/LENGTH=ROUTER", value_parser = route)]
    route: Vec<Route>,
    /// MTU, 576 to 65535
    #[arg(long, default_value_t = 1500, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(576..))]
    mtu: u16,
    /// Receive mode: interrupt sleeps, polling spins, adaptive does both
    #[arg(long, default_value = "interrupt", value_parser = crate::values::rx_mode)]
    rx_mode: RxMode,
    /// Fail if there is no link within N seconds; 0 waits for ever [default: 0]
    #[arg(long, value_name = "SECONDS", value_parser = crate::values::seconds)]
    timeout: Option<StdDuration>,
    /// No messages when peers connect or leave
    #[arg(short, long)]
    quiet: bool,
}

fn cidr<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| {
        format!("'{text}' is not an address with a prefix length, such as 192.168.1.1/24")
    })
}

fn route(text: &str) -> Result<Route, String> {
    let parts = text.split_once('=');
    let parts = parts.and_then(|(network, router)| {
        let network: IpCidr = network.parse().ok()?;
        Some((network, router.parse::<IpAddr>().ok()?))
    });
    let (network, router) = parts.ok_or_else(|| {
        format!("'{text}' is not a network and its router, such as 10.0.0.0/8=192.168.1.254")
    })?;
    via(network, router)
}

fn via(cidr: IpCidr, router: IpAddr) -> Result<Route, String> {
    let via_router = IpAddress::from(router);
    // smoltcp takes no other.
    if !via_router.is_unicast() || via_router.version() != cidr.address().version() {
        return Err(format!("{router} is not a router for {cidr}"));
    }
    Ok(Route {
        cidr,
        via_router,
        preferred_until: None,
        expires_at: None,
    })
}

/// The routes of the options.
fn routes(args: &Args) -> Result<Vec<Route>, Failure> {
    let gateways = args.gateway.iter().map(|router| {
        let all = match router {
            IpAddr::V4(_) => IpCidr::new(IpAddress::v4(0, 0, 0, 0), 0),
            IpAddr::V6(_) => IpCidr::new(IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 0), 0),
        };
        via(all, *router).map_err(Failure::Usage)
    });
    gateways.chain(args.route.iter().map(|r| Ok(*r))).collect()
}

fn mac(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse()?;
    match EthernetAddress(mac.0).is_unicast() {
        true => Ok(mac),
        false => Err(format!("{mac} is not the address of a single host")),
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mac = args.mac.unwrap_or_else(|| default_mac(args.ip));
    let addresses: Vec<IpCidr> = (args.ip.map(IpCidr::Ipv4).into_iter())
        .chain(args.ip6.map(IpCidr::Ipv6))
        .collect();
    // smoltcp takes no other.
    if let Some(wrong) = addresses.iter().find(|a| !a.address().is_unicast()) {
        return Err(Failure::Usage(format!(
            "{wrong} is not the address of a single host"
        )));
    }
    if args.endpoint.mode == IfMode::PuntInject {
        let mode = args.endpoint.mode;
        return Err(Failure::Usage(format!(
            "a responder needs ethernet or ip mode, not {mode}"
        )));
    }
    if args.ip6.is_some() && args.mtu < LEAST_MTU_IPV6 {
        return Err(Failure::Usage(format!(
            "an MTU of {} is too small for IPv6; the least is {LEAST_MTU_IPV6}",
            args.mtu
        )));
    }
    let routes = routes(args)?;
    let events = Events::start()?;
    let session = args.endpoint.of_one_queue().open(&events, args.quiet)?;
    let _serving = args.metrics.serve("respond", &[&session], None, &events)?;
    if session.wait_link(some_time(args.timeout))? == Linked::Stopped {
        return Ok(());
    }
    session.tell_refusals();
    let mut device = MemifDevice::new(&session.memif, 0)?.with_mtu(args.mtu.into());
    device.set_rx_mode(args.rx_mode)?;

    let hardware = match args.endpoint.mode {
        IfMode::Ip => HardwareAddress::Ip,
        _ => EthernetAddress(mac.0).into(),
    };
    let mut config = Config::new(hardware);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    config.random_seed = since.unwrap_or_default().as_nanos() as u64;
    // smoltcp's own clock is the system's, which may be set.
    let start = std::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed().into();
    let mut iface = Interface::new(config, &mut device, now());
    let has_ip6 = args.endpoint.mode != IfMode::Ip && args.mtu >= LEAST_MTU_IPV6;
    let local = has_ip6.then(|| link_local(args.ip6, mac)).flatten();
    iface.update_ip_addrs(|list| {
        for address in addresses.iter().chain(&local) {
            // There is room for eight.
            let _ = list.push(*address);
        }
    });
    let mut fit = true;
    iface.routes_mut().update(|list| {
        fit = routes.iter().all(|route| list.push(*route).is_ok());
    });
    if !fit {
        return Err(Failure::Usage(format!(
            "{} routes are too many",
            routes.len()
        )));
    }

    let mut sockets = SocketSet::new(Vec::new());
    let mut services: Vec<Service> = (0..2 * CONNECTIONS)
        .map(|n| Service::new(&mut sockets, n % 2 == 0))
        .collect();
    // The first packet may be a connection's: all is ready before it is looked at.
    for service in &mut services {
        service.serve(&mut sockets, now());
    }
    if !args.quiet {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let list = list.join(" and ");
        match hardware {
            HardwareAddress::Ethernet(_) => notice(format_args!("Answering as {list} ({mac})")),
            _ => notice(format_args!("Answering as {list}")),
        }
    }
    let mut links = 0;
    loop {
        let time = now();
        if links != device.links() && session.memif.is_link_up() {
            links = device.links();
            // The peer may be another one. This is how the stack forgets its neighbours.
            iface.update_ip_addrs(|_| ());
            let own: Vec<IpCidr> = iface.ip_addrs().to_vec();
            phy::announce(&mut device, EthernetAddress(mac.0), &own, time);
        }
        turn(&mut iface, &mut device, &mut sockets, time);
        for service in &mut services {
            service.serve(&mut sockets, time);
        }
        let stats = device.stats();
        session.dropped.set(0, stats.rx_dropped + stats.tx_dropped);
        let delay = phy::poll_delay(&mut device, &mut iface, &sockets, now());
        // A link that comes up wakes nobody before its first packet.
        let delay = delay.map_or(LOOKS, |delay| delay.min(LOOKS));
        match phy::wait(&mut device, Some(delay)) {
            Err(e) if e.is_eof() => break,
            slept => slept?,
        }
    }
    let stats = device.stats();
    notice(format_args!(
        "{} received, {} sent, {} dropped by this side",
        count(stats.rx_packets, "packet"),
        count(stats.tx_packets, "packet"),
        stats.rx_dropped + stats.tx_dropped,
    ));
    Ok(())
}

/// As `Interface::poll`, which goes on for as long as there are packets that nobody answers.
fn turn(
    iface: &mut Interface,
    device: &mut MemifDevice,
    sockets: &mut SocketSet<'_>,
    now: Instant,
) {
    iface.poll_maintenance(now);
    for _ in 0..TURN {
        let received = iface.poll_ingress_single(now, device, sockets);
        if received == PollIngressSingleResult::None {
            break;
        }
    }
    while iface.poll_egress(now, device, sockets) != PollResult::None {}
}

fn default_mac(ip: Option<Ipv4Cidr>) -> Mac {
    let [a, b, c, d] = ip.map_or([0, 0, 0, 1], |ip| ip.address().octets());
    Mac([0x02, 0xfe, a, b, c, d])
}

/// The address that every host of IPv6 has, unless it is given one: neighbours ask from theirs.
fn link_local(ip6: Option<Ipv6Cidr>, Mac([a, b, c, d, e, f]): Mac) -> Option<IpCidr> {
    let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    let [w, x, y, z] = words;
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z);
    let given = ip6.is_some_and(|ip6| ip6.address().is_unicast_link_local());
    (!given).then(|| IpCidr::Ipv6(Ipv6Cidr::new(address, 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        assert!(mac("02:fe:00:00:00:01").is_ok());
        assert!(mac("ff:ff:ff:ff:ff:ff").is_err());
        assert!(mac("02:fe").is_err());
        assert!(cidr::<Ipv4Cidr>("192.168.1.1/24").is_ok());
        assert!(cidr::<Ipv4Cidr>("192.168.1.1").is_err());
        let ip = cidr("10.0.0.9/8").unwrap();
        let mac = default_mac(Some(ip));
        assert_eq!(mac.to_string(), "02:fe:0a:00:00:09");
        for ip6 in [None, Some(cidr("fd00::1/64").unwrap())] {
            let local = link_local(ip6, mac).unwrap();
            assert_eq!(local.to_string(), "fe80::fe:aff:fe00:9/10");
        }
        assert_eq!(link_local(cidr("fe80::1/64").ok(), mac), None);
        let way = route("10.0.0.0/8=192.168.1.254").unwrap();
        assert_eq!(way.via_router.to_string(), "192.168.1.254");
        assert!(route("fd00::/8=fe80::1").is_ok());
        for wrong in [
            "10.0.0.0/8",
            "10.0.0.0=1.1.1.1",
            "10.0.0.0/8=fe80::1",
            "::/0=ff02::1",
        ] {
            assert!(route(wrong).is_err(), "{wrong}");
        }
    }
}
