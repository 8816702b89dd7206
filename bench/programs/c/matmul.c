/* matmul [ROUNDS = 1]: products of square matrices, the textbook's three
 * loops, the innermost of which is a dot product. */
#include "kernel.h"

enum { N = 200 };
static double a[N][N], b[N][N], c[N][N];

static void multiply(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

int main(int argc, char **argv)
{
    uint32_t seed = 1, sum = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = next_random(&seed) % 1000 / 1000.0;
            b[i][j] = next_random(&seed) % 1000 / 1000.0;
        }
    for (unsigned long round = argument(argc, argv, 1, 1); round > 0; round--) {
        multiply();
        for (int i = 0; i < N; i++) {
            sum = mix_double(sum, c[i][i]);
            a[i][i] = c[i][i] / N;
        }
    }
    result("matmul", sum);
    return 0;
}
