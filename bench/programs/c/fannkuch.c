/* fannkuch [N = 7]: the longest series of flips over all permutations of N
 * numbers: very short loops over small arrays. */
#include "kernel.h"

enum { MOST = 12 };

static int flips(const int *permutation, int n)
{
    int p[MOST], count = 0;

    for (int i = 0; i < n; i++)
        p[i] = permutation[i];
    while (p[0] != 0) {
        for (int low = 0, high = p[0]; low < high; low++, high--) {
            int other = p[low];
            p[low] = p[high];
            p[high] = other;
        }
        count++;
    }
    return count;
}

int main(int argc, char **argv)
{
    int n = (int)argument(argc, argv, 1, 7), most = 0, level = 0;
    int permutation[MOST], counts[MOST] = {0};
    uint32_t sum = 0;

    if (n < 1 || n > MOST)
        return 1;
    for (int i = 0; i < n; i++)
        permutation[i] = i;
    /* Heap's algorithm: every permutation by one swap from the one before. */
    for (;;) {
        int count = flips(permutation, n);
        most = count > most ? count : most;
        sum = mix(sum, count);
        while (level < n && counts[level] >= level)
            counts[level++] = 0;
        if (level >= n)
            break;
        int other = level % 2 ? counts[level] : 0, moved = permutation[level];
        permutation[level] = permutation[other];
        permutation[other] = moved;
        counts[level]++;
        level = 0;
    }
    result("fannkuch", mix(sum, most));
    return 0;
}
