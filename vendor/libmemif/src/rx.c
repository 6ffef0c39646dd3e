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
  for (uint16_t i = 0; i < count; i++)
    {
      const uint16_t at = (uint16_t) (q->done + i);
      /* The peer may have written anything: it is for others to read. */
      const desc_t was = desc_read (&q->ring->desc[at & q->mask]);
      rx_offer_slot (q, at, &was, headroom);
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
