/* Receiving: the slots of the ring, published and given back. */
#define _GNU_SOURCE
#include "rx.h"

int
rx_published (queue_t *q)
{
  return rx_count_published (q);
}

void
rx_offer (queue_t *q, uint16_t count, uint16_t headroom)
{
  const unsigned log2 = (unsigned) __builtin_popcount (q->mask);
  const uint16_t flags = q->fault == FAULT_OVERRUN ? DESC_FREE : 0;
  for (uint16_t i = 0; i < count; i++)
    {
      const uint16_t at = (uint16_t) (q->done + i), slot = at & q->mask;
      desc_t d = { .flags = flags,
		   .region = own_region (q->own[slot]),
		   .offset = own_offset (q->own[slot]) + headroom,
		   .length = q->buffer_size - headroom,
		   .metadata = (uint32_t) MARK | mark_round ((uint16_t) (at - q->mask - 1), log2) };
      /* The peer may have written anything: it is for others to read. */
      const desc_t was = desc_read (&q->ring->desc[slot]);
      if (was.offset == d.offset && was.region == d.region && was.length <= UINT16_MAX && q->done)
	d.metadata |= was.length | (was.flags & DESC_NEXT ? (uint32_t) MARK_NEXT : 0);
      desc_offer (&q->ring->desc[slot], d);
    }
}

void
rx_bad_descriptor (queue_t *q, uint16_t slot, const desc_t *d)
{
  queue_fault (q, "the descriptor in slot %u reaches out of the memory: region %u, offset %u, length %u",
	       slot & q->mask, d->region, d->offset, d->length);
}

void
rx_clear_chain (queue_t *q, uint16_t from, uint16_t to)
{
  /* Relaxed: written before the link came up. A sender that promises anything is one of ours. */
  if (q->slave || q->state != QUEUE_UP || q->fault == FAULT_OVERRUN
      || atomic_load_explicit (&q->ring->linger, memory_order_relaxed))
    return;
  q->chained = true;
  for (; from != to; from++)
    {
      desc_t d = desc_read (&q->ring->desc[from & q->mask]);
      if (d.flags & DESC_NEXT)
	d.flags ^= DESC_NEXT | DESC_PARTED;
      desc_write (&q->ring->desc[from & q->mask], d);
    }
}
