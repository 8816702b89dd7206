/* callbacks: calls through pointers (call_indirect): a table of operations,
 * functions that call functions, and qsort and bsearch of libc, which call
 * back into this file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef long (*operation)(long, long);

static long add(long a, long b) { return a + b; }
static long subtract(long a, long b) { return a - b; }
static long multiply(long a, long b) { return a * b; }
static long power(long a, long b) { return b == 0 ? 1 : a * power(a, b - 1); }

/* Not const, so that the compiler cannot turn the calls into direct ones. */
static struct {
    const char *name;
    operation run;
} operations[] = {{"add", add}, {"subtract", subtract}, {"multiply", multiply}, {"power", power}};

__attribute__((noinline)) static long fold(operation run, long start, long from, long to)
{
    for (long i = from; i <= to; i++)
        start = run(start, i);
    return start;
}

struct town {
    char name[12];
    int people;
};

static unsigned long compared;

static int by_people(const void *a, const void *b)
{
    const struct town *x = a, *y = b;

    compared++;
    return (x->people > y->people) - (x->people < y->people);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct town *)a)->name, ((const struct town *)b)->name);
}

int main(void)
{
    static struct town towns[500];
    unsigned seed = 12345;

    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        printf("%-8s 7 and 3: %5ld, from 1 to 5: %ld\n", operations[i].name,
               operations[i].run(7, 3), fold(operations[i].run, 2, 1, 5));

    for (int i = 0; i < 500; i++) {
        seed = seed * 1103515245 + 12345;
        snprintf(towns[i].name, sizeof towns[i].name, "town-%03d", i);
        towns[i].people = (int)(seed >> 8 & 0xfffff);
    }
    qsort(towns, 500, sizeof *towns, by_people);
    for (int i = 0; i < 500; i += 100)
        printf("%3d: %s %7d\n", i, towns[i].name, towns[i].people);
    printf("compared %s\n", compared > 500 ? "often" : "hardly");

    qsort(towns, 500, sizeof *towns, by_name);
    struct town key = {"town-321", 0}, *found = bsearch(&key, towns, 500, sizeof *towns, by_name);
    printf("found %s at %td\n", found ? found->name : "nothing", found ? found - towns : -1);
    return 0;
}
