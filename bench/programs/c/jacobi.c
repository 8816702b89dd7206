/* jacobi [STEPS = 10]: a five-point stencil on a square, there and back. */
#include "kernel.h"

enum { N = 300 };
static double grid[2][N][N];

static void step(double from[N][N], double to[N][N])
{
    for (int i = 1; i < N - 1; i++)
        for (int j = 1; j < N - 1; j++)
            to[i][j] = 0.2 * (from[i][j] + from[i][j - 1] + from[i][j + 1] + from[i - 1][j] + from[i + 1][j]);
}

int main(int argc, char **argv)
{
    uint32_t seed = 2, sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            grid[0][i][j] = grid[1][i][j] = next_random(&seed) % 1000;
    for (unsigned long round = argument(argc, argv, 1, 10); round > 0; round--) {
        step(grid[0], grid[1]);
        step(grid[1], grid[0]);
    }
    for (int i = 0; i < N; i++)
        sum = mix_double(sum, grid[0][i][N / 2]);
    result("jacobi", sum);
    return 0;
}
