/* coremark [ROUNDS = 10]: the mix that the benchmark of that name made usual,
 * written anew: a linked list is searched, turned round and sorted; a matrix of
 * 16-bit numbers multiplied; a state machine reads numbers; and a CRC goes over
 * all results. */
#include "kernel.h"

static uint16_t crc16(uint16_t value, uint16_t crc)
{
    for (int bit = 0; bit < 16; bit++) {
        int carry = (value ^ crc) & 1;
        value >>= 1;
        crc >>= 1;
        if (carry)
            crc ^= 0xA001;
    }
    return crc;
}

/* The list. */
enum { ITEMS = 200 };
struct item {
    struct item *next;
    int16_t value, index;
};
typedef int compare(const struct item *, const struct item *);

static int by_value(const struct item *a, const struct item *b)
{
    return a->value - b->value;
}

static int by_index(const struct item *a, const struct item *b)
{
    return a->index - b->index;
}

static struct item *merge(struct item *a, struct item *b, compare *order)
{
    struct item *head = NULL, **end = &head;

    while (a && b) {
        struct item **less = order(a, b) <= 0 ? &a : &b;
        *end = *less;
        end = &(*less)->next;
        *less = *end;
    }
    *end = a ? a : b;
    return head;
}

static struct item *sort(struct item *list, int count, compare *order)
{
    if (count < 2) {
        if (list)
            list->next = NULL;
        return list;
    }
    struct item *middle = list;
    for (int i = 0; i < count / 2; i++)
        middle = middle->next;
    struct item *right = sort(middle, count - count / 2, order);
    return merge(sort(list, count / 2, order), right, order);
}

static struct item *reverse(struct item *list)
{
    struct item *done = NULL;

    while (list) {
        struct item *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}

static uint16_t lists(struct item *items, uint32_t *seed, uint16_t crc)
{
    struct item *list = &items[0];

    for (int i = 0; i < ITEMS; i++) {
        items[i].next = i + 1 < ITEMS ? &items[i + 1] : NULL;
        items[i].index = (int16_t)i;
        items[i].value = (int16_t)(next_random(seed) & 0xFF);
    }
    for (int wanted = 0; wanted < 50; wanted++) {
        const struct item *found = list;
        while (found && found->value != wanted)
            found = found->next;
        crc = crc16(found ? (uint16_t)found->index : 0xFFFF, crc);
        list = reverse(list);
    }
    list = sort(list, ITEMS, by_value);
    for (const struct item *item = list; item; item = item->next)
        crc = crc16((uint16_t)item->value, crc);
    list = sort(list, ITEMS, by_index);
    return crc16((uint16_t)list->value, crc);
}

/* The matrices. */
enum { N = 20 };

static uint16_t matrices(uint32_t *seed, uint16_t crc)
{
    static int16_t a[N][N], b[N][N];

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (int16_t)next_random(seed);
            b[i][j] = (int16_t)(i * j);
        }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            uint32_t sum = 0, bits = 0;
            for (int k = 0; k < N; k++) {
                uint32_t product = (uint32_t)(a[i][k] * b[k][j]);
                sum += product;
                bits += (product >> 2 & 0xF) * (product >> 5 & 0x7F);
            }
            crc = crc16((uint16_t)(sum ^ bits), crc);
        }
    return crc;
}

/* The state machine. */
enum state { START, SIGN, INTEGER, FRACTION, EXPONENT, EXPONENT_SIGN, SCIENTIFIC, INVALID, STATES };

static enum state next_state(enum state state, char c)
{
    int digit = c >= '0' && c <= '9';

    switch (state) {
    case START: return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : INVALID;
    case SIGN: return digit ? INTEGER : c == '.' ? FRACTION : INVALID;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : INVALID;
    case FRACTION: return digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
    case EXPONENT: return c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN:
    case SCIENTIFIC: return digit ? SCIENTIFIC : INVALID;
    default: return INVALID;
    }
}

static uint16_t states(uint32_t *seed, uint16_t crc)
{
    static const char *const pieces[] = {"5012", "-1234", "+874", "35.54400", ".1234500", "-110.700",
                                         "5.5e+3", "-.123e-2", "-87e+832", "T0.3e-1F", "1.2.3", "++9"};
    uint16_t ends[STATES] = {0}, visits[STATES] = {0};

    for (int i = 0; i < 60; i++) {
        enum state state = START;
        for (const char *text = pieces[next_random(seed) % 12]; *text && state != INVALID; text++) {
            state = next_state(state, *text);
            visits[state]++;
        }
        ends[state]++;
    }
    for (int i = 0; i < STATES; i++)
        crc = crc16(visits[i], crc16(ends[i], crc));
    return crc;
}

int main(int argc, char **argv)
{
    static struct item items[ITEMS];
    uint32_t seed = 8;
    uint16_t crc = 0;

    for (unsigned long round = argument(argc, argv, 1, 10); round > 0; round--)
        crc = states(&seed, matrices(&seed, lists(items, &seed, crc)));
    result("coremark", crc);
    return 0;
}
