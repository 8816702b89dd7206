/* nqueens [N = 8]: counts the ways to place N queens, and prints the first as
 * soon as it is found, long before the end. */
#include <stdio.h>
#include <stdlib.h>

static unsigned all;
static unsigned row_of_solution[32];
static unsigned long solutions;

static void show(int n)
{
    for (int row = 0; row < n; row++) {
        for (int column = 0; column < n; column++)
            putchar(row_of_solution[row] >> column & 1 ? 'Q' : '.');
        putchar('\n');
    }
    fflush(stdout);
}

/* A set bit is a column taken: by a queen above, or by one on a diagonal. */
static void place(int n, int row, unsigned columns, unsigned left, unsigned right)
{
    unsigned open = all & ~(columns | left | right);

    if (row == n) {
        if (++solutions == 1)
            show(n);
        return;
    }
    while (open) {
        unsigned queen = open & -open;

        open -= queen;
        row_of_solution[row] = queen;
        place(n, row + 1, columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 8;

    if (n < 1 || n > 31) {
        fprintf(stderr, "nqueens: N is a number from 1 to 31\n");
        return 1;
    }
    all = (1u << n) - 1;
    place(n, 0, 0, 0, 0);
    printf("%d queens: %lu solutions\n", n, solutions);
    return 0;
}
