/* SPDX-License-Identifier: MIT */
/*
 * With this, gcc's unwinder, which is compiled for glibc, links with musl and finds frames there: it asks glibc for the
 * object that an address lies in, and for the table of its frames.
 */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>

/* The unwinder names these weakly, which takes nothing out of a static C library, and calls them all the same. */
__attribute__((used)) static void (*const taken[])(void) = {
   (void (*)(void))pthread_once,        (void (*)(void))pthread_mutex_lock,  (void (*)(void))pthread_mutex_unlock,
   (void (*)(void))pthread_getspecific, (void (*)(void))pthread_setspecific, (void (*)(void))pthread_key_create,
};

/* As glibc 2.35 and later have it on x86-64. */
struct found_object {
   unsigned long long flags;
   void *start, *end;
   struct link_map *map;
   void *frames;
   unsigned long long reserved[7];
};

struct search {
   uintptr_t address;
   struct found_object *found;
};

int _dl_find_object(void *address, struct found_object *result);

static int
look(struct dl_phdr_info *object, size_t size, void *data)
{
   struct search *search = data;
   const struct found_object none = {0};
   uintptr_t start = UINTPTR_MAX, end = 0, frames = 0;
   int i, inside = 0;

   (void)size;
   for (i = 0; i < object->dlpi_phnum; i++) {
      const ElfW(Phdr) *part = &object->dlpi_phdr[i];
      uintptr_t at = object->dlpi_addr + part->p_vaddr;

      if (part->p_type == PT_GNU_EH_FRAME)
         frames = at;
      if (part->p_type != PT_LOAD)
         continue;
      start = at < start ? at : start;
      end = at + part->p_memsz > end ? at + part->p_memsz : end;
      inside |= search->address - at < part->p_memsz;
   }
   if (!inside || !frames)
      return 0;
   *search->found = none;
   search->found->start = (void *)start;
   search->found->end = (void *)end;
   search->found->frames = (void *)frames;
   return 1;
}

int
_dl_find_object(void *address, struct found_object *result)
{
   struct search search = {(uintptr_t)address, result};

   return dl_iterate_phdr(look, &search) ? 0 : -1;
}
