/* mandelbrot [SIZE = 100]: how many steps each point of a square takes to
 * leave the circle; a tight loop of multiplications with an early way out. */
#include "kernel.h"

static uint32_t steps(double cx, double cy)
{
    double x = 0, y = 0;
    uint32_t n = 0;

    while (n < 200 && x * x + y * y <= 4) {
        double next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    unsigned long size = argument(argc, argv, 1, 100);
    uint32_t sum = 0;

    for (unsigned long i = 0; i < size; i++)
        for (unsigned long j = 0; j < size; j++)
            sum = mix(sum, steps(2.5 * j / size - 2, 2.0 * i / size - 1));
    result("mandelbrot", sum);
    return 0;
}
