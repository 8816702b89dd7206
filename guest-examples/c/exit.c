/* exit [CODE = 0]: ends with that exit code, from inside a nested call. What
 * was printed before must still appear: exit() flushes, and runs the functions
 * left with atexit in reverse. */
#include <stdio.h>
#include <stdlib.h>

static void first(void) { printf("registered first\n"); }
static void second(void) { printf("registered second\n"); }

__attribute__((noinline)) static void leave(int depth, int code)
{
    if (depth == 0)
        exit(code);
    leave(depth - 1, code);
    printf("never printed\n");
}

int main(int argc, char **argv)
{
    int code = argc > 1 ? atoi(argv[1]) : 0;

    atexit(first);
    atexit(second);
    printf("leaving with %d\n", code);
    leave(10, code);
    return 99;
}
