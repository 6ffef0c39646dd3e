/* Sending: into the ring, in place (libmemif 4.0) or copied (ext). */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "control.h"

enum { RECLAIM_AFTER = 32 };

/* 64 KiB fit into a long chain of buffers of the least size. */
enum { LONG_CHAIN = 1024, LEAST_BUFFER = 64 };

/* Puts the buffers of the slots back among the spare ones of their size, all the same. */
static inline uint16_t
put_back (own_t *spare, uint16_t num_spare, const own_t *own, unsigned from, unsigned count, unsigned size)
{
  const unsigned first = count < size - from ? count : size - from;
  memcpy (spare + num_spare, own + from, first * sizeof *own);
  if (first < count) /* the rest is at the ring's start */
    memcpy (spare + num_spare + first, own, (count - first) * sizeof *own);
  return (uint16_t) (num_spare + count);
}

/* The buffers of the slots up to this one are no longer in use. */
static inline void
reclaim (queue_t *q, uint16_t end)
{
  const own_t *const own = q->own;
  own_t *const small = q->spare[1], *const large = q->spare[0];
  uint16_t num_small = q->num_spare[1], num_large = q->num_spare[0];
  const uint16_t mask = q->mask;
  const unsigned size = mask + 1u, large_used = size - num_large;
  const uint16_t count = (uint16_t) (end - q->reclaimed);
  const uint16_t used = (uint16_t) (q->next - q->reclaimed);
  if (count == 0)
    return;
  if (large_used == 0)
    num_small = put_back (small, num_small, own, q->reclaimed & mask, count, size);
  else if (large_used == used)
    num_large = put_back (large, num_large, own, q->reclaimed & mask, count, size);
  else
    for (uint16_t slot = q->reclaimed; slot != end; slot++)
      {
	const own_t b = own[slot & mask];
	if (own_small (b))
	  small[num_small++] = b;
	else
	  large[num_large++] = b;
      }
  q->num_spare[1] = num_small;
  q->num_spare[0] = num_large;
  q->reclaimed = end;
}

int
tx_free_slots (queue_t *q)
{
  if (q->fault != FAULT_NONE)
    return q->fault == FAULT_NEW ? -1 : 0;
  unsigned size = q->mask + 1u;
  uint16_t reserved = (uint16_t) (q->next - q->done);
  /* The peer has read the buffers, or written the descriptors, before the counter: acquire. */
  uint16_t peer = atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head,
					memory_order_acquire);
  uint16_t held = q->slave ? (uint16_t) (q->done - peer)	/* published, not taken */
			   : (uint16_t) (peer - q->done); /* offered, not published */
  /* Buffers come back slot by slot, so a counter that goes back would give some twice. */
  bool back = q->slave && (uint16_t) (peer - q->peer) > (uint16_t) (q->done - q->peer);
  if (held > size || back || reserved > (q->slave ? size - held : held))
    {
      queue_fault (q, "%u slots are outstanding in a ring of %u", held, size);
      return -1;
    }
  q->peer = peer;
  if (!q->slave && held > q->offered)
    q->offered = held;
  if (q->slave)
    reclaim (q, peer);
  return (int) (q->slave ? size - held : held) - reserved;
}

/* Free slots by the peer's counter as last read. */
static inline unsigned
known_free (const queue_t *q)
{
  return q->slave ? q->mask + 1u - (uint16_t) (q->next - q->peer) : (uint16_t) (q->peer - q->next);
}

static void __attribute__ ((noinline))
interrupt (queue_t *q)
{
  if (!queue_signal (q))
    queue_fault (q, "its eventfd can't be written (errno %d)", errno);
}

/* Makes slots up to q->done visible to the peer, and wakes it if it asked for that. */
static inline void
publish (queue_t *q)
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
  if (!(atomic_load_explicit (&q->ring->flags, memory_order_relaxed) & RING_NO_INTERRUPT))
    interrupt (q);
}

