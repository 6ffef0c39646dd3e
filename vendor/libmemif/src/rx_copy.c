/* Receiving copies of packets: memif_ext_rx_burst. */
#define _GNU_SOURCE
#include "control.h"
#include "rx.h"

/* A burst ends with the packet that reaches this: what it was copied to is still in
 * the core's own cache when it is read. */
enum { BURST_BYTES = 128 << 10 };

/* Of a master: where the next packet likely lies, to be prefetched: an address that is none does no
 * harm there. */
static inline const void *
likely_place (const queue_t *q)
{
  return (const void *) (q->last + (uintptr_t) q->stride);
}

/* Whoever looks in vain again and again waits for a single packet. The lines that it will take come
 * along with the counter's then, and not after it, as the sender writes them at about the same time.
 * Not at once: a sender that is only a little slower would lose them while it writes. */
static inline void
expect_packet (queue_t *q)
{
  if (++q->idle == 1)
    return;
  __builtin_prefetch (&q->ring->desc[q->next & q->mask]);
  __builtin_prefetch (q->slave ? own_buffer (q, q->next) : likely_place (q));
}

/* Interrupt mode: keeps the flag and the eventfd such that a sleeping reader is
 * woken and a busy one makes no system call. Returns what is published. */
static int
keep_interrupts (queue_t *q, int published)
{
  if (published > 0)
    {
      q->idle = 0;
      if (!q->armed)
	return published;
      queue_disarm (q); /* its event goes when the queue is armed again */
    }
  else if (!q->armed)
    {
      if (q->polling)
	{
	  expect_packet (q);
	  return published;
	}
      queue_spend_event (q);
      queue_arm (q);
    }
  else if (power_of_two (++q->idle))
    /* An event may have come late, for packets read before: it must not wake
     * for ever, nor cost a call each time. */
    queue_spend_event (q);
  else
    return published;
  return rx_published (q);
}

/* Copies the packet that begins at slot *at. 1: done. 0: the arena is full, or the rest of a chain
 * is not there. -1: fault. */
static int __attribute__ ((noinline))
copy_out (queue_t *q, uint16_t *at, uint8_t *to, uint32_t room, uint32_t snaplen,
	     memif_ext_packet_t *packet)
{
  uint16_t slot = *at;
  uint64_t length = 0;
  uint32_t captured = 0;
  desc_t d;

  do
    {
      if (slot == q->peer)
	return rx_chain_unfinished (q, *at) ? 0 : -1;
      d = desc_read (&q->ring->desc[slot & q->mask]);
      const uint8_t *from = rx_received_at (q, slot, &d);
      if (!from)
	{
	  rx_bad_descriptor (q, slot, &d);
	  return -1;
	}
      uint32_t take = snaplen - captured;
      if (take > d.length)
	take = d.length;
      if (take > room - captured)
	return 0;
      copy_bytes (to + captured, from, take);
      captured += take;
      length += d.length;
      slot++;
    }
  while (d.flags & DESC_NEXT);

  if (length > UINT32_MAX)
    {
      queue_fault (q, "the chain at slot %u is longer than 4 GiB", *at & q->mask);
      return -1;
    }
  packet->captured = captured;
  packet->length = (uint32_t) length;
  if ((uint16_t) (slot - *at) > 1)
    rx_clear_chain (q, *at, slot);
  *at = slot;
  return 1;
}

/* The packets from slot *at on, whatever they are, behind n others. Returns how many there are
 * now. */
static uint16_t __attribute__ ((noinline))
copy_others_out (queue_t *q, uint16_t *at, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
		 memif_ext_packet_t *packets, uint16_t n, uint16_t count, uint64_t used)
{
  while (n < count && *at != q->peer && used <= arena_len && used < BURST_BYTES)
    {
      if (copy_out (q, at, arena + used, (uint32_t) (arena_len - used), snaplen, &packets[n]) <= 0)
	break;
      packets[n].offset = (uint32_t) used;
      used = (used + packets[n].captured + 63) & ~63ull;
      n++;
    }
  /* Who sends chains may overrun the ring; looking for that costs a line of the peer's cache. */
  if ((uint16_t) (*at - q->next) != n && q->fault != FAULT_OVERRUN && rx_overwritten (q, 0))
    {
      *at = q->next; /* which the next look finds too */
      q->peer = q->next;
      return 0;
    }
  return n;
}

/* What most bursts are: packets of one buffer each, that came to a master. Stops
 * before the first that is not, or has anything wrong. As copy_singles_in of tx_copy.c. */
