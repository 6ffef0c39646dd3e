/* What both ways of receiving have in common. All of it for the queue's owner. */
#ifndef MEMIF_RX_H
#define MEMIF_RX_H

#include "queue.h"

/* rx_unusual.c, with the lock held */
int rx_published_unusual (queue_t *q); /* when there is a fault */
/* More is published than there can be: reads on among the newest, or ends the link. */
int rx_overrun (queue_t *q, uint16_t counter, unsigned published, unsigned most);
/* The chain at this slot goes on beyond what is published. False: that ends the link. */
bool rx_chain_unfinished (queue_t *q, uint16_t at);
/* Whether what was read from the next slot on may have been written meanwhile. */
bool rx_overwritten (queue_t *q, uint16_t slots);
/* Lets a peer that was stopped go on, when all has been read and given back. */
void rx_resume (queue_t *q);

/* rx_copy.c: looks for packets, and at what an empty queue means. How many slots are published;
 * where there are none *err says why. */
int rx_look (queue_t *q, int *err);

/* The slots that the peer may fill, as far as they are not handed out: ours, or those of the ring. */
static inline unsigned
rx_slots (const queue_t *q)
{
  return q->slave ? (uint16_t) (q->done - q->next) : q->mask + 1u - (uint16_t) (q->next - q->done);
}

/* Counts a ring in which the peer has no room left. */
static inline void
rx_note_full (queue_t *q, unsigned published)
{
  if (__builtin_expect (published == rx_slots (q), 0) && q->state == QUEUE_UP && q->fault == FAULT_NONE)
    atomic_store_explicit (&q->full, atomic_load_explicit (&q->full, memory_order_relaxed) + 1,
			   memory_order_relaxed);
}

/* Of a slave: writes the descriptor of a slot that is given back. What it was, others may read. */
static inline void
rx_offer_slot (queue_t *q, uint16_t at, const desc_t *was, uint16_t headroom)
{
  const own_t own = q->own[at & q->mask];
  desc_t d = { .flags = q->fault == FAULT_OVERRUN ? DESC_FREE : 0,
	       .region = own_region (own),
	       .offset = own_offset (own) + headroom,
	       .length = q->buffer_size - headroom,
	       .metadata = (uint32_t) MARK | mark_round ((uint16_t) (at - q->mask - 1), q->log2) };
  if (was->offset == d.offset && was->region == d.region && was->length <= UINT16_MAX && q->done)
    d.metadata |= was->length | (was->flags & DESC_NEXT ? (uint32_t) MARK_NEXT : 0);
  desc_offer (&q->ring->desc[at & q->mask], d);
}

/* rx.c: the same of the next slots to be given back. */
void rx_offer (queue_t *q, uint16_t count, uint16_t headroom);

/* Makes slots ready to be given back. */
static inline void
rx_restore (queue_t *q, uint16_t count, uint16_t headroom)
{
  if (q->slave)
    rx_offer (q, count, headroom);
  q->done = (uint16_t) (q->done + count);
}

/* With the lock held. */
static inline void
rx_give_back (queue_t *q, uint16_t count, uint16_t headroom)
{
  rx_restore (q, count, headroom);
  if (__builtin_expect (q->fault == FAULT_OVERRUN, 0))
    {
      rx_resume (q);
      return;
    }
  /* Our reads of the buffers, or our writes of the descriptors, come first: release. */
  atomic_store_explicit (q->slave ? &q->ring->head : &q->ring->tail, q->done,
			 memory_order_release);
}

/* As rx_published, in line. */
static inline int
rx_count_published (queue_t *q)
{
  if (q->fault != FAULT_NONE)
    return rx_published_unusual (q);
  if (q->state == QUEUE_GONE)
    return 0;

  uint16_t counter = q->limit;
  if (q->state == QUEUE_UP)
    /* The packets were written before the counter: acquire. */
    counter = atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head,
				    memory_order_acquire);
  uint16_t published = (uint16_t) (counter - q->next);
  unsigned most = rx_slots (q);
  if (published > most)
    return rx_overrun (q, counter, published, most);
  q->peer = counter;
  return published;
}

/* The bytes of a published slot of a slave's, or NULL when the peer points elsewhere. */
static inline uint8_t *
rx_own_received_at (const queue_t *q, uint16_t slot, const desc_t *d)
{
  /* The buffer is ours; the peer chose the length, and may keep our headroom. */
  own_t own = q->own[slot & q->mask];
  if (d->region != own_region (own) || d->offset < own_offset (own)
      || (uint64_t) d->offset + d->length > (uint64_t) own_offset (own) + q->buffer_size)
    return NULL;
  return (uint8_t *) q->regions[own_region (own)].addr + d->offset;
}

/* The same of a slave or a master. */
static inline uint8_t *
rx_received_at (const queue_t *q, uint16_t slot, const desc_t *d)
{
  return q->slave ? rx_own_received_at (q, slot, d) : buffer_at (q, d->region, d->offset, d->length);
}

/* Ends the link. */
void rx_bad_descriptor (queue_t *q, uint16_t slot, const desc_t *d);

/* DPDK's slaves set NEXT but do not clear it when they use the slot again for a
 * packet of one buffer. A slot that is ours still is given back without. */
void rx_clear_chain (queue_t *q, uint16_t from, uint16_t to);

static inline bool
power_of_two (uint32_t n)
{
  return (n & (n - 1)) == 0;
}

#endif