/* Takes the buffer that was used last, as that one is in the cache. There is
 * one of each size for every slot. */
static inline own_t
take_buffer (queue_t *q, uint16_t slot, bool small)
{
  own_t b = q->spare[small][--q->num_spare[small]];
  q->own[slot & q->mask] = b;
  return b;
}

/* The room that a master finds in an offered slot. NULL after a fault. */
static uint8_t *
offered_at (queue_t *q, uint16_t slot, desc_t *d)
{
  *d = desc_read (&q->ring->desc[slot & q->mask]);
  uint8_t *at = d->length ? buffer_at (q, d->region, d->offset, d->length) : NULL;
  if (!at)
    queue_fault (q, "the offered slot %u is unusable: region %u, offset %u, length %u",
		 slot & q->mask, d->region, d->offset, d->length);
  else if (d->length > q->buffer_size)
    q->buffer_size = d->length;
  return at;
}

/* How many slots a packet of this length takes, at most limit + 1. 0 after a fault. */
static inline unsigned
slots_for (queue_t *q, uint32_t length, unsigned limit)
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
      if (!offered_at (q, (uint16_t) (q->next + n++), &d))
	return 0;
      room += d.length;
    }
  return room < length ? limit + 1 : n;
}

/* Whether a packet that takes n offered slots and more ends the link: else a peer's buffers of
 * a byte cost us a thousand times what they cost it. */
static bool __attribute__ ((noinline, cold))
too_small (queue_t *q, uint32_t length, unsigned n)
{
  if (q->slave || n < LONG_CHAIN || length > (uint64_t) (n - 1) * LEAST_BUFFER)
    return false;
  queue_fault (q, "the offered buffers are too small: %u of them for %u bytes", n, length);
  return true;
}

/* Whether a packet that did not fit can't fit even into an empty ring. A master
 * knows the largest buffer it was offered (slots not offered now hold lengths of
 * packets), and when it is offered all: some slaves keep one slot. */
static bool
too_large (const queue_t *q, uint32_t length, unsigned free_slots)
{
  return q->buffer_size
	 && (length > (uint64_t) q->buffer_size * (q->mask + 1u)
	     || (!q->slave && free_slots >= q->offered && q->offered >= q->mask));
}

/* Copies a packet into the next slots. -1 after a fault; nothing is published yet. */
static int
copy_in (queue_t *q, const uint8_t *from, uint32_t left, unsigned slots)
{
  for (uint16_t slot = q->next; left; slot++)
    {
      desc_t d;
      uint8_t *to;
      if (q->slave)
	{
	  own_t own = take_buffer (q, slot, left <= q->small_size);
	  to = q->base + own_offset (own);
	  d = (desc_t){ .region = q->base_region, .offset = own_offset (own), .length = q->buffer_size };
	}
      else
	{
	  /* Read anew: if the peer has taken room away since it was counted, that ends the link. */
	  if (slots-- == 0)
	    return queue_fault (q, "offered slots were made smaller"), -1;
	  if (!(to = offered_at (q, slot, &d)))
	    return -1;
	}
      if (d.length > left)
	d.length = left;
      copy_bytes (to, from, d.length);
      from += d.length;
      left -= d.length;
      d.flags = left ? DESC_NEXT : 0;
      desc_write (&q->ring->desc[slot & q->mask], d);
    }
  return 0;
}

/* What most bursts are: packets of one buffer each, sent by a slave into slots that
 * are known to be free. Stops before the first that is not. Works on copies of
 * the queue's fields, which the compiler could not keep over writes of bytes. */
