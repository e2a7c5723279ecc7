/* SPDX-License-Identifier: MIT */

/* Boost.Pool: a list of free objects in blocks of which each is twice as large as the one before. It checks nothing. */

#include <boost/pool/pool.hpp>
#include <cstddef>
#include <new>

class Peer {
   boost::pool<> pool;

public:
   Peer(std::size_t item_size, std::size_t num_items) : pool(item_size, num_items) {}

   void *
   allocate()
   {
      if (void *object = pool.malloc())
         return object;
      throw std::bad_alloc();
   }

   void
   free(void *object)
   {
      pool.free(object);
   }
};

#include "one_pool.hpp"
