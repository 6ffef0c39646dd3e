/* Sending in place: the program fills the ring's buffers itself, as in libmemif 4.0. */
#define _GNU_SOURCE
#include "control.h"
#include "tx.h"

/* Reserves a large buffer for each of up to count packets, all of which fit one. */
static uint16_t __attribute__ ((noinline))
reserve_singles (queue_t *q, memif_buffer_t *bufs, uint16_t count, uint16_t size)
{
  const unsigned free_slots = tx_known_free (q);
  own_t *const own = q->own, *const large = q->spare;
  uint8_t *const base = q->base;
  const uint16_t mask = q->own_mask, first = q->next;
  uint16_t left = q->num_spare;
  if (count > free_slots)
    count = (uint16_t) free_slots;
  for (uint16_t n = 0; n < count; n++)
    {
      const uint16_t slot = (uint16_t) (first + n);
      const own_t b = large[--left];
      own[slot & mask] = b;
      bufs[n].desc_index = slot;
      bufs[n].queue = q;
      bufs[n].len = size;
      bufs[n].flags = 0;
      bufs[n].data = base + own_offset (b);
    }
  q->num_spare = left;
  q->next = (uint16_t) (first + count);
  return count;
}

/* The same for one packet, where nothing else is to be seen to. */
static inline bool
reserve_one (queue_t *q, memif_buffer_t *buf, uint16_t size)
{
  if (q->state != QUEUE_UP || q->fault != FAULT_NONE || !q->slave || !size || size > q->buffer_size
      || (uint16_t) (q->next - q->peer) >= RECLAIM_AFTER || !tx_known_free (q)
      || (uint16_t) (q->next - q->done) >= tx_most (q))
    return false;
  const uint16_t slot = q->next++;
  buf->desc_index = slot;
  buf->queue = q;
  buf->len = size;
  buf->flags = 0;
  buf->data = q->base + own_offset (tx_take_buffer (q, slot, false));
  return true;
}

/* Reserves the buffers of one packet. */
static int
reserve (queue_t *q, memif_buffer_t *bufs, uint16_t size, unsigned slots)
{
  uint32_t left = size;
  for (unsigned i = 0; i < slots; i++)
    {
      uint16_t slot = (uint16_t) (q->next + i);
      desc_t d = { .length = q->buffer_size };
      uint8_t *data = q->slave ? q->base + own_offset (tx_take_buffer (q, slot, false))
			       : tx_offered_at (q, slot, &d);
      if (!data)
	return MEMIF_ERR_MFMSG;
      uint32_t len = size == 0 || d.length < left ? d.length : left;
      left -= size == 0 ? 0 : len;
      bufs[i] = (memif_buffer_t){ .desc_index = slot,
				  .queue = q,
				  .len = len,
				  .flags = i + 1 < slots ? MEMIF_BUFFER_FLAG_NEXT : 0,
				  .data = data };
    }
  q->next = (uint16_t) (q->next + slots);
  return MEMIF_ERR_SUCCESS;
}

/* Reserves packets of any size one by one. *n: links so far. */
static int __attribute__ ((noinline))
reserve_others (queue_t *q, memif_buffer_t *bufs, uint16_t count, uint16_t size, uint16_t *n)
{
  /* Programs give the array's length as count, or 1 with room for one packet's
   * links by their own buffer size. A peer with smaller buffers must not make
   * us write more than either. */
  const unsigned own_size = q->conn->args.buffer_size;
  const unsigned links = (size + own_size - 1u) / own_size;
  const unsigned most = links > count ? links : count;
  while (*n < count)
    {
      unsigned free_slots = tx_known_free (q);
      unsigned slots = tx_slots_for (q, size ? size : 1, free_slots);
      if (slots > free_slots && tx_free_slots (q) >= 0)
	{
	  free_slots = tx_known_free (q);
	  slots = tx_slots_for (q, size ? size : 1, free_slots);
	  if (slots > free_slots)
	    return tx_too_small (q, size, free_slots) ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
	}
      if (q->fault != FAULT_NONE)
	return MEMIF_ERR_MFMSG;
      if (slots > most - *n)
	return tx_too_small (q, size, slots) ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
      int err = reserve (q, bufs + *n, size, slots);
      if (err)
	return err;
      *n = (uint16_t) (*n + slots);
    }
  return MEMIF_ERR_SUCCESS;
}

static int __attribute__ ((noinline))
reserve_any (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
	     uint16_t *count_out, uint16_t size)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, false);
  if (!bufs || !count_out)
    return MEMIF_ERR_INVAL_ARG;
  *count_out = 0;
  queue_enter (q);
  if (q->state != QUEUE_UP)
    err = MEMIF_ERR_DISCONNECTED;
  else if (q->slave)
    {
      if ((uint16_t) (q->next - q->peer) >= RECLAIM_AFTER)
	tx_free_slots (q);
      if (size && size <= q->buffer_size && q->fault == FAULT_NONE)
	*count_out = reserve_singles (q, bufs, count, size);
    }
  if (*count_out < count && !err)
    err = reserve_others (q, bufs, count, size, count_out);
  tx_at_once (q, (uint16_t) (q->next - q->done));
  queue_leave (q);
  return err;
}

