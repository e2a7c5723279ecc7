/* SPDX-License-Identifier: MIT */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "live_objects.h"
#include "slab.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What surrounds a misuse: two pools, as two screens have them, with objects in use, which are the
 * bystanders. The programs do one misuse each between misuse_begins() and misuse_ends(), and then see
 * in scenario_end() what it has done to others.
 *
 * All that they find goes to stderr, in lines that begin with "misuse: ", so that it stands there in
 * order with what the library and the tools say. A line "misuse: harm: ..." says that something is
 * broken which the misuse did not touch itself, or that an object went to two users.
 */

enum { item_size = 96, num_items = 64 };

struct scenario {
   struct slab_parent_pool parent;  /* of objects of item_size bytes */
   struct slab_child_pool child;    /* of parent */
   struct slab_child_pool sibling;  /* of parent */
   struct slab_parent_pool foreign; /* of objects of another size */
   struct slab_child_pool stranger; /* of foreign */
   struct live_objects live;        /* the bystanders, of both pools */
};

void scenario_begin(struct scenario *scenario);

/* Frees the bystanders of the first pool, for programs that destroy it early. */
void scenario_free_own(struct scenario *scenario);

/*
 * Looks at the bystanders, destroys the children, allocates and frees through new ones, looks at what
 * these got, and destroys all. A pool that the program has destroyed is created again. Returns the
 * program's exit status.
 */
int scenario_end(struct scenario *scenario);

/* An object of the child that the program may misuse. It ends the program if there is no memory. */
void *object_of(struct slab_child_pool *child);

void misuse_begins(void);
void misuse_ends(void);

/* Says a fact. */
void say(const char *fact);

/* Says what is broken. */
void harm(const char *what);

/*
 * Three objects that lie next to each other, wherever the pool puts its objects. The first and the last
 * are filled, so that it shows if the misuse of the middle one has written them.
 */
void three_in_a_row(struct slab_child_pool *child, unsigned char *three[3]);

/* Says it as a fact if one of them is not as it was, and frees all three. */
void free_three(struct slab_child_pool *child, unsigned char *three[3]);

#endif
