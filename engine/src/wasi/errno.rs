//! The error numbers of preview 1, and how host errors map to them.

use std::io;

macro_rules! errnos {
    ($($name:ident = $code:literal $text:literal;)*) => {
        /// What a call of preview 1 returns: `Success`, or why it failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Errno {
            $(#[doc = $text] $name = $code,)*
        }

        impl Errno {
            /// What the number means, as a lowercase fragment.
            pub fn message(self) -> &'static str {
                match self {
                    $(Errno::$name => $text,)*
                }
            }
        }
    };
}

errnos! {
    Success = 0 "no error";
    TooBig = 1 "argument list too long";
    Acces = 2 "permission denied";
    Addrinuse = 3 "address in use";
    Addrnotavail = 4 "address not available";
    Afnosupport = 5 "address family not supported";
    Again = 6 "resource unavailable, try again";
    Already = 7 "connection already in progress";
    Badf = 8 "bad file descriptor";
    Badmsg = 9 "bad message";
    Busy = 10 "device or resource busy";
    Canceled = 11 "operation canceled";
    Child = 12 "no child processes";
    Connaborted = 13 "connection aborted";
    Connrefused = 14 "connection refused";
    Connreset = 15 "connection reset";
    Deadlk = 16 "resource deadlock would occur";
    Destaddrreq = 17 "destination address required";
    Dom = 18 "argument out of the domain of the function";
    Dquot = 19 "quota exceeded";
    Exist = 20 "file exists";
    Fault = 21 "bad address";
    Fbig = 22 "file too large";
    Hostunreach = 23 "host is unreachable";
    Idrm = 24 "identifier removed";
    Ilseq = 25 "illegal byte sequence";
    Inprogress = 26 "operation in progress";
    Intr = 27 "interrupted";
    Inval = 28 "invalid argument";
    Io = 29 "input/output error";
    Isconn = 30 "socket is connected";
    Isdir = 31 "is a directory";
    Loop = 32 "too many levels of symbolic links";
    Mfile = 33 "too many open files in this process";
    Mlink = 34 "too many links";
    Msgsize = 35 "message too large";
    Multihop = 36 "multihop attempted";
    Nametoolong = 37 "name too long";
    Netdown = 38 "network is down";
    Netreset = 39 "connection aborted by the network";
    Netunreach = 40 "network unreachable";
    Nfile = 41 "too many open files in the system";
    Nobufs = 42 "no buffer space available";
    Nodev = 43 "no such device";
    Noent = 44 "no such file or directory";
    Noexec = 45 "executable format error";
    Nolck = 46 "no locks available";
    Nolink = 47 "link severed";
    Nomem = 48 "not enough memory";
    Nomsg = 49 "no message of the desired type";
    Noprotoopt = 50 "protocol not available";
    Nospc = 51 "no space left on device";
    Nosys = 52 "function not supported";
    Notconn = 53 "socket is not connected";
    Notdir = 54 "not a directory";
    Notempty = 55 "directory not empty";
    Notrecoverable = 56 "state not recoverable";
    Notsock = 57 "not a socket";
    Notsup = 58 "not supported";
    Notty = 59 "not a terminal";
    Nxio = 60 "no such device or address";
    Overflow = 61 "value too large";
    Ownerdead = 62 "previous owner died";
    Perm = 63 "operation not permitted";
    Pipe = 64 "broken pipe";
    Proto = 65 "protocol error";
    Protonosupport = 66 "protocol not supported";
    Prototype = 67 "wrong protocol type for the socket";
    Range = 68 "result too large";
    Rofs = 69 "read-only file system";
    Spipe = 70 "invalid seek";
    Srch = 71 "no such process";
    Stale = 72 "stale file handle";
    Timedout = 73 "timed out";
    Txtbsy = 74 "text file busy";
    Xdev = 75 "cross-device link";
    Notcapable = 76 "capabilities insufficient";
}

