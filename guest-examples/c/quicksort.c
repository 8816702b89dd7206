/* quicksort [COUNT = 20000]: sorts pseudo-random numbers by a quicksort of our
 * own: recursion with loops inside, everything in linear memory. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Hoare's partition; of the two halves the smaller one is sorted by recursion
 * and the larger one by going round, so the depth stays logarithmic. */
static void sort(uint32_t *a, long low, long high)
{
    while (low < high) {
        uint32_t pivot = a[low + (high - low) / 2];
        long i = low - 1, j = high + 1;

        for (;;) {
            do
                i++;
            while (a[i] < pivot);
            do
                j--;
            while (a[j] > pivot);
            if (i >= j)
                break;
            uint32_t t = a[i];
            a[i] = a[j];
            a[j] = t;
        }
        if (j - low < high - j) {
            sort(a, low, j);
            low = j + 1;
        } else {
            sort(a, j + 1, high);
            high = j;
        }
    }
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 20000;
    uint32_t *a = malloc((count > 0 ? count : 1) * sizeof *a);
    uint32_t state = 2463534242u;

    if (!a || count < 1) {
        fprintf(stderr, "quicksort: cannot sort %ld numbers\n", count);
        return 1;
    }
    for (long i = 0; i < count; i++)
        a[i] = next_random(&state);
    sort(a, 0, count - 1);
    for (long i = 1; i < count; i++) {
        if (a[i - 1] > a[i]) {
            printf("not sorted at %ld\n", i);
            return 1;
        }
    }
    for (int tenth = 0; tenth <= 10; tenth++)
        printf("%3d %%: %10lu\n", tenth * 10, (unsigned long)a[(count - 1) * tenth / 10]);
    free(a);
    return 0;
}
