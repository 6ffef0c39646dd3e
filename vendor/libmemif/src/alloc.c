/* Memory by the program's functions, which need not know NULL. */
#define _GNU_SOURCE
#include "base.h"

void *
zalloc (const allocator_t *a, size_t size)
{
  void *p = a->alloc (size);
  if (p)
    memset (p, 0, size);
  return p;
}

void *
grow (const allocator_t *a, void *memory, size_t size)
{
  return memory ? a->realloc (memory, size) : a->alloc (size);
}

void
give_back (const allocator_t *a, void *memory)
{
  if (memory)
    a->free (memory);
}
