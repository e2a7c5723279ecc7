/* SPDX-License-Identifier: MIT */
#include "debugged_pool.h"

#include "child_process.h"
#include "cmocka_case.h"
#include "must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slab_parent_pool parent;
struct slab_child_pool child;

struct heard heard;

void
hear(void *data, const char *line)
{
   size_t length = strlen(line);

   (void)data;
   MUST(heard.length + length + 2 <= sizeof(heard.text));
   memcpy(heard.text + heard.length, line, length);
   heard.length += length;
   heard.text[heard.length++] = '\n';
   heard.text[heard.length] = 0;
   heard.reports += strncmp(line, "mesa-slab: ", 11) == 0;
}

void
must_hear(int reports, const char *format, ...)
{
   char words[500] = "";
   va_list arguments;

   if (format) {
      va_start(arguments, format);
      vsnprintf(words, sizeof(words), format, arguments);
      va_end(arguments);
   }
   if (heard.reports != reports || !strstr(heard.text, words)) {
      fprintf(stderr, "not %d reports with \"%s\", but:\n%s\n", reports, words, heard.text);
      abort();
   }
   heard.reports = 0;
   heard.length = 0;
   heard.text[0] = 0;
}

void
must_be_quiet(void)
{
   must_hear(0, NULL);
}

void
run_body(void *arg)
{
   const struct run *run = (const struct run *)arg;

   slab_set_report_handler(hear, NULL);
   if (!run->by_function)
      MUST(setenv("SLAB_DEBUG", run->words, 1) == 0);
   slab_create_parent(&parent, size, hint);
   if (run->by_function)
      MUST(slab_set_debug(&parent, run->words) == 0);
   MUST(slab_set_name(&parent, "queries") == 0);
   slab_create_child(&child, &parent);
   run->use();
}

void
run_debugged(const char *words, void (*use)(void))
{
   struct run run = {words, false, use};
   struct child_process process;

   assert_true(child_run(&process, run_body, &run));
   assert_string_equal(process.said, "");
   run.by_function = true;
   assert_true(child_run(&process, run_body, &run));
   assert_string_equal(process.said, "");
}

char *
allocate(void)
{
   char *object = (char *)slab_alloc(&child);

   MUST(object);
   return object;
}

struct slab_parent_stats
stats_of(struct slab_parent_pool *pool)
{
   struct slab_parent_stats stats;

   stats.struct_size = sizeof(stats);
   MUST(slab_get_parent_stats(pool, &stats) == 0);
   return stats;
}

bool
is_debugged(struct slab_parent_pool *pool)
{
   return stats_of(pool).objects_per_child == 0;
}

void
must_end_well(void)
{
   MUST(stats_of(&parent).objects_out == 0);
   MUST(slab_validate(&parent) == 0);
   slab_destroy_child(&child);
   slab_destroy_parent(&parent);
   MUST(slab_validate(NULL) == 0);
   must_be_quiet();
}
