/* fib [N = 22]: the doubly recursive Fibonacci function. Nearly every
 * instruction belongs to a call, which makes it the hardest case for anything
 * that has to look at function entries. */
#include <stdio.h>
#include <stdlib.h>

/* noinline: else the compiler unrolls the recursion into itself. */
__attribute__((noinline)) static long fib(long n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 22;

    printf("fib(%ld) = %ld\n", n, fib(n));
    return 0;
}
