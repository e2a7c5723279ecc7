/* SPDX-License-Identifier: MIT */
/*
 * bcryptprimitives.dll, as far as Rust's std needs it, for versions of wine that lack it.
 */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length);

BOOL WINAPI
ProcessPrng(PBYTE data, SIZE_T length)
{
   return RtlGenRandom(data, (ULONG)length);
}
