/* SPDX-License-Identifier: MIT */
#include "old_pool.h"

#include <stddef.h>
#include <stdlib.h>

struct old_pool_page {
   struct old_pool_page *next;
   /* num_items elements follow */
};

/* Stands before each item, also while the item is allocated. */
struct old_pool_element {
   struct old_pool_element *next;
   /* the item follows */
};

void
old_pool_create(struct old_pool *pool, unsigned item_size, unsigned num_items)
{
   const unsigned word = (unsigned)sizeof(void *);

   pool->pages = NULL;
   pool->free = NULL;
   pool->element_size = (unsigned)sizeof(struct old_pool_element) + (item_size + word - 1) / word * word;
   pool->num_items = num_items;
}

void
old_pool_destroy(struct old_pool *pool)
{
   struct old_pool_page *page = pool->pages;

   while (page) {
      struct old_pool_page *next = page->next;
      free(page);
      page = next;
   }
   pool->pages = NULL;
   pool->free = NULL;
}

/* Threads every element of a new page on the free list, so that the lowest address goes out first. */
static int
old_pool_add_page(struct old_pool *pool)
{
   struct old_pool_page *page =
      (struct old_pool_page *)malloc(sizeof(*page) + (size_t)pool->num_items * pool->element_size);
   char *elements;
   unsigned i;

   if (!page)
      return 0;

   page->next = pool->pages;
   pool->pages = page;

   elements = (char *)(page + 1);
   for (i = pool->num_items; i > 0; i--) {
      struct old_pool_element *element =
         (struct old_pool_element *)(void *)(elements + (size_t)(i - 1) * pool->element_size);
      element->next = pool->free;
      pool->free = element;
   }
   return 1;
}

void *
old_pool_alloc(struct old_pool *pool)
{
   struct old_pool_element *element;

   if (!pool->free && !old_pool_add_page(pool))
      return NULL;

   element = pool->free;
   pool->free = element->next;
   return element + 1;
}

void
old_pool_free(struct old_pool *pool, void *object)
{
   struct old_pool_element *element = (struct old_pool_element *)object - 1;

   element->next = pool->free;
   pool->free = element;
}
