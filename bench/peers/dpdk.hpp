/* SPDX-License-Identifier: MIT */

/*
 * DPDK's rte_mempool, without huge pages. A parent is a mempool, and a child is a cache of its own, as a thread has it
 * that is not one of DPDK's. A mempool has all of its objects from the beginning: `bench_expect` says how many.
 */

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <sched.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#include "failure.hpp"

extern "C" {

struct slab_parent_pool {
   rte_mempool *pool;
   std::size_t item_size;
};

struct slab_child_pool {
   rte_mempool_cache *cache;
   rte_mempool *pool;
   slab_parent_pool *parent;
};
}

namespace {

/* The largest that there is; half as many again stay in it before it gives back. */
constexpr unsigned CACHE = RTE_MEMPOOL_CACHE_MAX_SIZE;
/* For the caches of a few children, beside what is in use. */
constexpr unsigned SPARE = 8 * CACHE;

std::atomic<unsigned> expected{1024}, created{0};

/* Pools and children are made by one thread at a time, which is the one that asks for the text. */
void
fail_with_errno(const char *what)
{
   static char text[256];

   std::snprintf(text, sizeof(text), "%s: %s", what, rte_strerror(rte_errno));
   fail(text);
}

bool started = false;

/* The memory, in MiB, is touched only where pools lie. EAL binds the calling thread to a core, which is undone. */
void
start()
{
   static std::once_flag once;
   std::call_once(once, [] {
      static char name[] = "bench", huge[] = "--no-huge", shared[] = "--no-shconf", pci[] = "--no-pci",
                  telemetry[] = "--no-telemetry", iova[] = "--iova-mode=va", level[] = "--log-level=error",
                  cores[] = "--lcores=0@0", m[] = "-m", memory[] = "4096";
      static char *arguments[] = {name, huge, shared, pci, telemetry, iova, level, cores, m, memory};
      cpu_set_t before;

      sched_getaffinity(0, sizeof(before), &before);
      started = rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) >= 0;
      if (!started)
         fail_with_errno("EAL does not start");
      sched_setaffinity(0, sizeof(before), &before);
   });
}

} // namespace

#define SLAB_FUNCTION extern "C" __attribute__((always_inline, used)) inline

/* To be called before pools are created that hold so many objects at most. */
extern "C" __attribute__((used)) void
bench_expect(unsigned objects)
{
   start();
   expected = objects;
}

SLAB_FUNCTION void
slab_create_parent(slab_parent_pool *parent, unsigned item_size, unsigned)
{
   char name[RTE_MEMPOOL_NAMESIZE];

   parent->pool = nullptr;
   parent->item_size = item_size;
   start();
   if (!started)
      return fail("EAL did not start");
   std::snprintf(name, sizeof(name), "p%u", created++);
   parent->pool = rte_mempool_create(name, expected + SPARE, item_size, 0, 0, nullptr, nullptr, nullptr, nullptr,
                                     SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
   if (!parent->pool)
      fail_with_errno("a pool cannot be made");
}

SLAB_FUNCTION void
slab_destroy_parent(slab_parent_pool *parent)
{
   rte_mempool_free(parent->pool);
   parent->pool = nullptr;
}

SLAB_FUNCTION void
slab_create_child(slab_child_pool *child, slab_parent_pool *parent)
{
   child->cache = rte_mempool_cache_create(CACHE, SOCKET_ID_ANY);
   /* The functions below do without, but that is not what is measured. */
   if (!child->cache)
      fail_with_errno("a cache cannot be made");
   child->pool = parent->pool;
   child->parent = parent;
}

SLAB_FUNCTION void
slab_destroy_child(slab_child_pool *child)
{
   if (!child->cache)
      return;
   rte_mempool_cache_flush(child->cache, child->pool);
   rte_mempool_cache_free(child->cache);
   child->cache = nullptr;
}

SLAB_FUNCTION void *
slab_alloc(slab_child_pool *child)
{
   void *object;

   if (rte_mempool_generic_get(child->pool, &object, 1, child->cache) == 0)
      return object;
   fail("a pool has no more objects");
   return nullptr;
}

SLAB_FUNCTION void
slab_free(slab_child_pool *child, void *object)
{
   rte_mempool_generic_put(child->pool, &object, 1, child->cache);
}

#undef SLAB_FUNCTION
#include "functions.hpp"
