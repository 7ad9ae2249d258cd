//! What the system asks of the process.

use std::io;

/// What a signal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// Read the configuration again.
    Reload,
    /// Open the log file anew.
    ReopenLog,
    /// Save what is kept.
    Save,
    /// Print subscriptions.
    Dump,
    /// End.
    Stop,
}

#[cfg(unix)]
mod system {
    use super::{Request, io};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::{Handle, Signals};
    use std::thread::JoinHandle;

    /// Waits for signals on a thread of its own.
    pub(crate) struct SignalThread {
        handle: Handle,
        thread: Option<JoinHandle<()>>,
    }

    impl SignalThread {
        /// From here on signals come as requests.
        pub(crate) fn start(mut tell: impl FnMut(Request) + Send + 'static) -> io::Result<Self> {
            let reopen = reopen_signal();
            let usual = [SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
            let mut signals = Signals::new(usual.into_iter().chain(reopen))?;
            let handle = signals.handle();
            let wait = move || {
                for signal in signals.forever() {
                    tell(match signal {
                        SIGHUP => Request::Reload,
                        SIGUSR1 => Request::Save,
                        SIGUSR2 => Request::Dump,
                        signal if Some(signal) == reopen => Request::ReopenLog,
                        _ => Request::Stop,
                    });
                }
            };
            let thread = std::thread::Builder::new().name("signals".into()).spawn(wait)?;
            Ok(SignalThread { handle, thread: Some(thread) })
        }
    }

    /// The first one of one's own, where there are such.
    #[cfg(target_os = "linux")]
    fn reopen_signal() -> Option<i32> {
        Some(nix::libc::SIGRTMIN())
    }

    #[cfg(not(target_os = "linux"))]
    fn reopen_signal() -> Option<i32> {
        None
    }

    impl Drop for SignalThread {
        fn drop(&mut self) {
            self.handle.close();
            if let Some(thread) = self.thread.take() {
                // A thread that panicked has been reported by the panic hook.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Request, io};

    /// Without Unix signals a console's Ctrl-C ends the process at once, by the system's default.
    pub(crate) struct SignalThread;

    impl SignalThread {
        /// Nothing ever comes.
        pub(crate) fn start(_tell: impl FnMut(Request) + Send + 'static) -> io::Result<Self> {
            let _ =
                (Request::Reload, Request::Stop, Request::ReopenLog, Request::Save, Request::Dump);
            Ok(SignalThread)
        }
    }
}

pub(crate) use system::SignalThread;
