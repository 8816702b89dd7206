// Reading and writing: files, streams, several buffers, none, offsets, append.
#include "calls.h"

static void scatter(u32 fd) {
    iovs[0] = 0, iovs[1] = 0, iovs[2] = at(data), iovs[3] = 0, iovs[4] = at(data) + 16, iovs[5] = 3;
    iovs[6] = at(data) + 32, iovs[7] = 4;
    T(fd_seek, "rewind", fd, 0, SET, RES);
    T(fd_read, "four buffers, two empty", fd, at(iovs), 4, RES), word("n"), text("data", data + 16, 3);
    T(fd_pread, "four buffers, two empty", fd, at(iovs), 4, 6, RES), word("n"), text("data", data + 16, 3);
    T(fd_read, "two empty buffers", fd, at(iovs), 2, RES), word("n");
    T(fd_read, "no buffers", fd, at(iovs), 0, RES), word("n");
    T(fd_pread, "two empty buffers", fd, at(iovs), 2, 0, RES), word("n");
    T(fd_pread, "no buffers", fd, at(iovs), 0, 0, RES), word("n");
    T(fd_write, "two empty buffers", fd, at(iovs), 2, RES), word("n");
    T(fd_write, "no buffers", fd, at(iovs), 0, RES), word("n");
    T(fd_pwrite, "no buffers", fd, at(iovs), 0, 0, RES), word("n");
    data[16] = 'X', data[17] = 'Y', data[18] = 'Z';
    T(fd_write, "four buffers, two empty", fd, at(iovs), 4, RES), word("n");
    T(fd_pwrite, "four buffers, two empty", fd, at(iovs), 4, 8, RES), word("n");
    T(fd_tell, "after them", fd, RES), wide("offset");
    T(fd_pread, "all", fd, one(64), 1, 0, RES), text("data", data, (u32)results[0] & 63);
}

static void positions(u32 fd) {
    T(fd_pread, "beyond the end", fd, one(4), 1, 1000, RES), word("n");
    T(fd_pread, "at the end", fd, one(4), 1, 11, RES), word("n");
    T(fd_pread, "the largest offset", fd, one(4), 1, 0x7fffffffffffffffull, RES), word("n");
    T(fd_pread, "a negative offset", fd, one(4), 1, (u64)-1, RES), word("n");
    T(fd_pread, "no bytes at a negative offset", fd, one(0), 1, (u64)-1, RES), word("n");
    T(fd_pwrite, "a negative offset", fd, fill("x"), 1, (u64)-1, RES), word("n");
    T(fd_pwrite, "the largest offset", fd, fill("x"), 1, 0x7fffffffffffffffull, RES), word("n");
    T(fd_pwrite, "beyond the end", fd, fill("end"), 1, 20, RES), word("n");
    T(fd_pread, "the hole", fd, one(64), 1, 9, RES), text("data", data, (u32)results[0] & 63);
    T(fd_seek, "beyond the end", fd, 30, SET, RES), wide("offset");
    T(fd_read, "beyond the end", fd, one(4), 1, RES), word("n");
    T(fd_write, "beyond the end", fd, fill("tail"), 1, RES), word("n");
    T(fd_tell, "after it", fd, RES), wide("offset");
    T(fd_filestat_get, "after it", fd, RES), stat_line();
}

static void wrong(void) {
    u32 reader = open_file("hello", 0, RD, 0), writer = open_file("other", CREAT, WR, 0);
    u32 neither = open_file("hello", 0, 0, 0), dir = open_file("sub", DIRECTORY, RD, 0);
    T(fd_write, "open for reading", reader, fill("x"), 1, RES), word("n");
    T(fd_write, "no buffers, open for reading", reader, fill("x"), 0, RES), word("n");
    T(fd_pwrite, "open for reading", reader, fill("x"), 1, 0, RES), word("n");
    T(fd_read, "open for writing", writer, one(4), 1, RES), word("n");
    T(fd_pread, "open for writing", writer, one(4), 1, 0, RES), word("n");
    T(fd_read, "no buffers, open for writing", writer, one(4), 0, RES), word("n");
    T(fd_read, "open for neither", neither, one(4), 1, RES), word("n"), text("data", data, 4);
    T(fd_write, "open for neither", neither, fill("x"), 1, RES), word("n");
    T(fd_read, "directory", dir, one(4), 1, RES);
    T(fd_write, "directory", dir, fill("x"), 1, RES);
    T(fd_pread, "preopened directory", BOX, one(4), 1, 0, RES);
    T(fd_pwrite, "preopened directory", BOX, fill("x"), 1, 0, RES);
    T(fd_read, "closed", NOFD, one(4), 1, RES);
    T(fd_write, "closed", NOFD, fill("x"), 1, RES);
    T(fd_pread, "closed", NOFD, one(4), 1, 0, RES);
    T(fd_pwrite, "closed", NOFD, fill("x"), 1, 0, RES);
    T(fd_read, "standard output", 1, one(4), 1, RES);
    T(fd_pread, "standard output", 1, one(4), 1, 0, RES);
    T(fd_pread, "standard input", 0, one(4), 1, 0, RES);
    T(fd_write, "standard input", 0, fill("x"), 1, RES);
    T(fd_pwrite, "standard input", 0, fill("x"), 1, 0, RES);
    T(fd_pwrite, "standard output", 1, fill("x"), 1, 0, RES);
    T(fd_filestat_set_size, "open for reading", reader, 0);
    T(fd_allocate, "open for reading", reader, 0, 10);
    T(fd_advise, "open for writing", writer, 0, 10, 3);
    fd_close(reader), fd_close(writer), fd_close(neither), fd_close(dir);
}

