/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_GATE_H
#define MEMORY_GATE_H

/*
 * Holds a thread inside of the library: its next request for memory waits until another thread has come
 * as far as it can.
 */

/* The next request of the calling thread waits at the gate. */
void gate_arm(void);

/* No request waits any more, whether one did or not. */
void gate_open(void);

/* Waits until a thread is at the gate, or the gate is open. */
void gate_wait(void);

/* Called by the other thread before its call, and after it. */
void gate_other_begins(void);
void gate_other_ends(void);

#endif
