//! The context: what a program creates first, and its settings.

use std::fmt;
use std::path::PathBuf;
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

/// Owns interfaces, and the control thread that makes their connections and runs their callbacks. A
/// process may have several contexts.
///
/// Closing or dropping a context closes its interfaces.
///
/// Callbacks may call everything in their own context. Callbacks of two contexts that call into
/// each other's context deadlock.
///
/// After `fork` the child has its parent's sockets, eventfds and mappings, but no control thread.
/// It must not use this crate, and has to call `exec` (the descriptors are close-on-exec) or
/// `_exit`. As long as it lives, the parent's death does not end the parent's links.
/// [`std::process::Command`] does this correctly.
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
    /// Starts a context with default settings. `app_name` is the program's name that peers are
    /// told, cut to 31 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system can't provide a thread or a descriptor.
    pub fn new(app_name: impl Into<String>) -> Result<Self, Error> {
        Self::builder(app_name).build()
    }

    /// Starts to build a context with other settings.
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

    /// Creates an interface. A master listens at once. A slave starts to connect, and keeps trying
    /// until it succeeds. The call waits for the control thread, and so for a callback that is
    /// running, but not for the link. Use [`Memif::wait_link_up`] for that.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for invalid settings. [`Error::Memif`] if a master can't listen (the
    /// socket is in use, there is no permission, or the file is not a socket), if another interface
    /// has its id, or if the context is closed.
    pub fn create_interface(&self, config: MemifConfig) -> Result<Memif, Error> {
        let (settings, callbacks) = config.checked()?;
        if self.closed.load(Ordering::Acquire) {
            let doing = format!(
                "creating id {} on {}",
                settings.id,
                settings.socket.display()
            );
            return Err(Error::memif(ErrorKind::NotInitialised, doing));
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

    /// Closes all interfaces, as [`Memif::close`] does. Waits up to a second, for all of them
    /// together, until the peers have read what was sent.
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
#[must_use]
pub struct ContextBuilder {
    app_name: String,
    reconnect: Duration,
    handshake: Duration,
    max_half_open: u32,
    peer_log_lines: u32,
    access: Access,
}

impl ContextBuilder {
    /// How often slaves without a link try to connect: 100 ms by default, a year at most. With zero
    /// they try only once.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        // A longer interval could overflow the C core's nanoseconds.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.reconnect = interval.min(YEAR);
        self
    }

    /// How long a handshake may take before the peer is dropped: 5 s by default, at least 1 ms.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake = timeout;
        self
    }

    /// How many unfinished handshakes a listening socket accepts before it drops the oldest of the
    /// process that has most of them: 64 by default, at least 1. No process gets more than three
    /// quarters; further connections of it are refused until the oldest is 100 ms old.
    pub fn max_half_open(mut self, count: u32) -> Self {
        self.max_half_open = count;
        self
    }

    /// How many log lines per second peers can cause: for each interface, and for each socket about
    /// peers that it refused. 20 by default, at least 1. Further lines are counted, and the count
    /// is logged at the end of the second. So a peer that connects in a loop can't fill the disk.
    pub fn peer_log_lines(mut self, per_second: u32) -> Self {
        self.peer_log_lines = per_second;
        self
    }

    /// The permissions of the socket files that masters of this context listen on, whatever the
    /// umask. `0o600` by default, so that only the same user and root can connect; at most `0o777`.
    ///
    /// Abstract names have no file. Anybody in the network namespace may connect to them, and only
    /// [`allow_uids`](Self::allow_uids), [`allow_gids`](Self::allow_gids) and secrets keep peers
    /// out.
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
        self.access.file_mode = Some(mode);
        self
    }

    /// The owner and the group of the socket files; `None` leaves them as they are. Only root can
    /// set another owner. Anybody can set a group that the user belongs to. If it fails, creating a
    /// master fails.
    pub fn socket_owner(mut self, uid: Option<u32>, gid: Option<u32>) -> Self {
        self.access.file_uid = uid;
        self.access.file_gid = gid;
        self
    }

    /// Accepts only peers that run as one of these users or one of the groups of
    /// [`allow_gids`](Self::allow_gids), in both roles. The kernel says who the process at the
    /// other end is. Without either list everybody is accepted. A slave checks its master before it
    /// sends the secret.
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

    /// Accepts only peers of these groups, or of the users of [`allow_uids`](Self::allow_uids).
    /// What counts is the effective group of the peer's process, not the other groups of its user.
    pub fn allow_gids(mut self, gids: impl IntoIterator<Item = u32>) -> Self {
        self.access.gids = gids.into_iter().collect();
        self
    }

    /// Starts the context.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a socket mode above `0o777`, or for more than 65535 users or groups.
    /// [`Error::Io`] if the system can't provide a thread or a descriptor.
    pub fn build(self) -> Result<Context, Error> {
        self.access.check()?;
        let control = Control::start(SocketArgs {
            path: PathBuf::new(),
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
