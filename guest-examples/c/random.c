/* random [LINES = 2]: prints lines of 16 bytes from random_get, in hex. */
#include <stdlib.h>

#include "say.h"

int main(int argc, char **argv)
{
    int lines = argc > 1 ? atoi(argv[1]) : 2;
    unsigned char bytes[16];
    char line[2 * sizeof bytes + 2];

    for (int i = 0; i < lines; i++) {
        char *at = line;

        if (getentropy(bytes, sizeof bytes) != 0) {
            say(2, "random: there is none\n");
            return 1;
        }
        for (size_t j = 0; j < sizeof bytes; j++) {
            *at++ = "0123456789abcdef"[bytes[j] >> 4];
            *at++ = "0123456789abcdef"[bytes[j] & 15];
        }
        *at++ = '\n';
        *at = '\0';
        say(1, line);
    }
    return 0;
}
