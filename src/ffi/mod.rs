//! The C core behind safe functions. All `unsafe` of the crate is here.
//!
//! Rules that the `SAFETY` comments refer to:
//!
//! * **Control thread.** A [`Loop`] can't leave the thread that created it. Every call that
//!   libmemif requires to be made on one thread takes a `Loop`.
//! * **Queues.** Only the owner of a queue may make its bursts and waits. The owner has exclusive
//!   access (`&mut`) to the queue's [`RxEnd`] or [`TxEnd`], of which there is one at a time. All
//!   other calls on a queue lock it in the C core, which excludes the owner's calls, whatever the
//!   peer does meanwhile.
//! * **Life.** [`Loop::delete`] takes a [`Conn`] by value, so whoever can call its methods has a
//!   live one.
//! * **Shared memory.** No Rust reference into shared memory ever exists.

#![allow(unsafe_code)] // Here, and nowhere else in the crate.

#[allow(
    dead_code,
    missing_debug_implementations,
    non_camel_case_types,
    rustdoc::all,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)] // generated
mod bindings {
    #[cfg(feature = "bindgen")]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
    #[cfg(not(feature = "bindgen"))]
    include!("bindings.rs");
}
mod args;
mod callbacks;
pub(crate) mod code;
mod conn;
mod control;
mod epoll;
#[cfg(feature = "filter")]
pub(crate) mod libpcap;
mod queue_fds;
#[cfg(feature = "tokio")]
mod reactor;
#[cfg(feature = "observe")]
pub(crate) mod view;

pub(crate) use args::{Access, ConnArgs, SocketArgs};
pub(crate) use bindings::memif_ext_lent_t as Lent;
pub(crate) use bindings::memif_ext_packet_t as ReceivedPacket;
pub(crate) use callbacks::ConnEvents;
pub(crate) use conn::{Conn, QueueState, RxEnd, TX_PART, TxEnd, WaitOutcome};
pub(crate) use control::{ConnDetails, Loop, QueueRecord};
pub(crate) use epoll::Waker;
pub(crate) use queue_fds::QueueFds;
#[cfg(feature = "tokio")]
pub(crate) use reactor::{Readable, Timer};
