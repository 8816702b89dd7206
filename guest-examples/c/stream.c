/* stream [WORDS = 20000 [ROUNDS = 5]]: simple loops over arrays larger than a
 * cache line has room for, one of integers and three of doubles. A loop body
 * of a handful of instructions shows best what counting costs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t words = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    double *a = malloc(words * sizeof *a);
    double *b = malloc(words * sizeof *b);
    double *c = malloc(words * sizeof *c);
    uint64_t *bits = malloc(words * sizeof *bits);

    if (!a || !b || !c || !bits) {
        fprintf(stderr, "stream: no memory for %zu words\n", words);
        return 1;
    }
    for (size_t i = 0; i < words; i++) {
        a[i] = (double)i;
        b[i] = 0.5;
        c[i] = 0.0;
        bits[i] = i * 0x9e3779b97f4a7c15u;
    }
    for (int round = 1; round <= rounds; round++) {
        double sum = 0;
        uint64_t mixed = 0;

        for (size_t i = 0; i < words; i++)
            c[i] = a[i] + 0.25 * b[i];
        for (size_t i = 0; i < words; i++)
            b[i] = c[i] * 0.125;
        for (size_t i = 0; i < words; i++)
            sum += b[i];
        for (size_t i = 0; i < words; i++)
            mixed = (mixed ^ bits[i]) * 0x100000001b3u;
        printf("round %d: %.6f %016llx\n", round, sum, (unsigned long long)mixed);
    }
    free(a);
    free(b);
    free(c);
    free(bits);
    return 0;
}
