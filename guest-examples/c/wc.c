/* wc: counts the lines, words and bytes of standard input. */
#include <ctype.h>
#include <stdio.h>

int main(void)
{
    unsigned long lines = 0, words = 0, bytes = 0;
    int inside = 0, c;

    while ((c = getchar()) != EOF) {
        bytes++;
        lines += c == '\n';
        words += !inside && !isspace(c);
        inside = !isspace(c);
    }
    printf("%lu lines, %lu words, %lu bytes\n", lines, words, bytes);
    return ferror(stdin) != 0;
}
