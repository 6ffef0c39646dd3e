/* Receiving from peers that publish otherwise than most: chains in parts, and more than the ring
 * holds.
 *
 * Some publish a chain's beginning when their ring is full, and its rest later. It is read when it
 * is whole.
 *
 * VPP before 26.06 loses count of its free slots when a chain fills the ring, and then writes a
 * whole frame of packets over those that have not been read. What it wrote last is good. It can be
 * read as long as nothing more is written, and VPP writes nothing into a ring that it takes for
 * full. So from its first overrun on, until the link goes down, such a peer is shown a full ring
 * while we read: it is stopped, what it was about to publish is waited for, all that there is is
 * read, and then all slots are given back at once. Of the first overrun nothing is read if we have
 * given slots back meanwhile and changed them, as rx_give_back and rx_clear_chain do.
 *
 * A peer that gets no processor may be in the middle of a frame when it seems to stand. A slave
 * marks what it offers: a mark before the counter tells of descriptors that the offer has
 * overwritten, and one that is lost behind it perhaps of such a frame, which then is waited for
 * longer. Where the frame lies over packets that were not read, time alone tells. */
#define _GNU_SOURCE
#include <time.h>

#include "control.h"
#include "rx.h"

enum
{
  /* Longer than a frame of 256 packets of 9000 bytes takes to be copied, and several times that, as
   * the peer may have to share its processor. */
  STOP_NS = 1000000,
  QUIET_TIMES = 5,
  QUIET_TIMES_OVERRUN = 20,
  /* Who goes on publishing into a full ring is not waited for any longer. */
  STOP_TRIES = 60,
};

static unsigned
ring_size (const queue_t *q)
{
  return q->mask + 1u;
}

static uint16_t
counter_now (const queue_t *q)
{
  /* Acquire, as in rx_count_published. */
  return atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head, memory_order_acquire);
}

static void
show (queue_t *q, uint16_t counter)
{
  /* Release, as in rx_give_back. */
  atomic_store_explicit (q->slave ? &q->ring->head : &q->ring->tail, counter, memory_order_release);
}

/* Slots that were overwritten before they were read. */
static void
lose (queue_t *q, unsigned slots)
{
  uint64_t lost = atomic_load_explicit (&q->overrun, memory_order_relaxed);
  atomic_store_explicit (&q->overrun, lost + slots, memory_order_relaxed);
}

static bool
goes_on (const queue_t *q, uint16_t slot)
{
  return desc_read (&q->ring->desc[slot & q->mask]).flags & DESC_NEXT;
}

/* As it was offered. Some masters keep flags that they do not know, none the length. */
static bool
is_fresh (const queue_t *q, uint16_t slot)
{
  const desc_t d = desc_read (&q->ring->desc[slot & q->mask]);
  return q->slave && d.flags == DESC_FREE
	 && d.length == q->buffer_size + own_offset (q->own[slot & q->mask]) - d.offset;
}

/* Behind the next end of a packet. */
static uint16_t
packet_end (const queue_t *q, uint16_t slot, uint16_t end)
{
  while (slot != end && goes_on (q, slot++))
    ;
  return slot;
}

/* Nothing is held: what is between the counter and a ring before it can be read, from and up to the
 * beginning of a packet. Returns how many slots. */
static int
take_newest (queue_t *q, uint16_t counter)
{
  uint16_t begin = q->next, end = counter;
  if ((uint16_t) (counter - begin) > ring_size (q))
    begin = packet_end (q, (uint16_t) (counter - ring_size (q)), counter);
  for (uint16_t slot = begin; slot != counter;)
    if (is_fresh (q, slot++))
      begin = slot = packet_end (q, slot, counter);
  while (end != begin && goes_on (q, (uint16_t) (end - 1)))
    end--;
  lose (q, (uint16_t) (begin - q->next) + (unsigned) (uint16_t) (counter - end));
  q->next = q->done = begin;
  if (q->slave)
    {
      /* What is skipped is free. */
      q->done = counter;
      rx_restore (q, (uint16_t) (begin + ring_size (q) - counter), 0);
    }
  q->peer = end;
  q->limit = q->state == QUEUE_UP ? counter : end;
  return (uint16_t) (end - begin);
}

/* Whether the peer has written, or begun to write, over what it was offered behind its counter: the
 * rest of a frame, or a chain that it gave up for want of room. */
static bool
has_begun (const queue_t *q, uint16_t counter)
{
  return q->slave && !is_fresh (q, counter);
}

