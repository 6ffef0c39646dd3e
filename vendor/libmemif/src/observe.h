/* Links of others: what the memory (view.c) and the reading of a ring (watch.c) have in common. */
#ifndef MEMIF_OBSERVE_H
#define MEMIF_OBSERVE_H

#include "link.h"

struct memif_ext_view
{
  uint16_t num_regions;
  struct
  {
    const uint8_t *addr;
    uint64_t size;
  } region[];
};

/* NULL where it does not lie in the first region, aligned. */
const ring_t *view_ring_at (memif_ext_view_handle_t view, memif_ext_view_ring_t ring);

/* The bytes of a buffer, or NULL. */
static inline const uint8_t *
view_bytes (memif_ext_view_handle_t v, uint16_t region, uint32_t offset, uint32_t length)
{
  if (region >= v->num_regions || (uint64_t) offset + length > v->region[region].size)
    return NULL;
  return v->region[region].addr + offset;
}

#endif
