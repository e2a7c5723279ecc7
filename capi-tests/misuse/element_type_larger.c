/* SPDX-License-Identifier: MIT */
/* The type of the elements has grown, and the pool was created with the size of the old one. */
#include "scenario.h"

#include <stdint.h>
#include <string.h>

struct query_of_last_year {
   uint64_t results[4];
};

struct query {
   uint64_t results[4];
   uint64_t begin, end;
};

int
main(void)
{
   struct scenario scenario;
   struct slab_mempool queries;
   struct query_of_last_year *neighbour, *next;
   struct query *query;

   scenario_begin(&scenario);
   slab_create(&queries, sizeof(struct query_of_last_year), num_items);
   neighbour = (struct query_of_last_year *)object_of(&queries.child);
   query = (struct query *)object_of(&queries.child);
   next = (struct query_of_last_year *)object_of(&queries.child);
   memset(neighbour, 3, sizeof(*neighbour));
   memset(next, 3, sizeof(*next));
   misuse_begins();
   memset(query, 1, sizeof(*query));
   misuse_ends();
   if (next->results[0] != 0x0303030303030303)
      say("the neighbour is overwritten");
   slab_free_st(&queries, query);
   slab_free_st(&queries, neighbour);
   slab_free_st(&queries, next);
   slab_destroy(&queries);
   return scenario_end(&scenario);
}
