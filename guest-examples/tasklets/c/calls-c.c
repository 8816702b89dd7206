/* Calls everything that the header has, and says what comes of it. `calls` is the
 * same in Rust. */
#include "text.h"

#define MOMENT 1000000

static int32_t channel(void)
{
    return tasklet_channel("c");
}

static void told(const char *what, const char *value)
{
    struct line line = {0, ""};

    put(&line, what);
    put(&line, ": ");
    put(&line, value);
    say(tasklet_channel("out"), &line);
}

static void told_number(const char *what, int64_t value)
{
    char digits[21];
    char *start = digits + sizeof digits - 1;
    uint64_t n = (uint64_t)(value < 0 ? -value : value);

    *start = '\0';
    do {
        *--start = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    if (value < 0)
        *--start = '-';
    told(what, start);
}

/* What came of something, less what a message says. */
static const char *text(int64_t code)
{
    static struct line line;

    if (code >= 0 && !tasklet_is_error(code))
        return "done";
    line.length = 0;
    put(&line, code < 0 ? tasklet_refusal_text(code) : "an error was received");
    if (code >= 0 || code == TASKLET_THROWN) {
        char error[32];
        int32_t length = tasklet_rest(0, error, sizeof error - 1);

        error[length] = '\0';
        put(&line, ": ");
        put(&line, error);
    }
    line.text[line.length] = '\0';
    return line.text;
}

static void must(int64_t code)
{
    if (code < 0)
        __builtin_trap();
}

TASKLET_ENTRY(sender)
{
    static uint8_t message[512];
    const tasklet_message many[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    uint32_t n;

    for (n = 0; n < sizeof message; n++)
        message[n] = (uint8_t)n;
    must(tasklet_send(channel(), message, sizeof message));
    must(tasklet_send_error(channel(), "oops", 4));
    told_number("sent of many", tasklet_send_all(channel(), many, 3));
}

TASKLET_ENTRY(receiver)
{
    told("the receiver", text(tasklet_receive(channel(), 0, 0)));
}

/* Answers on the channel that it is told the number of. */
TASKLET_ENTRY(answerer)
{
    int32_t number = -1;

    tasklet_argument(&number, sizeof number);
    told("a channel that was made", text(tasklet_send(number, "answer", 6)));
}

TASKLET_ENTRY(counter)
{
    volatile uint32_t n = 0;

    while (n < 10000)
        n = n + 1;
}

TASKLET_ENTRY(failing)
{
    __builtin_trap();
}

static void refused(void)
{
    told("try_send", text(tasklet_try_send(channel(), "x", 1)));
    told("try_receive", text(tasklet_try_receive(channel(), 0, 0)));
    told("send_timeout", text(tasklet_send_timeout(channel(), "x", 1, MOMENT)));
    told("receive_timeout", text(tasklet_receive_timeout(channel(), 0, 0, MOMENT)));
}

static void sections(void)
{
    int32_t outer = tasklet_block_trap(1), inner = tasklet_block_trap(1);

    const char *sent;

    tasklet_block_trap(inner);
    sent = text(tasklet_send(channel(), "x", 1));
    tasklet_block_trap(outer);
    told("send in a block trap", sent);
    outer = tasklet_atomic(1);
    told("receive in an atomic section",
         text(tasklet_receive_timeout(channel(), 0, 0, MOMENT)));
    tasklet_atomic(outer);
}

static void messages(void)
{
    uint8_t message[512];
    char few[8];
    struct line line = {0, ""};
    uint32_t n, length, sum = 0;

    must(tasklet_spawn("sender", 0, 0));
    must(tasklet_yield());
    told_number("balance", tasklet_balance(channel()));
    length = tasklet_length(tasklet_receive(channel(), message, 100));
    tasklet_rest(100, message + 100, sizeof message - 100);
    for (n = 0; n < length; n++)
        sum += message[n];
    put_number(&line, length);
    put(&line, " bytes, ");
    put_number(&line, sum);
    put(&line, " in all");
    line.text[line.length] = '\0';
    told("a long message", line.text);
    told("an error", text(tasklet_receive(channel(), message, sizeof message)));
    for (n = 0; n < 3; n++) {
        length = tasklet_length(tasklet_receive(channel(), few, sizeof few - 1));
        few[length] = '\0';
        told("one of many", few);
    }
    must(tasklet_spawn("receiver", 0, 0));
    must(tasklet_yield());
    told_number("balance", tasklet_balance(channel()));
    must(tasklet_close(channel()));
    told("send", text(tasklet_send(channel(), "x", 1)));
}

static void made(void)
{
    static const int32_t preferences[4] = {TASKLET_RECEIVER, TASKLET_NEITHER,
                                           TASKLET_SENDER, TASKLET_BOTH};
    int32_t channels[4], n, many = 0;
    char answer[8] = "";

    for (n = 0; n < 4; n++)
        must(channels[n] = tasklet_new_channel(preferences[n]));
    must(tasklet_spawn("answerer", &channels[1], sizeof channels[1]));
    must(tasklet_receive(channels[1], answer, sizeof answer - 1));
    told("an answer", answer);
    must(tasklet_yield());
    must(tasklet_drop_channel(channels[0]));
    told("a channel that was released", text(tasklet_try_send(channels[0], "x", 1)));
    told("its number is used again",
         tasklet_new_channel(TASKLET_RECEIVER) == channels[0] ? "true" : "false");
    for (n = 0; n < 4; n++)
        must(tasklet_drop_channel(channels[n]));
    while (tasklet_new_channel(TASKLET_RECEIVER) >= 0)
        many++;
    told_number("channels until a limit is exceeded", many);
}

static const char *ran(int64_t code)
{
    return code == 0 ? "all have run" : code > 0 ? "interrupted" : "something else";
}

static void others(void)
{
    told("run", ran(tasklet_run(0)));
    must(tasklet_spawn("counter", 0, 0));
    told("run", ran(tasklet_run(1000)));
    must(tasklet_spawn("failing", 0, 0));
    told("run", tasklet_run(0) == TASKLET_THROWN && tasklet_rest(0, 0, 0) > 0
                    ? "an error was thrown"
                    : "something else");
}

TASKLET_ENTRY(calls)
{
    char argument[64] = "";

    tasklet_argument(argument, sizeof argument - 1);
    told("argument", argument);
    told("numbered", tasklet_id() > 0 ? "true" : "false");
    told("steps left", tasklet_steps_left() == INT64_MAX ? "no end" : "some");
    told("yield", text(tasklet_yield()));
    told("sleep", text(tasklet_sleep(MOMENT)));
    told("unknown channel", text(tasklet_channel("d")));
    told("unknown entry", text(tasklet_spawn("nothing", 0, 0)));
    refused();
    sections();
    messages();
    made();
    others();
    told("parked", text(tasklet_park()));
}
