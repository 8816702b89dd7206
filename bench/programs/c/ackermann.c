/* ackermann [ROUNDS = 1]: A(3, 7) or A(3, 8), whose recursion is 2,045 calls
 * deep; each result says which comes next, or the compiler would call it once. */
#include "kernel.h"

__attribute__((noinline)) static uint32_t ackermann(uint32_t m, uint32_t n)
{
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

int main(int argc, char **argv)
{
    uint32_t sum = 0;

    for (unsigned long round = argument(argc, argv, 1, 1); round > 0; round--)
        sum = mix(sum, ackermann(3, 7 + sum % 2));
    result("ackermann", sum);
    return 0;
}
