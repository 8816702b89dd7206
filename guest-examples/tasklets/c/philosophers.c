/* The dining philosophers. Each fork on the table is a tasklet that gives itself
 * away over a channel and waits to be brought back; a philosopher needs two.
 *
 * The argument is how many times each eats. With " greedily" behind it all take
 * the left fork first, and then wait for each other for ever: the scheduler
 * notices. Otherwise the last one takes the right fork first. */
#include "text.h"

#define SEATS 5

/* What a philosopher is told. */
struct seat {
    uint32_t number, meals, first, second;
};

static int32_t fork_channel(uint32_t n)
{
    char name[] = "fork0";

    name[4] = (char)('0' + n);
    return tasklet_channel(name);
}

TASKLET_ENTRY(fork_on_table)
{
    uint32_t n;
    int32_t channel;

    tasklet_argument(&n, sizeof n);
    channel = fork_channel(n);
    while (tasklet_send(channel, &n, sizeof n) == 0 &&
           tasklet_receive(channel, &n, sizeof n) >= 0)
        continue;
}

static void take(uint32_t n)
{
    tasklet_receive(fork_channel(n), &n, sizeof n);
}

static void bring_back(uint32_t n)
{
    tasklet_send(fork_channel(n), &n, sizeof n);
}

TASKLET_ENTRY(philosopher)
{
    struct seat seat;
    uint32_t meal;

    tasklet_argument(&seat, sizeof seat);
    for (meal = 1; meal <= seat.meals; meal++) {
        struct line line = {0, ""};

        take(seat.first);
        tasklet_yield(); /* and think: this is where it goes wrong */
        take(seat.second);
        put(&line, "philosopher ");
        put_number(&line, seat.number);
        put(&line, " eats meal ");
        put_number(&line, meal);
        say(tasklet_channel("out"), &line);
        bring_back(seat.second);
        bring_back(seat.first);
    }
    tasklet_send(tasklet_channel("done"), &seat.number, sizeof seat.number);
}

TASKLET_ENTRY(dinner)
{
    char argument[64] = "";
    const char *text = argument;
    uint32_t n, meals;

    tasklet_argument(argument, sizeof argument - 1);
    meals = number(&text);
    for (n = 0; n < SEATS; n++) {
        struct seat seat = {n, meals, n, (n + 1) % SEATS};

        if (n == SEATS - 1 && *text != 'g') {
            seat.first = seat.second;
            seat.second = n;
        }
        tasklet_spawn("fork_on_table", &n, sizeof n);
        tasklet_spawn("philosopher", &seat, sizeof seat);
    }
    for (n = 0; n < SEATS; n++) {
        uint32_t who;
        tasklet_receive(tasklet_channel("done"), &who, sizeof who);
    }
    for (n = 0; n < SEATS; n++)
        tasklet_close(fork_channel(n));
}
