// Calls that name files: directories, links, renames, removals, attributes.
#include "calls.h"

static char deep[5000];

static void directories(void) {
    T(path_create_directory, "new", BOX, P("made"));
    T(path_create_directory, "there already", BOX, P("made"));
    T(path_create_directory, "a file is there", BOX, P("hello"));
    T(path_create_directory, "a link is there", BOX, P("dangling"));
    T(path_create_directory, "trailing slash", BOX, P("made/slash/"));
    T(path_create_directory, "two trailing slashes", BOX, P("made/slashes//"));
    T(path_create_directory, "no parent", BOX, P("missing/made"));
    T(path_create_directory, "below a file", BOX, P("hello/made"));
    T(path_create_directory, "empty", BOX, P(""));
    T(path_create_directory, "itself", BOX, P("."));
    T(path_create_directory, "a slash", BOX, P("/"));
    T(path_create_directory, "absolute", BOX, P("/made"));
    T(path_create_directory, "outside", BOX, P("../made"));
    T(path_create_directory, "outside and back", BOX, P("../box/made2"));
    T(path_create_directory, "up and down", BOX, P("made/../made3"));
    T(path_create_directory, "outside by a link", BOX, P("out/made"));
    T(path_create_directory, "with a NUL", BOX, P("ma\0de"));
    T(path_create_directory, "not UTF-8", BOX, P("ma\xff"));
    T(path_create_directory, "UTF-8", BOX, P("\xc3\xa9"));
    for (u32 index = 0; index < 5000; index++) deep[index] = 'a';
    T(path_create_directory, "a long name", BOX, at(deep), 256);
    T(path_create_directory, "a long path", BOX, at(deep), 5000);
    T(path_create_directory, "read-only", RO, P("made"));
    T(path_create_directory, "read-only, there", RO, P("dir"));
    T(path_create_directory, "no directory", 0, P("made"));
    T(path_create_directory, "closed", NOFD, P("made"));
    T(path_create_directory, "closed, not UTF-8", NOFD, P("\xff"));
    T(path_remove_directory, "with something in it", BOX, P("made"));
    T(path_remove_directory, "trailing slash", BOX, P("made/slash/"));
    T(path_remove_directory, "empty one", BOX, P("made/slashes"));
    T(path_remove_directory, "missing", BOX, P("made/slashes"));
    T(path_remove_directory, "a file", BOX, P("hello"));
    T(path_remove_directory, "a link to one", BOX, P("dirlink"));
    T(path_remove_directory, "itself", BOX, P("."));
    T(path_remove_directory, "itself, from within", BOX, P("made3/."));
    T(path_remove_directory, "empty path", BOX, P(""));
    T(path_remove_directory, "outside", BOX, P(".."));
    T(path_remove_directory, "absolute", BOX, P("/made3"));
    T(path_remove_directory, "read-only", RO, P("dir"));
    T(path_remove_directory, "read-only, missing", RO, P("missing"));
    T(path_remove_directory, "closed", NOFD, P("made3"));
    T(path_remove_directory, "a stream", 1, P("made3"));
}

static void symlinks(void) {
    T(path_symlink, "new", P("hello"), BOX, P("new-link"));
    T(path_symlink, "there already", P("hello"), BOX, P("new-link"));
    T(path_symlink, "to nothing", P("nothing"), BOX, P("sub/nothing"));
    T(path_symlink, "to an empty path", P(""), BOX, P("empty"));
    T(path_symlink, "with an empty name", P("hello"), BOX, P(""));
    T(path_symlink, "trailing slash", P("hello"), BOX, P("slash/"));
    T(path_symlink, "to a directory, trailing slash", P("sub/"), BOX, P("sub-slash"));
    T(path_symlink, "absolute target", P("/etc/hostname"), BOX, P("absolute"));
    T(path_symlink, "target outside", P("../secret"), BOX, P("escape"));
    T(path_symlink, "outside", P("hello"), BOX, P("../escape"));
    T(path_symlink, "absolute", P("hello"), BOX, P("/escape"));
    T(path_symlink, "not UTF-8", P("\xff"), BOX, P("bytes"));
    T(path_symlink, "read-only", P("file"), RO, P("link"));
    T(path_symlink, "closed", P("hello"), NOFD, P("link2"));
    T(path_symlink, "a stream", P("hello"), 2, P("link2"));
    T(path_readlink, "whole", BOX, P("link"), at(data), 64, RES), word("n"), text("data", data, 5);
    T(path_readlink, "little room", BOX, P("link"), at(data), 3, RES), word("n"), text("data", data, 3);
    T(path_readlink, "no room", BOX, P("link"), at(data), 0, RES), word("n");
    T(path_readlink, "leads outside", BOX, P("out"), at(data), 64, RES), word("n");
    T(path_readlink, "leads outside by a path", BOX, P("escape"), at(data), 64, RES), word("n");
    T(path_readlink, "absolute", BOX, P("abs"), at(data), 64, RES), word("n");
    T(path_readlink, "a loop", BOX, P("loop1"), at(data), 64, RES), word("n");
    T(path_readlink, "below a loop", BOX, P("loop1/x"), at(data), 64, RES), word("n");
    T(path_readlink, "trailing slash", BOX, P("link/"), at(data), 64, RES), word("n");
    T(path_readlink, "of a directory, trailing slash", BOX, P("dirlink/"), at(data), 64, RES), word("n");
    T(path_readlink, "a file", BOX, P("hello"), at(data), 64, RES), word("n");
    T(path_readlink, "a directory", BOX, P("sub"), at(data), 64, RES), word("n");
    T(path_readlink, "missing", BOX, P("missing"), at(data), 64, RES), word("n");
    T(path_readlink, "empty path", BOX, P(""), at(data), 64, RES), word("n");
    T(path_readlink, "itself", BOX, P("."), at(data), 64, RES), word("n");
    T(path_readlink, "outside", BOX, P("../link"), at(data), 64, RES), word("n");
    T(path_readlink, "closed", NOFD, P("link"), at(data), 64, RES), word("n");
    T(path_readlink, "a stream", 0, P("link"), at(data), 64, RES), word("n");
}

