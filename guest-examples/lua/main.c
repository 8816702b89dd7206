/* lua [SCRIPT [ARGUMENT...]]: a small front end for Lua, in place of lua.c.
 *
 * SCRIPT is a file in a folder given to the program; without one, or with "-",
 * the script is read from standard input. ARGUMENTs arrive in the global `arg`
 * and as `...`, as usual. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

/* Where a longjmp would be: the error is on top of the stack, with a traceback
 * already if it went through `explain`. Nothing was unwound, so files that are
 * still open are flushed by exit(). */
_Noreturn void lua_wasi_throw(lua_State *L, int status)
{
    const char *message;

    if (status == LUA_ERRMEM)
        message = "not enough memory";
    else
        message = lua_gettop(L) > 0 ? lua_tostring(L, -1) : NULL;
    fflush(stdout);
    fprintf(stderr, "lua: %s\n", message ? message : "(the error is not a string)");
    exit(1);
}

static int explain(lua_State *L)
{
    const char *message = lua_tostring(L, 1);

    if (message)
        luaL_traceback(L, L, message, 1);
    return 1;
}

/* lua-src leaves os.clock out under WASI; the emulated clock() will do. */
static int os_clock(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock() / CLOCKS_PER_SEC);
    return 1;
}

/* All of luaL_openlibs but the coroutines: yielding needs longjmp, and a
 * missing table says so at once, where a half-working one would not. */
static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},          {LUA_LOADLIBNAME, luaopen_package},
    {LUA_TABLIBNAME, luaopen_table},    {LUA_IOLIBNAME, luaopen_io},
    {LUA_OSLIBNAME, luaopen_os},        {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math},    {LUA_UTF8LIBNAME, luaopen_utf8},
    {LUA_DBLIBNAME, luaopen_debug},
};

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    const char *script = argc > 1 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;

    if (!L) {
        fprintf(stderr, "lua: not enough memory\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        if (libraries[i].func == luaopen_os) {
            lua_pushcfunction(L, os_clock);
            lua_setfield(L, -2, "clock");
        }
        lua_pop(L, 1);
    }

    /* arg[0] is the script, arg[1] the first argument after it. */
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");

    /* A script that cannot be read comes back as a status, with a message. */
    lua_pushcfunction(L, explain);
    int status = luaL_loadfile(L, script);
    if (status != LUA_OK)
        lua_wasi_throw(L, status);
    for (int i = 2; i < argc; i++)
        lua_pushstring(L, argv[i]);
    lua_pcall(L, argc > 2 ? argc - 2 : 0, 0, 1);
    lua_close(L);
    return 0;
}
