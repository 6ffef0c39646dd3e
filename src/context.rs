//! The control thread, on which connections are made and callbacks run.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use crate::config::cut_name;
use crate::ffi::{Loop, SocketArgs, Waker};
use crate::interface::{CLOSE_FLUSH, Inner};
use crate::{Error, ErrorKind, Memif, MemifConfig};

/// The place where interfaces live: a thread that makes connections, and on
/// which callbacks run. A process may have several.
///
/// Closing or dropping it closes its interfaces.
///
/// Callbacks may call anything of their own context. Two contexts whose callbacks call each
/// other wait for each other for ever.
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
#[derive(Debug)]
pub struct Context {
    control: Arc<Control>,
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
        let config = config.checked()?;
        if self.control.closed.load(Ordering::Acquire) {
            return Err(Error::Memif {
                kind: ErrorKind::NotInitialised,
                context: format!("creating id {} on {}", config.id, config.socket),
            });
        }
        let inner = Inner::create(Arc::clone(&self.control), config)?;
        let mut interfaces = lock(&self.control.interfaces);
        interfaces.retain(|weak| weak.strong_count() > 0);
        interfaces.push(Arc::downgrade(&inner));
        drop(interfaces);
        if self.control.closed.load(Ordering::Acquire) {
            inner.close(); // meanwhile
        }
        Ok(Memif::from_inner(inner))
    }

    /// Closes its interfaces as [`Memif::close`] does: waits up to a second, for
    /// all of them together, until peers have taken what was sent.
    pub fn close(&self) {
        self.control.closed.store(true, Ordering::Release);
        let interfaces = std::mem::take(&mut *lock(&self.control.interfaces));
        let deadline = Instant::now() + CLOSE_FLUSH;
        for inner in interfaces.iter().filter_map(Weak::upgrade) {
            inner.close_by(deadline);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.close();
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
}

impl ContextBuilder {
    /// How often slaves without a link ask for one; 100 ms unless set. Zero: only once.
    pub fn reconnect_interval(mut self, interval: Duration) -> Self {
        self.reconnect = interval;
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

    /// Starts the context.
    ///
    /// # Errors
    ///
    /// As [`Context::new`].
    pub fn build(self) -> Result<Context, Error> {
        let app_name = cut_name("program name", self.app_name);
        let starting = |e| Error::io("starting the control thread", e);
        let waker = Arc::new(Waker::new().map_err(starting)?);
        let (commands, received) = mpsc::channel();
        let (started, result) = mpsc::channel();

        let thread_waker = Arc::clone(&waker);
        let thread = thread::Builder::new()
            .name("memif control".into())
            .spawn(move || run(thread_waker, &received, &started))
            .map_err(starting)?;
        result
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread ended")))
            .map_err(starting)?;
        Ok(Context {
            control: Arc::new(Control {
                settings: SocketArgs {
                    path: String::new(),
                    app_name,
                    reconnect: self.reconnect,
                    handshake: self.handshake,
                    max_half_open: self.max_half_open.max(1),
                },
                commands: Mutex::new(commands),
                waker,
                thread_id: thread.thread().id(),
                thread: Some(thread),
                closed: AtomicBool::new(false),
                interfaces: Mutex::default(),
            }),
        })
    }
}

/// What is done on the control thread.
type Work = Box<dyn FnOnce(&Loop) + Send>;

enum Command {
    Run(Work),
    Stop,
}

/// The other threads' side of the control thread. The last owner stops it.
pub(crate) struct Control {
    settings: SocketArgs,
    commands: Mutex<Sender<Command>>,
    waker: Arc<Waker>,
    thread_id: ThreadId,
    thread: Option<JoinHandle<()>>,
    closed: AtomicBool,
    interfaces: Mutex<Vec<Weak<Inner>>>,
}

thread_local! {
    /// On a control thread its loop, for calls from within callbacks.
    static LOOP: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

impl Control {
    pub(crate) fn is_control_thread(&self) -> bool {
        thread::current().id() == self.thread_id
    }

    pub(crate) fn socket_args(&self, path: &str) -> SocketArgs {
        SocketArgs {
            path: path.into(),
            ..self.settings.clone()
        }
    }

    /// Has it done later. The order is that of the calls.
    pub(crate) fn post(&self, work: impl FnOnce(&Loop) + Send + 'static) {
        self.send(Command::Run(Box::new(work)));
    }

    /// Does it now, on the control thread, and waits for the result; `None`
    /// when the thread is gone. From within a callback it is done at once.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Loop) -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_control_thread() {
            let current = LOOP.try_with(|l| l.borrow().clone()).ok().flatten()?;
            return Some(work(&current));
        }
        let (reply, result) = mpsc::sync_channel(1);
        self.post(move |l| {
            // The caller waits, so it takes the result.
            let _ = reply.send(work(l));
        });
        result.recv().ok()
    }

    fn send(&self, command: Command) {
        // Fails only when the thread is gone, and everything with it.
        let _ = lock(&self.commands).send(command);
        self.waker.wake();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.send(Command::Stop);
        let own = self.is_control_thread();
        if let Some(thread) = self.thread.take()
            && !own
            && thread.join().is_err()
        {
            log::error!("the control thread panicked");
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("app_name", &self.settings.app_name)
            .finish_non_exhaustive()
    }
}

fn run(
    waker: Arc<Waker>,
    commands: &mpsc::Receiver<Command>,
    started: &Sender<std::io::Result<()>>,
) {
    let control = match Loop::new(waker) {
        Ok(control) => Rc::new(control),
        Err(e) => {
            let _ = started.send(Err(e));
            return;
        }
    };
    LOOP.set(Some(Rc::clone(&control)));
    let _ = started.send(Ok(()));
    loop {
        if let Err(e) = control.turn() {
            log::error!("the control thread can't wait for events: {e}");
            break;
        }
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Run(work) => work(&control),
                Command::Stop => {
                    LOOP.set(None);
                    return;
                }
            }
        }
        control.reap();
    }
    LOOP.set(None);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What the mutexes here guard is whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
