/* env: prints the arguments and the environment it was given, one a line. */
#include "say.h"

extern char **environ;

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        say(1, "argument ");
        say_number(1, i);
        say(1, ": ");
        say(1, argv[i]);
        say(1, "\n");
    }
    for (char **e = environ; e && *e; e++) {
        say(1, "environment: ");
        say(1, *e);
        say(1, "\n");
    }
    return 0;
}
