/* Mappings of memory that is shared with peers, which the system limits for each process. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base.h"

static _Atomic unsigned mapped;
static unsigned most = 65530; /* the system's own default */

static void
find_most (void)
{
  unsigned count;
  FILE *f = fopen ("/proc/sys/vm/max_map_count", "re");
  if (f && fscanf (f, "%u", &count) == 1)
    most = count;
  if (f)
    fclose (f);
}

mapping_t *
mapping_new (int fd, uint64_t size, const char **why)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once (&once, find_most);
  /* The other half is for the program's memory and threads. */
  *why = "half of the mappings that this process may have are peers' already";
  mapping_t *m = NULL;
  void *addr = MAP_FAILED;
  if (atomic_fetch_add (&mapped, 1) < most / 2)
    {
      *why = "it can't be mapped";
      m = malloc (sizeof *m);
      if (m)
	addr = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
  if (addr != MAP_FAILED)
    {
      *m = (mapping_t){ .addr = addr, .size = size };
      return m;
    }
  atomic_fetch_sub (&mapped, 1);
  free (m);
  return NULL;
}

void
mappings_end (mapping_t *list)
{
  while (list)
    {
      mapping_t *m = list;
      list = m->next;
      munmap (m->addr, m->size);
      free (m);
      atomic_fetch_sub (&mapped, 1);
    }
}
