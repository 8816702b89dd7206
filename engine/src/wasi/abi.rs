//! The functions of `wasi_snapshot_preview1`, their types and flag bits.

use Abi::{I32, I64};

/// A value type of the calls: preview 1 uses only these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// A 32-bit integer: descriptors, pointers, sizes, flags.
    I32,
    /// A 64-bit integer: file offsets, timestamps, rights, cookies.
    I64,
}

macro_rules! functions {
    ($($variant:ident $name:literal [$($param:ident)*];)*) => {
        /// A function of `wasi_snapshot_preview1`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Function {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Function {
            /// Every function, in the order of the witx.
            pub const ALL: &'static [Function] = &[$(Function::$variant,)*];

            /// The function imported as `name`.
            pub fn by_name(name: &str) -> Option<Function> {
                match name {
                    $($name => Some(Function::$variant),)*
                    _ => None,
                }
            }

            /// The name it is imported by.
            pub fn name(self) -> &'static str {
                match self {
                    $(Function::$variant => $name,)*
                }
            }

            /// Its parameters.
            pub fn params(self) -> &'static [Abi] {
                match self {
                    $(Function::$variant => &[$($param,)*],)*
                }
            }
        }
    };
}

functions! {
    ArgsGet "args_get" [I32 I32];
    ArgsSizesGet "args_sizes_get" [I32 I32];
    EnvironGet "environ_get" [I32 I32];
    EnvironSizesGet "environ_sizes_get" [I32 I32];
    ClockResGet "clock_res_get" [I32 I32];
    ClockTimeGet "clock_time_get" [I32 I64 I32];
    FdAdvise "fd_advise" [I32 I64 I64 I32];
    FdAllocate "fd_allocate" [I32 I64 I64];
    FdClose "fd_close" [I32];
    FdDatasync "fd_datasync" [I32];
    FdFdstatGet "fd_fdstat_get" [I32 I32];
    FdFdstatSetFlags "fd_fdstat_set_flags" [I32 I32];
    FdFdstatSetRights "fd_fdstat_set_rights" [I32 I64 I64];
    FdFilestatGet "fd_filestat_get" [I32 I32];
    FdFilestatSetSize "fd_filestat_set_size" [I32 I64];
    FdFilestatSetTimes "fd_filestat_set_times" [I32 I64 I64 I32];
    FdPread "fd_pread" [I32 I32 I32 I64 I32];
    FdPrestatGet "fd_prestat_get" [I32 I32];
    FdPrestatDirName "fd_prestat_dir_name" [I32 I32 I32];
    FdPwrite "fd_pwrite" [I32 I32 I32 I64 I32];
    FdRead "fd_read" [I32 I32 I32 I32];
    FdReaddir "fd_readdir" [I32 I32 I32 I64 I32];
    FdRenumber "fd_renumber" [I32 I32];
    FdSeek "fd_seek" [I32 I64 I32 I32];
    FdSync "fd_sync" [I32];
    FdTell "fd_tell" [I32 I32];
    FdWrite "fd_write" [I32 I32 I32 I32];
    PathCreateDirectory "path_create_directory" [I32 I32 I32];
    PathFilestatGet "path_filestat_get" [I32 I32 I32 I32 I32];
    PathFilestatSetTimes "path_filestat_set_times" [I32 I32 I32 I32 I64 I64 I32];
    PathLink "path_link" [I32 I32 I32 I32 I32 I32 I32];
    PathOpen "path_open" [I32 I32 I32 I32 I32 I64 I64 I32 I32];
    PathReadlink "path_readlink" [I32 I32 I32 I32 I32 I32];
    PathRemoveDirectory "path_remove_directory" [I32 I32 I32];
    PathRename "path_rename" [I32 I32 I32 I32 I32 I32];
    PathSymlink "path_symlink" [I32 I32 I32 I32 I32];
    PathUnlinkFile "path_unlink_file" [I32 I32 I32];
    PollOneoff "poll_oneoff" [I32 I32 I32 I32];
    ProcExit "proc_exit" [I32];
    ProcRaise "proc_raise" [I32];
    SchedYield "sched_yield" [];
    RandomGet "random_get" [I32 I32];
    SockAccept "sock_accept" [I32 I32 I32];
    SockRecv "sock_recv" [I32 I32 I32 I32 I32 I32];
    SockSend "sock_send" [I32 I32 I32 I32 I32];
    SockShutdown "sock_shutdown" [I32 I32];
}

impl Function {
    /// Its results: an error number, and nothing for `proc_exit`.
    pub fn results(self) -> &'static [Abi] {
        match self {
            Function::ProcExit => &[],
            _ => &[I32],
        }
    }
}

