/* What both ways of sending have in common: slots and buffers. All of it for the queue's owner. */
#ifndef MEMIF_TX_H
#define MEMIF_TX_H

#include "queue.h"

/* Published slots from which on the peer's counter is read for each burst. */
enum { RECLAIM_AFTER = 32 };

/* 64 KiB fit into a long chain of buffers of the least size. */
enum { LONG_CHAIN = 1024, LEAST_BUFFER = 64 };

/* Free slots by the peer's counter as last read. */
static inline unsigned
tx_known_free (const queue_t *q)
{
  return q->slave ? q->mask + 1u - (uint16_t) (q->next - q->peer) : (uint16_t) (q->peer - q->next);
}

/* Takes the buffer that was used last, as that one is in the cache, or the slot's small one. There is
 * one of each for every slot. */
static inline own_t
tx_take_buffer (queue_t *q, uint16_t slot, bool small)
{
  const unsigned slots = q->mask + 1u;
  const own_t b = small ? own_make (q->base_region, small_offset (SMALL_APART, q->small, slot & q->mask, slots), true)
			: q->spare[--q->num_spare];
  q->own[slot & q->own_mask] = b;
  return b;
}

/* Slots that may be published at once. */
static inline unsigned
tx_most (const queue_t *q)
{
  return q->mask + 1u - q->linger;
}

/* Tells observers how many slots linger. */
void tx_promise (queue_t *q, uint16_t slots);
/* More than tx_most are to be published at once: no more linger for ever than that leaves. */
void tx_much_at_once (queue_t *q, unsigned slots);

static inline void
tx_at_once (queue_t *q, unsigned slots)
{
  if (__builtin_expect (slots > tx_most (q), 0))
    tx_much_at_once (q, slots);
}

/* The slots that the peer has read, or offered, before the counter: acquire. */
static inline uint16_t
tx_peer_counter (const queue_t *q)
{
  return atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head, memory_order_acquire);
}

/* far.c: times a read of the peer's counter. After a burst was copied, so that the peer may have
 * changed it, and before the ring's own line is touched, which the processor fetches with it. */
void tx_measure (queue_t *q);
void tx_learn_distance (queue_t *q, uint64_t ns);

void tx_wake_peer (queue_t *q);
/* Ends a call. Returns success. */
int tx_wake_and_leave (queue_t *q);

/* Makes slots up to q->done visible to the peer; whether it asked to be woken. */
static inline bool
tx_show (queue_t *q)
{
  /* The packets and their descriptors come before the counter: release. Then,
   * either we see that the receiver wants to be woken, or it sees our packets:
   * a full fence, which pairs with the one in queue_arm. */
  _Atomic uint16_t *counter = q->slave ? &q->ring->head : &q->ring->tail;
#if defined(__x86_64__)
  /* Here an exchange is both, at half the price. */
  atomic_exchange_explicit (counter, q->done, memory_order_seq_cst);
#else
  atomic_store_explicit (counter, q->done, memory_order_release);
  atomic_thread_fence (memory_order_seq_cst);
#endif
  /* Relaxed: the fence above stands before it. */
  return !(atomic_load_explicit (&q->ring->flags, memory_order_relaxed) & RING_NO_INTERRUPT);
}

static inline void
tx_publish (queue_t *q)
{
  if (tx_show (q))
    tx_wake_peer (q);
}

/* The room that a master finds in an offered slot. NULL after a fault. */
uint8_t *tx_offered_at (queue_t *q, uint16_t slot, desc_t *d);

/* How many slots a packet of this length takes, at most limit + 1. 0 after a fault. */
static inline unsigned
tx_slots_for (queue_t *q, uint32_t length, unsigned limit)
{
  if (q->slave)
    return length <= q->buffer_size
	     ? 1
	     : (unsigned) (((uint64_t) length + q->buffer_size - 1) / q->buffer_size);
  uint64_t room = 0;
  unsigned n = 0;
  while (room < length && n < limit)
    {
      desc_t d;
      if (!tx_offered_at (q, (uint16_t) (q->next + n++), &d))
	return 0;
      room += d.length;
    }
  return room < length ? limit + 1 : n;
}

/* Whether a packet that takes n offered slots and more ends the link: else a peer's buffers of
 * a byte cost us a thousand times what they cost it. */
bool tx_too_small (queue_t *q, uint32_t length, unsigned n);

#endif
