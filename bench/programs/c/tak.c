/* tak [X = 18]: Takeuchi's function of X, 12 and 6. Nothing but calls and
 * comparisons. */
#include "kernel.h"

__attribute__((noinline)) static int tak(int x, int y, int z)
{
    if (y >= x)
        return z;
    return tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

int main(int argc, char **argv)
{
    result("tak", tak((int)argument(argc, argv, 1, 18), 12, 6));
    return 0;
}
