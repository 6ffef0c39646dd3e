//! The C core, run on this thread, as a program in C would.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

use crate::ffi::*;
use crate::guard;

pub(crate) const SUCCESS: i32 = MEMIF_ERR_SUCCESS as i32;
/// Not to be seen in any text.
pub(crate) const SECRET: &[u8] = b"hunter2 hunter2 hunter2";

/// A control socket.
pub(crate) struct Victim {
    pub(crate) sock: memif_socket_handle_t,
    shared: Box<Shared>,
}

#[derive(Default)]
struct Shared {
    /// What is watched, when the program polls: descriptor and context.
    watched: RefCell<Vec<(c_int, *mut c_void)>>,
    /// Contexts that were given back; a program with several threads may use them late.
    stale: RefCell<Vec<*mut c_void>>,
    external: Cell<bool>,
}

unsafe extern "C" fn on_log(_level: c_int, text: *const c_char, _ctx: *mut c_void) {
    // SAFETY: a text that is valid during the call.
    check_text(unsafe { CStr::from_ptr(text) });
}

fn check_text(text: &CStr) {
    let bytes = text.to_bytes();
    assert!(!bytes.is_empty() && bytes.len() < 256);
    assert!(
        bytes.iter().all(|b| (0x20..0x7f).contains(b)),
        "it would change a terminal: {text:?}"
    );
    assert!(
        !bytes.windows(SECRET.len()).any(|part| part == SECRET),
        "a secret is told: {text:?}"
    );
}

unsafe extern "C" fn on_fd(fde: memif_fd_event_t, ctx: *mut c_void) -> c_int {
    // SAFETY: the `Shared` that the socket was made with; it outlives the socket.
    let shared = unsafe { &*ctx.cast::<Shared>() };
    let mut watched = shared.watched.borrow_mut();
    if fde.type_ & MEMIF_FD_EVENT_DEL != 0 {
        let index = watched
            .iter()
            .position(|&(fd, ctx)| (fd, ctx) == (fde.fd, fde.private_ctx));
        watched.swap_remove(index.expect("only what is watched is removed"));
        shared.stale.borrow_mut().push(fde.private_ctx);
    } else {
        assert!(watched.iter().all(|&(fd, _)| fd != fde.fd), "watched twice");
        watched.push((fde.fd, fde.private_ctx));
    }
    0
}

impl Victim {
    /// `external`: the program polls.
    pub(crate) fn new(path: &str, external: bool) -> Self {
        let shared = Box::<Shared>::default();
        shared.external.set(external);
        let mut args = memif_socket_args_t::default();
        for (to, from) in args.path.iter_mut().zip(path.bytes()) {
            *to = from as c_char;
        }
        args.on_control_fd_update = external.then_some(on_fd);
        let mut sock = ptr::null_mut();
        let ext = memif_ext_socket_args_t {
            log: Some(on_log),
            max_half_open: 3,
            ..Default::default()
        };
        // SAFETY: the arguments are whole; the context outlives the socket.
        unsafe {
            let err = memif_create_socket(
                &mut sock,
                &mut args,
                ptr::from_ref(&*shared).cast_mut().cast(),
            );
            assert_eq!(err, SUCCESS);
            assert_eq!(memif_ext_configure_socket(sock, &ext), SUCCESS);
        }
        Self { sock, shared }
    }

    /// Handles what is there now.
    pub(crate) fn poll(&self) {
        if !self.shared.external.get() {
            // SAFETY: the socket is alive, and this is its only thread.
            let err = unsafe { memif_poll_event(self.sock, 0) };
            assert!(
                err == SUCCESS || err == MEMIF_ERR_POLL_CANCEL as i32,
                "polling: {err}"
            );
            return;
        }
        let mut ready = Vec::new();
        let watched = self.shared.watched.borrow().clone();
        for (fd, ctx) in watched {
            let mut p = libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one entry.
            if unsafe { libc::poll(&mut p, 1, 0) } > 0 {
                assert!(
                    p.revents & libc::POLLNVAL == 0,
                    "a closed descriptor is watched"
                );
                ready.push(ctx);
            }
        }
        for ctx in ready {
            // SAFETY: contexts stay valid until their socket is deleted.
            unsafe { memif_control_fd_handler(ctx, MEMIF_FD_EVENT_READ) };
        }
    }

    pub(crate) fn poll_times(&self, times: usize) {
        for _ in 0..times {
            self.poll();
        }
    }

