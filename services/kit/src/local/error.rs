use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a local server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A program is not installed.
    #[error("{program} was not found ({searched}): {way_out}")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// Where it was looked for.
        searched: String,
        /// What to do about it.
        way_out: &'static str,
    },
    /// The installed version cannot be used.
    #[error("{0}")]
    Version(String),
    /// Another process of ours holds the folder.
    #[error("{} is in use by another running copy: stop it, or give this one a folder of its own", .path.display())]
    Locked {
        /// The folder both want.
        path: PathBuf,
    },
    /// The unprivileged user cannot reach the folder.
    #[error(
        "user '{user}' cannot enter {}, and {program} refuses to run as root: choose a folder below one that everybody may enter (for example /var/lib/ottery), or start as an unprivileged user",
        .path.display()
    )]
    CannotEnter {
        /// The server that needs it.
        program: &'static str,
        /// The unprivileged user.
        user: String,
        /// The folder out of reach.
        path: PathBuf,
    },
    /// Started as root, and there is no other user to run as.
    #[error(
        "{program} refuses to run as root and neither user 'postgres' nor 'nobody' exists: start as an unprivileged user"
    )]
    NoAccount {
        /// The server that needs it.
        program: &'static str,
    },
    /// The server ended while it was being waited for.
    #[error("{what} ended with {status} while starting; the end of {}:\n{tail}", .log.display())]
    Exited {
        /// The server.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// Where it logs.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// The server did not answer in time.
    #[error("{what} was not ready within {seconds} s; the end of {}:\n{tail}", .log.display())]
    NotReady {
        /// The server.
        what: String,
        /// The deadline in seconds.
        seconds: u64,
        /// Where it logs.
        log: PathBuf,
        /// The last lines of its log.
        tail: String,
    },
    /// A step on the way failed.
    #[error("{step}")]
    Io {
        /// What was being done, and to which file.
        step: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Names the step in which the system refused.
pub(super) fn at(step: impl Into<String>) -> impl FnOnce(std::io::Error) -> LocalError {
    let step = step.into();
    move |source| LocalError::Io { step, source }
}
