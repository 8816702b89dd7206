/* trees [DEPTH = 10 [ROUNDS = 1]]: builds binary trees, walks and frees them:
 * the allocator, and recursion over pointers. */
#include "kernel.h"

struct node {
    struct node *left, *right;
    uint32_t key;
};

static struct node *grow(int depth, uint32_t *seed)
{
    struct node *node = malloc(sizeof *node);

    if (!node)
        abort();
    node->key = next_random(seed);
    node->left = depth ? grow(depth - 1, seed) : NULL;
    node->right = depth ? grow(depth - 1, seed) : NULL;
    return node;
}

static uint32_t walk(const struct node *node)
{
    return node ? mix(walk(node->left), node->key ^ walk(node->right)) : 1;
}

static void fell(struct node *node)
{
    if (!node)
        return;
    fell(node->left);
    fell(node->right);
    free(node);
}

int main(int argc, char **argv)
{
    int depth = (int)argument(argc, argv, 1, 10);
    uint32_t seed = 6, sum = 0;

    for (unsigned long round = argument(argc, argv, 2, 1); round > 0; round--) {
        struct node *root = grow(depth, &seed);
        sum = mix(sum, walk(root));
        fell(root);
    }
    result("trees", sum);
    return 0;
}