static uint16_t __attribute__ ((noinline))
copy_singles_out (queue_t *q, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
	      memif_ext_packet_t *packets, uint16_t count, uint64_t *used_out)
{
  const region_t *const regions = q->regions;
  const uint32_t num_regions = q->num_regions;
  const uint16_t published = (uint16_t) (q->peer - q->next);
  const unsigned mask = q->mask, most = count < published ? count : published;
  const shared_desc_t *const desc = q->ring->desc;
  /* That of the packet before: most slaves have all buffers in one. */
  uint32_t region = UINT32_MAX;
  uint64_t size = 0;
  const uint8_t *base = NULL;
  uint64_t used = 0;
  unsigned at = q->next;
  memif_ext_packet_t *packet = packets;

  for (; packet < packets + most && used < BURST_BYTES; packet++, at++)
    {
      const desc_t d = desc_read (&desc[at & mask]);
      const uint32_t take = d.length < snaplen ? d.length : snaplen;
      if (d.region != region)
	{
	  if (d.region >= num_regions)
	    break;
	  region = d.region;
	  size = regions[region].size;
	  base = regions[region].addr;
	}
      if ((d.flags & DESC_NEXT) || (uint64_t) d.offset + d.length > size || used + take > arena_len)
	break;
      copy_bytes (arena + used, base + d.offset, take);
      *packet
	= (memif_ext_packet_t){ .offset = (uint32_t) used, .captured = take, .length = d.length };
      used = (used + take + 63) & ~63ull;
    }
  *used_out = used;
  return (uint16_t) (packet - packets);
}

int __attribute__ ((noinline))
rx_look (queue_t *q, int *err)
{
  int published;
  for (;;)
    {
      published = rx_published (q);
      if (q->state == QUEUE_UP && published >= 0)
	published = keep_interrupts (q, published);
      if (published != 0 || q->state == QUEUE_UP)
	break;
      if (q->state == QUEUE_DRAINING)
	queue_drained (q);
      if (q->state == QUEUE_GONE)
	{
	  *err = queue_lacking (q) ? MEMIF_ERR_SUCCESS : MEMIF_ERR_DISCONNECTED;
	  return 0;
	}
    }
  if (published < 0)
    {
      q->fault = FAULT_TOLD;
      *err = MEMIF_ERR_MFMSG;
    }
  else if (published > 0)
    rx_note_full (q, (unsigned) published);
  return published;
}

static int __attribute__ ((noinline))
receive_burst (queue_t *q, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
	    memif_ext_packet_t *packets, uint16_t count, uint16_t *received)
{
  queue_heed (q);
  if (q->state == QUEUE_UP && !q->slave && q->next != q->done)
    return MEMIF_ERR_INVAL_ARG; /* memif_rx_burst has handed out buffers */
  /* What was seen before suffices: the peer's counter stays in its cache. */
  if (q->peer == q->next || q->armed || q->fault != FAULT_NONE)
    {
      int err = MEMIF_ERR_SUCCESS;
      if (rx_look (q, &err) <= 0)
	return err;
    }

  uint64_t used = 0;
  uint16_t n = 0;
  if (q->slave)
    __builtin_prefetch (own_buffer (q, q->next)); /* as in receive_one */
  else
    n = copy_singles_out (q, arena, arena_len, snaplen, packets, count, &used);
  uint16_t at = (uint16_t) (q->next + n);
  if (n < count && at != q->peer)
    n = copy_others_out (q, &at, arena, arena_len, snaplen, packets, n, count, used);
  uint16_t slots = (uint16_t) (at - q->next);
  if (__builtin_expect (q->fault == FAULT_OVERRUN, 0) && rx_overwritten (q, slots))
    n = 0;
  q->next = at;
  if (slots && q->state == QUEUE_UP)
    rx_give_back (q, slots, 0);
  *received = n;
  if (q->state == QUEUE_DRAINING && at == q->limit && q->fault < FAULT_NEW)
    queue_drained (q); /* so that a wait looks at what comes next */
  if (n == 0 && q->fault == FAULT_NEW)
    {
      q->fault = FAULT_TOLD;
      return MEMIF_ERR_MFMSG;
    }
  return MEMIF_ERR_SUCCESS;
}

/* The short way, of whoever takes packets one at a time. It has no calls but at its ends, so that few
 * registers are saved for them, and is compiled for slaves and for masters apart. Whatever it leaves
 * alone, the long way finds as it was. */

/* Whether there is nothing to see to but new packets, and no buffers are handed out. */
static inline bool
looks_for_new (const queue_t *q, bool slave)
{
  const uint16_t held = (uint16_t) (q->done - q->next);
  /* Acquire, as in queue_heed. A ring of one slot is full with one packet, which is counted. */
  return q->peer == q->next && held == (slave ? q->mask + 1u : 0) && q->mask
	 && !atomic_load_explicit (&q->attention, memory_order_acquire) && q->state == QUEUE_UP
	 && !q->armed && q->fault == FAULT_NONE;
}

