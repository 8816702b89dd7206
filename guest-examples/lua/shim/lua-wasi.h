/* Included before every file of Lua (-include). Lua's sources stay as they
 * are: what differs under WASI is set through the macros they leave open. */
#ifndef LUA_WASI_H
#define LUA_WASI_H

/* Errors. Lua unwinds by longjmp, which WebAssembly can only do by exceptions,
 * and these programs do without. So a protected call runs its body as it is,
 * and an error prints its message and ends the program. pcall and error work
 * as long as nothing goes wrong; coroutines are left out (see main.c). */
struct lua_State;
_Noreturn void lua_wasi_throw(struct lua_State *L, int status);
#define LUAI_THROW(L, c) lua_wasi_throw(L, (c)->status)
#define LUAI_TRY(L, c, a) { a }
#define luai_jmpbuf int

/* The seed of string hashes is made of addresses and the time; a constant one
 * lets the order of pairs() and the number of steps repeat in every run. */
#define luai_makeseed(L) ((void)(L), 0x7a51e7u)

/* So does a constant choice of pivot in table.sort, which otherwise asks for a
 * random one when a partition turns out lopsided. */
#define l_randomizePivot() (~0u)

/* Where require looks: in the folders given to the program, for Lua alone. */
#define LUA_PATH_DEFAULT "./?.lua;./?/init.lua"
#define LUA_CPATH_DEFAULT ""

#endif
