/* SPDX-License-Identifier: MIT */
#ifndef PEERS_FAILURE_HPP
#define PEERS_FAILURE_HPP

/*
 * What a peer cannot do. The functions of slab.h return nothing, or NULL, where that happens, and the benchmark asks
 * afterwards: the allocators of a run share a process, which a peer that ends it would take from the others.
 */

#include <atomic>

namespace {

std::atomic<const char *> failure{nullptr};

/* What was the first stays until it is asked for. The text is not copied. */
__attribute__((cold, noinline, unused)) void
fail(const char *what)
{
   const char *none = nullptr;

   failure.compare_exchange_strong(none, what);
}

} // namespace

/* What failed first since the last call, or NULL. The text is overwritten by later failures. */
extern "C" __attribute__((used)) const char *
bench_failure(void)
{
   return failure.exchange(nullptr);
}

#endif