/* The bytes of the packet, if it lies in one buffer as it should. */
static inline const uint8_t *
single_packet (const queue_t *q, bool slave, desc_t *d)
{
  /* Comes along with the descriptor, not after it. */
  __builtin_prefetch (slave ? own_buffer (q, q->next) : likely_place (q));
  *d = desc_read (&q->ring->desc[q->next & q->mask]);
  if (d->flags & DESC_NEXT)
    return NULL;
  return slave ? rx_own_received_at (q, q->next, d) : buffer_at (q, d->region, d->offset, d->length);
}

/* It has been copied: gives its slot back, and leaves. */
static inline int __attribute__ ((always_inline))
received_one (queue_t *q, bool slave, const uint8_t *from, uint32_t take, const desc_t *d,
	      memif_ext_packet_t *packet, uint16_t *received)
{
  const uint16_t next = (uint16_t) (q->next + 1);
  *packet = (memif_ext_packet_t){ .captured = take, .length = d->length };
  *received = 1;
  q->idle = 0;
  q->next = q->peer = next;
  /* Release, as in rx_give_back. */
  if (slave)
    {
      rx_offer_slot (q, q->done, d, 0);
      atomic_store_explicit (&q->ring->head, ++q->done, memory_order_release);
    }
  else
    {
      q->stride = (intptr_t) ((uintptr_t) from - q->last);
      q->last = (uintptr_t) from;
      q->done = next;
      atomic_store_explicit (&q->ring->tail, next, memory_order_release);
    }
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

static int __attribute__ ((noinline))
receive_by_call (queue_t *q, const uint8_t *from, uint32_t take, const desc_t d,
		 memif_ext_packet_t *packet, uint16_t *received, uint8_t *arena)
{
  memcpy (arena, from, take);
  return received_one (q, q->slave, from, take, &d, packet, received);
}

/* The long way. */
static int __attribute__ ((noinline))
receive_any (queue_t *q, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
	     memif_ext_packet_t *packets, uint16_t count, uint16_t *received)
{
  *received = 0;
  queue_enter (q);
  int err = receive_burst (q, arena, arena_len, snaplen, packets, count, received);
  queue_leave (q);
  return err;
}

static inline int __attribute__ ((always_inline))
receive_as (queue_t *q, const bool slave, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
	    memif_ext_packet_t *packets, uint16_t count, uint16_t *received)
{
  if (!count || !queue_try_enter (q) || !looks_for_new (q, slave))
    return receive_any (q, arena, arena_len, snaplen, packets, count, received);
  /* Acquire, as in rx_published. */
  const uint16_t counter
    = atomic_load_explicit (slave ? &q->ring->tail : &q->ring->head, memory_order_acquire);
  if (counter == q->next && q->polling)
    {
      expect_packet (q);
      *received = 0;
      queue_leave (q);
      return MEMIF_ERR_SUCCESS;
    }
  desc_t d;
  const uint8_t *from = (uint16_t) (counter - q->next) == 1 ? single_packet (q, slave, &d) : NULL;
  if (!from)
    return receive_any (q, arena, arena_len, snaplen, packets, count, received);
  const uint32_t take = d.length < snaplen ? d.length : snaplen;
  if (!copies_in_line (take))
    return receive_by_call (q, from, take, d, packets, received, arena);
  copy_in_line (arena, from, take);
  return received_one (q, slave, from, take, &d, packets, received);
}

static int __attribute__ ((noinline))
receive_as_slave (queue_t *q, uint8_t *arena, uint32_t arena_len, uint32_t snaplen,
		  memif_ext_packet_t *packets, uint16_t count, uint16_t *received)
{
  return receive_as (q, true, arena, arena_len, snaplen, packets, count, received);
}

static int __attribute__ ((noinline))
receive_first (memif_conn_handle_t conn, uint16_t qid, uint8_t *arena, uint32_t arena_len,
	       uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count, uint16_t *received)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  if (!arena || !packets || !received || snaplen == 0 || arena_len < snaplen)
    return MEMIF_ERR_INVAL_ARG;
  return receive_any (q, arena, arena_len, snaplen, packets, count, received);
}

int
memif_ext_rx_burst (memif_conn_handle_t conn, uint16_t qid, uint8_t *arena, uint32_t arena_len,
		    uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count,
		    uint16_t *received)
{
  queue_t *q = queue_made (conn, qid, true);
  if (!q || !arena || !packets || !received || snaplen == 0 || arena_len < snaplen)
    return receive_first (conn, qid, arena, arena_len, snaplen, packets, count, received);
  if (q->slave)
    return receive_as_slave (q, arena, arena_len, snaplen, packets, count, received);
  return receive_as (q, false, arena, arena_len, snaplen, packets, count, received);
}
