/* cholesky [ROUNDS = 1]: the factor of a positive definite matrix; triangular
 * loops of all lengths, divisions and square roots. */
#include "kernel.h"

enum { N = 200 };
static double matrix[N][N], factor[N][N];

static void decompose(void)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++) {
            double sum = matrix[i][j];
            for (int k = 0; k < j; k++)
                sum -= factor[i][k] * factor[j][k];
            factor[i][j] = sum / factor[j][j];
        }
        double sum = matrix[i][i];
        for (int k = 0; k < i; k++)
            sum -= factor[i][k] * factor[i][k];
        factor[i][i] = __builtin_sqrt(sum);
    }
}

int main(int argc, char **argv)
{
    uint32_t seed = 3, sum = 0;

    for (int i = 0; i < N; i++) {
        for (int j = 0; j < i; j++)
            matrix[i][j] = matrix[j][i] = next_random(&seed) % 1000 / 1000.0;
        matrix[i][i] = N;
    }
    for (unsigned long round = argument(argc, argv, 1, 1); round > 0; round--) {
        decompose();
        for (int i = 0; i < N; i++)
            sum = mix_double(sum, factor[N - 1][i]);
        matrix[N / 2][N / 2] += 1;
    }
    result("cholesky", sum);
    return 0;
}
