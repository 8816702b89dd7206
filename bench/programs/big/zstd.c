/* zstd [KILOBYTES = 100]: compresses text at three levels, and decompresses it
 * again. */
#include <zstd.h>

#include "text.h"

int main(int argc, char **argv)
{
    static const int levels[] = {1, 3, 9};
    size_t length = argument(argc, argv, 1, 100) * 1000, room = ZSTD_compressBound(length);
    char *text = malloc(length), *packed = malloc(room), *again = malloc(length);
    uint32_t sum = 0;

    if (!text || !packed || !again)
        return 1;
    make_text(text, length);
    for (int i = 0; i < 3; i++) {
        size_t size = ZSTD_compress(packed, room, text, length, levels[i]);
        if (ZSTD_isError(size))
            return 2;
        sum = mix(sum, sum_bytes(packed, size));
        if (ZSTD_decompress(again, length, packed, size) != length || memcmp(text, again, length) != 0)
            return 3;
    }
    result("zstd", sum);
    return 0;
}
