//! Traps, in terms of the original module.

use std::any::Any;
use std::fmt;
use std::ops::Range;

use tasklet_instrumenter::Metadata;
use wasmtime::{GcHeapOutOfMemory, ThrownException, WasmBacktrace};

use crate::error::Error;

/// Why and where a guest was ended against its will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// What kind of trap it is.
    pub kind: TrapKind,
    /// Its description.
    pub message: String,
    /// Where it happened, innermost frame first. Of more than [`BACKTRACE_LINES_MAX`] lines some in
    /// the middle are left out.
    pub backtrace: Vec<TrapFrame>,
}

/// Lines of a [`Trap::backtrace`] at most. The last of them show where a recursion began.
pub const BACKTRACE_LINES_MAX: usize = 1000;
const OUTERMOST_LINES: usize = 100;

/// Which of so many lines of a backtrace are left out.
pub(crate) fn left_out(lines: usize) -> Range<usize> {
    match lines {
        0..=BACKTRACE_LINES_MAX => 0..0,
        _ => BACKTRACE_LINES_MAX - OUTERMOST_LINES..lines - OUTERMOST_LINES,
    }
}

/// One line of a backtrace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapFrame {
    /// Index of the function in the original module.
    pub function: u32,
    /// Its name, or `func[N]`.
    pub name: String,
    /// Byte offset in the original module of a paused frame's position; a running function's is
    /// not known.
    pub offset: Option<u32>,
}

macro_rules! kinds {
    ($($name:ident $text:literal $(from $trap:ident)? : $doc:literal,)*) => {
        /// The kinds of [`Trap`].
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TrapKind { $(#[doc = $doc] $name,)* }

        impl TrapKind {
            const ALL: &[TrapKind] = &[$(TrapKind::$name,)*];

            /// The words every message of this kind begins with.
            pub fn text(self) -> &'static str {
                match self { $(TrapKind::$name => $text,)* }
            }

            fn from_wasmtime(trap: wasmtime::Trap) -> TrapKind {
                match trap {
                    $($(wasmtime::Trap::$trap => TrapKind::$name,)?)*
                    _ => TrapKind::Other,
                }
            }
        }
    };
}

kinds! {
    Unreachable "unreachable" from UnreachableCodeReached: "An `unreachable` was executed.",
    MemoryOutOfBounds "out of bounds memory access" from MemoryOutOfBounds:
        "An access to memory was out of bounds.",
    TableOutOfBounds "out of bounds table access" from TableOutOfBounds:
        "An access to a table was out of bounds.",
    IndirectCallToNull "uninitialized element" from IndirectCallToNull:
        "An indirect call met a null element.",
    BadSignature "indirect call type mismatch" from BadSignature:
        "An indirect call met a function of another type.",
    IntegerOverflow "integer overflow" from IntegerOverflow: "A conversion or division overflowed.",
    IntegerDivisionByZero "integer divide by zero" from IntegerDivisionByZero:
        "An integer was divided by zero.",
    BadConversionToInteger "invalid conversion to integer" from BadConversionToInteger:
        "A NaN or too large a float was converted to an integer.",
    NullReference "null reference" from NullReference: "A null reference was used.",
    StackOverflow "call stack exhausted" from StackOverflow: "Calls were nested too deep.",
    OutOfMemory "the host is out of memory" from AllocationTooLarge:
        "The host could not give memory that the tasklet's limits allow.",
    ReferenceHeap "the heap of references is full":
        "Exceptions and references to the host's objects that are in use left no room for another.",
    UncaughtException "uncaught exception": "A wasm exception was caught by nobody.",
    CallbackLimit "callback hard limit": "Callbacks of a host import took too many steps.",
    AtomicLimit "atomic section hard limit": "An atomic section overdrew its slice by too much.",
    CannotSuspend "nothing can wait below a host import":
        "A guest that a host import has called back has called an import that has to wait.",
    HostFailed "the host failed": "The host could not do what a deterministic guest asked for.",
    Thrown "thrown": "An error was thrown into a tasklet that had not begun.",
    Host "host import": "A host import failed.",
    Other "trap": "Anything else.",
}

impl TrapKind {
    /// Whether it says something of the host and not of the guest: then it is no end of a
    /// deterministic run.
    pub(crate) fn is_hosts(self) -> bool {
        matches!(self, TrapKind::OutOfMemory | TrapKind::HostFailed)
    }

    /// The kind a message was made for; snapshots hold the message only.
    pub(crate) fn of_message(message: &str) -> TrapKind {
        let found = Self::ALL.iter().find(|kind| message.starts_with(kind.text()));
        found.copied().unwrap_or(TrapKind::Other)
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trap {}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (function {})", self.name, self.function)?;
        match self.offset {
            Some(offset) => write!(f, " at {offset:#x}"),
            None => Ok(()),
        }
    }
}

impl TrapFrame {
    /// A frame of the function with that index.
    pub(crate) fn of(metadata: &Metadata, function: u32, offset: Option<u32>) -> TrapFrame {
        let info = metadata.functions.get(function as usize);
        let name = info.and_then(|info| info.name.clone());
        let name = name.unwrap_or_else(|| format!("func[{function}]"));
        TrapFrame { function, name, offset }
    }
}

/// What ends a guest other than a wasm trap; travels through wasmtime as an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// `proc_exit` where nothing can be unwound.
    #[error("exit with code {0}")]
    Exit(u32),
    /// Callbacks of an import took too many steps.
    #[error("{} in `{import}`", TrapKind::CallbackLimit.text())]
    CallbackLimit { import: String },
    /// Callbacks of an import were nested deeper than the native stack.
    #[error("{}: calls back into the guest are nested deeper in `{import}` than the host's stack \
             allows", TrapKind::StackOverflow.text())]
    CallbackDepth { import: String },
    /// A suspending import was called below another.
    #[error("{}: `{import}` suspends the guest, and the host's own frames are on the native stack; \
             call it outside of callbacks, or let the host provide it as an immediate import",
             TrapKind::CannotSuspend.text())]
    CannotSuspend { import: String },
    /// The host could not do what a deterministic guest wanted, where nothing can be unwound.
    #[error("{}: {what}", TrapKind::HostFailed.text())]
    HostFailed { what: String },
    /// An import returned an error.
    #[error("{} `{import}`: {message}", TrapKind::Host.text())]
    Host { import: String, message: String },
}

