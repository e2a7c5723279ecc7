/* SPDX-License-Identifier: MIT */
#ifndef IDLE_THREAD_H
#define IDLE_THREAD_H

/*
 * Starts a thread that sleeps for as long as the process lives. A process that uses GL has
 * several threads, and in one that has not, the C library makes locks and malloc() cheaper than they
 * are in a driver.
 */
void start_idle_thread(void);

#endif