    /// Handles an event of what is watched no more.
    pub(crate) fn late_event(&self) {
        let stale = self.shared.stale.borrow_mut().pop();
        if let Some(ctx) = stale {
            // SAFETY: contexts stay valid until their socket is deleted.
            unsafe { memif_control_fd_handler(ctx, MEMIF_FD_EVENT_READ) };
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // SAFETY: its interfaces are deleted; it is not used again.
        unsafe { assert_eq!(memif_delete_socket(&mut self.sock), SUCCESS) };
        assert!(
            self.shared.watched.borrow().is_empty(),
            "a descriptor is watched for ever"
        );
    }
}

/// What an interface does in its next callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    Nothing,
    Close,
    Delete,
    Connect,
    Details,
    Receive,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) master: bool,
    pub(crate) id: u32,
    pub(crate) secret: bool,
    pub(crate) s2m: u8,
    pub(crate) m2s: u8,
    pub(crate) log2: u8,
    pub(crate) buffer: u16,
    pub(crate) keep_unread: bool,
    pub(crate) interrupts: bool,
    pub(crate) allow_unsealed: bool,
}

/// An interface. Boxed: the C side has its address.
pub(crate) struct Iface {
    pub(crate) shape: Shape,
    conn: Cell<memif_conn_handle_t>,
    up: Cell<bool>,
    pub(crate) links: Cell<u32>,
    reaction: Cell<Reaction>,
}

unsafe extern "C" fn on_connect(conn: memif_conn_handle_t, ctx: *mut c_void) -> c_int {
    // SAFETY: the `Iface` that the interface was made with; it outlives the interface.
    let iface = unsafe { &*ctx.cast::<Iface>() };
    assert!(!iface.up.replace(true), "it was up already");
    iface.links.set(iface.links.get() + 1);
    iface.conn.set(conn);
    iface.react();
    0
}

unsafe extern "C" fn on_disconnect(_conn: memif_conn_handle_t, ctx: *mut c_void) -> c_int {
    // SAFETY: as for `on_connect`.
    let iface = unsafe { &*ctx.cast::<Iface>() };
    assert!(iface.up.replace(false), "it was not up");
    iface.react();
    0
}

unsafe extern "C" fn on_interrupt(_conn: memif_conn_handle_t, ctx: *mut c_void, qid: u16) -> c_int {
    // SAFETY: as for `on_connect`.
    let iface = unsafe { &*ctx.cast::<Iface>() };
    assert!(iface.up.get(), "only links that are up interrupt");
    iface.receive(qid, 4);
    iface.react();
    0
}

unsafe extern "C" fn on_fail(
    conn: memif_conn_handle_t,
    ctx: *mut c_void,
    err: c_int,
    _refused: c_int,
    reason: *const c_char,
) {
    // SAFETY: as for `on_connect`; the text is valid during the call.
    let iface = unsafe {
        check_text(CStr::from_ptr(reason));
        &*ctx.cast::<Iface>()
    };
    assert!(err != SUCCESS && !iface.up.get());
    // A slave's first attempt may fail before its creation has returned.
    iface.conn.set(conn);
    iface.react();
}

impl Iface {
    /// `None`: refused, as when the id is taken.
    pub(crate) fn new(victim: &Victim, shape: Shape) -> Option<Box<Self>> {
        let iface = Box::new(Self {
            shape,
            conn: Cell::new(ptr::null_mut()),
            up: Cell::new(false),
            links: Cell::new(0),
            reaction: Cell::new(Reaction::Nothing),
        });
        let mut args = memif_conn_args_t {
            socket: victim.sock,
            num_s2m_rings: shape.s2m,
            num_m2s_rings: shape.m2s,
            buffer_size: shape.buffer,
            log2_ring_size: shape.log2,
            is_master: shape.master.into(),
            interface_id: shape.id,
            ..Default::default()
        };
        args.interface_name.fill(b'v');
        if shape.secret {
            args.secret[..SECRET.len()].copy_from_slice(SECRET);
        }
        let ext = memif_ext_conn_args_t {
            on_fail: Some(on_fail),
            keep_unread: shape.keep_unread.into(),
            allow_unsealed: shape.allow_unsealed.into(),
            ..Default::default()
        };
        let interrupt = shape
            .interrupts
            .then_some(on_interrupt as unsafe extern "C" fn(_, _, _) -> _);
        let mut conn = ptr::null_mut();
        // SAFETY: the arguments are whole; the context outlives the interface.
        let err = unsafe {
            memif_ext_create(
                &mut conn,
                &mut args,
                &ext,
                Some(on_connect),
                Some(on_disconnect),
                interrupt,
                ptr::from_ref(&*iface).cast_mut().cast(),
            )
        };
        if err != SUCCESS {
            return None;
        }
        iface.conn.set(conn);
        Some(iface)
    }

