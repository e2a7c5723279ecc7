/* SPDX-License-Identifier: MIT */
#include "slab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * What slab.h describes. An element's owner is the address of its child, or, once that is gone, the
 * address of its page with the lowest bit set. It changes only in slab_destroy_child(), under the
 * parent's lock; a child may compare its own elements' without it, as only it changes those.
 */

struct classic_element {
   struct classic_element *next;
   uintptr_t owner;
};

struct classic_page {
   struct classic_page *next;
   unsigned remaining; /* elements that are out, once the page is an orphan */
};

enum { ORPHAN = 1, ALIGNMENT = sizeof(void *) };

static void *
object_of(struct classic_element *element)
{
   return element + 1;
}

static struct classic_element *
element_of(void *object)
{
   return (struct classic_element *)object - 1;
}

static struct classic_element *
element_at(struct classic_page *page, const struct slab_parent_pool *parent, unsigned index)
{
   char *first = (char *)(page + 1);
   return (struct classic_element *)(first + (size_t)index * parent->element_size);
}

static uintptr_t
owner_of(const struct classic_element *element)
{
   return __atomic_load_n(&element->owner, __ATOMIC_RELAXED);
}

static void
set_owner(struct classic_element *element, uintptr_t owner)
{
   __atomic_store_n(&element->owner, owner, __ATOMIC_RELAXED);
}

static void
push(struct classic_element **list, struct classic_element *element)
{
   element->next = *list;
   *list = element;
}

static void
leave_orphan_page(struct classic_element *element)
{
   struct classic_page *page = (struct classic_page *)(owner_of(element) - ORPHAN);

   if (__atomic_sub_fetch(&page->remaining, 1, __ATOMIC_ACQ_REL) == 0)
      free(page);
}

static void
leave_orphan_pages(struct classic_element *list)
{
   while (list) {
      struct classic_element *next = list->next;
      leave_orphan_page(list);
      list = next;
   }
}

/* Gives the child a page of free elements, lowest address first. */
static int
add_page(struct slab_child_pool *pool)
{
   const struct slab_parent_pool *parent = pool->parent;
   struct classic_page *page =
      (struct classic_page *)malloc(sizeof(*page) + (size_t)parent->num_elements * parent->element_size);

   if (!page)
      return 0;
   page->next = pool->pages;
   pool->pages = page;
   for (unsigned i = parent->num_elements; i-- > 0;) {
      struct classic_element *element = element_at(page, parent, i);
      set_owner(element, (uintptr_t)pool);
      push(&pool->free, element);
   }
   return 1;
}

static int
refill(struct slab_child_pool *pool)
{
   if (!pool->parent)
      return 0;
   lock_acquire(&pool->parent->lock);
   pool->free = pool->migrated;
   pool->migrated = NULL;
   lock_release(&pool->parent->lock);
   return pool->free || add_page(pool);
}

static void
free_foreign(struct slab_child_pool *pool, struct classic_element *element)
{
   struct slab_parent_pool *parent = pool->parent;

   /* A destroyed child no longer knows whose lock to take. */
   if (parent)
      lock_acquire(&parent->lock);
   uintptr_t owner = owner_of(element);
   if (!(owner & ORPHAN))
      push(&((struct slab_child_pool *)owner)->migrated, element);
   if (parent)
      lock_release(&parent->lock);
   if (owner & ORPHAN)
      leave_orphan_page(element);
}

void
slab_create_parent(struct slab_parent_pool *parent, unsigned item_size, unsigned num_items)
{
   size_t size = sizeof(struct classic_element) + item_size;

   parent->lock.state = LOCK_FREE;
   parent->item_size = item_size;
   parent->num_elements = num_items ? num_items : 1;
   parent->element_size = (unsigned)((size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

void
slab_destroy_parent(struct slab_parent_pool *parent)
{
   if (parent)
      parent->num_elements = 0;
}

void
slab_create_child(struct slab_child_pool *pool, struct slab_parent_pool *parent)
{
   memset(pool, 0, sizeof(*pool));
   pool->parent = parent;
}

void
slab_destroy_child(struct slab_child_pool *pool)
{
   struct slab_parent_pool *parent;

   if (!pool || !pool->parent)
      return;
   parent = pool->parent;

   lock_acquire(&parent->lock);
   for (struct classic_page *page = pool->pages; page; page = page->next) {
      page->remaining = parent->num_elements;
      for (unsigned i = 0; i < parent->num_elements; i++)
         set_owner(element_at(page, parent, i), (uintptr_t)page | ORPHAN);
   }
   leave_orphan_pages(pool->migrated);
   lock_release(&parent->lock);
   leave_orphan_pages(pool->free);
   memset(pool, 0, sizeof(*pool));
}

void *
slab_alloc(struct slab_child_pool *pool)
{
   struct classic_element *element;

   if (!pool->free && !refill(pool))
      return NULL;
   element = pool->free;
   pool->free = element->next;
   return object_of(element);
}

void *
slab_zalloc(struct slab_child_pool *pool)
{
   void *object = slab_alloc(pool);

   if (object)
      memset(object, 0, pool->parent->item_size);
   return object;
}

void
slab_free(struct slab_child_pool *pool, void *object)
{
   struct classic_element *element = element_of(object);

   if (__builtin_expect(owner_of(element) == (uintptr_t)pool, 1))
      push(&pool->free, element);
   else
      free_foreign(pool, element);
}

void
slab_create(struct slab_mempool *mempool, unsigned item_size, unsigned num_items)
{
   slab_create_parent(&mempool->parent, item_size, num_items);
   slab_create_child(&mempool->child, &mempool->parent);
}

void
slab_destroy(struct slab_mempool *mempool)
{
   if (!mempool)
      return;
   slab_destroy_child(&mempool->child);
   slab_destroy_parent(&mempool->parent);
}

void *
slab_alloc_st(struct slab_mempool *mempool)
{
   return slab_alloc(&mempool->child);
}

void
slab_free_st(struct slab_mempool *mempool, void *object)
{
   slab_free(&mempool->child, object);
}
