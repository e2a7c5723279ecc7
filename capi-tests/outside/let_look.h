/* SPDX-License-Identifier: MIT */

#ifndef LET_LOOK_H
#define LET_LOOK_H

#include <sys/prctl.h>

/* Lets any process of this user look at this one, where the system allows that to debuggers' children alone. */
static inline void
let_look(void)
{
   prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
}

#endif
