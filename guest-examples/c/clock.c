/* clock [SAMPLES = 1000]: reads both clocks and tells whether they behave: the
 * monotonic one never runs backwards, and the real one is later than 2020.
 * "clock -v" prints what they show as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long long now(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0) {
        perror("clock");
        exit(1);
    }
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    int verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    int samples = argc > 1 && !verbose ? atoi(argv[1]) : 1000;
    long long first = now(CLOCK_MONOTONIC), last = first;
    int backwards = 0;

    for (int i = 0; i < samples; i++) {
        long long t = now(CLOCK_MONOTONIC);

        backwards += t < last;
        last = t;
    }
    printf("monotonic: ran backwards %d times in %d\n", backwards, samples);
    printf("real time: %s\n", now(CLOCK_REALTIME) > 1577836800LL * 1000000000 ? "later than 2020" : "long ago");
    if (verbose) {
        printf("monotonic: %lld ns, %lld ns for all samples\n", first, last - first);
        printf("real time: %lld ns\n", now(CLOCK_REALTIME));
    }
    return 0;
}
