/* SPDX-License-Identifier: MIT */
#ifndef CMOCKA_CASE_H
#define CMOCKA_CASE_H

/* cmocka wants these four first, and does not declare itself as C to a C++ compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#include <cmocka.h>
#ifdef __cplusplus
}
#endif

#endif
