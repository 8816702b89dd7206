/* For WebAssembly programs that are tasklets of a scheduler: they take turns,
 * talk over channels, make more of themselves, and can be written down and
 * moved wherever they are. C99 and C++; needs neither a libc nor WASI (without a
 * libc compile with -ffreestanding -nostdlib, and link with --no-entry).
 *
 *     #include "tasklet.h"
 *
 *     TASKLET_ENTRY(echo)
 *     {
 *         char message[64];
 *         tasklet_received got;
 *         int32_t channel = tasklet_channel("c");
 *
 *         while ((got = tasklet_receive(channel, message, sizeof message)) >= 0)
 *             tasklet_send(channel, message, tasklet_length(got));
 *     }
 *
 * A module imports only what it calls. What is negative is a refusal, one of
 * `enum tasklet_refusal`.
 */
#ifndef TASKLET_H
#define TASKLET_H

#ifndef __wasm32__
#error "the imports of a scheduler take addresses of 32 bits: compile for wasm32"
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define TASKLET_C extern "C"
#else
#define TASKLET_C
#endif

#define TASKLET_IMPORT(name) \
    __attribute__((import_module("tasklet"), import_name(name))) extern

/* Begins the definition of a function that is exported under that name, so that
 * a tasklet can begin with it. */
#define TASKLET_ENTRY(name) \
    TASKLET_C __attribute__((export_name(#name))) void name(void); \
    TASKLET_C void name(void)

enum tasklet_refusal {
    TASKLET_CLOSED = -1,      /* the channel is closed */
    TASKLET_WOULD_BLOCK = -2, /* it would have to wait, and was told not to */
    TASKLET_NO_CHANNEL = -3,  /* the tasklet has no such channel */
    TASKLET_IN_CALLBACK = -4, /* a host import that called back is on the native
                                 stack: nothing can wait below it */
    TASKLET_LIMIT = -5,       /* a limit of the scheduler's is exceeded */
    TASKLET_NO_ENTRY = -6,    /* the module exports no such function without
                                 parameters and results */
    TASKLET_TIMED_OUT = -7,   /* the time is up */
    TASKLET_THROWN = -8       /* somebody has thrown an error into the tasklet
                                 while it waited: `tasklet_rest` reads it */
};

/* What a refusal means. */
static inline const char *tasklet_refusal_text(int64_t refusal)
{
    switch (refusal) {
    case TASKLET_CLOSED: return "the channel is closed";
    case TASKLET_WOULD_BLOCK: return "it would have to wait";
    case TASKLET_NO_CHANNEL: return "no such channel";
    case TASKLET_IN_CALLBACK: return "a host import is on the native stack";
    case TASKLET_LIMIT: return "a limit is exceeded";
    case TASKLET_NO_ENTRY: 
        return "no exported function of that name without parameters and results";
    case TASKLET_TIMED_OUT: return "the time is up";
    case TASKLET_THROWN: return "an error was thrown into the tasklet";
    default: return refusal < 0 ? "an unknown refusal" : "no refusal";
    }
}

/* ---- This tasklet ---- */

/* Its number in its scheduler; another one once it was dumped and loaded. */
TASKLET_IMPORT("id") int64_t tasklet_id(void);

/* Copies as much as there is room for of the argument that it was spawned with;
 * how long that is. */
TASKLET_IMPORT("argument") int32_t tasklet_argument(void *at, uint32_t room);

/* Lets the others run that are ready. */
TASKLET_IMPORT("yield") int32_t tasklet_yield(void);

/* Pauses it, until somebody outside inserts it. */
TASKLET_IMPORT("park") int32_t tasklet_park(void);

/* Waits for so many nanoseconds, while others run. */
TASKLET_IMPORT("sleep") int32_t tasklet_sleep(int64_t ns);

/* The steps left of its slice; INT64_MAX if that has no end. */
TASKLET_IMPORT("steps_left") int64_t tasklet_steps_left(void);

/* Begins (1) or ends (0) a section in which no slice ends. Whether it was in one,
 * to be handed back at the end. */
TASKLET_IMPORT("atomic") int32_t tasklet_atomic(int32_t on);

/* The same for a section in which whatever would wait is refused. */
TASKLET_IMPORT("block_trap") int32_t tasklet_block_trap(int32_t on);

/* ---- Others ---- */

/* A new instance of the same module, with the same channels, which begins with
 * that export; its number. */
TASKLET_IMPORT("spawn")
int64_t tasklet_spawn_n(const char *entry, uint32_t entry_length,
                        const void *argument, uint32_t length);

/* A copy of this tasklet as it stands, memory and all, which goes on here as this
 * one does. 0 in the copy, and in the original the number of the copy. */
TASKLET_IMPORT("fork") int64_t tasklet_fork(void);

/* Lets all the others run until none is ready any more, each for so many steps at
 * a stretch; 0 is without end. 0, or the number of the first that has used them
 * up: it is queued again, and this tasklet goes on. */
TASKLET_IMPORT("run") int64_t tasklet_run(int64_t steps);

/* ---- Channels: a channel is a number, got by the name under which this tasklet
 * was given it, or by making one ---- */

TASKLET_IMPORT("channel")
int32_t tasklet_channel_n(const char *name, uint32_t length);

/* Hands over a message, and waits for a receiver if there is none. */
TASKLET_IMPORT("send")
int32_t tasklet_send(int32_t channel, const void *message, uint32_t length);

/* Hands over an error, which the receiver tells from a message. */
TASKLET_IMPORT("send_error")
int32_t tasklet_send_error(int32_t channel, const void *error, uint32_t length);

/* Hands over a message, unless it would have to wait. */
TASKLET_IMPORT("try_send")
int32_t tasklet_try_send(int32_t channel, const void *message, uint32_t length);

/* Hands over a message, and waits for a receiver for so many nanoseconds. */
TASKLET_IMPORT("send_timeout")
int32_t tasklet_send_timeout(int32_t channel, const void *message,
                             uint32_t length, int64_t ns);

typedef struct tasklet_message {
    const void *at;
    uint32_t length;
} tasklet_message;

/* Hands over messages one after the other; how many were. */
TASKLET_IMPORT("send_all")
int32_t tasklet_send_all(int32_t channel, const tasklet_message *messages,
                         uint32_t count);

/* What is told of a message: a refusal, or its length and whether it is an
 * error. */
typedef int64_t tasklet_received;

/* Waits for a message and copies as much of it as there is room for. */
TASKLET_IMPORT("receive")
tasklet_received tasklet_receive(int32_t channel, void *at, uint32_t room);

/* The same, unless it would have to wait. */
TASKLET_IMPORT("try_receive")
tasklet_received tasklet_try_receive(int32_t channel, void *at, uint32_t room);

/* The same, but waits no longer than so many nanoseconds. */
TASKLET_IMPORT("receive_timeout")
tasklet_received tasklet_receive_timeout(int32_t channel, void *at,
                                         uint32_t room, int64_t ns);

/* Copies of the message received last what begins at `from`; how much there
 * is. */
TASKLET_IMPORT("rest") int32_t tasklet_rest(uint32_t from, void *at, uint32_t room);

/* How many wait to send, or if negative to receive. A refusal is shifted left by
 * 32, because a balance can be negative: see `tasklet_balance_refusal`. */
TASKLET_IMPORT("balance") int64_t tasklet_balance(int32_t channel);

/* Closes it: all who wait on it are refused, and so is who uses it from now
 * on. */
TASKLET_IMPORT("close") int32_t tasklet_close(int32_t channel);

/* Who goes on at once after an exchange; the other is queued. */
enum tasklet_preference {
    TASKLET_RECEIVER = -1,
    TASKLET_NEITHER = 0, /* whoever completed the exchange */
    TASKLET_SENDER = 1,
    TASKLET_BOTH = 2 /* nobody: both are queued, who has waited first */
};

/* Makes a channel: its number. Those that this tasklet spawns from now on have it
 * under the same number, and nobody else. It is gone once no tasklet has it. */
TASKLET_IMPORT("new_channel") int32_t tasklet_new_channel(int32_t preference);

/* Has a channel no more, for this tasklet has done with it. Others that have it
 * keep it; its number is given to one that this tasklet makes later. */
TASKLET_IMPORT("drop_channel") int32_t tasklet_drop_channel(int32_t channel);

static inline int tasklet_is_error(tasklet_received received)
{
    return received >= 0 && received >> 32 != 0;
}

static inline uint32_t tasklet_length(tasklet_received received)
{
    return received < 0 ? 0 : (uint32_t)received;
}

/* 0 if it is a balance. */
static inline int32_t tasklet_balance_refusal(int64_t balance)
{
    return balance <= -((int64_t)1 << 32) ? (int32_t)(balance >> 32) : 0;
}

/* There may be no `strlen`. */
static inline uint32_t tasklet_text_length(const char *text)
{
    uint32_t length = 0;

    while (text[length])
        length++;
    return length;
}

static inline int32_t tasklet_channel(const char *name)
{
    return tasklet_channel_n(name, tasklet_text_length(name));
}

static inline int64_t tasklet_spawn(const char *entry, const void *argument,
                                    uint32_t length)
{
    return tasklet_spawn_n(entry, tasklet_text_length(entry), argument, length);
}

#ifdef __cplusplus
}
#endif

#endif