/// Looks whether every flag and every other small number among the arguments
/// exists. As in wasmtime that comes first, and one that does not is not an
/// error the guest is told of.
pub(super) fn check(function: Function, args: &[u64]) -> Result<(), &'static str> {
    use Function::*;
    let limits: &[(usize, u64, &str)] = match function {
        ClockResGet | ClockTimeGet => &[(0, clockid::THREAD_CPUTIME as u64, "no such clock")],
        FdAdvise => &[(3, 5, "no such advice")],
        FdFdstatSetFlags | SockAccept => &[(1, fdflags::ALL as u64, "no such `fdflags`")],
        FdFdstatSetRights => &[(1, rights::ALL, NO_RIGHTS), (2, rights::ALL, NO_RIGHTS)],
        FdFilestatSetTimes => &[(3, fstflags::ALL as u64, "no such `fstflags`")],
        FdSeek => &[(2, 2, "no such `whence`")],
        PathFilestatGet | PathLink => &[(1, lookup::ALL as u64, NO_LOOKUP)],
        PathFilestatSetTimes => {
            &[(1, lookup::ALL as u64, NO_LOOKUP), (6, fstflags::ALL as u64, "no such `fstflags`")]
        }
        PathOpen => &[
            (1, lookup::ALL as u64, NO_LOOKUP),
            (4, oflags::ALL as u64, "no such `oflags`"),
            (5, rights::ALL, NO_RIGHTS),
            (6, rights::ALL, NO_RIGHTS),
            (7, fdflags::ALL as u64, "no such `fdflags`"),
        ],
        ProcRaise => &[(0, 30, "no such signal")],
        SockRecv => &[(3, 3, "no such `riflags`")],
        SockSend => &[(3, 0xffff, "no such `siflags`")],
        SockShutdown => &[(1, 3, "no such `sdflags`")],
        _ => &[],
    };
    for &(index, max, why) in limits {
        let arg = args.get(index).copied().unwrap_or(0);
        // However the engine widened a 32-bit argument, the low half counts.
        let wide = function.params().get(index) == Some(&I64);
        // Every set of flags begins at the lowest bit, so one comparison is enough for all.
        if (if wide { arg } else { arg & 0xffff_ffff }) > max {
            return Err(why);
        }
    }
    Ok(())
}

const NO_RIGHTS: &str = "no such `rights`";
const NO_LOOKUP: &str = "no such `lookupflags`";

/// `fdflags`.
pub(super) mod fdflags {
    pub const APPEND: u32 = 1 << 0;
    pub const DSYNC: u32 = 1 << 1;
    pub const NONBLOCK: u32 = 1 << 2;
    pub const RSYNC: u32 = 1 << 3;
    pub const SYNC: u32 = 1 << 4;
    pub const ALL: u32 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// `oflags`.
pub(super) mod oflags {
    pub const CREAT: u32 = 1 << 0;
    pub const DIRECTORY: u32 = 1 << 1;
    pub const EXCL: u32 = 1 << 2;
    pub const TRUNC: u32 = 1 << 3;
    pub const ALL: u32 = CREAT | DIRECTORY | EXCL | TRUNC;
}

/// `lookupflags`.
pub(super) mod lookup {
    pub const SYMLINK_FOLLOW: u32 = 1;
    pub const ALL: u32 = SYMLINK_FOLLOW;
}

/// `fstflags`.
pub(super) mod fstflags {
    pub const ATIM: u32 = 1 << 0;
    pub const ATIM_NOW: u32 = 1 << 1;
    pub const MTIM: u32 = 1 << 2;
    pub const MTIM_NOW: u32 = 1 << 3;
    pub const ALL: u32 = ATIM | ATIM_NOW | MTIM | MTIM_NOW;
}

/// `filetype`.
pub(super) mod filetype {
    pub const UNKNOWN: u8 = 0;
    #[cfg(unix)]
    pub const BLOCK_DEVICE: u8 = 1;
    pub const CHARACTER_DEVICE: u8 = 2;
    pub const DIRECTORY: u8 = 3;
    pub const REGULAR_FILE: u8 = 4;
    #[cfg(unix)]
    pub const SOCKET_STREAM: u8 = 6;
    pub const SYMBOLIC_LINK: u8 = 7;
}

/// `clockid`.
pub(super) mod clockid {
    pub const REALTIME: u32 = 0;
    pub const MONOTONIC: u32 = 1;
    pub const THREAD_CPUTIME: u32 = 3;
}

/// `rights`.
pub(super) mod rights {
    pub const FD_DATASYNC: u64 = 1 << 0;
    pub const FD_READ: u64 = 1 << 1;
    pub const FD_SEEK: u64 = 1 << 2;
    pub const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub const FD_SYNC: u64 = 1 << 4;
    pub const FD_TELL: u64 = 1 << 5;
    pub const FD_WRITE: u64 = 1 << 6;
    pub const FD_ADVISE: u64 = 1 << 7;
    pub const FD_ALLOCATE: u64 = 1 << 8;
    pub const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub const PATH_CREATE_FILE: u64 = 1 << 10;
    pub const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub const PATH_LINK_TARGET: u64 = 1 << 12;
    pub const PATH_OPEN: u64 = 1 << 13;
    pub const FD_READDIR: u64 = 1 << 14;
    pub const PATH_READLINK: u64 = 1 << 15;
    pub const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub const FD_FILESTAT_GET: u64 = 1 << 21;
    pub const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub const PATH_SYMLINK: u64 = 1 << 24;
    pub const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub const POLL_FD_READWRITE: u64 = 1 << 27;
    pub const ALL: u64 = (1 << 30) - 1;

    /// What C libraries look for in a preopened directory before using it.
    pub const PREOPEN: u64 = PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES;

    /// What can be had by opening something below a preopened directory.
    pub const PREOPEN_INHERITING: u64 = PREOPEN
        | FD_DATASYNC
        | FD_READ
        | FD_SEEK
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_TELL
        | FD_WRITE
        | FD_ADVISE
        | FD_ALLOCATE
        | FD_FILESTAT_SET_SIZE
        | POLL_FD_READWRITE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_46_functions_and_names_round_trip() {
        assert_eq!(Function::ALL.len(), 46);
        for &function in Function::ALL {
            assert_eq!(Function::by_name(function.name()), Some(function));
        }
        assert_eq!(Function::by_name("fd_fdopen"), None);
        assert_eq!(Function::ProcExit.results(), &[]);
        assert_eq!(Function::PathOpen.params().len(), 9);
    }
}
