/* hash [KEYS = 10000]: a table with open addressing, filled, asked and emptied:
 * loops of unpredictable, mostly tiny length. */
#include "kernel.h"

static uint32_t *keys, *values, mask;

static uint32_t slot(uint32_t key)
{
    uint32_t at = key * 0x85EBCA6Bu;

    for (at ^= at >> 16;; at++) {
        at &= mask;
        if (keys[at] == 0 || keys[at] == key)
            return at;
    }
}

int main(int argc, char **argv)
{
    uint32_t count = argument(argc, argv, 1, 10000), seed = 7, sum = 0;

    for (mask = 1; mask < 2 * count; mask *= 2)
        ;
    keys = calloc(mask, sizeof *keys);
    values = calloc(mask, sizeof *values);
    mask--;
    if (!keys || !values)
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = next_random(&seed), at = slot(key);
        keys[at] = key;
        values[at] += i;
    }
    /* The same numbers again, and as many others. */
    seed = 7;
    for (uint32_t i = 0; i < 2 * count; i++) {
        uint32_t at = slot(next_random(&seed));
        sum = mix(sum, keys[at] ? values[at] : i);
    }
    result("hash", sum);
    return 0;
}
