//! What Linux knows of pages.
#![expect(unsafe_code, reason = "there is no other way to ask the kernel")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::ioctl::{self, IoctlOutput, Opcode, opcode};
use rustix::mm::UserfaultfdFlags;
use rustix::param::page_size;

use super::{Pages, pages_of};
use crate::snapshot::PAGE_BYTES;

/// Categories of pages, and flags, of `PAGEMAP_SCAN` (`linux/fs.h`).
const WRITTEN: u64 = 1 << 1;
const FILE: u64 = 1 << 2;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
const WRITE_PROTECT_MATCHING: u64 = 1;
const CHECK_WRITE_PROTECTION: u64 = 1 << 1;

/// Constants of `linux/userfaultfd.h`.
const UFFD_API: u64 = 0xaa;
const USER_MODE_ONLY: u32 = 1;
const WRITE_PROTECT_ASYNC: u64 = 1 << 15;
const REGISTER_WRITE_PROTECT: u64 = 1 << 1;

/// Regions that one call can return.
const REGIONS_AT_ONCE: usize = 512;
/// Pages whose entries are read at once where `PAGEMAP_SCAN` is missing.
const ENTRIES_AT_ONCE: usize = 8192;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg`.
#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct uffdio_api`.
#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `struct uffdio_register`.
#[repr(C)]
struct Register {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

const PAGEMAP_SCAN: Opcode = opcode::read_write::<Scan>(b'f', 16);
const UFFDIO_API: Opcode = opcode::read_write::<Api>(0xaa, 0x3f);
const UFFDIO_REGISTER: Opcode = opcode::read_write::<Register>(0xaa, 0x00);

/// A call that changes what it is given, and returns a number.
struct Call<'a, T> {
    opcode: Opcode,
    value: &'a mut T,
}

// SAFETY: made in this file alone, with the type that the kernel takes for the code.
unsafe impl<T> ioctl::Ioctl for Call<'_, T> {
    type Output = usize;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self.value).cast()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> rustix::io::Result<usize> {
        Ok(usize::try_from(output).unwrap_or(0))
    }
}

/// `/proc/self/pagemap`, if it can be opened. It stays that of the process that opened it, and a
/// fork has pages of its own: so it is opened anew each time.
fn pagemap() -> Option<File> {
    File::open("/proc/self/pagemap").ok()
}

/// What is asked of the pages of a memory.
#[derive(Clone, Copy)]
struct Question {
    flags: u64,
    /// All of these that are not in `without`, none that is.
    all: u64,
    any: u64,
    without: u64,
}

fn scan(memory: &[u8], question: Question) -> Option<Pages> {
    let pagemap = pagemap()?;
    let mut found = [Region::default(); REGIONS_AT_ONCE];
    let mut regions: Vec<Range<u64>> = Vec::new();
    let start = memory.as_ptr().addr() as u64;
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: question.flags,
        start,
        end: start + memory.len() as u64,
        vec: found.as_mut_ptr().expose_provenance() as u64,
        vec_len: REGIONS_AT_ONCE as u64,
        category_inverted: question.without,
        category_mask: question.all | question.without,
        category_anyof_mask: question.any,
        return_mask: WRITTEN | PRESENT,
        ..Scan::default()
    };
    while scan.start < scan.end {
        let call = Call { opcode: PAGEMAP_SCAN, value: &mut scan };
        // SAFETY: the kernel reads and writes `scan`, and writes to `found` as many regions as it
        // holds, which nothing else touches meanwhile. Protecting pages changes none of their
        // contents, and writing to them none of what a program can see.
        let count = unsafe { ioctl::ioctl(&pagemap, call) }.ok()?;
        regions.extend(found.iter().take(count).map(|region| region.start..region.end));
        // A call that gets nowhere would be made for ever.
        if scan.walk_end <= scan.start {
            return None;
        }
        scan.start = scan.walk_end;
    }
    Some(pages_of(memory, regions.into_iter()))
}

/// The pages that are neither as they have never been touched nor as a file has them.
pub(crate) fn touched(memory: &[u8]) -> Option<Pages> {
    static BELIEVED: OnceLock<bool> = OnceLock::new();
    if memory.is_empty() {
        return Some(Vec::new());
    }
    if !*BELIEVED.get_or_init(|| finds_all(ask_touched)) {
        return None;
    }
    ask_touched(memory)
}

fn ask_touched(memory: &[u8]) -> Option<Pages> {
    let question = Question { flags: 0, all: 0, any: PRESENT | SWAPPED, without: FILE };
    scan(memory, question).or_else(|| by_entries(memory))
}

