/* Output for the programs that need no printf, whose formatting of floats
 * alone would make up nine tenths of them. Unbuffered. */
#include <string.h>
#include <unistd.h>

static inline void say(int fd, const char *text)
{
    write(fd, text, strlen(text));
}

static inline void say_number(int fd, unsigned long n)
{
    char digits[21];
    char *start = digits + sizeof digits - 1;

    *start = '\0';
    do {
        *--start = '0' + n % 10;
        n /= 10;
    } while (n);
    say(fd, start);
}
