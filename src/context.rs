//! Where interfaces live.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use crate::config::cut_name;
use crate::error::{Error, ErrorKind};
use crate::ffi::{Access, SocketArgs};
use crate::interface::Memif;
use crate::interface::config::MemifConfig;
use crate::link::control::{Control, lock};
use crate::link::{CLOSE_FLUSH, Link};

/// The place where interfaces live: a thread that makes connections, and on
/// which callbacks run. A process may have several.
///
/// Closing or dropping it closes its interfaces.
///
/// Callbacks may call anything of their own context. Two contexts whose callbacks call each
/// other wait for each other for ever.
///
/// After `fork` a child has no control thread, but its parent's sockets, eventfds and mappings. It
/// may use nothing of this crate, and has to call `exec` (the descriptors are close-on-exec), or
/// `_exit`: as long as it lives, the parent's death does not end the parent's links.
/// [`std::process::Command`] does all that.
///
/// ```
/// use memif::{Context, MemifConfig, Role};
///
/// let context = Context::new("my program")?;
/// let socket = format!("@memif-doc-context-{}", std::process::id());
/// let memif = context.create_interface(MemifConfig::new(socket).role(Role::Master))?;
/// assert!(!memif.is_link_up());
/// # Ok::<(), memif::Error>(())
/// ```
pub struct Context {
    control: Arc<Control>,
    interfaces: Mutex<Vec<Weak<Link>>>,
    closed: AtomicBool,
}

impl Context {
    /// A context whose interfaces tell their peers this program's name, cut to 31 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system has no thread or descriptor left.
    pub fn new(app_name: impl Into<String>) -> Result<Self, Error> {
        Self::builder(app_name).build()
    }

    /// A context with settings of its own.
    pub fn builder(app_name: impl Into<String>) -> ContextBuilder {
        ContextBuilder {
            app_name: app_name.into(),
            reconnect: Duration::from_millis(100),
            handshake: Duration::from_secs(5),
            max_half_open: 64,
            peer_log_lines: 20,
            access: Access::default(),
        }
    }

    /// Creates an interface: a master listens at once, a slave begins to
    /// connect, and goes on trying. Waits for the control thread, as long as a callback may take, but
    /// not for the link; see [`Memif::wait_link_up`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that can't be; [`Error::Memif`] when a
    /// master can't listen (in use, no permission, no socket), or has the id
    /// of another one, or when the context is closed.
    pub fn create_interface(&self, config: MemifConfig) -> Result<Memif, Error> {
        let (settings, callbacks) = config.checked()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Memif {
                kind: ErrorKind::NotInitialised,
                context: format!("creating id {} on {}", settings.id, settings.socket),
            });
        }
        let control = Arc::clone(&self.control);
        let link = Link::create(control, settings, Box::new(callbacks))?;
        let mut interfaces = lock(&self.interfaces);
        interfaces.retain(|weak| weak.strong_count() > 0);
        interfaces.push(Arc::downgrade(&link));
        drop(interfaces);
        if self.closed.load(Ordering::Acquire) {
            link.close(); // meanwhile
        }
        Ok(Memif::from_link(link))
    }

    /// Closes its interfaces as [`Memif::close`] does: waits up to a second, for
    /// all of them together, until peers have taken what was sent.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let interfaces = std::mem::take(&mut *lock(&self.interfaces));
        let deadline = Instant::now() + CLOSE_FLUSH;
        for link in interfaces.iter().filter_map(Weak::upgrade) {
            link.close_by(deadline);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

/// The settings of a [`Context`].
///
/// ```
/// use memif::Context;
/// use std::time::Duration;
///
/// let context = Context::builder("my program")
///     .reconnect_interval(Duration::from_secs(2))
///     .build()?;
/// # Ok::<(), memif::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ContextBuilder {
    app_name: String,
    reconnect: Duration,
    handshake: Duration,
    max_half_open: u32,
    peer_log_lines: u32,
    access: Access,
}

