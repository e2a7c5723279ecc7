/* SPDX-License-Identifier: MIT */
/* slab.h is the first thing in this file and all it includes for the pools: it must not lean on others. */
#include "slab.h"
#include "slab.h"

#include "cmocka_case.h"

/* Drivers embed the structs, so the types must be complete. */
struct driver_screen {
   struct slab_parent_pool transfers;
};

struct driver_context {
   struct slab_child_pool transfers;
   struct slab_child_pool transfers_unsync;
   struct slab_mempool queries;
};

/* Drivers have fields and parameters of these names, so none of them may be a macro. */
struct driver_callbacks {
   void *(*slab_alloc)(int slab_create);
   void (*slab_free)(int slab_destroy);
   int slab_zalloc, slab_alloc_st, slab_free_st;
   int slab_create_parent, slab_destroy_parent, slab_create_child, slab_destroy_child;
};

#ifdef __cplusplus
/* C++ drivers leave the word struct away. */
static slab_child_pool *
transfers_of(driver_context *context)
{
   slab_child_pool *pool = &context->transfers;
   return pool;
}
#else
static struct slab_child_pool *
transfers_of(struct driver_context *context)
{
   return &context->transfers;
}
#endif

static void *
give_zero_back(int number)
{
   (void)number;
   return NULL;
}

static void
structs_can_be_embedded(void **state)
{
   struct driver_screen screen;
   struct driver_context context;

   (void)state;
   slab_create_parent(&screen.transfers, 88, 16);
   slab_create_child(&context.transfers, &screen.transfers);
   assert_ptr_equal(transfers_of(&context), &context.transfers);
   assert_ptr_equal(transfers_of(&context)->parent, &screen.transfers);
   slab_destroy_child(transfers_of(&context));
   slab_destroy_parent(&screen.transfers);
}

static void
function_names_are_no_macros(void **state)
{
   struct driver_callbacks callbacks;

   (void)state;
   callbacks.slab_alloc = give_zero_back;
   assert_null(callbacks.slab_alloc(1));
   /* The functions are still what the bare names mean: their address can be taken. */
   void *(*alloc)(struct slab_child_pool *) = slab_alloc;
   void (*release)(struct slab_child_pool *, void *) = slab_free;
   assert_true(alloc != NULL && release != NULL);
}

static void
child_pool_has_the_size_of_four_pointers(void **state)
{
   (void)state;
   assert_int_equal(sizeof(struct slab_child_pool), 3 * sizeof(void *) + 8);
}

/* The fields that drivers read or set by name. */
static void
public_fields_have_their_names(void **state)
{
   struct slab_mempool pool;

   (void)state;
   slab_create(&pool, 40, 4096);
   assert_int_equal(pool.parent.item_size, 40);
   assert_int_equal(pool.parent.num_elements, 4096);
   assert_true(pool.parent.element_size >= 40);
   assert_ptr_equal(pool.child.parent, &pool.parent);
   slab_destroy(&pool);
}

int
main(void)
{
   const struct CMUnitTest tests[] = {
      cmocka_unit_test(structs_can_be_embedded),
      cmocka_unit_test(function_names_are_no_macros),
      cmocka_unit_test(child_pool_has_the_size_of_four_pointers),
      cmocka_unit_test(public_fields_have_their_names),
   };

   return cmocka_run_group_tests(tests, NULL, NULL);
}