    pub(crate) fn conn(&self) -> memif_conn_handle_t {
        self.conn.get()
    }

    pub(crate) fn alive(&self) -> bool {
        !self.conn.get().is_null()
    }

    pub(crate) fn up(&self) -> bool {
        self.up.get()
    }

    pub(crate) fn react_next(&self, reaction: Reaction) {
        self.reaction.set(reaction);
    }

    fn react(&self) {
        match self.reaction.replace(Reaction::Nothing) {
            Reaction::Nothing => {}
            Reaction::Close => self.close(),
            Reaction::Delete => self.delete(),
            Reaction::Connect => self.connect(),
            Reaction::Details => self.details(2048),
            Reaction::Receive => _ = self.receive(0, 8),
        }
    }

    pub(crate) fn close(&self) {
        // SAFETY: alive, or null.
        unsafe { memif_ext_close(self.conn()) };
        assert!(!self.up());
    }

    pub(crate) fn delete(&self) {
        let mut conn = self.conn.get();
        if conn.is_null() {
            return;
        }
        // What its last callback is to do, it can't any more.
        self.reaction.set(Reaction::Nothing);
        // SAFETY: alive, and not used again.
        unsafe { assert_eq!(memif_delete(&mut conn), SUCCESS) };
        assert!(conn.is_null() && !self.up());
        self.conn.set(ptr::null_mut());
    }

    pub(crate) fn connect(&self) {
        // SAFETY: alive, or null.
        unsafe { memif_request_connection(self.conn()) };
    }

    /// Everything there is to look at.
    pub(crate) fn details(&self, space: usize) {
        if !self.alive() {
            return;
        }
        let mut buffer = vec![0_u8; space];
        let mut details = memif_details_t::default();
        // SAFETY: the interface is alive; the buffer is as long as told.
        let err = unsafe {
            memif_get_details(
                self.conn(),
                &mut details,
                buffer.as_mut_ptr().cast(),
                space as isize,
            )
        };
        if err != SUCCESS {
            assert_eq!(err, MEMIF_ERR_NOBUF_DET as i32);
            return;
        }
        assert_eq!(details.link_up_down != 0, self.up());
        let range = buffer.as_ptr_range();
        for text in [
            details.if_name,
            details.remote_if_name,
            details.remote_inst_name,
            details.error,
        ] {
            assert!(range.contains(&text.cast_const()));
            // SAFETY: a text in the buffer.
            let text = unsafe { CStr::from_ptr(text.cast()) };
            assert!(text.to_bytes().is_ascii());
        }
        // SAFETY: as many as told, in the buffer.
        for i in 0..usize::from(details.rx_queues_num) {
            let queue = unsafe { *details.rx_queues.add(i) };
            assert!(queue.ring_size.is_power_of_two());
        }
    }

    /// A burst that is only checked for its form. Returns the error.
    pub(crate) fn receive(&self, qid: u16, count: u16) -> i32 {
        let mut arena = [0_u8; 4096];
        self.receive_into(qid, &mut arena, 2048, count)
            .map_or_else(|e| e, |_| SUCCESS)
    }

    /// Slots that were overwritten before they were read.
    pub(crate) fn overrun(&self, qid: u16) -> u64 {
        let mut slots = 0;
        // SAFETY: alive; `slots` outlives the call.
        unsafe { memif_ext_rx_overrun(self.conn(), qid, &mut slots) };
        slots
    }

