/* quickjs SCRIPT [NUMBER = 1]: runs a script that finds the number in `scale`,
 * and prints what it evaluates to. */
#include <quickjs.h>
#include <stdio.h>

#include "kernel.h"

int main(int argc, char **argv)
{
    static char source[1 << 16];
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    size_t length;

    if (!file)
        return 1;
    length = fread(source, 1, sizeof source - 1, file);
    fclose(file);

    JSRuntime *runtime = JS_NewRuntime();
    JSContext *context = JS_NewContext(runtime);
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyStr(context, global, "scale", JS_NewInt32(context, (int)argument(argc, argv, 2, 1)));
    JSValue value = JS_Eval(context, source, length, argv[1], JS_EVAL_TYPE_GLOBAL);
    int failed = JS_IsException(value);
    if (failed)
        value = JS_GetException(context);
    const char *text = JS_ToCString(context, value);
    say(1, text ? text : "?");
    say(1, "\n");
    JS_FreeCString(context, text);
    JS_FreeValue(context, value);
    JS_FreeValue(context, global);
    JS_FreeContext(context);
    JS_FreeRuntime(runtime);
    return failed;
}
