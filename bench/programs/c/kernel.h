/* What the kernels share: the size of the problem as an argument, and one line
 * with a checksum as the result, so that no way to run one can leave work out
 * unseen. */
#include <stdint.h>
#include <stdlib.h>

#include "say.h"

static inline unsigned long argument(int argc, char **argv, int at, unsigned long otherwise)
{
    return argc > at ? strtoul(argv[at], NULL, 10) : otherwise;
}

static inline void result(const char *name, uint32_t checksum)
{
    say(1, name);
    say(1, " ");
    say_number(1, checksum);
    say(1, "\n");
}

/* Mixes a word into a checksum. */
static inline uint32_t mix(uint32_t sum, uint32_t word)
{
    sum = (sum ^ word) * 0x9E3779B1u;
    return sum ^ sum >> 15;
}

/* The same for the bits of a double; no kernel makes NaNs. */
static inline uint32_t mix_double(uint32_t sum, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return mix(mix(sum, (uint32_t)bits), (uint32_t)(bits >> 32));
}

/* xorshift: the same numbers everywhere. The state must not be 0. */
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}
