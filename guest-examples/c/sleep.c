/* sleep [TICKS = 3 [MILLISECONDS = 50]]: waits and says so, again and again.
 * The waiting happens in poll_oneoff. */
#include <stdlib.h>
#include <time.h>

#include "say.h"

int main(int argc, char **argv)
{
    int ticks = argc > 1 ? atoi(argv[1]) : 3;
    long ms = argc > 2 ? atol(argv[2]) : 50;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    for (int i = 1; i <= ticks; i++) {
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        say(1, "tick ");
        say_number(1, i);
        say(1, "\n");
    }
    return 0;
}
