/* Sending copies of the program's packets: memif_ext_tx_burst. */
#define _GNU_SOURCE
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "control.h"
#include "tx.h"

/* Packets of a burst from which on it is written past the cache for a peer that is far. What is
 * written so arrives later, which only a burst makes up for. */
enum { FAR_BURST = 16, LINE = 64 };

/* And from which on small ones follow each other in memory. */
enum { NEAR_BURST = 8 };

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
static inline bool
goes_far (const queue_t *q, uint16_t count)
{
  return count >= FAR_BURST && q->far;
}

/* Before what was written so is published: it is in no order with other writes. */
static inline void
far_end (void)
{
  _mm_sfence ();
}

static inline void
write_line (uint8_t *to, const uint8_t *from)
{
  for (size_t i = 0; i < LINE; i += sizeof (__m128i))
    _mm_stream_si128 ((__m128i *) (void *) (to + i), _mm_loadu_si128 ((const __m128i *) (const void *) (from + i)));
}

/* Writes whole lines, the last one filled with zeros: so much room must be there. */
static inline void
copy_far (uint8_t *to, const uint8_t *from, size_t n)
{
  for (; n >= LINE; to += LINE, from += LINE, n -= LINE)
    write_line (to, from);
  if (n == 0)
    return;
  uint8_t last[LINE] = { 0 };
  memcpy (last, from, n);
  write_line (to, last);
}
#else
static inline bool
goes_far (const queue_t *q, uint16_t count)
{
  (void) q, (void) count;
  return false;
}

static inline void
far_end (void)
{
}

static inline void
copy_far (uint8_t *to, const uint8_t *from, size_t n)
{
  copy_bytes (to, from, n);
}
#endif

/* Asks for a line that is to be written, before it is: it comes while others do. */
static inline void
want (const volatile void *line)
{
#if defined(__x86_64__)
  /* The builtin asks for it to be read, where any x86-64 is to do. Older ones do nothing here. */
  __asm__ volatile ("prefetchw %0" : : "m" (*(const volatile uint8_t *) line));
#else
  __builtin_prefetch ((const void *) (uintptr_t) line, 1);
#endif
}

/* Of a slave's own buffers, which take whole lines. */
#define OWN_ROOM SIZE_MAX

