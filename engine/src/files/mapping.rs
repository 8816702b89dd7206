//! Files mapped into memory.

use std::fs::File;

/// A whole file, mapped for reading, that nobody else can change.
#[derive(Debug)]
pub(crate) struct Mapping {
    #[cfg(unix)]
    inner: unix::Map,
    #[cfg(not(unix))]
    never: std::convert::Infallible,
}

#[cfg(unix)]
impl Mapping {
    /// Maps a file if it is a plain one of ours that only we can change.
    pub(super) fn of(file: &File) -> Option<Mapping> {
        unix::Map::of(file).map(|inner| Mapping { inner })
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.inner.bytes()
    }

    /// Puts a private copy of the file's pages in place of memory that begins at `to`, without
    /// reading them; `bytes` is what they hold, part of [`bytes`](Mapping::bytes). Whether it was
    /// done; if not, `to` is what it was, or zero.
    pub(crate) fn put(&self, bytes: &[u8], to: &mut [u8]) -> bool {
        self.inner.put(bytes, to)
    }
}

#[cfg(not(unix))]
impl Mapping {
    /// Elsewhere files are read.
    pub(super) fn of(_: &File) -> Option<Mapping> {
        None
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self.never {}
    }

    pub(crate) fn put(&self, _: &[u8], _: &mut [u8]) -> bool {
        match self.never {}
    }
}

/// Puts a private copy of a file's pages from `offset` on in place of memory, without reading them.
/// The file has them all, and nobody changes them. Whether it was done; if not, `to` is what it was,
/// or zero.
#[cfg(target_os = "linux")]
pub(crate) fn put_pages(file: &File, offset: u64, to: &mut [u8]) -> bool {
    unix::put(file, offset, to)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library has no mappings")]
mod unix {
    use std::ffi::c_void;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;
    use std::ptr::NonNull;

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
    use rustix::param::page_size;

    #[derive(Debug)]
    pub(super) struct Map {
        start: NonNull<c_void>,
        bytes: usize,
        file: File,
    }

    // SAFETY: the mapping is only read, and belongs to no thread.
    unsafe impl Send for Map {}
    // SAFETY: as above.
    unsafe impl Sync for Map {}

    impl Map {
        pub(super) fn of(file: &File) -> Option<Map> {
            let metadata = file.metadata().ok()?;
            let ours = metadata.uid() == rustix::process::geteuid().as_raw();
            if !metadata.is_file() || !ours || metadata.mode() & 0o022 != 0 {
                return None;
            }
            let bytes = usize::try_from(metadata.len()).ok().filter(|bytes| *bytes > 0)?;
            let file = file.try_clone().ok()?;
            // SAFETY: a new mapping at an address that the system chooses takes nothing's place.
            let start = unsafe {
                mmap(std::ptr::null_mut(), bytes, ProtFlags::READ, MapFlags::PRIVATE, &file, 0)
            };
            Some(Map { start: NonNull::new(start.ok()?)?, bytes, file })
        }

        pub(super) fn bytes(&self) -> &[u8] {
            // SAFETY: the mapping is there until this is dropped. Only processes of the user's own
            // could change the file, and those could as well change this process; that it stays as
            // it is, is asked of them (see `SnapshotFile`).
            unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.bytes) }
        }

        pub(super) fn put(&self, bytes: &[u8], to: &mut [u8]) -> bool {
            let offset = bytes.as_ptr().addr().wrapping_sub(self.start.as_ptr().addr());
            let inside = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.bytes);
            inside && to.len() == bytes.len() && put(&self.file, offset as u64, to)
        }
    }

    pub(super) fn put(file: &File, offset: u64, to: &mut [u8]) -> bool {
        let aligned = |address: usize| address.is_multiple_of(page_size());
        let whole = aligned(to.as_ptr().addr()) && aligned(to.len());
        if !whole || !offset.is_multiple_of(page_size() as u64) || to.is_empty() {
            return false;
        }
        // SAFETY: the memory that is replaced is all `to`'s, which is borrowed alone and consists of
        // whole pages that can be read and written, as the new ones can. They are private: writing
        // to them changes no file.
        let mapped = unsafe {
            mmap(
                to.as_mut_ptr().cast(),
                to.len(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::FIXED,
                file,
                offset,
            )
        };
        mapped.is_ok() || (!is_there(to) && empty(to))
    }

    /// Whether all of that is still memory. A process that has as many mappings as it may is refused
    /// another before anything is done, and so would be what [`empty`] wants.
    fn is_there(to: &mut [u8]) -> bool {
        // SAFETY: the advice is what holds without any; it fails where nothing is mapped.
        let told = unsafe { madvise(to.as_mut_ptr().cast(), to.len(), Advice::Normal) };
        told.is_ok()
    }

    /// Makes sure that there is memory, zero, where a mapping could not be put: nothing says that
    /// what was there is left when that fails. Always `false`.
    fn empty(to: &mut [u8]) -> bool {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        // SAFETY: as in `put`.
        let mapped =
            unsafe { rustix::mm::mmap_anonymous(to.as_mut_ptr().cast(), to.len(), access, flags) };
        // Without it even an unwinding would touch what is no memory.
        if mapped.is_err() {
            std::process::abort();
        }
        false
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: the mapping is ours, and all that was lent of it has been given back.
            let unmapped = unsafe { munmap(self.start.as_ptr(), self.bytes) };
            debug_assert!(unmapped.is_ok());
        }
    }
}
