/* Receiving in place: the program reads the ring's buffers itself, as in libmemif 4.0. */
#define _GNU_SOURCE
#include "control.h"
#include "rx.h"

/* To a master, packets of one buffer each. Stops before the first that is not, or
 * has anything wrong. As copy_singles_in of tx_copy.c. */
static uint16_t __attribute__ ((noinline))
hand_out_singles (queue_t *q, memif_buffer_t *bufs, uint16_t most)
{
  const region_t *const regions = q->regions;
  const uint32_t num_regions = q->num_regions;
  const uint16_t mask = q->mask, first = q->next;
  const shared_desc_t *const desc = q->ring->desc;
  uint32_t region = UINT32_MAX;
  uint64_t size = 0;
  uint8_t *base = NULL;
  uint16_t n;

  for (n = 0; n < most; n++)
    {
      const uint16_t slot = (uint16_t) (first + n);
      const desc_t d = desc_read (&desc[slot & mask]);
      if (d.region != region)
	{
	  if (d.region >= num_regions)
	    break;
	  region = d.region;
	  size = regions[region].size;
	  base = regions[region].addr;
	}
      if ((d.flags & DESC_NEXT) || (uint64_t) d.offset + d.length > size)
	break;
      bufs[n].desc_index = slot;
      bufs[n].queue = q;
      bufs[n].len = d.length;
      bufs[n].flags = 0;
      bufs[n].data = base + d.offset;
    }
  return n;
}

/* To a master that polls, the buffer of the one packet that there is, without the preparations. */
static inline bool
hand_out_one (queue_t *q, memif_buffer_t *buf)
{
  if (q->state != QUEUE_UP || q->slave || !q->polling || q->fault != FAULT_NONE)
    return false;
  const uint16_t slot = q->next;
  /* Acquire, as in rx_count_published. */
  const uint16_t counter = atomic_load_explicit (&q->ring->head, memory_order_acquire);
  if ((uint16_t) (counter - slot) != 1 || (uint16_t) (slot - q->done) > q->mask)
    return false;
  const desc_t d = desc_read (&q->ring->desc[slot & q->mask]);
  uint8_t *const data = buffer_at (q, d.region, d.offset, d.length);
  if ((d.flags & DESC_NEXT) || !data)
    return false;
  buf->desc_index = slot;
  buf->queue = q;
  buf->len = d.length;
  buf->flags = 0;
  buf->data = data;
  q->next = q->peer = counter;
  return true;
}

/* Hands out buffers in place; n: how many. */
static void
hand_out (queue_t *q, memif_buffer_t *bufs, uint16_t most, uint16_t *n)
{
  /* Buffers of whole packets. For one alone the preparations don't pay. */
  uint16_t whole = q->slave || most == 1 ? 0 : hand_out_singles (q, bufs, most);
  for (uint16_t i = whole; i < most; i++)
    {
      uint16_t slot = (uint16_t) (q->next + i);
      desc_t d = desc_read (&q->ring->desc[slot & q->mask]);
      uint8_t *data = rx_received_at (q, slot, &d);
      bool more = d.flags & DESC_NEXT, unfinished = more && (uint16_t) (slot + 1) == q->peer;
      if (!data)
	rx_bad_descriptor (q, slot, &d);
      else if (unfinished)
	rx_chain_unfinished (q, (uint16_t) (q->next + whole));
      if (!data || unfinished)
	{
	  *n = whole;
	  return;
	}
      q->chained |= more;
      bufs[i] = (memif_buffer_t){ .desc_index = slot,
				  .queue = q,
				  .len = d.length,
				  .flags = more ? MEMIF_BUFFER_FLAG_NEXT : 0,
				  .data = data };
      if (!more)
	whole = (uint16_t) (i + 1);
    }
  *n = most;
}