/* Stops the peer, and looks what there is when it stands, and is good. */
static int
stop_and_take (queue_t *q, bool good)
{
  uint16_t counter = counter_now (q);
  if (counter == q->next)
    return 0;
  for (int tries = 0, quiet = 0, enough = QUIET_TIMES; quiet < enough; tries++)
    {
      if (tries == STOP_TRIES)
	{
	  queue_fault (q, "the peer goes on publishing into a full ring");
	  return -1;
	}
      show (q, (uint16_t) (q->slave ? counter : counter - ring_size (q)));
      nanosleep (&(struct timespec){ .tv_nsec = STOP_NS }, NULL);
      const uint16_t now = counter_now (q);
      /* Chains are published whole. */
      quiet = now == counter && !goes_on (q, (uint16_t) (now - 1)) ? quiet + 1 : 0;
      counter = now;
      if ((uint16_t) (counter - q->next) >= ring_size (q) || has_begun (q, counter))
	enough = QUIET_TIMES_OVERRUN;
    }
  if (!good)
    {
      lose (q, (uint16_t) (counter - q->next));
      q->next = counter;
    }
  const int slots = take_newest (q, counter);
  if (slots == 0)
    rx_resume (q);
  return slots;
}

int
rx_overrun (queue_t *q, uint16_t counter, unsigned published, unsigned most)
{
  if (!queue_holds_none (q))
    {
      queue_fault (q, "%u slots are published where at most %u can be", published, most);
      return -1;
    }
  if (q->state != QUEUE_UP)
    return take_newest (q, counter);
  q->fault = FAULT_OVERRUN;
  /* Release: the control thread, which tells of it, is woken after. */
  atomic_store_explicit (&q->conn->overran, true, memory_order_release);
  loop_kick (q->conn->sock);
  return stop_and_take (q, !q->slave && !q->chained);
}

int
rx_published_unusual (queue_t *q)
{
  const bool up = q->state == QUEUE_UP;
  if (q->fault >= FAULT_NEW)
    return q->fault == FAULT_NEW ? -1 : 0;
  if (q->fault == FAULT_OVERRUN && up)
    {
      if (q->next != q->peer)
	return (uint16_t) (q->peer - q->next);
      rx_resume (q);
      return q->peer == q->limit && queue_holds_none (q) ? stop_and_take (q, true) : 0;
    }
  if (q->fault == FAULT_CHAIN && (up ? counter_now (q) : q->limit) == q->peer)
    {
      if (!up)
	q->limit = q->peer = q->next; /* the rest does not come any more */
      return 0;
    }
  q->fault = FAULT_NONE;
  return rx_count_published (q);
}

bool
rx_chain_unfinished (queue_t *q, uint16_t at)
{
  const unsigned slots = (uint16_t) (q->peer - at);
  if (q->state != QUEUE_UP)
    q->limit = q->peer = at;
  else if (q->fault == FAULT_OVERRUN)
    {
      lose (q, slots); /* it was whole when we took it */
      q->peer = at;
    }
  else if (slots < ring_size (q))
    q->fault = FAULT_CHAIN;
  else
    queue_fault (q, "the chain at slot %u has no end in the whole ring", at & q->mask);
  return q->fault < FAULT_NEW;
}

bool
rx_overwritten (queue_t *q, uint16_t slots)
{
  if (q->state != QUEUE_UP)
    return false;
  const uint16_t counter = counter_now (q);
  if (q->fault == FAULT_OVERRUN ? counter == q->limit : (uint16_t) (counter - q->next) <= ring_size (q))
    return false;
  if (q->fault == FAULT_OVERRUN)
    lose (q, slots);
  return true;
}

void
rx_resume (queue_t *q)
{
  if ((uint16_t) (q->slave ? q->done - ring_size (q) : q->done) != q->peer)
    return;
  rx_restore (q, (uint16_t) (q->limit - q->peer), 0);
  q->next = q->peer = q->limit;
  show (q, q->done);
}

/* A counter of a queue: 0 where the queue was not asked for yet. */
static int
counter_of (conn_t *c, uint16_t qid, size_t offset, uint64_t *to)
{
  if (!c || qid >= c->num_rx)
    return MEMIF_ERR_QID;
  if (!to)
    return MEMIF_ERR_INVAL_ARG;
  const queue_t *q = c->rx[qid];
  *to = 0;
  if (q)
    *to = atomic_load_explicit ((const _Atomic uint64_t *) ((const uint8_t *) q + offset),
				memory_order_relaxed);
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_overrun (memif_conn_handle_t conn, uint16_t qid, uint64_t *slots)
{
  return counter_of (conn, qid, offsetof (queue_t, overrun), slots);
}

int
memif_ext_rx_full (memif_conn_handle_t conn, uint16_t qid, uint64_t *times)
{
  return counter_of (conn, qid, offsetof (queue_t, full), times);
}
