// Calls that end the program, each alone: pointers out of bounds or misaligned, and flags and other
// small numbers out of range.
#include "calls.h"

static u64 subs[6], events[4];

#define OUT 0xfffffff0u
#define FAULT(number_, ...) case number_: T(__VA_ARGS__); break

// One call each; `answer` is only reached where the call returned after all.
void faults(u32 index) {
    u32 hello = open_file("hello", 0, RD, 0), odd = at(data) + 1;
    u32 end = (u32)(__builtin_wasm_memory_size(0) << 16);
    one(8);
    iovs[4] = OUT, iovs[5] = 8;
    iovs[6] = OUT, iovs[7] = 0;
    subs[2] = 1; // the monotonic clock, no time
    switch (index) {
        FAULT(0, args_get, "out of bounds", OUT, at(data));
        FAULT(1, args_sizes_get, "out of bounds", OUT, RES);
        FAULT(2, environ_get, "out of bounds", at(data), OUT);
        FAULT(3, environ_sizes_get, "misaligned", odd, RES);
        FAULT(4, clock_res_get, "out of bounds", 0, OUT);
        FAULT(5, clock_res_get, "out of bounds, no such clock", 9, OUT);
        FAULT(6, clock_time_get, "out of bounds", 0, 0, OUT);
        FAULT(7, clock_time_get, "misaligned", 0, 0, odd);
        FAULT(8, fd_fdstat_get, "out of bounds", hello, OUT);
        FAULT(9, fd_fdstat_get, "out of bounds, closed", NOFD, OUT);
        FAULT(10, fd_fdstat_get, "misaligned", hello, odd);
        FAULT(11, fd_filestat_get, "out of bounds", hello, OUT);
        FAULT(12, fd_filestat_get, "beyond the end", hello, end - 8);
        FAULT(13, fd_read, "result out of bounds", hello, at(iovs), 1, OUT);
        FAULT(14, fd_read, "result out of bounds, closed", NOFD, at(iovs), 1, OUT);
        FAULT(15, fd_read, "result misaligned", hello, at(iovs), 1, odd);
        FAULT(16, fd_read, "array out of bounds", hello, OUT, 1, RES);
        FAULT(17, fd_read, "array out of bounds, closed", NOFD, OUT, 1, RES);
        FAULT(18, fd_read, "array out of bounds, none", hello, OUT, 0, RES);
        FAULT(19, fd_read, "array misaligned", hello, odd, 1, RES);
        FAULT(20, fd_read, "buffer out of bounds", hello, at(iovs) + 16, 1, RES);
        FAULT(21, fd_read, "empty buffer out of bounds", hello, at(iovs) + 24, 1, RES);
        FAULT(22, fd_read, "buffer out of bounds, closed", NOFD, at(iovs) + 16, 1, RES);
        FAULT(23, fd_read, "very many buffers", hello, at(iovs), 0x7fffffff, RES);
        FAULT(24, fd_pread, "buffer out of bounds", hello, at(iovs) + 16, 1, 0, RES);
        FAULT(25, fd_pread, "buffer out of bounds, no bytes", hello, at(iovs) + 16, 1, 100, RES);
        FAULT(26, fd_write, "buffer out of bounds", 1, at(iovs) + 16, 1, RES);
        FAULT(27, fd_write, "buffer out of bounds, closed", NOFD, at(iovs) + 16, 1, RES);
        FAULT(28, fd_write, "result out of bounds, open for reading", hello, at(iovs), 1, OUT);
        FAULT(29, fd_pwrite, "array out of bounds", hello, OUT, 1, 0, RES);
        FAULT(30, fd_prestat_get, "out of bounds", BOX, OUT);
        FAULT(31, fd_prestat_get, "out of bounds, none", hello, OUT);
        FAULT(32, fd_prestat_get, "misaligned", BOX, odd);
        FAULT(33, fd_prestat_dir_name, "out of bounds", BOX, 0xffffffff, 64);
        FAULT(34, fd_prestat_dir_name, "length out of bounds", BOX, at(data), 0xffffffff);
        FAULT(35, fd_readdir, "out of bounds", BOX, OUT, 512, 0, RES);
        FAULT(36, fd_readdir, "length out of bounds", BOX, at(data), 0xffffffff, 1000, RES);
        FAULT(37, fd_readdir, "result out of bounds", BOX, at(data), 512, 1000, OUT);
        FAULT(38, fd_seek, "out of bounds", hello, 0, CUR, OUT);
        FAULT(39, fd_seek, "out of bounds, closed", NOFD, 0, CUR, OUT);
        FAULT(40, fd_tell, "out of bounds", hello, OUT);
        FAULT(41, fd_tell, "misaligned", hello, odd);
        FAULT(42, path_open, "path out of bounds", BOX, 0, OUT, 64, 0, RD, RD, 0, RES);
        FAULT(43, path_open, "path out of bounds, closed", NOFD, 0, OUT, 64, 0, RD, RD, 0, RES);
        FAULT(44, path_open, "huge path", BOX, 0, at(data), 0x7fffffff, 0, RD, RD, 0, RES);
        FAULT(45, path_open, "result out of bounds", BOX, 0, P("hello"), 0, RD, RD, 0, OUT);
        FAULT(46, path_open, "result out of bounds, missing", BOX, 0, P("missing"), 0, RD, RD, 0, OUT);
        FAULT(47, path_filestat_get, "out of bounds", BOX, 0, P("hello"), OUT);
        FAULT(48, path_filestat_get, "out of bounds, missing", BOX, 0, P("missing"), OUT);
        FAULT(49, path_readlink, "buffer out of bounds", BOX, P("link"), OUT, 64, RES);
        FAULT(50, path_readlink, "result out of bounds", BOX, P("link"), at(data), 64, OUT);
        FAULT(51, path_readlink, "out of bounds, no link", BOX, P("hello"), OUT, 64, RES);
        FAULT(52, path_create_directory, "path out of bounds", BOX, OUT, 64);
        FAULT(53, path_create_directory, "path out of bounds, closed", NOFD, OUT, 64);
        FAULT(54, path_unlink_file, "empty path out of bounds", BOX, OUT, 0);
        FAULT(55, path_rename, "second path out of bounds", BOX, P("missing"), BOX, OUT, 64);
        FAULT(56, path_link, "second path out of bounds", BOX, 0, P("hello"), BOX, OUT, 64);
        FAULT(57, path_symlink, "first path out of bounds", OUT, 64, BOX, P("new-fault"));
        FAULT(58, path_remove_directory, "path out of bounds", BOX, OUT, 64);
        FAULT(59, path_filestat_set_times, "path out of bounds", BOX, 0, OUT, 64, 0, 0, 0);
        FAULT(60, poll_oneoff, "subscriptions out of bounds", OUT, at(events), 1, RES);
        FAULT(61, poll_oneoff, "events out of bounds", at(subs), OUT, 1, RES);
        FAULT(62, poll_oneoff, "result out of bounds", at(subs), at(events), 1, OUT);
        FAULT(63, poll_oneoff, "misaligned", odd, at(events), 1, RES);
        FAULT(64, poll_oneoff, "out of bounds, none", OUT, OUT, 0, RES);
        FAULT(65, poll_oneoff, "very many", at(subs), at(events), 0x7fffffff, RES);
        FAULT(66, random_get, "out of bounds", OUT, 64);
        FAULT(67, random_get, "empty, out of bounds", OUT, 0);
        FAULT(68, sock_accept, "out of bounds", 0, 0, OUT);
        FAULT(69, sock_recv, "out of bounds", 0, OUT, 1, 0, OUT, OUT);
        FAULT(70, sock_send, "out of bounds", 0, OUT, 1, 0, OUT);
        FAULT(71, fd_filestat_get, "standard input, out of bounds", 0, OUT);
        FAULT(72, fd_write, "to the end of memory", 1, at(iovs), 0, OUT);
        FAULT(73, fd_read, "standard input, result out of bounds", 0, at(iovs), 1, OUT);
        FAULT(74, fd_read, "standard input, buffer out of bounds", 0, at(iovs) + 16, 1, RES);
        FAULT(75, clock_time_get, "id out of range", 4, 0, RES);
        FAULT(76, clock_time_get, "id far out of range", 0xffffffff, 0, RES);
        FAULT(77, clock_res_get, "id out of range", 4, RES);
        FAULT(78, sock_accept, "no such flag", 0, 0x20, RES);
        FAULT(79, sock_accept, "no such flag, closed", NOFD, 0x20, RES);
        FAULT(80, sock_recv, "no such flag", 0, at(iovs), 1, 0x40, RES, RES + 8);
        FAULT(81, sock_send, "a flag of more than 16 bits", 0, at(iovs), 1, 0x10000, RES);
        FAULT(82, sock_shutdown, "no such direction", 0, 4);
        FAULT(83, proc_raise, "no such signal", 31);
        FAULT(84, proc_raise, "no such signal, by far", 0xffffffff);
        FAULT(85, fd_seek, "no such whence", hello, 0, 3, RES);
        FAULT(86, fd_seek, "no such whence, by far", hello, 0, 0x100, RES);
        FAULT(87, fd_seek, "no such whence, closed", NOFD, 0, 9, RES);
        FAULT(88, fd_fdstat_set_flags, "no such flag", hello, 32);
        FAULT(89, fd_fdstat_set_flags, "no such flag, closed", NOFD, 32);
        FAULT(90, fd_fdstat_set_rights, "no such right", hello, (u64)-1, 0);
        FAULT(91, fd_fdstat_set_rights, "no such right to inherit", hello, 0, 1 << 30);
        FAULT(92, fd_filestat_set_times, "no such flag", hello, 7, 7, 16);
        FAULT(93, path_filestat_set_times, "no such flag", BOX, FOLLOW, P("hello"), 0, 0, 32);
        FAULT(94, path_filestat_set_times, "no such lookup flag", BOX, 2, P("hello"), 0, 0, 4);
        FAULT(95, fd_advise, "no such advice", hello, 0, 0, 6);
        FAULT(96, fd_advise, "no such advice, closed", NOFD, 0, 0, 0x100);
        FAULT(97, path_link, "no such flag", BOX, 2, P("hello"), BOX, P("hard2"));
        FAULT(98, path_filestat_get, "no such flag", BOX, 2, P("hello"), RES);
        FAULT(99, path_open, "no such oflag", BOX, 0, P("hello"), 16, RD, RD, 0, RES);
        FAULT(100, path_open, "no such fdflag", BOX, 0, P("hello"), 0, RD, RD, 32, RES);
        FAULT(101, path_open, "no such lookup flag", BOX, 2, P("hello"), 0, RD, RD, 0, RES);
        FAULT(102, path_open, "no such right", BOX, 0, P("hello"), 0, RD | (1ull << 40), RD, 0, RES);
        FAULT(103, path_open, "no such right to inherit", BOX, 0, P("hello"), 0, RD, RD | (1 << 30), 0, RES);
        FAULT(104, path_open, "no such oflag, path out of bounds", BOX, 0, OUT, 64, 16, RD, RD, 0, RES);
    }
}