/* Into a buffer of so many bytes. */
static inline void
copy_into (uint8_t *to, size_t room, const uint8_t *from, size_t n, bool far)
{
  if (far && ((uintptr_t) to % LINE) == 0 && ((n - 1) | (LINE - 1)) < room)
    copy_far (to, from, n);
  else
    copy_bytes (to, from, n);
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
copy_in (queue_t *q, const uint8_t *from, uint32_t left, unsigned slots, bool far)
{
  for (uint16_t slot = q->next; left; slot++)
    {
      desc_t d;
      uint8_t *to;
      if (q->slave)
	{
	  own_t own = tx_take_buffer (q, slot, left <= q->small_size);
	  to = q->base + own_offset (own);
	  d = (desc_t){ .region = q->base_region, .offset = own_offset (own), .length = q->buffer_size };
	}
      else
	{
	  /* Read anew: if the peer has taken room away since it was counted, that ends the link. */
	  if (slots-- == 0)
	    return queue_fault (q, "offered slots were made smaller"), -1;
	  if (!(to = tx_offered_at (q, slot, &d)))
	    return -1;
	}
      const size_t room = q->slave ? OWN_ROOM : d.length;
      if (d.length > left)
	d.length = left;
      copy_into (to, room, from, d.length, far);
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
static inline uint16_t __attribute__ ((always_inline))
copy_singles_to (queue_t *q, const memif_ext_slice_t *packets, uint16_t count, bool far)
{
  const uint32_t buffer_size = q->buffer_size, small_size = q->small_size;
  const small_t small = count < NEAR_BURST ? SMALL_APART : SMALL_PAIR;
  const uint32_t line_size = small_size && small == SMALL_PAIR ? LINE_BUFFER : 0, small_at = q->small;
  uint8_t *const base = q->base;
  const uint16_t region = q->base_region;
  shared_desc_t *const desc = q->ring->desc;
  own_t *const own = q->own, *const large = q->spare;
  /* As wide as registers are, which saves cutting them to 16 bits again and again. */
  const unsigned mask = q->mask, own_mask = q->own_mask, free_slots = tx_known_free (q);
  unsigned num_large = q->num_spare, next = q->next;
  const memif_ext_slice_t *const end = packets + (count < free_slots ? count : free_slots);
  const memif_ext_slice_t *packet = packets;

  for (; packet < end; packet++, next++)
    {
      const uint8_t *const data = packet->data;
      const uint32_t len = packet->len;
      if (!data || len - 1 >= buffer_size) /* nothing, or a chain */
	break;
      const small_t kind = len <= line_size ? SMALL_LINE : small;
      const own_t b = len <= small_size
			? own_make (region, small_offset (kind, small_at, next & mask, mask + 1), true)
			: large[--num_large];
      own[next & own_mask] = b;
      copy_into (base + own_offset (b), OWN_ROOM, data, len, far);
      desc_write (&desc[next & mask],
		  (desc_t){ .region = region, .offset = own_offset (b), .length = len });
    }
  q->num_spare = (uint16_t) num_large;
  q->next = (uint16_t) next;
  return (uint16_t) (packet - packets);
}

static uint16_t __attribute__ ((noinline))
copy_singles_in (queue_t *q, const memif_ext_slice_t *packets, uint16_t count)
{
  return copy_singles_to (q, packets, count, false);
}

static uint16_t __attribute__ ((noinline))
copy_singles_far (queue_t *q, const memif_ext_slice_t *packets, uint16_t count)
{
  return copy_singles_to (q, packets, count, true);
}

static inline void
publish (queue_t *q, bool far)
{
  if (far)
    far_end ();
  q->done = q->next;
  tx_publish (q);
}

/* How many slots a packet takes, where they are free. 0: *err says why not, or there is a fault. */
static unsigned
slots_with_room (queue_t *q, uint32_t length, int *err)
{
  unsigned free_slots = tx_known_free (q);
  unsigned slots = tx_slots_for (q, length, free_slots);
  if (slots > free_slots && tx_free_slots (q) >= 0)
    {
      free_slots = tx_known_free (q);
      slots = tx_slots_for (q, length, free_slots);
      if (slots > free_slots)
	{
	  if (!tx_too_small (q, length, free_slots))
	    *err = too_large (q, length, free_slots) ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_NOBUF_RING;
	  return 0;
	}
    }
  if (__builtin_expect (slots >= LONG_CHAIN, 0) && tx_too_small (q, length, slots))
    return 0;
  return q->fault == FAULT_NONE ? slots : 0;
}

/* Whatever is not a single, from packet n on. Returns how many packets are in. */
static uint16_t __attribute__ ((noinline))
copy_others (queue_t *q, const memif_ext_slice_t *packets, uint16_t n, uint16_t count, bool far, int *err)
{
  for (; n < count && q->fault == FAULT_NONE; n++)
    {
      const memif_ext_slice_t *p = &packets[n];
      if (p->len == 0 || !p->data)
	{
	  *err = MEMIF_ERR_INVAL_ARG;
	  break;
	}
      unsigned slots = slots_with_room (q, p->len, err);
      if (slots == 0)
	break;
      if (slots + (uint16_t) (q->next - q->done) > tx_most (q))
	{
	  if (q->next != q->done)
	    publish (q, far);
	  tx_at_once (q, slots);
	}
      if (copy_in (q, p->data, p->len, slots, far) < 0)
	break;
      q->next = (uint16_t) (q->next + slots);
    }
  return n;
}

/* Of a fault the owner hears once; then it waits until the control thread has taken the link
 * down. */
static int
tell_fault (queue_t *q)
{
  bool first = q->fault == FAULT_NEW;
  q->fault = FAULT_TOLD;
  return first ? MEMIF_ERR_MFMSG : MEMIF_ERR_NOBUF_RING;
}

static int __attribute__ ((noinline))
send_burst (queue_t *q, const memif_ext_slice_t *packets, uint16_t count, uint16_t *sent)
{
  int err = MEMIF_ERR_SUCCESS;
  uint16_t n = 0;
  const bool far = goes_far (q, count);

  if (q->state != QUEUE_UP)
    return queue_lacking (q) ? MEMIF_ERR_NOBUF_RING : MEMIF_ERR_DISCONNECTED;
  if (q->next != q->done)
    return MEMIF_ERR_INVAL_ARG; /* buffers are reserved for memif_tx_burst */
  if (q->fault != FAULT_NONE)
    return tell_fault (q);
  if (q->slave)
    {
      /* Not for each packet, as the counter is in the peer's cache; but often
       * enough to use few buffers again and again. */
      if ((uint16_t) (q->next - q->peer) < RECLAIM_AFTER || tx_free_slots (q) >= 0)
	n = far ? copy_singles_far (q, packets, count) : copy_singles_in (q, packets, count);
    }
  if (n < count)
    n = copy_others (q, packets, n, count, far, &err);
  if (q->next != q->done)
    {
      if (count >= FAR_BURST && q->until_measured-- == 0)
	tx_measure (q);
      publish (q, far);
    }
  *sent = n;
  if (__builtin_expect (q->fault != FAULT_NONE && n == 0, 0))
    return tell_fault (q);
  return err == MEMIF_ERR_NOBUF_RING && n > 0 ? MEMIF_ERR_SUCCESS : err;
}

/* More than may be published at once: the slots before would not linger. */
static int __attribute__ ((noinline))
send_in_parts (queue_t *q, const memif_ext_slice_t *packets, uint16_t count, uint16_t *sent)
{
  const unsigned most = tx_most (q);
  for (;;)
    {
      const unsigned left = (unsigned) (count - *sent);
      const uint16_t part = (uint16_t) (left < most ? left : most);
      uint16_t n = 0;
      const int err = send_burst (q, packets + *sent, part, &n);
      *sent = (uint16_t) (*sent + n);
      if (err || n < part || *sent == count)
	return err == MEMIF_ERR_NOBUF_RING && *sent ? MEMIF_ERR_SUCCESS : err;
    }
}

/* The short way, of whoever sends packets one at a time. It has no calls but at its ends, so that few
 * registers are saved for them. Whatever it leaves alone, the long way finds as it was. */

/* The room in the next slot, if the packet goes into it, and nothing else is to be seen to. */
static inline uint8_t *
room_for_one (queue_t *q, const memif_ext_slice_t *p, desc_t *d)
{
  if (q->state != QUEUE_UP || q->fault != FAULT_NONE || q->next != q->done || !p->data
      || p->len - 1 >= q->buffer_size)
    return NULL;
  const uint16_t slot = q->next, ahead = (uint16_t) (slot - q->peer);
  if (q->slave)
    {
      if (ahead >= RECLAIM_AFTER || ahead > q->mask)
	return NULL;
      want (&q->ring->head);
      const uint32_t offset = own_offset (tx_take_buffer (q, slot, p->len <= q->small_size));
      *d = (desc_t){ .region = q->base_region, .offset = offset, .length = p->len };
      return q->base + offset;
    }
  if (ahead == 0)
    return NULL;
  want (&q->ring->tail);
  *d = desc_read (&q->ring->desc[slot & q->mask]);
  if (d->length < p->len || d->length > q->buffer_size)
    return NULL;
  uint8_t *to = buffer_at (q, d->region, d->offset, d->length);
  d->flags = 0;
  d->length = p->len;
  return to;
}

/* It has been copied: publishes it, and leaves. */
static inline int __attribute__ ((always_inline))
sent_one (queue_t *q, desc_t d, uint16_t *sent)
{
  const uint16_t slot = q->next;
  desc_write (&q->ring->desc[slot & q->mask], d);
  q->next = q->done = (uint16_t) (slot + 1);
  *sent = 1;
  const bool wake = tx_show (q);
  if (q->small_size) /* likely the next one's */
    want (q->base + small_offset (SMALL_APART, q->small, (slot + 1u) & q->mask, q->mask + 1u));
  if (__builtin_expect (wake, 0))
    return tx_wake_and_leave (q);
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

static int __attribute__ ((noinline))
send_by_call (queue_t *q, const memif_ext_slice_t *p, uint8_t *to, desc_t d, uint16_t *sent)
{
  memcpy (to, p->data, p->len);
  return sent_one (q, d, sent);
}

/* The long way. */
static int __attribute__ ((noinline))
send_any (queue_t *q, const memif_ext_slice_t *packets, uint16_t count, uint16_t *sent)
{
  *sent = 0;
  queue_enter (q);
  const int err = __builtin_expect (count == 1 || count <= tx_most (q), 1)
		    ? send_burst (q, packets, count, sent)
		    : send_in_parts (q, packets, count, sent);
  queue_leave (q);
  return err;
}

static int __attribute__ ((noinline))
send_first (memif_conn_handle_t conn, uint16_t qid, const memif_ext_slice_t *packets, uint16_t count,
	    uint16_t *sent)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q)
    return queue_missing (conn, qid, false);
  if (!packets || !sent)
    return MEMIF_ERR_INVAL_ARG;
  return send_any (q, packets, count, sent);
}

int
memif_ext_tx_burst (memif_conn_handle_t conn, uint16_t qid, const memif_ext_slice_t *packets,
		    uint16_t count, uint16_t *sent)
{
  queue_t *q = queue_made (conn, qid, false);
  if (!q || !packets || !sent)
    return send_first (conn, qid, packets, count, sent);
  desc_t d;
  uint8_t *to = count == 1 && queue_try_enter (q) ? room_for_one (q, packets, &d) : NULL;
  if (!to)
    return send_any (q, packets, count, sent);
  if (!copies_in_line (packets->len))
    return send_by_call (q, packets, to, d, sent);
  copy_in_line (to, packets->data, packets->len);
  return sent_one (q, d, sent);
}

int
memif_ext_tx_fits (memif_conn_handle_t conn, uint16_t qid, uint32_t length)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q || length == 0)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, false);
  int err = MEMIF_ERR_SUCCESS;
  queue_enter (q);
  if (q->state != QUEUE_UP)
    err = queue_lacking (q) ? MEMIF_ERR_NOBUF_RING : MEMIF_ERR_DISCONNECTED;
  else if (q->fault != FAULT_NONE || (slots_with_room (q, length, &err) == 0 && !err))
    err = tell_fault (q);
  queue_leave (q);
  return err;
}
