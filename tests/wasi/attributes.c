// Attributes: size, times, advice, allocation.
#include "calls.h"

enum { ATIM = 1, ATIM_NOW = 2, MTIM = 4, MTIM_NOW = 8 };

static void times(u32 fd) {
    T(fd_filestat_get, "its times", fd, RES);
    number("accessed", results[5]), number("modified", results[6]);
}

static void set_times(u32 fd, u32 dir) {
    T(fd_filestat_set_times, "both", fd, 1000000001, 2000000002, ATIM | MTIM);
    times(fd);
    T(fd_filestat_set_times, "access only", fd, 3000000003, 7, ATIM);
    times(fd);
    T(fd_filestat_set_times, "modification only", fd, 7, 4000000004, MTIM);
    times(fd);
    T(fd_filestat_set_times, "neither", fd, 7, 7, 0);
    times(fd);
    T(fd_filestat_set_times, "access, to now and to a time", fd, 7, 7, ATIM | ATIM_NOW);
    T(fd_filestat_set_times, "modification, to now and to a time", fd, 7, 7, MTIM | MTIM_NOW);
    times(fd);
    T(fd_filestat_set_times, "far away", fd, (u64)-1, (u64)-1, ATIM | MTIM);
    T(fd_filestat_set_times, "the epoch", fd, 0, 0, ATIM | MTIM);
    times(fd);
    T(fd_filestat_set_times, "now", fd, 7, 7, ATIM_NOW | MTIM_NOW);
    T(fd_filestat_get, "now", fd, RES), number("recent", results[6] > 1577836800000000000ull);
    T(fd_filestat_set_times, "a directory", dir, 5000000005, 6000000006, ATIM | MTIM);
    times(dir);
    T(fd_filestat_set_times, "preopened directory", BOX, 5000000005, 6000000006, ATIM | MTIM);
    T(fd_filestat_set_times, "read-only directory", RO, 0, 0, ATIM | MTIM);
    T(fd_filestat_set_times, "read-only directory, nothing", RO, 0, 0, 0);
    T(fd_filestat_set_times, "standard output", 1, 0, 0, ATIM | MTIM);
    T(fd_filestat_set_times, "closed", NOFD, 0, 0, ATIM);
    T(fd_filestat_set_times, "closed, contradictory", NOFD, 0, 0, ATIM | ATIM_NOW);

    T(path_filestat_set_times, "both", BOX, FOLLOW, P("hello"), 1000000001, 2000000002, ATIM | MTIM);
    T(path_filestat_get, "both", BOX, FOLLOW, P("hello"), RES), number("modified", results[6]);
    T(path_filestat_set_times, "of a link", BOX, 0, P("link"), 3000000003, 4000000004, ATIM | MTIM);
    T(path_filestat_get, "of a link", BOX, 0, P("link"), RES), number("modified", results[6]);
    T(path_filestat_get, "of what it leads to", BOX, FOLLOW, P("link"), RES), number("modified", results[6]);
    T(path_filestat_set_times, "of what it leads to", BOX, FOLLOW, P("link"), 3, 5000000005, MTIM);
    T(path_filestat_get, "of what it leads to", BOX, FOLLOW, P("link"), RES), number("modified", results[6]);
    T(path_filestat_set_times, "contradictory", BOX, FOLLOW, P("hello"), 0, 0, MTIM | MTIM_NOW);
    T(path_filestat_set_times, "contradictory, missing", BOX, FOLLOW, P("missing"), 0, 0, 15);
    T(path_filestat_set_times, "nothing to set", BOX, FOLLOW, P("hello"), 0, 0, 0);
    T(path_filestat_set_times, "missing", BOX, FOLLOW, P("missing"), 0, 0, MTIM);
    T(path_filestat_set_times, "missing, nothing to set", BOX, FOLLOW, P("missing"), 0, 0, 0);
    T(path_filestat_set_times, "dangling", BOX, FOLLOW, P("dangling"), 0, 0, MTIM);
    T(path_filestat_set_times, "outside", BOX, FOLLOW, P("../secret"), 0, 0, MTIM);
    T(path_filestat_set_times, "outside by a link", BOX, FOLLOW, P("out/secret"), 0, 0, MTIM);
    T(path_filestat_set_times, "empty path", BOX, FOLLOW, P(""), 0, 0, MTIM);
    T(path_filestat_set_times, "itself", BOX, FOLLOW, P("."), 0, 0, MTIM);
    T(path_filestat_set_times, "read-only", RO, FOLLOW, P("file"), 0, 0, MTIM);
    T(path_filestat_set_times, "read-only, missing", RO, FOLLOW, P("missing"), 0, 0, MTIM);
    T(path_filestat_set_times, "no directory", 1, FOLLOW, P("hello"), 0, 0, MTIM);
    T(path_filestat_set_times, "a file as directory", fd, FOLLOW, P("hello"), 0, 0, MTIM);
    T(path_filestat_set_times, "closed", NOFD, FOLLOW, P("hello"), 0, 0, MTIM);
}