static void appending(void) {
    make("log", "first\n");
    u32 fd = open_file("log", 0, RDWR, APPEND);
    T(fd_tell, "opened to append", fd, RES), wide("offset");
    T(fd_write, "append", fd, fill("second\n"), 1, RES), word("n");
    T(fd_tell, "after an append", fd, RES), wide("offset");
    T(fd_seek, "to the start", fd, 0, SET, RES);
    T(fd_read, "at the start", fd, one(5), 1, RES), text("data", data, 5);
    T(fd_pwrite, "append at an offset", fd, fill("third\n"), 1, 2, RES), word("n");
    T(fd_tell, "after it", fd, RES), wide("offset");
    T(fd_write, "no buffers to append", fd, fill("x"), 0, RES), word("n");
    T(fd_tell, "after it", fd, RES), wide("offset");
    T(fd_fdstat_set_flags, "append no more", fd, 0);
    T(fd_pwrite, "in place", fd, fill("FIRST"), 1, 0, RES), word("n");
    T(fd_fdstat_set_flags, "append again", fd, APPEND);
    T(fd_write, "append again", fd, fill("fourth\n"), 1, RES), word("n");
    T(fd_pread, "all", fd, one(64), 1, 0, RES), text("data", data, (u32)results[0] & 63);
    fd_close(fd);
}

static void input(void) {
    T(fd_read, "standard input, no buffers", 0, one(4), 0, RES), word("n");
    T(fd_read, "standard input, an empty buffer", 0, one(0), 1, RES), word("n");
    for (u32 round = 0; round < 8; round++) {
        T(fd_read, "standard input", 0, one(7), 1, RES), word("n");
        if ((u32)results[0] <= 7) text("data", data, (u32)results[0]);
    }
    T(fd_read, "standard input at its end", 0, one(7), 1, RES), word("n");
    T(fd_read, "standard input at its end, no buffers", 0, one(7), 0, RES), word("n");
    T(fd_write, "standard error", 2, fill("to standard error\n"), 1, RES), word("n");
    T(fd_write, "standard error, nothing", 2, fill(""), 1, RES), word("n");
    T(fd_write, "standard error, no buffers", 2, fill("x"), 0, RES), word("n");
}

void transfers(void) {
    input();
    u32 fd = open_file("digits", CREAT | TRUNC, RDWR, 0);
    T(fd_write, "ten digits", fd, fill("0123456789"), 1, RES), word("n");
    T(fd_read, "at the end", fd, one(4), 1, RES), word("n");
    scatter(fd);
    positions(fd);
    fd_close(fd);
    fd = open_file("large", CREAT | TRUNC, RDWR, 0);
    for (u32 index = 0; index < 8192; index++) data[index] = (u8)('a' + index % 26);
    T(fd_write, "8000 bytes", fd, one(8000), 1, RES), word("n");
    T(fd_pread, "more than there is", fd, one(8192), 1, 4000, RES), word("n"), text("data", data, 8);
    // Two pages of 64 KiB of their own, and 2000 empty buffers before one that is not.
    u32 big = (u32)(__builtin_wasm_memory_grow(0, 4) << 16), n = 0;
    u32 whole[2] = {big, 150000};
    T(fd_write, "150000 bytes", fd, at(whole), 1, RES), word("n");
    T(fd_pread, "150000 bytes", fd, at(whole), 1, 0, RES), word("n");
    T(fd_seek, "rewind", fd, 0, SET, RES);
    T(fd_read, "150000 bytes", fd, at(whole), 1, RES), word("n");
    for (; n < 2000; n++) ((u64 *)(unsigned long)big)[n] = 0;
    ((u32 *)(unsigned long)big)[4000] = at(data), ((u32 *)(unsigned long)big)[4001] = 5;
    T(fd_pread, "2001 buffers", fd, big, 2001, 0, RES), word("n");
    T(fd_pread, "2000 empty buffers", fd, big, 2000, 0, RES), word("n");
    fd_close(fd);
    wrong();
    appending();
}