/// Whether the answer about pages that have all been touched is that they have. It is another's
/// where a system is emulated: qemu's user mode hands the host's file on as it is, which may have
/// other addresses and other pages.
fn finds_all(ask: fn(&[u8]) -> Option<Pages>) -> bool {
    const PAGES: usize = 8;
    let page = page_size().max(PAGE_BYTES);
    let mut memory = vec![1; (PAGES + 1) * page];
    let memory = std::hint::black_box(&mut memory[..]);
    let first = memory.as_ptr().addr().next_multiple_of(page) - memory.as_ptr().addr();
    let whole = &memory[first..first + PAGES * page];
    let all = 0..(whole.len() / PAGE_BYTES) as u64;
    ask(whole).is_some_and(|found| found == [all])
}

/// The same, page by page.
fn by_entries(memory: &[u8]) -> Option<Pages> {
    // NB: a program for the other byte order that runs under qemu's user mode is given the host's
    // entries: with the bytes of a frame's number, if that is shown, where the flags should be. That
    // no trial finds out for sure. On a real machine this costs a comparison where there is no
    // `PAGEMAP_SCAN`.
    if cfg!(target_endian = "big") {
        return None;
    }
    const ENTRY_BYTES: usize = 8;
    const HERE_OR_SWAPPED: u64 = 0b11 << 62;
    const OF_FILE: u64 = 1 << 61;
    let (pagemap, page) = (pagemap()?, page_size());
    let (first, count) = (memory.as_ptr().addr() / page, memory.len().div_ceil(page));
    let mut entries = vec![0; ENTRIES_AT_ONCE.min(count) * ENTRY_BYTES];
    let mut regions = Vec::new();
    let mut at = 0;
    while at < count {
        let wanted = ENTRIES_AT_ONCE.min(count - at) * ENTRY_BYTES;
        let offset = (first + at) * ENTRY_BYTES;
        let read: io::Result<()> = pagemap.read_exact_at(&mut entries[..wanted], offset as u64);
        read.ok()?;
        for (number, entry) in (first + at..).zip(entries[..wanted].chunks_exact(ENTRY_BYTES)) {
            let entry = u64::from_ne_bytes(entry.try_into().ok()?);
            if entry & HERE_OR_SWAPPED != 0 && entry & OF_FILE == 0 {
                regions.push((number * page) as u64..((number + 1) * page) as u64);
            }
        }
        at += wanted / ENTRY_BYTES;
    }
    Some(pages_of(memory, regions.into_iter()))
}

/// The size of large pages, on all machines where they are worth it.
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// Asks for large pages where they fit: with those of 4 KiB most of the time goes to faults.
pub(super) fn prepare(memory: &[u8]) -> bool {
    let start = memory.as_ptr().addr();
    let first = start.next_multiple_of(LARGE_PAGE_BYTES);
    let end = (start + memory.len()) / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES;
    if end <= first {
        return false;
    }
    let inner = &memory[first - start..end - start];
    let at = inner.as_ptr().cast_mut().cast();
    // SAFETY: this advice changes nothing of what is in memory.
    unsafe { rustix::mm::madvise(at, inner.len(), rustix::mm::Advice::LinuxHugepage) }.is_ok()
}

/// Write protection that the kernel itself takes off a page at the first write, and so notes it.
#[derive(Debug)]
pub(super) struct Tracking {
    uffd: OwnedFd,
}

pub(super) fn start() -> Option<Tracking> {
    let flags = UserfaultfdFlags::CLOEXEC
        | UserfaultfdFlags::NONBLOCK
        | UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
    // SAFETY: it is asked for what the kernel does on its own; no fault waits for an answer.
    let uffd = unsafe { rustix::mm::userfaultfd(flags) }.ok()?;
    let mut api = Api { api: UFFD_API, features: WRITE_PROTECT_ASYNC, ioctls: 0 };
    let call = Call { opcode: UFFDIO_API, value: &mut api };
    // SAFETY: the kernel reads and writes `api`.
    unsafe { ioctl::ioctl(&uffd, call) }.ok()?;
    Some(Tracking { uffd })
}

/// Protects all pages of a memory; whether it could.
pub(super) fn protect(tracking: &Tracking, memory: &[u8]) -> bool {
    if memory.is_empty() {
        return true;
    }
    let mut register = Register {
        start: memory.as_ptr().addr() as u64,
        len: memory.len() as u64,
        mode: REGISTER_WRITE_PROTECT,
        ioctls: 0,
    };
    let call = Call { opcode: UFFDIO_REGISTER, value: &mut register };
    // SAFETY: the kernel reads and writes `register`. The range is a memory of whole pages of ours;
    // being registered changes nothing of it that could be seen.
    if unsafe { ioctl::ioctl(&tracking.uffd, call) }.is_err() {
        return false;
    }
    let flags = WRITE_PROTECT_MATCHING | CHECK_WRITE_PROTECTION;
    scan(memory, Question { flags, all: WRITTEN, any: 0, without: 0 }).is_some()
}

