/* bzip2 [KILOBYTES = 100]: compresses text, and decompresses it again. */
#include <bzlib.h>

#include "text.h"

void bz_internal_error(int code)
{
    (void)code;
    abort();
}

int main(int argc, char **argv)
{
    unsigned length = argument(argc, argv, 1, 100) * 1000, room = length + length / 100 + 600, size = room;
    char *text = malloc(length), *packed = malloc(room), *again = malloc(length);

    if (!text || !packed || !again)
        return 1;
    make_text(text, length);
    if (BZ2_bzBuffToBuffCompress(packed, &size, text, length, 9, 0, 0) != BZ_OK)
        return 2;
    if (BZ2_bzBuffToBuffDecompress(again, &length, packed, size, 0, 0) != BZ_OK || memcmp(text, again, length) != 0)
        return 3;
    result("bzip2", sum_bytes(packed, size));
    return 0;
}
