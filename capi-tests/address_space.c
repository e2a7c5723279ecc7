/* SPDX-License-Identifier: MIT */
#include "address_space.h"

#include "must.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Static: the text must not come from memory that is being looked at. */
static char text[4 << 20];

static size_t
read_maps(void)
{
   size_t length = 0;
   ssize_t got;
   int file = open("/proc/self/maps", O_RDONLY);

   MUST(file >= 0);
   while ((got = read(file, text + length, sizeof(text) - 1 - length)) > 0)
      length += (size_t)got;
   MUST(got == 0);
   MUST(length < sizeof(text) - 1);
   close(file);
   text[length] = 0;
   return length;
}

static bool
ends_with(const char *line, const char *end)
{
   size_t line_length = strlen(line), end_length = strlen(end);

   return line_length >= end_length && strcmp(line + line_length - end_length, end) == 0;
}

struct address_space
address_space_look(const char *file, const void *address)
{
   struct address_space found = {false, false};
   char *line = text, *line_end;

   read_maps();
   for (; (line_end = strchr(line, '\n')) != NULL; line = line_end + 1) {
      unsigned long long start, end;

      *line_end = 0;
      MUST(sscanf(line, "%llx-%llx", &start, &end) == 2);
      if (file && ends_with(line, file))
         found.has_file = true;
      if (address && (uintptr_t)address >= start && (uintptr_t)address < end)
         found.has_address = true;
   }
   return found;
}
