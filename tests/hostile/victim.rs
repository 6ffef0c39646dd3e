//! An interface of ours, as an attack looks into it.

use std::time::Duration;

use memif::{Eof, Error, ErrorKind, Memif, PacketHandle};
use memif_hostile::{Inside, No, Queue};

pub(crate) struct Victim(pub(crate) Memif);

struct Packets(PacketHandle);

fn no(error: &Error) -> No {
    match error {
        Error::Eof(Eof::LinkDown) => No::LinkDown,
        Error::Eof(_) | Error::Full | Error::TimedOut => No::Nothing,
        e if e.kind() == ErrorKind::MalformedMessage => No::Violation,
        e => No::Other(e.to_string()),
    }
}

impl Inside for Victim {
    fn is_link_up(&self) -> bool {
        self.0.is_link_up()
    }

    fn shown(&self) -> String {
        format!("{:?} {:?}", self.0, self.0.details())
    }

    fn queue(&self) -> Box<dyn Queue> {
        Box::new(Packets(self.0.packet_handle(0).unwrap().with_burst(32)))
    }
}

impl Queue for Packets {
    fn read(&mut self, wait: Duration) -> Result<Vec<u8>, No> {
        let packet = match wait {
            Duration::ZERO => self.0.read_packet(),
            wait => self.0.read_packet_timeout(Some(wait)),
        };
        packet.map(|packet| packet.to_vec()).map_err(|e| no(&e))
    }

    fn write(&mut self, packet: &[u8]) -> Result<(), No> {
        self.0.write_packet(packet).map_err(|e| no(&e))
    }
}
