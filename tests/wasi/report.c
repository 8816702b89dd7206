// How calls are told of: a line each, nothing in it that is the host's.
#include "calls.h"

u64 results[32];
u8 data[8192];
u32 iovs[16];

#define NOTHING 0x5a5a5a5a5a5a5a5aull

static char line[1024];
static u32 used;

static const char *const errnos[] = {
    "SUCCESS", "2BIG", "ACCES", "ADDRINUSE", "ADDRNOTAVAIL", "AFNOSUPPORT", "AGAIN", "ALREADY",
    "BADF", "BADMSG", "BUSY", "CANCELED", "CHILD", "CONNABORTED", "CONNREFUSED", "CONNRESET",
    "DEADLK", "DESTADDRREQ", "DOM", "DQUOT", "EXIST", "FAULT", "FBIG", "HOSTUNREACH", "IDRM",
    "ILSEQ", "INPROGRESS", "INTR", "INVAL", "IO", "ISCONN", "ISDIR", "LOOP", "MFILE", "MLINK",
    "MSGSIZE", "MULTIHOP", "NAMETOOLONG", "NETDOWN", "NETRESET", "NETUNREACH", "NFILE", "NOBUFS",
    "NODEV", "NOENT", "NOEXEC", "NOLCK", "NOLINK", "NOMEM", "NOMSG", "NOPROTOOPT", "NOSPC",
    "NOSYS", "NOTCONN", "NOTDIR", "NOTEMPTY", "NOTRECOVERABLE", "NOTSOCK", "NOTSUP", "NOTTY",
    "NXIO", "OVERFLOW", "OWNERDEAD", "PERM", "PIPE", "PROTO", "PROTONOSUPPORT", "PROTOTYPE",
    "RANGE", "ROFS", "SPIPE", "SRCH", "STALE", "TIMEDOUT", "TXTBSY", "XDEV", "NOTCAPABLE",
};

void *memset(void *to, int byte, unsigned long len) {
    for (u8 *next = to; len > 0; len--) *next++ = (u8)byte;
    return to;
}

void *memcpy(void *to, const void *from, unsigned long len) {
    const u8 *source = from;
    for (u8 *next = to; len > 0; len--) *next++ = *source++;
    return to;
}

u32 length(const char *text) {
    u32 len = 0;
    while (text[len]) len++;
    return len;
}

int same(const u8 *a, const u8 *b, u32 len) {
    for (u32 index = 0; index < len; index++)
        if (a[index] != b[index]) return 0;
    return 1;
}

static void put(char c) {
    if (used < sizeof line) line[used++] = c;
}

static void puts_(const char *text) {
    while (*text) put(*text++);
}

static void put_number(u64 value) {
    char digits[20];
    u32 count = 0;
    do digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count > 0) put(digits[--count]);
}

void end_line(void) {
    if (used == 0) return;
    put('\n');
    for (u32 done = 0; done < used;) {
        u32 iov[2] = {at(line) + done, used - done}, written = 0;
        if (fd_write(1, at(iov), 1, at(&written)) != 0) __builtin_trap();
        done += written;
    }
    used = 0;
}

void clear(void) {
    for (u32 index = 0; index < 32; index++) results[index] = NOTHING;
}

void answer(const char *function, const char *about, u32 errno) {
    end_line();
    puts_(function), puts_(": "), puts_(about), puts_(" -> ");
    if (errno < sizeof errnos / sizeof *errnos) puts_(errnos[errno]);
    else put_number(errno);
}

void number(const char *name, u64 value) {
    put(' '), puts_(name), put('=');
    put_number(value);
}

void text(const char *name, const u8 *bytes, u32 len) {
    put(' '), puts_(name), put('=');
    for (u32 index = 0; index < len; index++) {
        u8 c = bytes[index];
        if (c >= ' ' && c < 127 && c != '\\') put((char)c);
        else put('\\'), put("0123456789abcdef"[c >> 4]), put("0123456789abcdef"[c & 15]);
    }
}

void word(const char *name) {
    if ((u32)results[0] != (u32)NOTHING) number(name, (u32)results[0]);
}

void wide(const char *name) {
    if (results[0] != NOTHING) number(name, results[0]);
}

// Of a directory, size and links are the file system's affair.
void stat_line(void) {
    if (results[0] == NOTHING) return;
    u8 type = (u8)results[2];
    number("type", type);
    if (type != 3) number("links", results[3]), number("size", results[4]);
}

u32 one(u32 len) {
    iovs[0] = at(data), iovs[1] = len;
    return at(iovs);
}

u32 fill(const char *content) {
    u32 len = length(content);
    memcpy(data, content, len);
    return one(len);
}

u32 open_file(const char *path, u32 oflags, u64 rights, u32 fdflags) {
    u32 fd = NOFD;
    if (path_open(BOX, FOLLOW, at(path), length(path), oflags, rights, rights, fdflags, at(&fd)) != 0)
        __builtin_trap();
    return fd;
}

void make(const char *path, const char *content) {
    u32 fd = open_file(path, CREAT | TRUNC, RDWR, 0), written = 0;
    if (fd_write(fd, fill(content), 1, at(&written)) != 0 || fd_close(fd) != 0) __builtin_trap();
}
