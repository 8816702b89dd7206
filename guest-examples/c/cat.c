/* cat [FILE...]: copies the files, or standard input, to standard output. "-"
 * is standard input. Nothing but read and write, so that a program that waits
 * for its input waits in read. */
#include <errno.h>
#include <fcntl.h>

#include "say.h"

static char buffer[4096];

static int complain(const char *about)
{
    const char *why = strerror(errno);

    say(2, "cat: ");
    say(2, about);
    say(2, ": ");
    say(2, why);
    say(2, "\n");
    return 1;
}

static int copy(int from, const char *name)
{
    ssize_t got;

    while ((got = read(from, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0, put; done < got; done += put) {
            put = write(1, buffer + done, got - done);
            if (put < 0)
                return complain("standard output");
        }
    }
    return got < 0 ? complain(name) : 0;
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc < 2)
        return copy(0, "standard input");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-") == 0) {
            failed |= copy(0, "standard input");
            continue;
        }
        int file = open(argv[i], O_RDONLY);
        if (file < 0) {
            failed = complain(argv[i]);
            continue;
        }
        failed |= copy(file, argv[i]);
        close(file);
    }
    return failed;
}