/* With a short way, as memif_ext_tx_burst. */
int
memif_buffer_alloc (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		    uint16_t *count_out, uint16_t size)
{
  queue_t *q = queue_made (conn, qid, false);
  if (!q || !bufs || !count_out || count != 1 || !queue_try_enter (q) || !reserve_one (q, bufs, size))
    return reserve_any (conn, qid, bufs, count, count_out, size);
  *count_out = 1;
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

/* Puts the first of a slave's reserved buffers into their slots: packets of one buffer each.
 * Stops before the first that is not, or has anything wrong. As copy_singles_in of tx_copy.c. */
static uint16_t __attribute__ ((noinline))
place_singles (queue_t *q, const memif_buffer_t *bufs, uint16_t count)
{
  const uint32_t buffer_size = q->buffer_size;
  const uint8_t *const base = q->base;
  const uint16_t mask = q->mask, own_mask = q->own_mask;
  const uint16_t region = q->base_region, first = q->done;
  shared_desc_t *const desc = q->ring->desc;
  const own_t *const own = q->own;
  const uint16_t reserved = (uint16_t) (q->next - first);
  uint16_t n;

  if (count > reserved)
    count = reserved;
  for (n = 0; n < count; n++)
    {
      const memif_buffer_t *const b = &bufs[n];
      const uint16_t slot = (uint16_t) (first + n);
      const uint32_t offset = own_offset (own[slot & own_mask]);
      const size_t into = (size_t) ((const uint8_t *) b->data - (base + offset));
      if (b->desc_index != slot || b->flags || into > buffer_size
	  || b->len > buffer_size - into)
	break;
      desc_write (&desc[slot & mask],
		  (desc_t){ .region = region, .length = b->len, .offset = offset + (uint32_t) into });
    }
  return n;
}

/* The same for one, where nothing else is to be seen to. */
static inline bool
place_one (queue_t *q, const memif_buffer_t *b)
{
  if (q->state != QUEUE_UP || q->fault != FAULT_NONE || !q->slave)
    return false;
  const uint16_t slot = q->done;
  const uint32_t offset = own_offset (q->own[slot & q->own_mask]);
  const size_t into = (size_t) ((const uint8_t *) b->data - (q->base + offset));
  if (q->next == slot || b->desc_index != slot || b->flags || into > q->buffer_size
      || b->len > q->buffer_size - into)
    return false;
  desc_write (&q->ring->desc[slot & q->mask], (desc_t){ .region = q->base_region,
							.length = b->len,
							.offset = offset + (uint32_t) into });
  return true;
}

/* Puts a reserved buffer into its slot. */
static inline int
place (queue_t *q, const memif_buffer_t *b)
{
  shared_desc_t *desc = &q->ring->desc[b->desc_index & q->mask];
  const uint16_t flags = b->flags & MEMIF_BUFFER_FLAG_NEXT ? DESC_NEXT : 0;
  const uint8_t *data = b->data;
  if (q->slave)
    {
      const uint32_t offset = own_offset (q->own[b->desc_index & q->own_mask]);
      const size_t into = (size_t) (data - (q->base + offset)); /* huge when it lies before */
      if (into > q->buffer_size || b->len > q->buffer_size - into)
	return MEMIF_ERR_INVAL_ARG;
      desc_write (desc, (desc_t){ .flags = flags,
				  .region = q->base_region,
				  .length = b->len,
				  .offset = offset + (uint32_t) into });
      return MEMIF_ERR_SUCCESS;
    }
  desc_t d;
  const uint8_t *start = tx_offered_at (q, b->desc_index, &d);
  if (!start)
    return MEMIF_ERR_MFMSG;
  if (b->len > d.length)
    return MEMIF_ERR_INVAL_ARG;
  /* The program gives what it was given, so it is the peer that has changed it. */
  if (data != start)
    return queue_fault (q, "the reserved slot %u was changed", b->desc_index & q->mask);
  d.length = b->len;
  d.flags = flags;
  desc_write (desc, d);
  return MEMIF_ERR_SUCCESS;
}

/* The same, one by one, of whatever is behind the first so many. Returns how many of whole packets
 * there are then. */
static uint16_t __attribute__ ((noinline))
place_others (queue_t *q, const memif_buffer_t *bufs, uint16_t whole, uint16_t count, int *err)
{
  for (uint16_t i = whole; i < count && !*err; i++)
    {
      const memif_buffer_t *b = &bufs[i];
      uint16_t reserved = (uint16_t) (q->next - q->done);
      if (b->desc_index != (uint16_t) (q->done + i) || i >= reserved)
	*err = MEMIF_ERR_INVAL_ARG;
      else
	*err = place (q, b);
      if (!*err && !(b->flags & MEMIF_BUFFER_FLAG_NEXT))
	whole = (uint16_t) (i + 1);
    }
  if (!*err && whole < count)
    *err = MEMIF_ERR_INVAL_ARG; /* the last chain is not finished */
  return whole;
}

static int __attribute__ ((noinline))
place_any (memif_conn_handle_t conn, uint16_t qid, const memif_buffer_t *bufs, uint16_t count, uint16_t *tx)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  uint16_t whole = 0;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, false);
  if (!bufs || !tx)
    return MEMIF_ERR_INVAL_ARG;
  *tx = 0;
  queue_enter (q);
  if (q->state != QUEUE_UP)
    err = MEMIF_ERR_DISCONNECTED;
  else
    {
      if (q->slave)
	whole = place_singles (q, bufs, count);
      if (whole < count)
	whole = place_others (q, bufs, whole, count, &err);
    }
  if (whole)
    {
      q->done = (uint16_t) (q->done + whole);
      tx_publish (q);
    }
  *tx = whole;
  if (err == MEMIF_ERR_MFMSG)
    q->fault = FAULT_TOLD;
  queue_leave (q);
  return err;
}

/* With a short way, as memif_ext_tx_burst. */
int
memif_tx_burst (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		uint16_t *tx)
{
  queue_t *q = queue_made (conn, qid, false);
  if (!q || !bufs || !tx || count != 1 || !queue_try_enter (q) || !place_one (q, bufs))
    return place_any (conn, qid, bufs, count, tx);
  q->done++;
  *tx = 1;
  if (__builtin_expect (tx_show (q), 0))
    return tx_wake_and_leave (q);
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}
