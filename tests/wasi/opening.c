// path_open in all its variations, and reading directories.
#include "calls.h"

// Opens, tells what came of it, and closes.
static void open_in(const char *about, u32 dir, u32 follow, const char *path, u32 oflags, u64 rights, u32 flags) {
    T(path_open, about, dir, follow, at(path), length(path), oflags, rights, rights, flags, RES);
    number("oflags", oflags), number("rights", rights), number("flags", flags);
    u32 fd = (u32)results[0];
    if (fd == 0x5a5a5a5a) return;
    if (fd_filestat_get(fd, RES) == 0) stat_line();
    if (fd_close(fd) != 0) __builtin_trap();
}

static void combinations(void) {
    static const char *const targets[] = {"hello", "sub", "link", "dirlink", "fresh", "dangling-new"};
    static const char *const abouts[] = {"a file", "a directory", "a link", "a link to a directory", "missing", "a dangling link"};
    static const u32 rights[] = {0, RD, WR, RDWR};
    path_symlink(P("nowhere"), BOX, P("dangling-new"));
    for (u32 target = 0; target < 6; target++)
        for (u32 oflags = 0; oflags < 16; oflags++)
            for (u32 right = 0; right < 4; right++)
                for (u32 follow = 0; follow < 2; follow++) {
                    if (target == 0 || target == 2) make("hello", "Hello, world!\n");
                    open_in(abouts[target], BOX, follow, targets[target], oflags, rights[right], 0);
                    path_unlink_file(BOX, P("fresh"));
                    path_unlink_file(BOX, P("nowhere"));
                }
    make("hello", "Hello, world!\n");
}

void opening(void) {
    combinations();
    open_in("trailing slash", BOX, 0, "hello/", 0, RD, 0);
    open_in("trailing slash", BOX, 0, "sub/", 0, RD, 0);
    open_in("trailing slash", BOX, 0, "fresh/", CREAT, RDWR, 0);
    open_in("trailing slash, link", BOX, 0, "dirlink/", 0, RD, 0);
    open_in("itself", BOX, 0, ".", 0, RD, 0);
    open_in("itself", BOX, 0, ".", DIRECTORY, 0, 0);
    open_in("itself to write", BOX, 0, ".", 0, RDWR, 0);
    open_in("up and down", BOX, 0, "sub/..", DIRECTORY, RD, 0);
    open_in("outside", BOX, 0, "..", DIRECTORY, RD, 0);
    open_in("outside", BOX, FOLLOW, "../secret", 0, RD, 0);
    open_in("outside and back", BOX, FOLLOW, "../box/hello", 0, RD, 0);
    open_in("to create outside", BOX, FOLLOW, "../new", CREAT, RDWR, 0);
    open_in("a link that leads outside", BOX, FOLLOW, "out", DIRECTORY, RD, 0);
    open_in("a link that leads outside", BOX, 0, "out", DIRECTORY, RD, 0);
    open_in("by a link that leads outside", BOX, FOLLOW, "out/secret", 0, RD, 0);
    open_in("an absolute link", BOX, FOLLOW, "abs", 0, RD, 0);
    open_in("an absolute link", BOX, 0, "abs", 0, RD, 0);
    open_in("a loop", BOX, FOLLOW, "loop1", 0, RD, 0);
    open_in("a loop", BOX, 0, "loop1", 0, RD, 0);
    open_in("through a loop", BOX, 0, "loop1/x", 0, RD, 0);
    open_in("absolute", BOX, 0, "/hello", 0, RD, 0);
    open_in("empty", BOX, 0, "", 0, RD, 0);
    open_in("empty, to create", BOX, 0, "", CREAT, RDWR, 0);
    open_in("below a file", BOX, 0, "hello/x", 0, RD, 0);
    open_in("no parent", BOX, 0, "missing/x", CREAT, RDWR, 0);
    open_in("UTF-8", BOX, 0, "\xc3\xa9t\xc3\xa9", CREAT, RDWR, 0);
    open_in("not UTF-8", BOX, 0, "\xff", 0, RD, 0);
    T(path_open, "with a NUL", BOX, 0, P("he\0llo"), 0, RD, RD, 0, RES), word("fd");
    open_in("all rights", BOX, 0, "hello", 0, 0x1fffffff, 0);
    open_in("all rights to a directory", BOX, 0, "sub", DIRECTORY, 0x1fffffff, 0);
    for (u32 flags = 0; flags < 32; flags++) open_in("each flag", BOX, 0, "hello", 0, RDWR, flags);
    open_in("flags on a directory", BOX, 0, "sub", DIRECTORY, RD, APPEND | NONBLOCK);
    open_in("sync on a directory", BOX, 0, "sub", DIRECTORY, RD, SYNC | DSYNC);
    open_in("truncate without write", BOX, 0, "digits", TRUNC, RD, 0);
    open_in("append and truncate", BOX, 0, "digits", TRUNC, RDWR, APPEND);
    open_in("read-only", RO, 0, "file", 0, RD, 0);
    open_in("read-only", RO, 0, "file", 0, 0, 0);
    open_in("read-only to write", RO, 0, "file", 0, WR, 0);
    open_in("read-only to create", RO, 0, "fresh", CREAT, RD, 0);
    open_in("read-only to create what is there", RO, 0, "file", CREAT, RD, 0);
    open_in("read-only to truncate", RO, 0, "file", TRUNC, RD, 0);
    open_in("read-only, missing, to write", RO, 0, "missing", 0, WR, 0);
    open_in("read-only directory", RO, 0, "dir", DIRECTORY, RD, 0);
    open_in("a stream", 1, 0, "hello", 0, RD, 0);
    open_in("closed", NOFD, 0, "hello", 0, RD, 0);
    open_in("closed, not UTF-8", NOFD, 0, "\xff", 0, RD, 0);
    u32 fd = open_file("hello", 0, RD, 0);
    open_in("a file as directory", fd, 0, "hello", 0, RD, 0);
    open_in("a file as directory, itself", fd, 0, ".", 0, RD, 0);
    T(path_unlink_file, "a file as directory", fd, P("hello"));
    T(path_filestat_get, "a file as directory", fd, 0, P("hello"), RES);
    T(path_create_directory, "a file as directory", fd, P("x"));
    T(fd_readdir, "a file", fd, at(data), 512, 0, RES);
    fd_close(fd);
    u32 dir = open_file("sub", DIRECTORY, RD, 0);
    open_in("below a directory that was opened", dir, 0, "inner", 0, RD, 0);
    open_in("above a directory that was opened", dir, 0, "../hello", 0, RD, 0);
    open_in("to create below it", dir, 0, "fresh", CREAT | EXCL, WR, 0);
    fd_close(dir);
    u32 a = open_file("hello", 0, RD, 0), b = open_file("hello", 0, RD, 0);
    u32 lower = a < b ? a : b;
    fd_close(a), fd_close(b);
    T(path_open, "which of two free numbers", BOX, 0, P("hello"), 0, RD, RD, 0, RES);
    number("the lower", (u32)results[0] == lower);
    fd_close((u32)results[0]);
}

