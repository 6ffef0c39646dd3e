//! The control side of the C core: sockets and interfaces.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use super::args::{ConnArgs, SocketArgs};
use super::bindings::*;
use super::callbacks::{ConnEvents, contained, log_line, on_connect, on_disconnect, on_fail, text};
use super::code::{NOBUF_DET, SUCCESS};
use super::conn::Conn;
use super::epoll::{self, Epoll, Waker};

/// A snapshot of libmemif's details.
#[derive(Debug)]
pub(crate) struct ConnDetails {
    pub(crate) remote_name: String,
    pub(crate) remote_interface: String,
    /// Process, user, group.
    pub(crate) peer: Option<(i32, u32, u32)>,
    pub(crate) link_up: bool,
    pub(crate) error: String,
    pub(crate) rx: Vec<QueueRecord>,
    pub(crate) tx: Vec<QueueRecord>,
    pub(crate) regions: Vec<RegionRecord>,
}

#[derive(Debug)]
pub(crate) struct QueueRecord {
    pub(crate) id: u8,
    pub(crate) ring_size: u32,
    pub(crate) buffer_size: u16,
    pub(crate) polling: bool,
    pub(crate) head: u16,
    pub(crate) tail: u16,
}

#[derive(Debug)]
pub(crate) struct RegionRecord {
    pub(crate) index: u8,
    pub(crate) size: u32,
}

struct Socket {
    ptr: NonNull<c_void>,
    path: PathBuf,
    interfaces: usize,
    /// The argument of `watch`: the epoll instance. Boxed, so that its address stays the same.
    _epoll_fd: Box<RawFd>,
}

/// One epoll over the control descriptors of all sockets of a context. Not `Send`.
pub(crate) struct Loop {
    epoll: Epoll,
    waker: Arc<Waker>,
    sockets: RefCell<Vec<Socket>>,
    /// Events of libmemif are being handled, so no socket may be deleted.
    turning: Cell<bool>,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// The token of the waker. Those of libmemif are addresses, so they are never 0.
const WAKER: u64 = 0;

impl Loop {
    pub(crate) fn new(waker: Arc<Waker>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll::control(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            waker.as_raw_fd(),
            WAKER,
        )?;
        Ok(Self {
            epoll,
            waker,
            sockets: RefCell::default(),
            turning: Cell::new(false),
            _not_send: std::marker::PhantomData,
        })
    }

