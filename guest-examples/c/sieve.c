/* sieve [LIMIT = 100000]: the sieve of Eratosthenes. Plain nested loops over
 * bytes of the heap. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t limit = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    unsigned char *composite = calloc(limit + 1, 1);
    size_t count = 0, last = 0;

    if (!composite) {
        fprintf(stderr, "sieve: no memory for %zu numbers\n", limit);
        return 1;
    }
    for (size_t n = 2; n <= limit; n++) {
        if (composite[n])
            continue;
        count++;
        last = n;
        for (size_t m = n * n; n <= limit / n && m <= limit; m += n)
            composite[m] = 1;
    }
    printf("%zu primes up to %zu, the last is %zu\n", count, limit, last);
    free(composite);
    return 0;
}