// Listed names in order of the alphabet: that of the host is the host's.
static void names(u32 used, u32 last) {
    static u32 seen[64];
    u32 count = 0;
    for (u32 place = 0; place + 24 <= used && count < 64;) {
        u32 len = *(u32 *)(data + place + 16);
        if (place + 24 + len > used) break;
        u32 slot = count++;
        for (; slot > 0; slot--) {
            u8 *other = data + seen[slot - 1] + 24;
            u32 other_len = *(u32 *)(data + seen[slot - 1] + 16), index = 0;
            while (index < len && index < other_len && other[index] == data[place + 24 + index]) index++;
            if (index == other_len || (index < len && other[index] < data[place + 24 + index])) break;
            seen[slot] = seen[slot - 1];
        }
        seen[slot] = place;
        place += 24 + len;
    }
    number("names", count);
    if (!last) return;
    for (u32 index = 0; index < count; index++) {
        text("", data + seen[index] + 24, *(u32 *)(data + seen[index] + 16));
        number("type", data[seen[index] + 20]);
    }
}

void listing(void) {
    T(path_create_directory, "to be listed", BOX, P("list"));
    make("list/bb", ""), make("list/a", ""), make("list/ccc", "");
    T(path_create_directory, "in it", BOX, P("list/d"));
    T(path_symlink, "in it", P("a"), BOX, P("list/e"));
    u32 dir = open_file("list", DIRECTORY, RD, 0);
    T(fd_readdir, "all", dir, at(data), 8192, 0, RES), word("n"), names((u32)results[0], 1);
    T(fd_readdir, "no room", dir, at(data), 0, 0, RES), word("n");
    T(fd_readdir, "half an entry", dir, at(data), 10, 0, RES), word("n");
    T(fd_readdir, "an entry without its name", dir, at(data), 24, 0, RES), word("n");
    T(fd_readdir, "an entry", dir, at(data), 25, 0, RES), word("n"), text("name", data + 24, 1);
    number("next", *(u64 *)data), number("type", data[20]), number("len", *(u32 *)(data + 16));
    T(fd_readdir, "the second", dir, at(data), 26, 1, RES), word("n"), text("name", data + 24, 2);
    number("next", *(u64 *)data);
    u64 cookie = 0;
    for (u32 round = 0; round < 10; round++) { // one entry at a time
        T(fd_readdir, "one by one", dir, at(data), 27, cookie, RES), word("n");
        if ((u32)results[0] < 24) break;
        cookie = *(u64 *)data, number("next", cookie);
    }
    T(fd_readdir, "the last cookie", dir, at(data), 512, 7, RES), word("n");
    T(fd_readdir, "beyond the last", dir, at(data), 512, 8, RES), word("n");
    T(fd_readdir, "far beyond", dir, at(data), 512, (u64)-1, RES), word("n");
    make("list/new", "");
    T(fd_readdir, "from the start, with one more", dir, at(data), 8192, 0, RES), names((u32)results[0], 1);
    T(fd_readdir, "on, in what is listed", dir, at(data), 8192, 3, RES), names((u32)results[0], 0);
    make("list/newer", "");
    T(path_unlink_file, "one of it", BOX, P("list/a"));
    T(fd_readdir, "from the start, with one less", dir, at(data), 8192, 0, RES), names((u32)results[0], 1);
    u32 writer = NOFD;
    T(fd_readdir, "preopened", RO, at(data), 8192, 0, RES), names((u32)results[0], 1);
    T(fd_readdir, "a stream", 0, at(data), 512, 0, RES), word("n");
    T(fd_readdir, "closed", writer, at(data), 512, 0, RES), word("n");
    fd_close(dir);
    dir = open_file("list", DIRECTORY, 0, 0);
    T(fd_readdir, "opened without a right", dir, at(data), 8192, 0, RES), names((u32)results[0], 0);
    fd_close(dir);
}