static void sizes(u32 fd) {
    T(fd_filestat_set_size, "shorter", fd, 4);
    T(fd_filestat_get, "shorter", fd, RES), stat_line();
    T(fd_filestat_set_size, "longer", fd, 12);
    T(fd_pread, "longer", fd, one(20), 1, 0, RES), word("n"), text("data", data, 12);
    T(fd_filestat_set_size, "negative", fd, (u64)-1);
    T(fd_filestat_set_size, "larger than any file", fd, 0x7fffffffffffffffull);
    T(fd_filestat_set_size, "nothing", fd, 0);
    T(fd_filestat_get, "nothing", fd, RES), stat_line();
    T(fd_filestat_set_size, "directory", BOX, 0);
    T(fd_filestat_set_size, "standard output", 1, 0);
    T(fd_filestat_set_size, "closed", NOFD, 0);

    T(fd_allocate, "some", fd, 0, 10);
    T(fd_allocate, "nothing", fd, 0, 0);
    T(fd_allocate, "more than there is", fd, (u64)-1, 2);
    T(fd_allocate, "directory", BOX, 0, 10);
    T(fd_allocate, "standard output", 1, 0, 10);
    T(fd_allocate, "closed", NOFD, 0, 10);
    T(fd_filestat_get, "allocated", fd, RES), stat_line();

    for (u32 advice = 0; advice < 6; advice++) T(fd_advise, "each", fd, 0, 100, advice), number("advice", advice);
    T(fd_advise, "the whole file", fd, 0, 0, 1);
    T(fd_advise, "a negative offset", fd, (u64)-1, 10, 0);
    T(fd_advise, "a negative length", fd, 0, (u64)-1, 0);
    T(fd_advise, "more than there is", fd, 0x7fffffffffffffffull, 0x7fffffffffffffffull, 3);
    T(fd_advise, "directory", BOX, 0, 10, 0);
    T(fd_advise, "standard input", 0, 0, 10, 0);
    T(fd_advise, "closed", NOFD, 0, 10, 0);
}

static void stats(u32 fd, u32 dir) {
    for (u32 stream = 0; stream < 3; stream++) {
        if (stream == 2) continue; // it was closed
        T(fd_filestat_get, "a stream", stream, RES), stat_line();
        number("device", results[0]), number("file", results[1]), number("modified", results[6]);
    }
    T(fd_filestat_get, "a file", fd, RES), stat_line();
    u64 device = results[0], file = results[1];
    T(path_filestat_get, "the same by its path", BOX, 0, P("sized"), RES), stat_line();
    number("same", results[0] == device && results[1] == file);
    T(path_filestat_get, "another", BOX, 0, P("hello"), RES), stat_line();
    number("same", results[0] == device && results[1] == file);
    T(fd_filestat_get, "a directory", dir, RES), stat_line();
    device = results[0], file = results[1];
    T(path_filestat_get, "itself", dir, 0, P("."), RES), stat_line();
    number("same", results[0] == device && results[1] == file);
    T(path_filestat_get, "its parent", dir, 0, P(".."), RES), stat_line();
    T(fd_filestat_get, "preopened", BOX, RES), stat_line();
    T(fd_filestat_get, "read-only", RO, RES), stat_line();
    T(fd_filestat_get, "closed", NOFD, RES), stat_line();
}

void attributes(void) {
    make("sized", "0123456789");
    u32 fd = open_file("sized", 0, RDWR, 0), dir = open_file("sub", DIRECTORY, RD, 0);
    stats(fd, dir);
    sizes(fd);
    set_times(fd, dir);
    fd_close(fd), fd_close(dir);
    u32 ro = NOFD;
    T(path_open, "a file to be looked at", RO, 0, P("file"), 0, RD, RD, 0, RES), ro = (u32)results[0];
    T(fd_filestat_set_size, "read-only", ro, 0);
    T(fd_filestat_set_times, "read-only", ro, 0, 0, ATIM | MTIM);
    T(fd_filestat_set_times, "read-only, nothing", ro, 0, 0, 0);
    T(fd_write, "read-only", ro, fill("x"), 1, RES);
    T(fd_sync, "read-only", ro);
    fd_close(ro);
}