static uint16_t __attribute__ ((noinline))
copy_singles (queue_t *q, const memif_ext_slice_t *packets, uint16_t count)
{
  const uint32_t buffer_size = q->buffer_size;
  const uint32_t small_size = q->small_size;
  uint8_t *const base = q->base;
  const uint16_t mask = q->mask, region = q->base_region;
  shared_desc_t *const desc = q->ring->desc;
  own_t *const own = q->own, *const small = q->spare[1], *const large = q->spare[0];
  uint16_t num_small = q->num_spare[1], num_large = q->num_spare[0], next = q->next, n;
  const unsigned free_slots = known_free (q);

  if (count > free_slots)
    count = (uint16_t) free_slots;
  for (n = 0; n < count; n++, next++)
    {
      const uint8_t *const data = packets[n].data;
      const uint32_t len = packets[n].len;
      if (!data || len - 1 >= buffer_size) /* nothing, or a chain */
	break;
      const own_t b = len <= small_size ? small[--num_small] : large[--num_large];
      own[next & mask] = b;
      copy_bytes (base + own_offset (b), data, len);
      desc_write (&desc[next & mask],
		  (desc_t){ .region = region, .offset = own_offset (b), .length = len });
    }
  q->num_spare[1] = num_small;
  q->num_spare[0] = num_large;
  q->next = next;
  return n;
}

/* The same for one packet, without the preparations. */
static inline uint16_t
copy_one (queue_t *q, const memif_ext_slice_t *p)
{
  if (!p->data || p->len - 1 >= q->buffer_size || !known_free (q))
    return 0;
  const uint16_t slot = q->next++;
  const own_t b = take_buffer (q, slot, p->len <= q->small_size);
  copy_bytes (q->base + own_offset (b), p->data, p->len);
  desc_write (&q->ring->desc[slot & q->mask],
	      (desc_t){ .region = q->base_region, .offset = own_offset (b), .length = p->len });
  return 1;
}

/* Whatever is not a single, from packet n on. Returns how many packets are in. */
static uint16_t __attribute__ ((noinline))
copy_others (queue_t *q, const memif_ext_slice_t *packets, uint16_t n, uint16_t count, int *err)
{
  for (; n < count && q->fault == FAULT_NONE; n++)
    {
      const memif_ext_slice_t *p = &packets[n];
      if (p->len == 0 || !p->data)
	{
	  *err = MEMIF_ERR_INVAL_ARG;
	  break;
	}
      unsigned free_slots = known_free (q);
      unsigned slots = slots_for (q, p->len, free_slots);
      if (slots > free_slots && tx_free_slots (q) >= 0)
	{
	  free_slots = known_free (q);
	  slots = slots_for (q, p->len, free_slots);
	  if (slots > free_slots)
	    {
	      if (too_small (q, p->len, free_slots))
		break;
	      *err = too_large (q, p->len, free_slots) ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_NOBUF_RING;
	      break;
	    }
	}
      if (__builtin_expect (slots >= LONG_CHAIN, 0) && too_small (q, p->len, slots))
	break;
      if (q->fault != FAULT_NONE || copy_in (q, p->data, p->len, slots) < 0)
	break;
      q->next = (uint16_t) (q->next + slots);
    }
  return n;
}

/* Of a fault the owner hears once; then it waits until the control thread has taken the link down. */
static int
told (queue_t *q)
{
  bool first = q->fault == FAULT_NEW;
  q->fault = FAULT_TOLD;
  return first ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
}

static inline int
copy_burst (queue_t *q, const memif_ext_slice_t *packets, uint16_t count, uint16_t *sent)
{
  int err = MEMIF_ERR_SUCCESS;
  uint16_t n = 0;

  if (q->state != QUEUE_UP)
    return MEMIF_ERR_DISCONNECTED;
  if (q->next != q->done)
    return MEMIF_ERR_INVAL_ARG; /* buffers are reserved for memif_tx_burst */
  if (q->fault != FAULT_NONE)
    return told (q);
  if (q->slave)
    {
      /* Not for each packet, as the counter is in the peer's cache; but often
       * enough to use few buffers again and again. */
      if ((uint16_t) (q->next - q->peer) < RECLAIM_AFTER || tx_free_slots (q) >= 0)
	n = count == 1 ? copy_one (q, packets) : copy_singles (q, packets, count);
    }
  if (n < count)
    n = copy_others (q, packets, n, count, &err);
  if (q->next != q->done)
    {
      q->done = q->next;
      publish (q);
    }
  *sent = n;
  if (__builtin_expect (q->fault != FAULT_NONE && n == 0, 0))
    return told (q);
  return err == MEMIF_ERR_NOBUF_RING && n > 0 ? MEMIF_ERR_SUCCESS : err;
}

