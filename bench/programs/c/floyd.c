/* floyd [ROUNDS = 1]: shortest paths between all pairs of a dense graph. */
#include "kernel.h"

enum { N = 240 };
static int distance[N][N];

static void shorten(void)
{
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                int through = distance[i][k] + distance[k][j];
                if (through < distance[i][j])
                    distance[i][j] = through;
            }
}

int main(int argc, char **argv)
{
    uint32_t seed = 4, sum = 0;

    for (unsigned long round = argument(argc, argv, 1, 1); round > 0; round--) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                distance[i][j] = i == j ? 0 : 1 + next_random(&seed) % 1000;
        shorten();
        for (int i = 0; i < N; i++)
            sum = mix(sum, distance[i][N - 1 - i]);
    }
    result("floyd", sum);
    return 0;
}