/// Translates what wasmtime says of a trap; the frames that were paused below are not in it.
pub(crate) fn translate(metadata: &Metadata, error: &wasmtime::Error) -> Trap {
    let ended = error.downcast_ref::<Ended>();
    let trap = error.downcast_ref::<wasmtime::Trap>().filter(|_| ended.is_none());
    let (kind, message) = if let Some(trap) = trap {
        let kind = TrapKind::from_wasmtime(*trap);
        let message = match kind {
            TrapKind::Other => format!("{}: {trap}", kind.text()),
            // Our own limit comes first, unless frames are larger than the instrumenter took them
            // to be.
            TrapKind::StackOverflow => {
                format!("{}: the host's stack has no room for so large activations", kind.text())
            }
            _ => kind.text().to_string(),
        };
        (kind, message)
    } else if let Some(ended) = ended {
        let kind = match ended {
            Ended::CallbackLimit { .. } => TrapKind::CallbackLimit,
            Ended::CallbackDepth { .. } => TrapKind::StackOverflow,
            Ended::CannotSuspend { .. } => TrapKind::CannotSuspend,
            Ended::Host { .. } => TrapKind::Host,
            Ended::HostFailed { .. } => TrapKind::HostFailed,
            Ended::Exit(_) => TrapKind::Other,
        };
        (kind, ended.to_string())
    } else if let Some(refused) = error.downcast_ref::<Error>() {
        // A value that could not be handed to an import, or from it.
        (TrapKind::Host, format!("{}: {refused}", TrapKind::Host.text()))
    } else if error.is::<GcHeapOutOfMemory<()>>() {
        (TrapKind::ReferenceHeap, TrapKind::ReferenceHeap.text().to_string())
    } else if error.is::<ThrownException>() {
        (TrapKind::UncaughtException, TrapKind::UncaughtException.text().to_string())
    } else {
        // What remains is the limiter handing through the host's failure to grow something.
        let kind = TrapKind::OutOfMemory;
        (kind, format!("{}: {}", kind.text(), error.root_cause()))
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let backtrace = backtrace.map(|b| frames(metadata, b)).unwrap_or_default();
    Trap { kind, message, backtrace }
}

/// What a panic says.
pub(crate) fn panic_message(panicked: &(dyn Any + Send)) -> &str {
    let text = panicked.downcast_ref::<&str>().copied();
    text.or_else(|| panicked.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

/// The guest's frames on the native stack, innermost first.
pub(crate) fn frames(metadata: &Metadata, backtrace: &WasmBacktrace) -> Vec<TrapFrame> {
    // The instrumented module names function N of the original `N:name`, and everything of its
    // own, the driver and the wrappers of imports and exports, with the reserved prefix.
    let index = |name: &str| name.split_once(':')?.0.parse().ok();
    (backtrace.frames().iter())
        .filter_map(|frame| Some(TrapFrame::of(metadata, index(frame.func_name()?)?, None)))
        .collect()
}