static void links(void) {
    T(path_link, "new", BOX, 0, P("hello"), BOX, P("hard"));
    T(path_filestat_get, "two links", BOX, 0, P("hard"), RES), stat_line();
    T(path_link, "there already", BOX, 0, P("hello"), BOX, P("hard"));
    T(path_link, "follow", BOX, FOLLOW, P("link"), BOX, P("followed"));
    T(path_link, "of a link", BOX, 0, P("link"), BOX, P("hard-link"));
    T(path_filestat_get, "of a link", BOX, 0, P("hard-link"), RES), stat_line();
    T(path_link, "a directory", BOX, 0, P("sub"), BOX, P("hard-sub"));
    T(path_link, "missing", BOX, 0, P("missing"), BOX, P("hard2"));
    T(path_link, "trailing slash", BOX, 0, P("hello/"), BOX, P("hard2"));
    T(path_link, "to a trailing slash", BOX, 0, P("hello"), BOX, P("hard2/"));
    T(path_link, "from outside", BOX, 0, P("../secret"), BOX, P("hard2"));
    T(path_link, "to outside", BOX, 0, P("hello"), BOX, P("../hard2"));
    T(path_link, "empty", BOX, 0, P(""), BOX, P("hard2"));
    T(path_link, "to empty", BOX, 0, P("hello"), BOX, P(""));
    T(path_link, "from read-only", RO, 0, P("file"), BOX, P("hard2"));
    T(path_link, "to read-only", BOX, 0, P("hello"), RO, P("hard2"));
    T(path_link, "from closed", NOFD, 0, P("hello"), BOX, P("hard2"));
    T(path_link, "to closed", BOX, 0, P("hello"), NOFD, P("hard2"));
    T(path_link, "a stream", 1, 0, P("hello"), BOX, P("hard2"));
}

static void renames(void) {
    make("from", "from"), make("onto", "onto");
    T(path_rename, "a file", BOX, P("from"), BOX, P("to"));
    T(path_rename, "onto a file", BOX, P("to"), BOX, P("onto"));
    T(path_rename, "missing", BOX, P("to"), BOX, P("from"));
    T(path_rename, "onto itself", BOX, P("onto"), BOX, P("onto"));
    T(path_rename, "a file onto a directory", BOX, P("onto"), BOX, P("sub"));
    T(path_rename, "a directory onto a file", BOX, P("made3"), BOX, P("onto"));
    T(path_rename, "a directory", BOX, P("made3"), BOX, P("made4"));
    T(path_rename, "a directory onto one with content", BOX, P("made4"), BOX, P("sub"));
    T(path_rename, "a directory into itself", BOX, P("sub"), BOX, P("sub/deeper"));
    T(path_rename, "a directory, trailing slashes", BOX, P("made4/"), BOX, P("made3/"));
    T(path_rename, "a file, trailing slash", BOX, P("onto/"), BOX, P("to"));
    T(path_rename, "a file to a trailing slash", BOX, P("onto"), BOX, P("to/"));
    make("onto", "onto");
    T(path_rename, "a link", BOX, P("new-link"), BOX, P("newer-link"));
    T(path_rename, "itself", BOX, P("."), BOX, P("to"));
    T(path_rename, "empty", BOX, P(""), BOX, P("to"));
    T(path_rename, "to empty", BOX, P("onto"), BOX, P(""));
    T(path_rename, "from outside", BOX, P("../secret"), BOX, P("to"));
    T(path_rename, "to outside", BOX, P("onto"), BOX, P("../to"));
    T(path_rename, "by a link to outside", BOX, P("onto"), BOX, P("out/to"));
    T(path_rename, "absolute", BOX, P("/onto"), BOX, P("to"));
    T(path_rename, "from read-only", RO, P("file"), BOX, P("to"));
    T(path_rename, "to read-only", BOX, P("onto"), RO, P("to"));
    T(path_rename, "closed", NOFD, P("onto"), BOX, P("to"));
    T(path_rename, "to closed", BOX, P("onto"), NOFD, P("to"));
    T(path_rename, "no directory", 1, P("onto"), 1, P("to"));
    u32 fd = open_file("onto", 0, RDWR, 0);
    T(path_rename, "an open file", BOX, P("onto"), BOX, P("sub/moved"));
    T(fd_read, "an open file that has moved", fd, one(8), 1, RES), text("data", data, 4);
    T(path_rename, "the directory of an open file", BOX, P("sub"), BOX, P("sub2"));
    T(fd_write, "an open file whose directory has moved", fd, fill(" and on"), 1, RES), word("n");
    T(path_rename, "it back", BOX, P("sub2"), BOX, P("sub"));
    T(fd_pread, "an open file that is back", fd, one(16), 1, 0, RES), text("data", data, 11);
    fd_close(fd);
}