int
memif_ext_tx_burst (memif_conn_handle_t conn, uint16_t qid, const memif_ext_slice_t *packets,
		    uint16_t count, uint16_t *sent)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q)
    return MEMIF_ERR_QID;
  if (!packets || !sent)
    return MEMIF_ERR_INVAL_ARG;
  *sent = 0;
  queue_enter (q);
  int err = copy_burst (q, packets, count, sent);
  queue_leave (q);
  return err;
}

/* With the lock held, when the link goes down: published slots that the peer has not taken. */
uint16_t
tx_untaken (const queue_t *q)
{
  uint16_t size = (uint16_t) (q->mask + 1u);
  /* Acquire, as in tx_free_slots: what is taken has been read. */
  uint16_t peer = atomic_load_explicit (q->slave ? &q->ring->tail : &q->ring->head,
					memory_order_acquire);
  uint16_t held = q->slave ? (uint16_t) (q->done - peer) : (uint16_t) (peer - q->done);
  if (held > size)
    return size; /* nonsense: nobody knows */
  if (q->slave)
    return held;
  return q->offered > held ? (uint16_t) (q->offered - held) : 0;
}

static int
look (memif_conn_handle_t conn, uint16_t qid, bool pending, uint16_t *slots)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_DISCONNECTED;
  if (!q || !slots)
    return q ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_QID;
  *slots = 0;
  if (pending)
    queue_lock (q);
  else
    queue_enter (q);
  if (q->state == QUEUE_UP)
    {
      int free_slots = tx_free_slots (q);
      unsigned most = q->slave ? q->mask + 1u : q->offered;
      unsigned reserved = (uint16_t) (q->next - q->done);
      err = free_slots < 0 ? MEMIF_ERR_MFMSG : MEMIF_ERR_SUCCESS;
      if (err)
	q->fault = FAULT_TOLD;
      if (!err)
	*slots = (uint16_t) (pending ? most - (unsigned) free_slots - reserved : (unsigned) free_slots);
    }
  else if (pending)
    *slots = q->untaken;
  if (pending)
    queue_unlock (q);
  else
    queue_leave (q);
  return err;
}

int
memif_ext_tx_free (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots)
{
  return look (conn, qid, false, slots);
}

int
memif_ext_tx_pending (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots)
{
  return look (conn, qid, true, slots);
}

int
memif_ext_tx_room (memif_conn_handle_t conn, uint16_t qid, uint32_t *buffer_size, uint16_t *slots)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q || !buffer_size || !slots)
    return q ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_QID;
  queue_enter (q);
  const bool up = q->state == QUEUE_UP;
  *buffer_size = up ? q->buffer_size : 0;
  *slots = !up ? 0 : q->slave ? (uint16_t) (q->mask + 1u) : q->offered;
  queue_leave (q);
  return up ? MEMIF_ERR_SUCCESS : MEMIF_ERR_DISCONNECTED;
}

