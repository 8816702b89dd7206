// Waiting: poll_oneoff with clocks, files and streams.
#include "calls.h"

enum { CLOCK, FD_READ, FD_WRITE };
enum { REALTIME, MONOTONIC };
enum { ABSTIME = 1 };

static u64 subs[6 * 8], events[4 * 8];

static void clock_sub(u32 index, u32 id, u64 timeout, u16 flags) {
    u64 *sub = subs + index * 6;
    sub[0] = 100 + index, sub[1] = CLOCK, sub[2] = id, sub[3] = timeout, sub[4] = 0, sub[5] = flags;
}

static void fd_sub(u32 index, u8 kind, u32 fd) {
    u64 *sub = subs + index * 6;
    sub[0] = 100 + index, sub[1] = kind, sub[2] = fd, sub[3] = sub[4] = sub[5] = 0;
}

static void poll(const char *about, u32 count) {
    for (u32 index = 0; index < 32; index++) events[index] = 0;
    T(poll_oneoff, about, at(subs), at(events), count, RES), word("n");
    for (u32 index = 0; index < 8 && index < (u32)results[0] && events[index * 4]; index++) {
        u64 *event = events + index * 4;
        number("user", event[0]), number("error", (u16)event[1]), number("kind", (u8)(event[1] >> 16));
        number("bytes", event[2]), number("flags", (u16)event[3]);
    }
}

static u64 now(u32 id) {
    u64 time = 0;
    clock_time_get(id, 0, at(&time));
    return time;
}

// By the clock that is waited for: while a program lies in a snapshot the calendar goes on, and its
// monotonic clock does not.
static void sleeping(const char *about, u32 id, u64 timeout, u16 flags) {
    u64 before = id < 2 ? now(id) : 0;
    clock_sub(0, id, timeout, flags);
    poll(about, 1);
    if ((u32)results[0] == 1) number("long enough", now(id) >= timeout + (flags ? 0 : before));
}

static void clocks(void) {
    sleeping("a millisecond", MONOTONIC, 1000000, 0);
    sleeping("a millisecond of calendar", REALTIME, 1000000, 0);
    sleeping("no time", MONOTONIC, 0, 0);
    sleeping("until a moment", MONOTONIC, now(MONOTONIC) + 2000000, ABSTIME);
    sleeping("until a date", REALTIME, now(REALTIME) + 2000000, ABSTIME);
    sleeping("until long ago", MONOTONIC, 1, ABSTIME);
    sleeping("until 1970", REALTIME, 1, ABSTIME);
    sleeping("by CPU time", 2, 1000, 0);
    sleeping("until CPU time", 3, 1, ABSTIME);
    sleeping("no such clock", 4, 1000, 0);
    sleeping("no such flag", MONOTONIC, 1000, 2);
    clock_sub(0, MONOTONIC, 60000000000ull, 0), clock_sub(1, MONOTONIC, 1000000, 0);
    poll("the shorter of two", 2);
    clock_sub(0, MONOTONIC, 0, 0), clock_sub(1, REALTIME, 0, 0);
    poll("two that are over", 2);
    clock_sub(1, 2, 0, 0);
    poll("one that is over, one by CPU time", 2);
}

static void files(void) {
    make("polled", "0123456789");
    u32 fd = open_file("polled", 0, RDWR, 0), dir = open_file("sub", DIRECTORY, RD, 0);
    fd_sub(0, FD_READ, fd), poll("a file to read", 1);
    fd_sub(0, FD_WRITE, fd), poll("a file to write", 1);
    T(fd_seek, "to its end", fd, 0, END, RES);
    fd_sub(0, FD_READ, fd), poll("a file to read, at its end", 1);
    fd_sub(0, FD_READ, 0), poll("standard input at its end", 1);
    fd_sub(0, FD_WRITE, 1), poll("standard output", 1);
    // No file to read among several: wasmtime may see that it is ready a moment later.
    fd_sub(0, FD_WRITE, fd), fd_sub(1, FD_WRITE, 1), fd_sub(2, FD_WRITE, fd), poll("three", 3);
    clock_sub(3, MONOTONIC, 60000000000ull, 0), poll("three and a clock", 4);
    fd_sub(0, FD_READ, 1), poll("standard output to read", 1);
    fd_sub(0, FD_WRITE, 0), poll("standard input to write", 1);
    fd_sub(0, FD_READ, dir), poll("a directory to read", 1);
    fd_sub(0, FD_WRITE, BOX), poll("a directory to write", 1);
    fd_sub(0, FD_READ, NOFD), poll("closed", 1);
    fd_sub(0, FD_READ, fd), fd_sub(1, FD_WRITE, NOFD), poll("a file and a closed one", 2);
    fd_sub(0, 3, fd), poll("no such kind", 1);
    clock_sub(0, MONOTONIC, 0, 0), poll("nothing", 0);
    fd_close(fd);
    fd = open_file("polled", 0, RD, 0);
    fd_sub(0, FD_WRITE, fd), poll("a file open for reading, to write", 1);
    fd_close(fd);
    fd = open_file("polled", 0, WR, APPEND);
    fd_sub(0, FD_READ, fd), poll("a file open for writing, to read", 1);
    fd_sub(0, FD_WRITE, fd), poll("a file to append to", 1);
    fd_close(fd), fd_close(dir);
}

void waiting(void) {
    clocks();
    files();
}