impl Errno {
    /// The number the guest sees.
    pub fn code(self) -> u16 {
        self as u16
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        Errno::from(&error)
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Errno {
        if let Some(errno) = error.raw_os_error().and_then(from_os) {
            return errno;
        }
        match error.kind() {
            io::ErrorKind::NotFound => Errno::Noent,
            // cap-std reports a path that leaves its directory this way.
            io::ErrorKind::PermissionDenied => Errno::Perm,
            io::ErrorKind::AlreadyExists => Errno::Exist,
            io::ErrorKind::InvalidInput => Errno::Inval,
            io::ErrorKind::BrokenPipe => Errno::Pipe,
            io::ErrorKind::Interrupted => Errno::Intr,
            io::ErrorKind::WouldBlock => Errno::Again,
            io::ErrorKind::OutOfMemory => Errno::Nomem,
            io::ErrorKind::StorageFull => Errno::Nospc,
            io::ErrorKind::NotADirectory => Errno::Notdir,
            io::ErrorKind::IsADirectory => Errno::Isdir,
            io::ErrorKind::DirectoryNotEmpty => Errno::Notempty,
            io::ErrorKind::Unsupported => Errno::Notsup,
            _ => Errno::Io,
        }
    }
}

#[cfg(unix)]
fn from_os(code: i32) -> Option<Errno> {
    use rustix::io::Errno as Os;
    Some(match Os::from_raw_os_error(code) {
        Os::TOOBIG => Errno::TooBig,
        Os::ACCESS => Errno::Acces,
        Os::AGAIN => Errno::Again,
        Os::ALREADY => Errno::Already,
        Os::BADF => Errno::Badf,
        Os::BUSY => Errno::Busy,
        Os::DEADLK => Errno::Deadlk,
        Os::DQUOT => Errno::Dquot,
        Os::EXIST => Errno::Exist,
        Os::FAULT => Errno::Fault,
        Os::FBIG => Errno::Fbig,
        Os::ILSEQ => Errno::Ilseq,
        Os::INPROGRESS => Errno::Inprogress,
        Os::INTR => Errno::Intr,
        Os::INVAL => Errno::Inval,
        Os::IO => Errno::Io,
        Os::ISDIR => Errno::Isdir,
        Os::LOOP => Errno::Loop,
        Os::MFILE => Errno::Mfile,
        Os::MLINK => Errno::Mlink,
        Os::NAMETOOLONG => Errno::Nametoolong,
        Os::NFILE => Errno::Nfile,
        Os::NODEV => Errno::Nodev,
        Os::NOENT => Errno::Noent,
        Os::NOLCK => Errno::Nolck,
        Os::NOMEM => Errno::Nomem,
        Os::NOSPC => Errno::Nospc,
        Os::NOSYS => Errno::Nosys,
        Os::NOTDIR => Errno::Notdir,
        Os::NOTEMPTY => Errno::Notempty,
        Os::NOTSUP => Errno::Notsup,
        Os::NOTTY => Errno::Notty,
        Os::NXIO => Errno::Nxio,
        Os::OVERFLOW => Errno::Overflow,
        Os::PERM => Errno::Perm,
        Os::PIPE => Errno::Pipe,
        Os::RANGE => Errno::Range,
        Os::ROFS => Errno::Rofs,
        Os::SPIPE => Errno::Spipe,
        Os::STALE => Errno::Stale,
        Os::TIMEDOUT => Errno::Timedout,
        Os::TXTBSY => Errno::Txtbsy,
        Os::XDEV => Errno::Xdev,
        _ => return None,
    })
}

/// The numbers are those of `winerror.h`; they are part of the Windows ABI.
#[cfg(windows)]
fn from_os(code: i32) -> Option<Errno> {
    Some(match code {
        // File, path or name that is not there or cannot be.
        2 | 3 | 123 => Errno::Noent,
        4 => Errno::Mfile,
        // Access denied, sharing violation, lock violation.
        5 | 32 | 33 => Errno::Acces,
        6 => Errno::Badf,
        8 | 14 => Errno::Nomem,
        17 => Errno::Xdev,
        19 => Errno::Rofs,
        21 | 170 => Errno::Busy,
        50 => Errno::Notsup,
        80 | 183 => Errno::Exist,
        109 | 232 => Errno::Pipe,
        111 | 206 => Errno::Nametoolong,
        39 | 112 => Errno::Nospc,
        // Negative seek, and asking a plain file for its link.
        131 | 4390 => Errno::Inval,
        145 => Errno::Notempty,
        267 => Errno::Notdir,
        336 => Errno::Isdir,
        681 | 1921 => Errno::Loop,
        1142 => Errno::Mlink,
        1314 => Errno::Perm,
        _ => return None,
    })
}

#[cfg(not(any(unix, windows)))]
fn from_os(_code: i32) -> Option<Errno> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_witx() {
        assert_eq!(Errno::Badf.code(), 8);
        assert_eq!(Errno::Inval.code(), 28);
        assert_eq!(Errno::Notsock.code(), 57);
        assert_eq!(Errno::Notcapable.code(), 76);
        assert_eq!(Errno::Noent.message(), "no such file or directory");
    }

    #[test]
    fn host_errors_map() {
        let missing = std::fs::File::open("/no such file").unwrap_err();
        assert_eq!(Errno::from(missing), Errno::Noent);
        let other = io::Error::other("odd");
        assert_eq!(Errno::from(other), Errno::Io);
        let escape = io::Error::new(io::ErrorKind::PermissionDenied, "outside");
        assert_eq!(Errno::from(escape), Errno::Perm);
    }
}