/* Reserves a large buffer for each of up to count packets, all of which fit one. */
static uint16_t
reserve_singles (queue_t *q, memif_buffer_t *bufs, uint16_t count, uint16_t size)
{
  const unsigned free_slots = known_free (q);
  own_t *const own = q->own, *const large = q->spare[0];
  uint8_t *const base = q->base;
  const uint16_t mask = q->mask, first = q->next;
  uint16_t left = q->num_spare[0];
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
  q->num_spare[0] = left;
  q->next = (uint16_t) (first + count);
  return count;
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
      uint8_t *data = q->slave ? q->base + own_offset (take_buffer (q, slot, false))
			       : offered_at (q, slot, &d);
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
      unsigned free_slots = known_free (q);
      unsigned slots = slots_for (q, size ? size : 1, free_slots);
      if (slots > free_slots && tx_free_slots (q) >= 0)
	{
	  free_slots = known_free (q);
	  slots = slots_for (q, size ? size : 1, free_slots);
	  if (slots > free_slots)
	    return too_small (q, size, free_slots) ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
	}
      if (q->fault != FAULT_NONE)
	return MEMIF_ERR_MFMSG;
      if (slots > most - *n)
	return too_small (q, size, slots) ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
      int err = reserve (q, bufs + *n, size, slots);
      if (err)
	return err;
      *n = (uint16_t) (*n + slots);
    }
  return MEMIF_ERR_SUCCESS;
}

int
memif_buffer_alloc (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		    uint16_t *count_out, uint16_t size)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return MEMIF_ERR_QID;
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
  queue_leave (q);
  return err;
}

/* Puts the first of a slave's reserved buffers into their slots: packets of one buffer each.
 * Stops before the first that is not, or has anything wrong. As copy_singles. */
static uint16_t __attribute__ ((noinline))
place_singles (queue_t *q, const memif_buffer_t *bufs, uint16_t count)
{
  const uint32_t buffer_size = q->buffer_size;
  const uint8_t *const base = q->base;
  const uint16_t mask = q->mask, region = q->base_region, first = q->done;
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
      const uint32_t offset = own_offset (own[slot & mask]);
      const size_t into = (size_t) ((const uint8_t *) b->data - (base + offset));
      if (b->queue != q || b->desc_index != slot || b->flags || into > buffer_size
	  || b->len > buffer_size - into)
	break;
      desc_write (&desc[slot & mask],
		  (desc_t){ .region = region, .length = b->len, .offset = offset + (uint32_t) into });
    }
  return n;
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
      const uint32_t offset = own_offset (q->own[b->desc_index & q->mask]);
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
  const uint8_t *start = offered_at (q, b->desc_index, &d);
  if (!start)
    return MEMIF_ERR_MFMSG;
  /* The program gives what it was given, so it is the peer that has changed it. */
  if (data != start || b->len > d.length)
    return queue_fault (q, "the reserved slot %u was changed", b->desc_index & q->mask);
  d.length = b->len;
  d.flags = flags;
  desc_write (desc, d);
  return MEMIF_ERR_SUCCESS;
}

int
memif_tx_burst (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		uint16_t *tx)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  uint16_t whole = 0;
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return MEMIF_ERR_QID;
  if (!bufs || !tx)
    return MEMIF_ERR_INVAL_ARG;
  *tx = 0;
  queue_enter (q);
  if (q->state != QUEUE_UP)
    err = MEMIF_ERR_DISCONNECTED;
  else if (q->slave && count > 1) /* for one alone the preparations don't pay */
    whole = place_singles (q, bufs, count);
  for (uint16_t i = whole; i < count && !err; i++)
    {
      const memif_buffer_t *b = &bufs[i];
      uint16_t reserved = (uint16_t) (q->next - q->done);
      if (b->queue != q || b->desc_index != (uint16_t) (q->done + i) || i >= reserved)
	err = MEMIF_ERR_INVAL_ARG;
      else
	err = place (q, b);
      if (!err && !(b->flags & MEMIF_BUFFER_FLAG_NEXT))
	whole = (uint16_t) (i + 1);
    }
  if (!err && whole < count)
    err = MEMIF_ERR_INVAL_ARG; /* the last chain is not finished */
  if (whole)
    {
      q->done = (uint16_t) (q->done + whole);
      publish (q);
    }
  *tx = whole;
  if (q->fault == FAULT_NEW)
    q->fault = FAULT_TOLD;
  queue_leave (q);
  return err;
}
