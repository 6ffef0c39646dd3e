//! The device.

use std::io;
use std::sync::Arc;

use tun_rs::{DeviceBuilder, InterruptEvent, Layer, SyncDevice};

use crate::failure::Failure;

/// What is asked of the device.
#[derive(Clone, Debug)]
pub(crate) struct TapOptions {
    pub(crate) name: String,
    pub(crate) mtu: Option<u16>,
    pub(crate) queues: u8,
    /// Whether segments are cut and joined here, where the kernel can leave that to a device.
    pub(crate) offload: bool,
}

/// A TAP that is up. Clones are the same device.
#[derive(Clone)]
pub(crate) struct Tap {
    queues: Arc<[SyncDevice]>,
    pub(super) stop: Arc<InterruptEvent>,
    pub(super) name: String,
}

impl Tap {
    /// Attaches to the device of this name; creates it where there is none.
    pub(crate) fn open(options: &TapOptions) -> Result<Self, Failure> {
        let name = &options.name;
        let failed = |e: io::Error| {
            let failure = Failure::Failed(format!("tap:{name}: {e}"));
            match e.kind() {
                io::ErrorKind::PermissionDenied => failure.hint("it needs CAP_NET_ADMIN"),
                io::ErrorKind::ResourceBusy => failure.hint("another program has it open"),
                io::ErrorKind::InvalidInput => {
                    failure.hint("is there a device of another kind, or with other queues?")
                }
                _ => failure,
            }
        };
        let device = match build(options, options.offload) {
            Err(e) if options.offload => {
                log::debug!("tap:{name}: with offloads: {e}");
                build(options, false)
            }
            device => device,
        };
        let device = device.map_err(failed)?;
        let mut queues = vec![device];
        for _ in 1..options.queues {
            queues.push(queues[0].try_clone().map_err(failed)?);
        }
        for queue in &queues {
            queue.set_nonblocking(true).map_err(failed)?;
        }
        Ok(Self {
            queues: queues.into(),
            stop: Arc::new(InterruptEvent::new().map_err(failed)?),
            name: name.to_owned(),
        })
    }

    /// Ends a read in progress, and all later ones.
    pub(crate) fn close(&self) {
        if let Err(e) = self.stop.trigger() {
            log::warn!("tap:{}: {e}", self.name);
        }
    }

    pub(crate) fn queues(&self) -> u8 {
        self.queues.len() as u8
    }

    pub(super) fn device(&self, queue: u8) -> &SyncDevice {
        &self.queues[usize::from(queue)]
    }

    /// Whether each frame has a header that says what is left to do for it.
    pub(super) fn has_headers(&self) -> bool {
        self.queues[0].tcp_gso()
    }
}

fn build(options: &TapOptions, offload: bool) -> io::Result<SyncDevice> {
    let mut builder = DeviceBuilder::new()
        .name(&options.name)
        .layer(Layer::L2)
        .tx_queue_len(10_000)
        .offload(offload)
        .multi_queue(options.queues > 1)
        .enable(true);
    if let Some(mtu) = options.mtu {
        builder = builder.mtu(mtu);
    }
    builder.build_sync()
}