impl ContextBuilder {
    /// How often slaves without a link ask for one; 100 ms unless set, a year at most. Zero: only once.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        // Centuries would wrap round in the C core's nanoseconds.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.reconnect = interval.min(YEAR);
        self
    }

    /// How long a handshake may take before the peer is dropped; 5 s unless set, at least 1 ms.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake = timeout;
        self
    }

    /// How many unfinished handshakes a listening socket bears before it drops
    /// the oldest; 64 unless set, at least 1.
    pub fn max_half_open(mut self, count: u32) -> Self {
        self.max_half_open = count;
        self
    }

    /// How many lines a second are logged about the peers of each interface, and of each socket
    /// about those it refused; 20 unless set, at least 1. What is beyond is counted, and the
    /// count is logged when the second is over: a peer that comes and goes in a loop fills no disk.
    pub fn peer_log_lines(mut self, per_second: u32) -> Self {
        self.peer_log_lines = per_second;
        self
    }

    /// The permissions of the file of a socket that a master here listens on, whatever the umask
    /// is; `0o600` unless set, so that only the same user, and root, can connect. At most `0o777`.
    /// Abstract names have no file: anyone in the network namespace may connect to those, and
    /// only [`allow_uids`](Self::allow_uids), [`allow_gids`](Self::allow_gids) and secrets keep
    /// peers out.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("memif-doc-mode-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let path = dir.join("memif.sock").display().to_string();
    /// use memif::{Context, MemifConfig, Role};
    /// use std::os::unix::fs::PermissionsExt;
    ///
    /// // For the members of the file's group.
    /// let context = Context::builder("my program").socket_mode(0o660).build()?;
    /// let master = context.create_interface(MemifConfig::new(&path).role(Role::Master))?;
    /// assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    /// # drop(master);
    /// # drop(context);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), memif::Error>(())
    /// ```
    pub fn socket_mode(mut self, mode: u32) -> Self {
        self.access.file_mode = mode;
        self
    }

    /// The owner and the group of that file; `None`: as it is made. Another owner takes root, a
    /// group of this user's anyone. Where it can't be done, creating a master fails.
    pub fn socket_owner(mut self, uid: Option<u32>, gid: Option<u32>) -> Self {
        self.access.file_uid = uid;
        self.access.file_gid = gid;
        self
    }

    /// Peers are only those of these users, and those of [`allow_gids`](Self::allow_gids): in
    /// both roles, by what the kernel knows of the process at the other end. Without either list
    /// all are. A slave asks this of its master before it tells it the secret.
    ///
    /// ```
    /// use memif::{Context, MemifConfig, Role};
    /// use std::time::Duration;
    ///
    /// let root_only = Context::builder("doc").allow_uids([0]).build()?;
    /// let socket = format!("@memif-doc-allow-{}", std::process::id());
    /// let master = root_only.create_interface(MemifConfig::new(&socket).role(Role::Master))?;
    /// # Ok::<(), memif::Error>(())
    /// ```
    pub fn allow_uids(mut self, uids: impl IntoIterator<Item = u32>) -> Self {
        self.access.uids = uids.into_iter().collect();
        self
    }

    /// As [`allow_uids`](Self::allow_uids), by group: the effective one of the peer's process,
    /// not the others it is a member of.
    pub fn allow_gids(mut self, gids: impl IntoIterator<Item = u32>) -> Self {
        self.access.gids = gids.into_iter().collect();
        self
    }

    /// Starts the context.
    ///
    /// # Errors
    ///
    /// As [`Context::new`]; [`Error::Config`] for a socket mode beyond `0o777`, or more than
    /// 65535 users or groups.
    pub fn build(self) -> Result<Context, Error> {
        self.access.check()?;
        let control = Control::start(SocketArgs {
            path: String::new(),
            app_name: cut_name("program name", self.app_name),
            reconnect: self.reconnect,
            handshake: self.handshake,
            max_half_open: self.max_half_open.max(1),
            log_lines: self.peer_log_lines.max(1),
            access: self.access,
        });
        let control = control.map_err(|e| Error::io("starting the control thread", e))?;
        Ok(Context {
            control: Arc::new(control),
            interfaces: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_fits_in_nanoseconds() {
        let builder = Context::builder("doc").reconnect_interval(Duration::MAX);
        assert!(u64::try_from(builder.reconnect.as_nanos()).is_ok());
    }
}
