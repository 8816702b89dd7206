/* trap [DEPTH = 20]: runs into `unreachable` that many calls deep. The names
 * of the functions are in the module, for a backtrace. */
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) static int bottom(int n)
{
    /* Depends on the argument, lest the compiler sees that nobody returns. */
    if (n < 1000)
        __builtin_trap();
    return n;
}

/* Two functions by turns, and work left after each call: no tail call. */
static int odd(int depth, int n);

__attribute__((noinline)) static int even(int depth, int n)
{
    return depth == 0 ? bottom(n) : odd(depth - 1, n + 1) * 3;
}

__attribute__((noinline)) static int odd(int depth, int n)
{
    return depth == 0 ? bottom(n) : even(depth - 1, n + 2) + 7;
}

int main(int argc, char **argv)
{
    int depth = argc > 1 ? atoi(argv[1]) : 20;

    printf("descending %d calls\n", depth);
    fflush(stdout);
    printf("%d\n", even(depth, 0));
    return 0;
}