static int __attribute__ ((noinline))
hand_out_burst (queue_t *q, memif_buffer_t *bufs, uint16_t count, uint16_t *rx)
{
  bool cleared = false;
  int published = rx_count_published (q);
  while (published == 0 && q->state == QUEUE_DRAINING && q->pending && queue_holds_none (q))
    {
      queue_drained (q);
      published = rx_published (q);
    }
  if (published == 0 && q->state != QUEUE_UP)
    return MEMIF_ERR_DISCONNECTED;
  if (q->state == QUEUE_UP && !q->polling && published >= 0 && published <= count)
    {
      q->idle = published ? 0 : q->idle + 1;
      cleared = power_of_two (q->idle) || !q->armed;
      if (cleared)
	{
	  queue_clear_event (q);
	  if (!q->armed) /* memif_ext_rx_wait has disarmed it */
	    queue_arm (q);
	  published = rx_published (q);
	}
      /* All that is published will have been handed out: for look.c. */
      atomic_store_explicit (&q->armed_at, SLEEPS_ON | q->peer, memory_order_relaxed);
    }
  if (published > 0)
    {
      uint16_t n = 0;
      hand_out (q, bufs, published > count ? count : (uint16_t) published, &n);
      q->next = (uint16_t) (q->next + n);
      *rx = n;
    }
  if (*rx == 0 && q->fault == FAULT_NEW)
    {
      q->fault = FAULT_TOLD;
      return MEMIF_ERR_MFMSG;
    }
  if (published <= *rx || q->fault == FAULT_CHAIN)
    return MEMIF_ERR_SUCCESS;
  /* Packets are left, so the event must be there for the next wait. */
  return cleared && !queue_signal (q) ? MEMIF_ERR_INT_WRITE : MEMIF_ERR_NOBUF;
}

static int __attribute__ ((noinline))
hand_out_any (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count, uint16_t *rx)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, true);
  if (!bufs || !rx)
    return MEMIF_ERR_INVAL_ARG;
  *rx = 0;
  queue_enter (q);
  const int err = hand_out_burst (q, bufs, count, rx);
  queue_leave (q);
  return err;
}

/* With a short way, as memif_ext_rx_burst. */
int
memif_rx_burst (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		uint16_t *rx)
{
  queue_t *q = queue_made (conn, qid, true);
  if (!q || !bufs || !rx || !count || !queue_try_enter (q) || !hand_out_one (q, bufs))
    return hand_out_any (conn, qid, bufs, count, rx);
  *rx = 1;
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

static int __attribute__ ((noinline))
refill_any (memif_conn_handle_t conn, uint16_t qid, uint16_t count, uint16_t headroom)
{
  queue_t *q = queue_of (conn, qid, true);
  int err = MEMIF_ERR_SUCCESS;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, true);
  queue_enter (q);
  if (q->state == QUEUE_GONE)
    err = MEMIF_ERR_DISCONNECTED;
  else if (q->slave && headroom >= q->buffer_size)
    err = MEMIF_ERR_INVAL_ARG;
  else
    {
      /* Offered, or read and not given back, is at most what there is. */
      uint16_t most = q->slave ? (uint16_t) (q->mask + 1 - (uint16_t) (q->done - q->next))
			       : (uint16_t) (q->next - q->done);
      if (count > most)
	count = most;
      if (q->chained)
	rx_clear_chain (q, q->done, (uint16_t) (q->done + count));
      rx_give_back (q, count, headroom);
    }
  queue_leave (q);
  return err;
}

/* With a short way, as memif_ext_rx_burst: of a master that gives back packets of one buffer each. */
int
memif_refill_queue (memif_conn_handle_t conn, uint16_t qid, uint16_t count, uint16_t headroom)
{
  queue_t *q = queue_made (conn, qid, true);
  if (!q || !queue_try_enter (q) || q->state != QUEUE_UP || q->slave || q->chained
      || q->fault != FAULT_NONE || count > (uint16_t) (q->next - q->done))
    return refill_any (conn, qid, count, headroom);
  q->done = (uint16_t) (q->done + count);
  /* Release, as in rx_give_back. */
  atomic_store_explicit (&q->ring->tail, q->done, memory_order_release);
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}
