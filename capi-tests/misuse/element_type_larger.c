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
   unsigned char *three[3];
   struct query *query;

   scenario_begin(&scenario);
   slab_create(&queries, sizeof(struct query_of_last_year), num_items);
   three_in_a_row(&queries.child, three);
   query = (struct query *)(void *)three[1];
   misuse_begins();
   memset(query, 1, sizeof(*query));
   misuse_ends();
   free_three(&queries.child, three);
   slab_destroy(&queries);
   return scenario_end(&scenario);
}
