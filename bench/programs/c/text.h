/* Text of a kind for the compressors: sentences of words that come as often as
 * words do, with a number now and then. The same in every run. */
#include "kernel.h"

static inline void make_text(char *text, size_t length)
{
    static char words[2048][12];
    uint32_t seed = 9;

    for (int i = 0; i < 2048; i++) {
        int letters = 2 + next_random(&seed) % 9;
        for (int k = 0; k < letters; k++)
            words[i][k] = k % 2 ? "aeiou"[next_random(&seed) % 5] : "bcdfghklmnprstvw"[next_random(&seed) % 16];
    }
    for (size_t at = 0; at < length;) {
        /* The product of two fractions: small indices are the frequent words. */
        uint32_t word = (next_random(&seed) % 2048) * (next_random(&seed) % 2048) / 2048;
        char number[9] = "00000000";
        const char *piece = words[word];
        if (next_random(&seed) % 32 == 0) {
            for (int k = 0; k < 8; k++)
                number[k] = '0' + next_random(&seed) % 10;
            piece = number;
        }
        while (*piece && at < length)
            text[at++] = *piece++;
        if (at < length)
            text[at++] = next_random(&seed) % 12 ? ' ' : '\n';
    }
}

/* For checksums of what was compressed. */
static inline uint32_t sum_bytes(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    uint32_t sum = (uint32_t)length;

    for (size_t i = 0; i < length; i++)
        sum = mix(sum, bytes[i]);
    return sum;
}
