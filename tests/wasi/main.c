// Makes every call of preview 1 in every way it can think of, and tells what came back.
//
// `main` may be paused anywhere; `unlinked` has removed files open, so it may not; `fault N` makes
// one call with a pointer out of bounds, `exit N` and `raise N` one that ends the program.
#include "calls.h"

static char arguments[512];
static u32 pointers[16];

static u32 parse(const char *digits) {
    u32 value = 0;
    for (; *digits; digits++) value = value * 10 + (u32)(*digits - '0');
    return value;
}

static int is(const char *a, const char *b) {
    u32 len = length(b);
    return length(a) == len && same((const u8 *)a, (const u8 *)b, len);
}

__attribute__((export_name("_start"))) void start(void) {
    if (args_get(at(pointers), at(arguments)) != 0) __builtin_trap();
    const char *scene = (const char *)(unsigned long)pointers[1];
    u32 value = pointers[2] ? parse((const char *)(unsigned long)pointers[2]) : 0;
    if (is(scene, "main")) {
        surroundings();
        descriptors();
        transfers();
        attributes();
        paths();
        opening();
        listing();
        waiting();
    } else if (is(scene, "unlinked")) {
        unlinked();
    } else if (is(scene, "fault")) {
        faults(value);
    } else if (is(scene, "raise")) {
        T(proc_raise, "a signal", value);
    } else if (is(scene, "exit")) {
        proc_exit(value);
    }
    end_line();
}