    /// A burst: what came, checked for its form.
    pub(crate) fn receive_into(
        &self,
        qid: u16,
        arena: &mut [u8],
        snaplen: u32,
        count: u16,
    ) -> Result<Vec<memif_ext_packet_t>, i32> {
        let mut packets = vec![memif_ext_packet_t::default(); count.max(1).into()];
        let mut received = u16::MAX;
        // SAFETY: arena and packets have the lengths that are told.
        let err = unsafe {
            memif_ext_rx_burst(
                self.conn(),
                qid,
                arena.as_mut_ptr(),
                arena.len() as u32,
                snaplen,
                packets.as_mut_ptr(),
                count,
                &mut received,
            )
        };
        if err != SUCCESS {
            assert!(received == 0 || received == u16::MAX);
            return Err(err);
        }
        assert!(received <= count);
        packets.truncate(received.into());
        let mut end = 0;
        for p in &packets {
            assert!(p.offset as usize >= end, "packets overlap");
            end = p.offset as usize + p.captured as usize;
            assert!(end <= arena.len(), "beyond the arena");
            assert_eq!(p.captured, p.length.min(snaplen));
        }
        Ok(packets)
    }

    /// A burst of packets of these lengths, each filled with its number plus `first`.
    pub(crate) fn send(&self, qid: u16, lengths: &[u32], first: u8) -> Result<usize, i32> {
        let data: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(i, &len)| vec![first.wrapping_add(i as u8); len as usize])
            .collect();
        let slices: Vec<_> = data
            .iter()
            .map(|d| memif_ext_slice_t {
                data: d.as_ptr(),
                len: d.len() as u32,
            })
            .collect();
        let mut sent = u16::MAX;
        // SAFETY: the slices outlive the call.
        let err = unsafe {
            memif_ext_tx_burst(
                self.conn(),
                qid,
                slices.as_ptr(),
                slices.len() as u16,
                &mut sent,
            )
        };
        if sent == u16::MAX {
            return Err(err);
        }
        assert!(usize::from(sent) <= slices.len());
        if sent == 0 && err != SUCCESS {
            Err(err)
        } else {
            Ok(sent.into())
        }
    }

    pub(crate) fn set_polling(&self, qid: u16, polling: bool) {
        let mode = if polling {
            MEMIF_RX_MODE_POLLING
        } else {
            MEMIF_RX_MODE_INTERRUPT
        };
        // SAFETY: alive, or null.
        unsafe { memif_set_rx_mode(self.conn(), mode, qid) };
    }

    /// Whether a packet is there, or the queue is broken.
    pub(crate) fn wait(&self, qid: u16) -> bool {
        let mut result = -1;
        // SAFETY: alive, or null.
        let err = unsafe { memif_ext_rx_wait(self.conn(), qid, 0, 0, 0, &mut result) };
        assert!(err != SUCCESS || (0..4).contains(&result));
        err == SUCCESS && result == MEMIF_EXT_WAIT_READY as i32
    }

    /// All that can be asked of a queue without changing it.
    pub(crate) fn look(&self, qid: u16) {
        let (mut slots, mut state, mut fd) = (0, 0, 0);
        // SAFETY: alive, or null; the results are this call's.
        unsafe {
            memif_ext_tx_free(self.conn(), qid, &mut slots);
            assert!(slots <= 1 << 14);
            memif_ext_tx_pending(self.conn(), qid, &mut slots);
            assert!(slots <= 1 << 14);
            memif_ext_rx_state(self.conn(), qid, &mut state);
            assert!((0..3).contains(&state));
            memif_ext_tx_state(self.conn(), qid, &mut state);
            assert!((0..3).contains(&state));
            memif_ext_rx_fd(self.conn(), qid, &mut fd);
            memif_get_queue_efd(self.conn(), qid, &mut fd);
        }
    }
}

impl Drop for Iface {
    fn drop(&mut self) {
        self.delete();
    }
}

/// A name for the control socket that no other process has.
pub(crate) fn path() -> String {
    format!("@memif-fuzz-{}", std::process::id())
}

/// What is held: open descriptors, and mappings of shared memory.
#[derive(Debug, PartialEq)]
pub(crate) struct Held {
    descriptors: usize,
    mappings: usize,
}

impl Held {
    /// What is left of a first use, in a moment.
    pub(crate) fn after(first: impl FnOnce()) -> Self {
        first();
        std::thread::sleep(Duration::from_millis(200));
        Self::here()
    }

    fn here() -> Self {
        // SAFETY: only looks.
        let is_open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
        Self {
            descriptors: (0..128).filter(is_open).count(),
            mappings: guard::mappings(),
        }
    }

    /// Nothing leaks. What peers brought is closed by another thread, a moment later.
    pub(crate) fn returns(&self) {
        let start = Instant::now();
        while Self::here() != *self {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{:?} leak, {self:?} are kept",
                Self::here()
            );
            std::thread::yield_now();
        }
    }
}