/// The pages of a memory that were written to since they were protected, or are new since.
pub(super) fn written(_: &Tracking, memory: &[u8]) -> Option<Pages> {
    if memory.is_empty() {
        return Some(Vec::new());
    }
    scan(memory, Question { flags: 0, all: WRITTEN, any: 0, without: 0 })
}

#[cfg(test)]
mod tests {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    use super::*;

    /// New memory that nobody has touched.
    struct Fresh(&'static mut [u8]);

    impl Fresh {
        fn new(pages: usize) -> Fresh {
            let (bytes, access) = (pages * PAGE_BYTES, ProtFlags::READ | ProtFlags::WRITE);
            // SAFETY: a new mapping, given back when this is dropped.
            unsafe {
                let at = mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE);
                Fresh(std::slice::from_raw_parts_mut(at.expect("there is memory").cast(), bytes))
            }
        }
    }

    impl Drop for Fresh {
        fn drop(&mut self) {
            // SAFETY: it is ours.
            unsafe { munmap(self.0.as_mut_ptr().cast(), self.0.len()) }.expect("it is mapped");
        }
    }

    fn has(pages: &Pages, page: u64) -> bool {
        pages.iter().any(|range| range.contains(&page))
    }

    #[test]
    fn touched_pages_are_found_both_ways() {
        let new = Fresh::new(4000);
        // Far enough apart that no other size of pages makes them one.
        let written = [0, 700, 1500, 3999];
        for page in written {
            new.0[page * PAGE_BYTES] = 1;
        }
        for found in [touched(new.0), by_entries(new.0)] {
            let Some(found) = found else { continue };
            assert!(written.iter().all(|&page| has(&found, page as u64)), "{found:?}");
            let count: u64 = found.iter().map(|range| range.end - range.start).sum();
            assert!(count < 3000, "{found:?}");
        }
        let little = cfg!(target_endian = "little");
        assert_eq!(by_entries(new.0).is_some(), little, "every Linux has it");
    }

    #[test]
    fn what_misses_a_page_is_not_believed() {
        fn from(first: u64, memory: &[u8]) -> Option<Pages> {
            Some(std::iter::once(first..(memory.len() / PAGE_BYTES) as u64).collect())
        }
        assert!(finds_all(|memory| from(0, memory)));
        assert!(!finds_all(|memory| from(1, memory)));
        assert!(!finds_all(|_| Some(Vec::new())));
        assert!(!finds_all(|_| None));
    }

    /// A page that only the child has written to, which its parent's kernel knows nothing of.
    #[test]
    fn a_fork_has_pages_of_its_own() {
        use std::os::unix::process::CommandExt;

        let new = Fresh::new(600);
        if touched(new.0).is_none() {
            println!("nothing is known of pages here");
            return;
        }
        let (memory, last) = (new.0.as_mut_ptr().expose_provenance(), 599);
        let mut command = std::process::Command::new("true");
        let check = move || {
            let at = std::ptr::with_exposed_provenance_mut::<u8>(memory);
            // SAFETY: the mapping is there in the child, too, and nobody else looks at it.
            let memory = unsafe { std::slice::from_raw_parts_mut(at, 600 * PAGE_BYTES) };
            memory[last * PAGE_BYTES] = 1;
            let found = touched(memory).is_some_and(|found| has(&found, last as u64));
            if found { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        // SAFETY: what is called makes system calls and takes memory, whose locks a fork frees.
        unsafe { command.pre_exec(check) };
        assert!(command.status().expect("the child finds it").success());
    }

    #[test]
    fn more_regions_than_one_call_returns() {
        let new = Fresh::new(4000);
        for page in (0..4000).step_by(2) {
            new.0[page * PAGE_BYTES] = 1;
        }
        let Some(found) = touched(new.0) else { return println!("nothing is known of pages here") };
        assert!((0..4000).step_by(2).all(|page| has(&found, page)));
    }

    #[test]
    fn written_pages_are_found() {
        let Some(tracking) = start() else {
            println!("this kernel has no asynchronous write protection");
            return;
        };
        let new = Fresh::new(4000);
        new.0.fill(7);
        if !protect(&tracking, new.0) {
            println!("this kernel does not scan pages");
            return;
        }
        assert_eq!(written(&tracking, new.0), Some(vec![]));
        new.0[1000 * PAGE_BYTES] = 8;
        // The kernel writes, too.
        let mut zero = File::open("/dev/zero").expect("it is there");
        io::Read::read_exact(&mut zero, &mut new.0[3000 * PAGE_BYTES..][..100]).expect("zeros");
        let found = written(&tracking, new.0).expect("it was told before");
        assert!(has(&found, 1000) && has(&found, 3000), "{found:?}");
        let count: u64 = found.iter().map(|range| range.end - range.start).sum();
        assert!(count <= 1024, "no more than two large pages: {found:?}");
        assert!(protect(&tracking, new.0));
        assert_eq!(written(&tracking, new.0), Some(vec![]));
    }
}
