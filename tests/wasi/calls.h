// The 46 functions of preview 1 as plain numbers, and how to tell what they answered.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name, ...)                                                                        \
    __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 name(__VA_ARGS__)

WASI(args_get, u32, u32);
WASI(args_sizes_get, u32, u32);
WASI(environ_get, u32, u32);
WASI(environ_sizes_get, u32, u32);
WASI(clock_res_get, u32, u32);
WASI(clock_time_get, u32, u64, u32);
WASI(fd_advise, u32, u64, u64, u32);
WASI(fd_allocate, u32, u64, u64);
WASI(fd_close, u32);
WASI(fd_datasync, u32);
WASI(fd_fdstat_get, u32, u32);
WASI(fd_fdstat_set_flags, u32, u32);
WASI(fd_fdstat_set_rights, u32, u64, u64);
WASI(fd_filestat_get, u32, u32);
WASI(fd_filestat_set_size, u32, u64);
WASI(fd_filestat_set_times, u32, u64, u64, u32);
WASI(fd_pread, u32, u32, u32, u64, u32);
WASI(fd_prestat_get, u32, u32);
WASI(fd_prestat_dir_name, u32, u32, u32);
WASI(fd_pwrite, u32, u32, u32, u64, u32);
WASI(fd_read, u32, u32, u32, u32);
WASI(fd_readdir, u32, u32, u32, u64, u32);
WASI(fd_renumber, u32, u32);
WASI(fd_seek, u32, u64, u32, u32);
WASI(fd_sync, u32);
WASI(fd_tell, u32, u32);
WASI(fd_write, u32, u32, u32, u32);
WASI(path_create_directory, u32, u32, u32);
WASI(path_filestat_get, u32, u32, u32, u32, u32);
WASI(path_filestat_set_times, u32, u32, u32, u32, u64, u64, u32);
WASI(path_link, u32, u32, u32, u32, u32, u32, u32);
WASI(path_open, u32, u32, u32, u32, u32, u64, u64, u32, u32);
WASI(path_readlink, u32, u32, u32, u32, u32, u32);
WASI(path_remove_directory, u32, u32, u32);
WASI(path_rename, u32, u32, u32, u32, u32, u32);
WASI(path_symlink, u32, u32, u32, u32, u32);
WASI(path_unlink_file, u32, u32, u32);
WASI(poll_oneoff, u32, u32, u32, u32);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) void proc_exit(u32);
WASI(proc_raise, u32);
WASI(sched_yield, void);
WASI(random_get, u32, u32);
WASI(sock_accept, u32, u32, u32);
WASI(sock_recv, u32, u32, u32, u32, u32, u32);
WASI(sock_send, u32, u32, u32, u32, u32);
WASI(sock_shutdown, u32, u32);

enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8 };
enum { APPEND = 1, DSYNC = 2, NONBLOCK = 4, RSYNC = 8, SYNC = 16 };
enum { RD = 1 << 1, WR = 1 << 6, RDWR = RD | WR };
enum { FOLLOW = 1 };
enum { SET, CUR, END };

// Descriptors that are there from the beginning: a directory to write in, and one to read only.
enum { BOX = 3, RO = 4, NOFD = 77 };

static inline u32 at(const void *place) { return (u32)(unsigned long)place; }

// A path or text as pointer and length.
#define P(text) at(text), (u32)(sizeof(text) - 1)

// Where results go, as a number.
#define RES at(results)

// Makes a call and begins the line that tells of it: T(fd_close, "case", arguments).
#define T(function, about, ...) (clear(), answer(#function, about, function(__VA_ARGS__)))

extern u64 results[32];
extern u8 data[8192];
extern u32 iovs[16];

void clear(void);
void answer(const char *function, const char *about, u32 errno);
void number(const char *name, u64 value);
void text(const char *name, const u8 *bytes, u32 len);
void word(const char *name);  // the first result, of 32 bits
void wide(const char *name);  // the first result, of 64 bits
void stat_line(void);         // the results as a filestat
void end_line(void);

u32 length(const char *text);
int same(const u8 *a, const u8 *b, u32 len);

// One buffer in `data`, with that content; the arguments of a read or write.
u32 one(u32 len);
u32 fill(const char *content);

// Without a line: opens or dies.
u32 open_file(const char *path, u32 oflags, u64 rights, u32 fdflags);
void make(const char *path, const char *content);

void descriptors(void);
void transfers(void);
void attributes(void);
void paths(void);
void opening(void);
void listing(void);
void surroundings(void);
void waiting(void);
void unlinked(void);
void faults(u32 index);
