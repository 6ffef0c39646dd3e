//! The control thread, and how other threads give it work.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use super::linger;
use crate::ffi::{Loop, SocketArgs, Waker};

/// Work for the control thread.
type Work = Box<dyn FnOnce(&Loop) + Send>;

enum Command {
    Run(Work),
    Stop,
}

/// Used by other threads to reach the control thread. Dropping the last owner stops the thread.
pub(crate) struct Control {
    settings: SocketArgs,
    commands: Mutex<Sender<Command>>,
    waker: Arc<Waker>,
    thread_id: ThreadId,
    thread: Option<JoinHandle<()>>,
}

thread_local! {
    /// The loop of the control thread that this is, for calls from within callbacks.
    static LOOP: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

impl Control {
    /// Starts the thread. All its control sockets have these settings.
    pub(crate) fn start(settings: SocketArgs) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        let (commands, received) = mpsc::channel();
        let (started, result) = mpsc::channel();
        let thread_waker = Arc::clone(&waker);
        let thread = thread::Builder::new()
            .name("memif control".into())
            .spawn(move || run(thread_waker, &received, &started))?;
        result
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread ended")))?;
        Ok(Self {
            settings,
            commands: Mutex::new(commands),
            waker,
            thread_id: thread.thread().id(),
            thread: Some(thread),
        })
    }

    pub(crate) fn is_control_thread(&self) -> bool {
        thread::current().id() == self.thread_id
    }

    /// Whether a slave that found no link tries again by itself.
    pub(crate) fn tries_again(&self) -> bool {
        !self.settings.reconnect.is_zero()
    }

    pub(crate) fn app_name(&self) -> &str {
        &self.settings.app_name
    }

    pub(crate) fn socket_args(&self, path: &Path) -> SocketArgs {
        SocketArgs {
            path: path.to_owned(),
            ..self.settings.clone()
        }
    }

    /// Hands work to the control thread and returns. Work is done in the order of the calls.
    pub(crate) fn post(&self, work: impl FnOnce(&Loop) + Send + 'static) {
        self.send(Command::Run(Box::new(work)));
    }

    /// Does the work on the control thread and waits for the result; `None` if the thread is gone.
    /// From within a callback it is done at once.
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

fn run(waker: Arc<Waker>, commands: &mpsc::Receiver<Command>, started: &Sender<io::Result<()>>) {
    let control = match Loop::new(waker) {
        Ok(control) => Rc::new(control),
        Err(e) => {
            let _ = started.send(Err(e));
            return;
        }
    };
    LOOP.set(Some(Rc::clone(&control)));
    let _ = started.send(Ok(()));
    let (mut stopping, mut pause) = (false, None);
    while !stopping || pause.is_some() {
        if let Err(e) = control.turn(pause) {
            log::error!("the control thread can't wait for events: {e}");
            break;
        }
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Run(work) => work(&control),
                Command::Stop => stopping = true,
            }
        }
        pause = linger::look(&control);
        control.reap();
    }
    LOOP.set(None);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves no half-done change behind: what these mutexes guard is consistent between any
    // two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
