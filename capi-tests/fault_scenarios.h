/* SPDX-License-Identifier: MIT */
#ifndef FAULT_SCENARIOS_H
#define FAULT_SCENARIOS_H

#include "fault_run.h"
#include "iterations.h"

/* What programs do, while calls to the system fail: those of fault_scenarios.c and, in modes, of fault_modes.c. */

enum { most_objects = ITERATIONS(40000, 10000) };

extern const struct scenario one_allocation;
extern const struct scenario growth_over_many_slabs;
extern const struct scenario objects_of_several_megabytes;
extern const struct scenario two_parents_by_turns;
extern const struct scenario children_created_and_destroyed;
extern const struct scenario objects_of_any_size;
extern const struct scenario objects_for_any_thread;
extern const struct scenario everything;
extern const struct scenario way_out;

extern const struct scenario guarded_objects;
extern const struct scenario sampled_objects;
extern const struct scenario a_trace, a_trace_in_a_file;
extern const struct scenario reports_with_stacks;
extern const struct scenario way_out_in_modes;

#endif
