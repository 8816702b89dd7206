// Descriptors: what they are, flags, rights, renumbering, offsets, syncing.
#include "calls.h"

static void fdstat(const char *about, u32 fd) {
    T(fd_fdstat_get, about, fd, RES);
    if (results[1] == 0x5a5a5a5a5a5a5a5aull) return;
    number("type", (u8)results[0]), number("flags", (u16)(results[0] >> 16));
    number("base", results[1]), number("inheriting", results[2]);
}

static void seeks(u32 fd) {
    T(fd_tell, "at the start", fd, RES), wide("offset");
    T(fd_seek, "set", fd, 5, SET, RES), wide("offset");
    T(fd_seek, "current, forward", fd, 3, CUR, RES), wide("offset");
    T(fd_seek, "current, back", fd, (u64)-2, CUR, RES), wide("offset");
    T(fd_seek, "current, before the start", fd, (u64)-100, CUR, RES), wide("offset");
    T(fd_tell, "after a seek that failed", fd, RES), wide("offset");
    T(fd_seek, "end", fd, 0, END, RES), wide("offset");
    T(fd_seek, "end, back", fd, (u64)-4, END, RES), wide("offset");
    T(fd_seek, "end, beyond", fd, 100, END, RES), wide("offset");
    T(fd_seek, "end, before the start", fd, (u64)-100, END, RES), wide("offset");
    T(fd_seek, "set, negative", fd, (u64)-1, SET, RES), wide("offset");
    T(fd_seek, "set, the largest", fd, 0x7fffffffffffffffull, SET, RES), wide("offset");
    T(fd_seek, "current, above the largest", fd, 1, CUR, RES), wide("offset");
    T(fd_tell, "there", fd, RES), wide("offset");
    T(fd_read, "there", fd, one(4), 1, RES), word("n");
    T(fd_seek, "back to the start", fd, 0, SET, RES), wide("offset");
    T(fd_seek, "standard input", 0, 0, CUR, RES), wide("offset");
    T(fd_seek, "standard output", 1, 0, SET, RES), wide("offset");
    T(fd_seek, "directory", BOX, 0, CUR, RES), wide("offset");
    T(fd_seek, "closed", NOFD, 0, CUR, RES), wide("offset");
    T(fd_tell, "standard error", 2, RES), wide("offset");
    T(fd_tell, "directory", BOX, RES), wide("offset");
    T(fd_tell, "closed", NOFD, RES), wide("offset");
}

static void flags(u32 fd) {
    T(fd_fdstat_set_flags, "append", fd, APPEND);
    fdstat("with append", fd);
    T(fd_fdstat_set_flags, "append and nonblocking", fd, APPEND | NONBLOCK);
    fdstat("with append and nonblocking", fd);
    T(fd_fdstat_set_flags, "nothing", fd, 0);
    fdstat("with nothing", fd);
    T(fd_fdstat_set_flags, "dsync", fd, DSYNC);
    T(fd_fdstat_set_flags, "rsync", fd, RSYNC);
    T(fd_fdstat_set_flags, "sync and append", fd, SYNC | APPEND);
    fdstat("still with nothing", fd);
    T(fd_fdstat_set_flags, "standard input", 0, NONBLOCK);
    T(fd_fdstat_set_flags, "standard output", 1, 0);
    T(fd_fdstat_set_flags, "directory", BOX, 0);
    T(fd_fdstat_set_flags, "closed", NOFD, 0);
}

static void rights(u32 fd) {
    T(fd_fdstat_set_rights, "fewer", fd, RD, RD);
    fdstat("with fewer rights", fd);
    T(fd_write, "with fewer rights", fd, fill("x"), 1, RES), word("n");
    T(fd_fdstat_set_rights, "all", fd, 0x1fffffff, 0x1fffffff);
    T(fd_fdstat_set_rights, "none of a directory", RO, 0, 0);
    T(path_open, "below it", RO, 0, P("file"), 0, RD, RD, 0, RES);
    if (fd_close((u32)results[0]) == 0) number("opened", 1);
    T(fd_fdstat_set_rights, "standard output", 1, WR, 0);
    T(fd_fdstat_set_rights, "closed", NOFD, 0, 0);
}

