/* Lua's ldo.c includes <setjmp.h>. WASI's own header insists on WebAssembly
 * exceptions; with LUAI_TRY and LUAI_THROW from lua-wasi.h nothing of it is
 * used, so an empty header of the same name stands in front of it. */
