/* vm [LIMIT = 2000]: a bytecode machine, one switch in a loop, that counts
 * primes by trial division. What every interpreter does most. */
#include "kernel.h"

enum op { PUSH, LOAD, STORE, ADD, MUL, REM, LESS, JUMP, JUMP_IF, CALL, RET, HALT };
struct code {
    enum op op;
    int arg;
};

/* Variables: 0 candidate, 1 divisor, 2 limit, 3 count. */
static const struct code program[] = {
    {PUSH, 2}, {STORE, 0},
    /* 2: next candidate */
    {LOAD, 0}, {LOAD, 2}, {LESS, 0}, {JUMP_IF, 7}, {HALT, 0},
    /* 7 */
    {CALL, 15}, {LOAD, 3}, {ADD, 0}, {STORE, 3},
    {LOAD, 0}, {CALL, 36}, {STORE, 0}, {JUMP, 2},
    /* 15: pushes 1 if the candidate is prime, else 0 */
    {PUSH, 2}, {STORE, 1},
    /* 17 */
    {LOAD, 0}, {LOAD, 1}, {LOAD, 1}, {MUL, 0}, {LESS, 0}, {JUMP_IF, 34},
    {PUSH, 0}, {LOAD, 0}, {LOAD, 1}, {REM, 0}, {LESS, 0}, {JUMP_IF, 31},
    {PUSH, 0}, {RET, 0},
    /* 31 */
    {LOAD, 1}, {CALL, 36}, {JUMP, 39},
    /* 34 */
    {PUSH, 1}, {RET, 0},
    /* 36: adds 1 */
    {PUSH, 1}, {ADD, 0}, {RET, 0},
    /* 39 */
    {STORE, 1}, {JUMP, 17},
};

static uint32_t run(uint32_t limit)
{
    uint32_t stack[64], variables[4] = {0, 0, limit, 0}, *top = stack;
    int returns[16], depth = 0, at = 0;

    for (;;) {
        struct code code = program[at++];
        switch (code.op) {
        case PUSH: *top++ = code.arg; break;
        case LOAD: *top++ = variables[code.arg]; break;
        case STORE: variables[code.arg] = *--top; break;
        case ADD: top--; top[-1] += top[0]; break;
        case MUL: top--; top[-1] *= top[0]; break;
        case REM: top--; top[-1] %= top[0]; break;
        case LESS: top--; top[-1] = top[-1] < top[0]; break;
        case JUMP: at = code.arg; break;
        case JUMP_IF: if (*--top) at = code.arg; break;
        case CALL: returns[depth++] = at; at = code.arg; break;
        case RET: at = returns[--depth]; break;
        case HALT: return variables[3];
        }
    }
}

int main(int argc, char **argv)
{
    result("vm", run(argument(argc, argv, 1, 2000)));
    return 0;
}
