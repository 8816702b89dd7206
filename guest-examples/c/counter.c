/* counter: a busy loop that never ends, and reports every tenth turn.
 *
 * Stopping this program takes help from outside: it neither sleeps nor asks
 * anyone. The digits are put together here and written at once with write(),
 * so that no number waits in a stdio buffer and the module stays below 1 KB. */
#include <unistd.h>

static void print(unsigned long long n)
{
    char line[21];
    char *start = line + sizeof line;

    *--start = '\n';
    do {
        *--start = '0' + n % 10;
        n /= 10;
    } while (n);
    write(1, start, line + sizeof line - start);
}

int main(void)
{
    unsigned long long busy = 0;

    for (;;) {
        busy += 1;
        if (busy % 10 == 0)
            print(busy);
    }
}