    /// Waits for events (`None`: no limit) and handles them; returns after each batch and when
    /// woken.
    pub(crate) fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let mut tokens = [0; 32];
        let limit = limit.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX));
        let n = self.epoll.wait(&mut tokens, limit)?;
        self.turning.set(true);
        for &token in &tokens[..n] {
            if token == WAKER {
                self.waker.clear();
                continue;
            }
            // SAFETY: the token is an event that libmemif gave to `watch`; it lives until
            // its socket is deleted, which `turning` forbids here. Control thread.
            unsafe { memif_control_fd_handler(token as *mut c_void, MEMIF_FD_EVENT_READ) };
        }
        self.turning.set(false);
        Ok(())
    }

    /// Deletes sockets that no interface uses. Does nothing in a callback; the next call deletes
    /// them.
    pub(crate) fn reap(&self) {
        if self.turning.get() {
            return;
        }
        self.sockets.borrow_mut().retain_mut(|socket| {
            if socket.interfaces > 0 {
                return true;
            }
            let mut ptr = socket.ptr.as_ptr();
            // SAFETY: made by memif_create_socket, not deleted before; control thread, outside
            // of any dispatch. On failure it stays.
            (unsafe { memif_delete_socket(&mut ptr) }) != SUCCESS
        });
    }

    fn socket(&self, args: &SocketArgs) -> Result<NonNull<c_void>, (i32, String)> {
        let mut sockets = self.sockets.borrow_mut();
        if let Some(socket) = sockets.iter().find(|s| s.path == args.path) {
            return Ok(socket.ptr);
        }
        // SAFETY: all fields of this C struct may be zero.
        let mut c: memif_socket_args_t = unsafe { MaybeUninit::zeroed().assume_init() };
        fill(&mut c.path, args.path.as_os_str().as_bytes());
        fill(&mut c.app_name, args.app_name.as_bytes());
        let period = libc::timespec {
            tv_sec: args.reconnect.as_secs() as _,
            tv_nsec: args.reconnect.subsec_nanos().into(),
        };
        c.connection_request_timer.it_value = period;
        c.connection_request_timer.it_interval = period;
        c.on_control_fd_update = Some(watch);

        let mut epoll_fd = Box::new(self.epoll.as_raw_fd());
        let context: *mut RawFd = &mut *epoll_fd;
        let mut ptr = ptr::null_mut();
        // SAFETY: the arguments outlive the call; the context lives as long as the socket.
        let err = unsafe { memif_create_socket(&mut ptr, &mut c, context.cast()) };
        let ptr = match NonNull::new(ptr) {
            Some(ptr) if err == SUCCESS => ptr,
            _ if err == MEMIF_ERR_SYSCALL as i32 => {
                // SAFETY: without a socket it is a string of the library's own, for good.
                let lacks = unsafe { text(memif_ext_socket_error(ptr::null_mut())) };
                return Err((err, lacks));
            }
            _ => return Err((err, String::new())),
        };
        let access = &args.access;
        // Checked by the caller to fit.
        let count = |ids: &[u32]| u16::try_from(ids.len()).unwrap_or(u16::MAX);
        let ext = memif_ext_socket_args_t {
            log: Some(log_line),
            log_ctx: ptr::null_mut(),
            handshake_ms: u32::try_from(args.handshake.as_millis())
                .unwrap_or(u32::MAX)
                .max(1),
            max_half_open: args.max_half_open,
            log_lines: args.log_lines,
            file_mode: access.file_mode.unwrap_or_default(),
            set_file_mode: access.file_mode.is_some().into(),
            file_uid: access.file_uid.unwrap_or_default(),
            file_gid: access.file_gid.unwrap_or_default(),
            set_file_uid: access.file_uid.is_some().into(),
            set_file_gid: access.file_gid.is_some().into(),
            num_allowed_uids: count(&access.uids),
            num_allowed_gids: count(&access.gids),
            allowed_uids: access.uids.as_ptr(),
            allowed_gids: access.gids.as_ptr(),
        };
        // SAFETY: a live socket without interfaces, on the control thread; the lists, as long as
        // said, are copied within the call.
        let err = unsafe { memif_ext_configure_socket(ptr.as_ptr(), &ext) };
        if err != SUCCESS {
            // SAFETY: as above; the text is copied before the socket goes.
            let said = unsafe { text(memif_ext_socket_error(ptr.as_ptr())) };
            let mut ptr = ptr.as_ptr();
            // SAFETY: as above. Nobody else has the pointer.
            unsafe { memif_delete_socket(&mut ptr) };
            return Err((err, said));
        }
        sockets.push(Socket {
            ptr,
            path: args.path.clone(),
            interfaces: 0,
            _epoll_fd: epoll_fd,
        });
        Ok(ptr)
    }

    fn count(&self, socket: NonNull<c_void>, change: isize) {
        for s in self.sockets.borrow_mut().iter_mut() {
            if s.ptr == socket {
                s.interfaces = s.interfaces.saturating_add_signed(change);
            }
        }
    }

    /// Creates an interface. An error comes with libmemif's text, which is empty if there is none.
    pub(crate) fn create(
        &self,
        socket: &SocketArgs,
        args: &ConnArgs,
        events: Box<dyn ConnEvents>,
    ) -> Result<Conn, (i32, String)> {
        let socket = self.socket(socket)?;
        // SAFETY: all fields of this C struct may be zero.
        let mut c: memif_conn_args_t = unsafe { MaybeUninit::zeroed().assume_init() };
        let (s2m, m2s) = if args.is_master {
            (args.rx_queues, args.tx_queues)
        } else {
            (args.tx_queues, args.rx_queues)
        };
        c.socket = socket.as_ptr();
        c.is_master = args.is_master.into();
        c.interface_id = args.id;
        c.num_s2m_rings = s2m;
        c.num_m2s_rings = m2s;
        c.buffer_size = args.buffer_size;
        c.log2_ring_size = args.log2_ring_size;
        c.set_mode(args.mode);
        for (to, from) in c.interface_name.iter_mut().zip(args.name.bytes()) {
            *to = from;
        }
        for (to, from) in c.secret.iter_mut().zip(&args.secret) {
            *to = *from;
        }
        let ext = memif_ext_conn_args_t {
            on_fail: Some(on_fail),
            keep_unread: 1,
            allow_unsealed: args.allow_unsealed.into(),
        };
        // Boxed twice, because C passes on one word only.
        let events = Box::into_raw(Box::new(events));
        let mut conn = ptr::null_mut();
        // Counted before the call, because callbacks may run within it.
        self.count(socket, 1);
        // SAFETY: live arguments; `events` is freed only after the interface is deleted.
        let err = unsafe {
            memif_ext_create(
                &mut conn,
                &mut c,
                &ext,
                Some(on_connect),
                Some(on_disconnect),
                None,
                events.cast(),
            )
        };
        match (NonNull::new(conn), NonNull::new(events)) {
            (Some(ptr), Some(events)) if err == SUCCESS => Ok(Conn::new(ptr, events)),
            _ => {
                self.count(socket, -1);
                // SAFETY: the interface was not made, so nobody else has the pointer.
                drop(unsafe { Box::from_raw(events) });
                // SAFETY: a live socket; the text is copied before anything changes it.
                let text = unsafe { text(memif_ext_socket_error(socket.as_ptr())) };
                Err((err, text))
            }
        }
    }

    /// Disconnects for good. Packets that had arrived can still be read.
    pub(crate) fn close(&self, conn: &Conn) {
        // SAFETY: a live interface ("Life"), on the control thread.
        unsafe { memif_ext_close(conn.ptr.as_ptr()) };
    }

    pub(crate) fn delete(&self, conn: Conn) {
        // SAFETY: a live interface, whose last user gave it away ("Life").
        let socket = unsafe { memif_get_socket_handle(conn.ptr.as_ptr()) };
        let mut ptr = conn.ptr.as_ptr();
        // SAFETY: as above; control thread.
        unsafe { memif_delete(&mut ptr) };
        // SAFETY: no callback comes after memif_delete, and a running one has its own reference.
        drop(unsafe { Box::from_raw(conn.events.as_ptr()) });
        if let Some(socket) = NonNull::new(socket) {
            self.count(socket, -1);
        }
        self.reap();
    }

    pub(crate) fn details(&self, conn: &Conn) -> Result<ConnDetails, i32> {
        let mut memory = vec![0u64; 1024];
        loop {
            // SAFETY: all fields of this C struct may be zero.
            let mut d: memif_details_t = unsafe { MaybeUninit::zeroed().assume_init() };
            let len = memory.len() * 8;
            // SAFETY: a live interface, on the control thread; `memory` has `len` bytes and
            // outlives every use of `d`, which points into it.
            let err = unsafe {
                memif_get_details(
                    conn.ptr.as_ptr(),
                    &mut d,
                    memory.as_mut_ptr().cast(),
                    len as isize,
                )
            };
            if err == NOBUF_DET && memory.len() < 1 << 20 {
                memory = vec![0; memory.len() * 4];
                continue;
            }
            if err != SUCCESS {
                return Err(err);
            }
            let mut peer = memif_ext_peer_t::default();
            // SAFETY: a live interface, on the control thread; `peer` outlives the call.
            let known = unsafe { memif_ext_get_peer(conn.ptr.as_ptr(), &mut peer) } == SUCCESS;
            // SAFETY: on success the strings are NUL-terminated and the arrays have as many
            // elements as said, all in `memory`.
            return Ok(unsafe {
                ConnDetails {
                    remote_name: text(d.remote_inst_name.cast()),
                    remote_interface: text(d.remote_if_name.cast()),
                    peer: known.then_some((peer.pid, peer.uid, peer.gid)),
                    link_up: d.link_up_down != 0,
                    error: text(d.error.cast()),
                    rx: queues(d.rx_queues, d.rx_queues_num),
                    tx: queues(d.tx_queues, d.tx_queues_num),
                    regions: (0..usize::from(d.regions_num))
                        .map(|i| &*d.regions.add(i))
                        .map(|r| RegionRecord {
                            index: r.index,
                            size: r.size,
                        })
                        .collect(),
                }
            });
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.turning.set(false);
        self.reap();
    }
}

