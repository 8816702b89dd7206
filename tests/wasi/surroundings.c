// Arguments, environment, clocks, random numbers, signals, sockets.
#include "calls.h"

static void strings(const char *name, u32 count, u32 bytes) {
    number("count", count), number("bytes", bytes);
    for (u32 index = 0; index < count; index++) {
        const char *string = (const char *)(unsigned long)((u32 *)data)[index];
        text(name, (const u8 *)string, length(string));
    }
}

static void clocks(void) {
    static u64 last[2];
    for (u32 id = 0; id < 4; id++) {
        T(clock_res_get, "each clock", id, RES);
        number("id", id);
        if (id < 2) number("some", results[0] > 0 && results[0] <= 1000000);
        T(clock_time_get, "each clock", id, 1, RES);
        number("id", id);
        if (id < 2) last[id] = results[0], number("since 2020", id == 1 || last[0] > 1577836800000000000ull);
    }
    for (u32 round = 0; round < 3; round++)
        for (u32 id = 0; id < 2; id++) {
            T(clock_time_get, "never backwards", id, (u64)-1, RES);
            number("forward", results[0] >= last[id]);
            last[id] = results[0];
        }
    T(clock_time_get, "precision 0", 1, 0, RES);
}

static void sockets(void) {
    static const u32 fds[] = {0, 1, 2, BOX, NOFD, 0xffffffff};
    for (u32 index = 0; index < 6; index++) {
        u32 fd = fds[index];
        T(sock_accept, "what is none", fd, 0, RES), number("fd", fd);
        T(sock_recv, "what is none", fd, one(8), 1, 0, RES, RES + 8), number("fd", fd);
        T(sock_send, "what is none", fd, one(8), 1, 0, RES), number("fd", fd);
        T(sock_shutdown, "what is none", fd, 1), number("fd", fd);
    }
    T(sock_recv, "no buffers", 0, one(8), 0, 0, RES, RES + 8);
    T(sock_send, "a flag, of which there are none", 0, one(8), 1, 1, RES);
    T(sock_shutdown, "no direction", 0, 0);
    T(sock_shutdown, "both directions", 0, 3);
}

void surroundings(void) {
    T(args_sizes_get, "sizes", RES, RES + 4);
    u32 count = (u32)results[0], bytes = (u32)(results[0] >> 32);
    T(args_get, "all", at(data), at(data) + 256), strings("arg", count, bytes);
    T(environ_sizes_get, "sizes", RES, RES + 4);
    count = (u32)results[0], bytes = (u32)(results[0] >> 32);
    T(environ_get, "all", at(data), at(data) + 256), strings("var", count, bytes);
    T(environ_get, "again", at(data), at(data) + 256), strings("var", count, bytes);
    T(args_sizes_get, "both to one place", RES, RES), word("last");

    T(random_get, "zero bytes", at(data), 0);
    T(random_get, "zero bytes at the end of memory", (u32)(__builtin_wasm_memory_size(0) << 16), 0);
    T(random_get, "sixteen", RES, 16), number("differ", results[0] != results[1]);
    u64 before = results[0];
    T(random_get, "sixteen more", RES, 16), number("differ", results[0] != before);
    T(random_get, "not a word", at(data) + 1, 4099);

    T(sched_yield, "yield");
    clocks();
    T(proc_raise, "none", 0);
    T(proc_raise, "SIGCHLD", 16);
    T(proc_raise, "SIGSTOP", 18);
    sockets();
}