static void removals(void) {
    T(path_unlink_file, "a file", BOX, P("sub/moved"));
    T(path_unlink_file, "missing", BOX, P("sub/moved"));
    T(path_unlink_file, "a directory", BOX, P("sub"));
    T(path_unlink_file, "a directory, trailing slash", BOX, P("sub/"));
    T(path_unlink_file, "a file, trailing slash", BOX, P("hard/"));
    T(path_unlink_file, "a link", BOX, P("hard-link"));
    T(path_unlink_file, "a link to a directory", BOX, P("sub-slash"));
    T(path_unlink_file, "a dangling link", BOX, P("sub/nothing"));
    T(path_unlink_file, "below a file", BOX, P("hello/x"));
    T(path_unlink_file, "outside", BOX, P("../secret"));
    T(path_unlink_file, "outside by a link", BOX, P("out/secret"));
    T(path_unlink_file, "absolute", BOX, P("/hello"));
    T(path_unlink_file, "empty", BOX, P(""));
    T(path_unlink_file, "itself", BOX, P("."));
    T(path_unlink_file, "its parent", BOX, P(".."));
    T(path_unlink_file, "read-only", RO, P("file"));
    T(path_unlink_file, "read-only, missing", RO, P("missing"));
    T(path_unlink_file, "closed", NOFD, P("hello"));
    T(path_unlink_file, "a stream", 0, P("hello"));
}

#define STAT(about, flags, path) (T(path_filestat_get, about, BOX, flags, P(path), RES), stat_line())

static void looks(void) {
    STAT("a file", 0, "hello");
    STAT("a link", 0, "link");
    STAT("a link followed", FOLLOW, "link");
    STAT("a file, trailing slash", 0, "hello/");
    STAT("a directory, trailing slash", 0, "sub/");
    STAT("a link to a directory, trailing slash", 0, "dirlink/");
    STAT("a dangling link", 0, "dangling");
    STAT("a dangling link followed", FOLLOW, "dangling");
    STAT("a loop", 0, "loop1");
    STAT("a loop followed", FOLLOW, "loop1");
    STAT("through a link", 0, "dirlink/inner");
    STAT("up and down", 0, "sub/../hello");
    STAT("through what is missing", 0, "missing/../hello");
    STAT("through a file", 0, "hello/../hello");
    STAT("dots and slashes", 0, "./sub//./inner");
    STAT("outside", 0, "../secret");
    STAT("outside and back", 0, "../box/hello");
    STAT("a link that leads outside", 0, "out");
    STAT("a link that leads outside, followed", FOLLOW, "out");
    STAT("by a link that leads outside", 0, "out/secret");
    STAT("an absolute link", 0, "abs");
    STAT("an absolute link followed", FOLLOW, "abs");
    STAT("absolute", 0, "/hello");
    STAT("empty", 0, "");
    STAT("missing", 0, "missing");
    T(path_filestat_get, "read-only", RO, 0, P("file"), RES), stat_line();
    T(path_filestat_get, "closed", NOFD, 0, P("hello"), RES), stat_line();
    T(path_filestat_get, "a stream", 1, 0, P("hello"), RES), stat_line();
}

void paths(void) {
    directories();
    symlinks();
    links();
    renames();
    removals();
    looks();
}

// While a removed file is open, no snapshot can be made.
void unlinked(void) {
    make("gone", "still here");
    u32 fd = open_file("gone", 0, RDWR, 0);
    T(path_unlink_file, "an open file", BOX, P("gone"));
    T(fd_filestat_get, "of a removed file", fd, RES), stat_line();
    T(fd_read, "a removed file", fd, one(16), 1, RES), word("n"), text("data", data, 10);
    T(fd_write, "a removed file", fd, fill("more"), 1, RES), word("n");
    T(fd_filestat_set_size, "a removed file", fd, 3);
    T(fd_close, "a removed file", fd);
    T(path_create_directory, "to be removed", BOX, P("gone-dir"));
    u32 dir = open_file("gone-dir", DIRECTORY, RD, 0);
    T(path_remove_directory, "an open directory", BOX, P("gone-dir"));
    T(path_open, "in a removed directory", dir, 0, P("x"), CREAT, RDWR, RDWR, 0, RES);
    T(path_filestat_get, "in a removed directory", dir, 0, P("."), RES), stat_line();
    T(fd_readdir, "a removed directory", dir, at(data), 512, 0, RES), word("n");
    T(fd_close, "a removed directory", dir);
}