static void renumbering(u32 fd) {
    T(fd_renumber, "to itself", fd, fd);
    T(fd_renumber, "from a closed one", NOFD, fd);
    T(fd_renumber, "to a closed one", fd, NOFD);
    T(fd_renumber, "a closed one to itself", NOFD, NOFD);
    u32 other = open_file("other", CREAT | TRUNC, RDWR, 0);
    T(fd_write, "the other", other, fill("the other"), 1, RES), word("n");
    T(fd_renumber, "onto the other", fd, other);
    T(fd_tell, "the number left", fd, RES);
    T(fd_tell, "the number taken", other, RES), wide("offset");
    T(fd_read, "the number taken", other, one(5), 1, RES), text("data", data, 5);
    T(fd_renumber, "standard error away", 2, other);
    T(fd_write, "standard error where it was", 2, fill("x"), 1, RES);
    T(fd_write, "standard error where it is", other, fill("to standard error\n"), 1, RES), word("n");
    fdstat("standard error where it is", other);
    u32 again = open_file("hello", 0, RD, 0);
    T(fd_renumber, "a file onto what was standard error", again, other);
    T(fd_read, "there", other, one(5), 1, RES), text("data", data, 5);
    T(fd_close, "it", other);
    T(fd_close, "it again", other);
    T(fd_close, "never opened", NOFD);
    T(fd_close, "the largest number", 0xffffffff);
    T(fd_prestat_get, "standard error's number", 2, RES);
}

static void preopens(void) {
    for (u32 fd = 0; fd < 8; fd++) {
        T(fd_prestat_get, "each", fd, RES), number("fd", fd);
        if (fd == BOX || fd == RO) number("tag", (u8)results[0]), number("len", results[0] >> 32);
    }
    T(fd_prestat_dir_name, "the first", BOX, at(data), 64), text("name", data, 1);
    T(fd_prestat_dir_name, "the second", RO, at(data), 2), text("name", data, 2);
    T(fd_prestat_dir_name, "too little room", RO, at(data), 1);
    T(fd_prestat_dir_name, "no room", BOX, at(data), 0);
    T(fd_prestat_dir_name, "a stream", 1, at(data), 64);
    T(fd_prestat_dir_name, "closed", NOFD, at(data), 64);
}

void descriptors(void) {
    preopens();
    fdstat("standard input", 0);
    fdstat("standard output", 1);
    fdstat("standard error", 2);
    fdstat("preopened", BOX);
    fdstat("preopened, read only", RO);
    fdstat("closed", NOFD);
    u32 fd = open_file("numbers", CREAT | TRUNC, RDWR, 0);
    T(fd_write, "ten digits", fd, fill("0123456789"), 1, RES), word("n");
    T(fd_seek, "rewind", fd, 0, SET, RES);
    fdstat("a file", fd);
    seeks(fd);
    flags(fd);
    rights(fd);
    T(fd_sync, "a file", fd);
    T(fd_sync, "directory", BOX);
    T(fd_sync, "standard output", 1);
    T(fd_sync, "closed", NOFD);
    T(fd_datasync, "a file", fd);
    T(fd_datasync, "directory", BOX);
    T(fd_datasync, "standard input", 0);
    T(fd_datasync, "closed", NOFD);
    T(fd_seek, "rewind", fd, 0, SET, RES);
    renumbering(fd);

    u32 dir = open_file("sub", DIRECTORY, RD, 0);
    fdstat("a directory that was opened", dir);
    T(fd_prestat_get, "a directory that was opened", dir, RES);
    T(fd_prestat_dir_name, "a directory that was opened", dir, at(data), 64);
    T(fd_close, "a directory", dir);
    static const u32 modes[] = {0, RD, WR};
    for (u32 mode = 0; mode < 3; mode++) {
        fd = open_file("hello", 0, modes[mode], NONBLOCK);
        fdstat("a file, nothing, read or write asked for", fd);
        fd_close(fd);
    }
}
