/* SPDX-License-Identifier: MIT */

/* memory_pool of foonathan's memory, with the checks that Debian builds it with. */

#include <cstddef>
#include <foonathan/memory/memory_pool.hpp>

class Peer {
   using pool_type = foonathan::memory::memory_pool<foonathan::memory::node_pool>;
   pool_type pool;

public:
   Peer(std::size_t item_size, std::size_t num_items)
       : pool(item_size, pool_type::min_block_size(item_size, num_items))
   {
   }

   void *
   allocate()
   {
      return pool.allocate_node();
   }

   void
   free(void *object)
   {
      pool.deallocate_node(object);
   }
};

#include "one_pool.hpp"