impl std::fmt::Debug for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loop").finish_non_exhaustive()
    }
}

fn fill<const N: usize>(field: &mut [c_char; N], text: &[u8]) {
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from as c_char;
    }
}

/// # Safety
///
/// `count` elements at `queues`.
unsafe fn queues(queues: *const memif_queue_details_t, count: u8) -> Vec<QueueRecord> {
    (0..usize::from(count))
        // SAFETY: the caller's promise.
        .map(|i| unsafe { &*queues.add(i) })
        .map(|q| QueueRecord {
            id: q.qid as u8, // there are at most 255
            ring_size: q.ring_size,
            buffer_size: q.buffer_size,
            polling: u32::from(q.flags) & MEMIF_QUEUE_FLAG_POLLING != 0,
            head: q.head,
            tail: q.tail,
        })
        .collect()
}

/// libmemif asks to watch a descriptor, or to stop watching it.
unsafe extern "C" fn watch(event: memif_fd_event_t, context: *mut c_void) -> c_int {
    // SAFETY: the context that the socket was made with: it lives as long.
    let epoll_fd = unsafe { *context.cast::<RawFd>() };
    let op = if event.type_ & MEMIF_FD_EVENT_DEL != 0 {
        libc::EPOLL_CTL_DEL
    } else {
        libc::EPOLL_CTL_ADD
    };
    match epoll::control(epoll_fd, op, event.fd, event.private_ctx as u64) {
        Ok(()) => 0,
        Err(e) => {
            contained(|| log::error!("watching control descriptor {}: {e}", event.fd));
            -1
        }
    }
}
