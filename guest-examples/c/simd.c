/* simd [ROUNDS = 2000]: 128-bit vectors that stay alive across calls, in loops
 * and in recursion, so that a pause at any place has some to save. The only C
 * program built for an engine with SIMD. Integers and exact float results
 * alone, to print the same everywhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wasm_simd128.h>

static void print(const char *name, v128_t v)
{
    printf("%s %08x %08x %08x %08x\n", name, (unsigned)wasm_i32x4_extract_lane(v, 0),
           (unsigned)wasm_i32x4_extract_lane(v, 1), (unsigned)wasm_i32x4_extract_lane(v, 2),
           (unsigned)wasm_i32x4_extract_lane(v, 3));
}

__attribute__((noinline)) static v128_t mix(v128_t state, v128_t salt)
{
    state = wasm_v128_xor(state, wasm_i32x4_shl(state, 13));
    state = wasm_v128_xor(state, wasm_u32x4_shr(state, 17));
    state = wasm_v128_xor(state, wasm_i32x4_shl(state, 5));
    return wasm_i32x4_add(state, salt);
}

/* A vector waits in each activation for the one below to return. */
__attribute__((noinline)) static v128_t nest(v128_t v, int depth)
{
    if (depth == 0)
        return v;
    v128_t below = nest(mix(v, wasm_i32x4_splat(depth)), depth - 1);
    return wasm_i8x16_shuffle(wasm_i8x16_add(v, below), below, 1, 3, 5, 7, 9, 11, 13, 15, 16, 18,
                              20, 22, 24, 26, 28, 30);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 2000;
    v128_t a = wasm_i32x4_const(1, 2, 3, 4);
    v128_t b = wasm_i32x4_const(0x9e3779b9, 0x7f4a7c15, 0x2545f491, 0x4f6cdd1d);
    v128_t sum = wasm_i64x2_const(0, 0);
    v128_t floats = wasm_f32x4_splat(0);

    for (int i = 1; i <= rounds; i++) {
        a = mix(a, b);
        b = wasm_i32x4_mul(b, wasm_i32x4_const(3, 5, 7, 9));
        sum = wasm_i64x2_add(sum, wasm_u64x2_extend_low_u32x4(a));
        /* Whole numbers below 2^24: float addition loses nothing. */
        floats = wasm_f32x4_add(floats, wasm_f32x4_convert_u32x4(wasm_u32x4_shr(a, 28)));
        if (i % (rounds / 4 > 0 ? rounds / 4 : 1) == 0)
            print("a     ", a);
    }
    print("b     ", b);
    print("sum   ", sum);
    print("floats", wasm_i32x4_trunc_sat_f32x4(floats));
    print("nest  ", nest(a, 60));
    return 0;
}
