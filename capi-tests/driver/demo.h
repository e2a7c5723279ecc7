/* SPDX-License-Identifier: MIT */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>

/* Replays each trace with all checks; prints a line for each. Returns false if one fails. */
bool check_traces(int count, char *const *paths);

/* Replays each trace on as many threads as were recorded; prints a line for each. */
bool check_traces_with_threads(int count, char *const *paths);

/* Runs the share group and replays the traces, checked and then timed; prints them as one table. */
bool demo(int count, char *const *paths);

#endif
