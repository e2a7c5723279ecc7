/* SPDX-License-Identifier: MIT */
/*
 * With this, gcc's unwinder, which is compiled for glibc, links with musl: Rust's std names it for its backtraces. It
 * finds no frames, so that a Rust test that fails ends its program.
 */
int _dl_find_object(void *address, void *result);

int
_dl_find_object(void *address, void *result)
{
   (void)address;
   (void)result;
   return -1;
}
