/* Text and numbers, for programs without a libc. */
#include <stdint.h>

#include "tasklet.h"

/* A line that grows; what does not fit is left out. */
struct line {
    uint32_t length;
    char text[124];
};

static inline void put(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text)
        line->text[line->length++] = *text++;
}

static inline void put_number(struct line *line, uint64_t n)
{
    char digits[21];
    char *start = digits + sizeof digits - 1;

    *start = '\0';
    do {
        *--start = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put(line, start);
}

/* Hands the line to the program outside. */
static inline void say(int32_t out, const struct line *line)
{
    tasklet_send(out, line->text, line->length);
}

/* The decimal number at the beginning of a text, which is moved behind it and
 * the blank that follows. */
static inline uint32_t number(const char **text)
{
    uint32_t n = 0;

    while (**text >= '0' && **text <= '9')
        n = n * 10 + (uint32_t)(*(*text)++ - '0');
    if (**text == ' ')
        ++*text;
    return n;
}
