/* Reading a ring of others. A packet is copied, and then its sender's and its receiver's counters
 * tell whether anybody could have written to it meanwhile. What they can't rule out is missed. */
#define _GNU_SOURCE
#include <stdlib.h>

#include "observe.h"

enum
{
  BATCH = 16,		   /* packets that are copied before the counters are read again */
  BATCH_BYTES = 16 << 10,  /* and bytes */
  SENDER_BURST = 256,	   /* packets that an unknown sender publishes at once, at most */
  FASTEST = 10 * 1000 * 1000, /* slots a second that nobody exceeds who was not seen to */
};

/* A descriptor, as it stood when the packet was on the ring. */
typedef struct
{
  uint16_t region;
  bool next, unknown;
  uint32_t offset, length;
} link_desc_t;

/* A packet that was copied, and is perhaps whole. */
typedef struct
{
  uint16_t from, slots;
  memif_ext_packet_t packet;
} copied_t;

struct memif_ext_watch
{
  memif_ext_view_handle_t view;
  const ring_t *ring;
  bool m2s;
  uint8_t log2;
  uint16_t mask;
  uint16_t next;   /* the first slot not looked at */
  bool in_packet;  /* slots were missed, so next may be in the middle of a packet */
  uint16_t longest;  /* slots of the longest packet so far */
  uint32_t least_room; /* m2s: of the buffers that were offered */
  uint64_t *buffer;  /* where the buffer of each slot lay when last looked at */
  uint32_t unmoved;  /* slots in a row whose buffer was the one of a round before */
  bool promised;     /* the sender has told how long slots linger */
  bool fixed;	     /* each slot has a buffer of its own */
  uint64_t looked_at; /* ns */
  uint64_t fastest;   /* slots a second */
  uint64_t delivered, missed_packets, missed_slots, gaps;
  bool lapped; /* slept so long that 65536 slots may have passed */
  link_desc_t *descs; /* of a batch */
  char error[ERROR_TEXT / 2];
};

/* A moment: what is published, and how many slots before that are still whole. */
typedef struct
{
  uint16_t published, safe;
} bounds_t;

static unsigned
ring_size (memif_ext_watch_handle_t w)
{
  return w->mask + 1u;
}

/* How many slots behind the sender's counter are untouched by the sender, whoever has taken
 * them. */
static unsigned
window (memif_ext_watch_handle_t w)
{
  const unsigned size = ring_size (w);
  const unsigned promised = atomic_load_explicit (&w->ring->linger, memory_order_relaxed);
  w->promised |= promised != 0;
  if (w->promised) /* NONE_LINGER is more than any ring has */
    return promised < size ? promised : 0;
  /* Where each slot has its buffer that is a round of the ring, less what may be on its way. */
  const unsigned burst = SENDER_BURST * w->longest;
  const unsigned margin = burst > size / 2 ? burst : size / 2;
  return w->fixed && size > margin ? size - margin : 0;
}

/* Acquire: what was copied before is older than what this reads. */
static bounds_t
look_at_bounds (memif_ext_watch_handle_t w)
{
  const unsigned size = ring_size (w);
  atomic_thread_fence (memory_order_acquire);
  /* The sender's first: then the receiver's can only be too new, and promise less. */
  const uint16_t sender = atomic_load_explicit (w->m2s ? &w->ring->tail : &w->ring->head,
						memory_order_acquire);
  const uint16_t receiver = atomic_load_explicit (w->m2s ? &w->ring->head : &w->ring->tail,
						  memory_order_acquire);
  /* s2m: what the receiver has not taken. m2s: what has not been offered again. */
  const uint16_t ahead = (uint16_t) (w->m2s ? receiver - sender : sender - receiver);
  unsigned kept = ahead > size ? 0 : w->m2s ? size - ahead : ahead;
  const unsigned lingers = window (w);
  if (kept < lingers)
    kept = lingers;
  return (bounds_t){ .published = sender, .safe = (uint16_t) kept };
}

/* Whether the counters contradict each other at one and the same moment. */
static bool
is_nonsense (memif_ext_watch_handle_t w)
{
  for (int i = 0; i < 100; i++)
    {
      const uint16_t head = atomic_load_explicit (&w->ring->head, memory_order_acquire);
      const uint16_t tail = atomic_load_explicit (&w->ring->tail, memory_order_acquire);
      if (atomic_load_explicit (&w->ring->head, memory_order_acquire) == head)
	return (uint16_t) (head - tail) > ring_size (w);
    }
  return false;
}

static link_desc_t
read_desc (memif_ext_watch_handle_t w, uint16_t slot)
{
  /* Acquire: pairs with desc_offer. */
  const shared_desc_t *at = &w->ring->desc[slot & w->mask];
  const uint64_t first = atomic_load_explicit (&at->word[0], memory_order_acquire);
  const desc_t d = desc_from (first, atomic_load_explicit (&at->word[1], memory_order_relaxed));
  link_desc_t l = { .region = d.region,
		    .next = d.flags & DESC_NEXT,
		    .unknown = d.flags & DESC_PARTED,
		    .offset = d.offset,
		    .length = d.length };
  if (!w->m2s)
    return l;
  const uint32_t round = (uint32_t) MARK | mark_round (slot, w->log2);
  if ((d.metadata & ~(0xFFFFu | (uint32_t) MARK_NEXT)) == round)
    {
      /* Offered again by a slave of ours, which tells what it was. */
      l.length = d.metadata & 0xFFFF;
      l.next = d.metadata & MARK_NEXT;
      l.unknown = l.length == 0;
    }
  else if ((d.metadata & (uint32_t) MARK_BITS) != (uint32_t) MARK && !l.next
	   && l.length >= w->least_room)
    l.unknown = true; /* as full as can be, or offered again */
  return l;
}

static bool
same (link_desc_t a, link_desc_t b)
{
  return a.region == b.region && a.next == b.next && a.unknown == b.unknown && a.offset == b.offset
	 && a.length == b.length;
}

static uint64_t
buffer_of (link_desc_t d)
{
  return (uint64_t) d.region << 32 | d.offset;
}

/* A whole slot was seen: learns whether each slot keeps its buffer. */
static void
learn (memif_ext_watch_handle_t w, uint16_t slot, link_desc_t d)
{
  uint64_t *const known = &w->buffer[slot & w->mask];
  if (*known == buffer_of (d))
    {
      if (w->unmoved < ring_size (w))
	w->unmoved++;
      w->fixed |= w->unmoved == ring_size (w);
      return;
    }
  *known = buffer_of (d);
  w->unmoved = 0;
  w->fixed = false;
}

static int
by_value (const void *a, const void *b)
{
  const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
  return x < y ? -1 : x > y;
}

/* Slots whose buffers are the same never have one of their own. */
static bool
are_distinct (const uint64_t *buffers, unsigned count)
{
  uint64_t *sorted = malloc (count * sizeof *sorted);
  bool distinct = sorted != NULL;
  if (!sorted)
    return false;
  memcpy (sorted, buffers, count * sizeof *sorted);
  qsort (sorted, count, sizeof *sorted, by_value);
  for (unsigned i = 1; i < count && distinct; i++)
    distinct = sorted[i] != sorted[i - 1];
  free (sorted);
  return distinct;
}

int
memif_ext_watch_open (memif_ext_watch_handle_t *watch, memif_ext_view_handle_t view,
		      memif_ext_view_ring_t at, int m2s)
{
  const ring_t *ring = watch && view ? view_ring_at (view, at) : NULL;
  if (!ring)
    return MEMIF_ERR_INVAL_ARG;
  memif_ext_watch_handle_t w = calloc (1, sizeof *w);
  const unsigned size = 1u << at.log2_size;
  if (w)
    {
      w->buffer = calloc (size, sizeof *w->buffer);
      w->descs = calloc (size, sizeof *w->descs);
    }
  if (!w || !w->buffer || !w->descs)
    {
      memif_ext_watch_close (w);
      return MEMIF_ERR_NOMEM;
    }
  w->view = view;
  w->ring = ring;
  w->m2s = m2s;
  w->log2 = at.log2_size;
  w->mask = (uint16_t) (size - 1);
  w->longest = 1;
  w->least_room = UINT32_MAX;
  w->looked_at = now_ns ();
  for (unsigned slot = 0; slot < size; slot++)
    {
      const desc_t d = desc_read (&ring->desc[slot]);
      w->buffer[slot] = (uint64_t) d.region << 32 | d.offset;
    }
  const uint16_t head = atomic_load_explicit (&ring->head, memory_order_acquire);
  const uint16_t tail = atomic_load_explicit (&ring->tail, memory_order_acquire);
  const uint16_t ahead = (uint16_t) (head - tail);
  if (!are_distinct (w->buffer, size))
    memset (w->buffer, 0xff, size * sizeof *w->buffer);
  /* What waits in the ring is yet to be received, and so to be seen. */
  w->next = m2s || ahead <= size ? tail : head;
  *watch = w;
  return MEMIF_ERR_SUCCESS;
}

void
memif_ext_watch_close (memif_ext_watch_handle_t w)
{
  if (!w)
    return;
  free (w->buffer);
  free (w->descs);
  free (w);
}

static void
lose (memif_ext_watch_handle_t w, uint16_t slots)
{
  if (!w->in_packet)
    w->gaps++;
  w->in_packet = true;
  w->missed_slots += slots;
  w->next = (uint16_t) (w->next + slots);
}

/* Skips to the newest slots that are whole, and some more, as they age meanwhile. */
static void
lose_stale (memif_ext_watch_handle_t w, bounds_t b)
{
  const uint16_t behind = (uint16_t) (b.published - w->next);
  const uint16_t keep = (uint16_t) (b.safe - b.safe / 4);
  if (behind > keep)
    lose (w, (uint16_t) (behind - keep));
}

/* Buffers that wait for a packet tell how long one can be. */
static void
look_at_offers (memif_ext_watch_handle_t w)
{
  const uint16_t slot = (uint16_t) (atomic_load_explicit (&w->ring->head, memory_order_acquire) - 1);
  const uint32_t room = desc_read (&w->ring->desc[slot & w->mask]).length;
  atomic_thread_fence (memory_order_acquire);
  const uint16_t now = atomic_load_explicit (&w->ring->tail, memory_order_acquire);
  /* Offered, and not filled meanwhile, nor by a burst that is on its way. */
  if ((uint16_t) (slot - now) < ring_size (w) && (uint16_t) (slot - now) >= ring_size (w) / 2
      && room && room < w->least_room)
    w->least_room = room;
}

typedef enum { COPIED, UNFINISHED, NO_ROOM, NO_MEMORY } copy_t;

/* Copies the packet at a slot; what it says is still to be confirmed. */
static copy_t
copy_packet (memif_ext_watch_handle_t w, uint16_t at, uint16_t published, unsigned first_desc,
	     uint8_t *to, uint32_t room, uint32_t snaplen, copied_t *out)
{
  *out = (copied_t){ .from = at };
  uint64_t length = 0;
  link_desc_t d;
  do
    {
      if (at == published || first_desc + out->slots > w->mask)
	return UNFINISHED;
      d = w->descs[first_desc + out->slots] = read_desc (w, at++);
      out->slots++;
      const uint8_t *from = view_bytes (w->view, d.region, d.offset, d.length);
      if (!from && !d.unknown)
	return NO_MEMORY;
      const uint32_t wanted = snaplen - out->packet.captured;
      const uint32_t take = d.unknown ? 0 : d.length < wanted ? d.length : wanted;
      if (take > room - out->packet.captured)
	return NO_ROOM;
      memcpy (to + out->packet.captured, from ? from : to, take);
      out->packet.captured += take;
      length += d.length;
    }
  while (d.next);
  out->packet.length = length > UINT32_MAX ? UINT32_MAX : (uint32_t) length;
  return COPIED;
}

/* Whether nobody has changed its descriptors, and all of them told their lengths. */
static bool
is_confirmed (memif_ext_watch_handle_t w, const copied_t *c, const link_desc_t *descs)
{
  for (uint16_t i = 0; i < c->slots; i++)
    if (descs[i].unknown || !same (descs[i], read_desc (w, (uint16_t) (c->from + i))))
      return false;
  return true;
}

static int
fail (memif_ext_watch_handle_t w, const char *what, uint16_t slot)
{
  text_f (w->error, sizeof w->error, "slot %u: %s", slot & w->mask, what);
  return MEMIF_ERR_MFMSG;
}

static bool
is_safe (bounds_t b, uint16_t slot)
{
  return (uint16_t) (b.published - slot) <= b.safe;
}

/* Takes in one batch. False: what is there can't be read yet, or the arena is full. */
static bool
look_at_batch (memif_ext_watch_handle_t w, uint16_t published, uint8_t *arena, uint32_t arena_len,
	       uint64_t *used, uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count,
	       uint16_t *received, int *err)
{
  copied_t batch[BATCH];
  unsigned n = 0, slots = 0;
  uint16_t at = w->next;
  copy_t copied = COPIED;
  const uint64_t start = *used;
  uint64_t end = start;
  while (n < BATCH && *received + n < count && at != published && end - start < BATCH_BYTES
	 && end <= arena_len)
    {
      copied = copy_packet (w, at, published, slots, arena + end, (uint32_t) (arena_len - end), snaplen,
			    &batch[n]);
      if (copied != COPIED)
	break;
      batch[n].packet.offset = (uint32_t) end;
      end = (end + batch[n].packet.captured + 63) & ~63ull;
      slots += batch[n].slots;
      at = (uint16_t) (at + batch[n++].slots);
    }
  /* First the descriptors, then the counters: the latter vouch for the former too. */
  bool confirmed[BATCH];
  atomic_thread_fence (memory_order_acquire);
  for (unsigned i = 0, d = 0; i < n; d += batch[i++].slots)
    confirmed[i] = is_confirmed (w, &batch[i], w->descs + d);
  const bounds_t b = look_at_bounds (w);
  if (!is_safe (b, w->next))
    {
      lose_stale (w, b);
      return w->next != b.published;
    }
  for (unsigned i = 0, d = 0; i < n; d += batch[i++].slots)
    {
      const copied_t *c = &batch[i];
      w->next = (uint16_t) (c->from + c->slots);
      for (uint16_t s = 0; s < c->slots; s++)
	learn (w, (uint16_t) (c->from + s), w->descs[d + s]);
      if (!confirmed[i])
	{
	  /* Nobody knows where it ends: so it may be the middle of a packet, from here on. */
	  w->next = c->from;
	  lose (w, c->slots);
	  continue;
	}
      if (c->slots > w->longest)
	w->longest = c->slots;
      if (w->in_packet)
	{
	  w->in_packet = false;
	  w->missed_packets++; /* at least its end was there */
	  continue;
	}
      packets[*received] = c->packet;
      (*received)++;
      w->delivered++;
    }
  *used = end;
  if (n || copied == COPIED)
    return true;
  if (copied == NO_MEMORY)
    *err = fail (w, "a descriptor points out of the memory that was found", w->next);
  else if (copied == UNFINISHED && (uint16_t) (b.published - w->next) >= ring_size (w))
    *err = fail (w, "a packet is longer than the ring", w->next);
  return false;
}

/* Whether so much may have passed since the last look that the counter is where it would be
 * without. */
static void
notice_laps (memif_ext_watch_handle_t w, uint16_t fresh)
{
  const uint64_t now = now_ns (), time = now - w->looked_at;
  w->looked_at = now;
  if (time == 0)
    return;
  const uint64_t rate = fresh * NSEC_PER_SEC / time;
  const uint64_t fastest = w->fastest * 4 > FASTEST ? w->fastest * 4 : FASTEST;
  if (time > 65536 * NSEC_PER_SEC / fastest)
    w->lapped = true;
  else if (time > 100 * 1000 && rate > w->fastest)
    w->fastest = rate;
}

int
memif_ext_watch_look (memif_ext_watch_handle_t w, uint8_t *arena, uint32_t arena_len,
		      uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count,
		      uint16_t *received, uint16_t *behind)
{
  if (!w || !arena || !packets || !received || !behind || snaplen == 0 || arena_len < snaplen)
    return MEMIF_ERR_INVAL_ARG;
  *received = *behind = 0;
  if (w->error[0])
    return MEMIF_ERR_MFMSG;
  bounds_t b = look_at_bounds (w);
  notice_laps (w, (uint16_t) (b.published - w->next));
  if (w->m2s)
    look_at_offers (w);
  if (b.published == w->next)
    return MEMIF_ERR_SUCCESS;
  if (is_nonsense (w))
    return fail (w, "head and tail are further apart than the ring is long", b.published);
  if (!is_safe (b, w->next))
    lose_stale (w, b);
  uint64_t used = 0;
  int err = MEMIF_ERR_SUCCESS;
  /* Not beyond what was published at the start: whoever writes faster must not keep us here. */
  while (*received < count && w->next != b.published
	 && (uint16_t) (b.published - w->next) <= ring_size (w)
	 && look_at_batch (w, b.published, arena, arena_len, &used, snaplen, packets, count, received,
			   &err))
    ;
  *behind = (uint16_t) (look_at_bounds (w).published - w->next);
  if (err && *received == 0)
    return err;
  return MEMIF_ERR_SUCCESS;
}

void
memif_ext_watch_counts (memif_ext_watch_handle_t w, memif_ext_watch_counts_t *counts)
{
  /* As long as none was seen, a packet may have been as long as the ring. */
  const uint64_t slots = w->missed_slots, longest = w->delivered ? w->longest : ring_size (w);
  /* Of each gap the last slots may belong to the packet whose end was seen. */
  const uint64_t shared = w->gaps * (longest - 1);
  counts->delivered = w->delivered;
  counts->missed = w->missed_packets + (slots > shared ? (slots - shared + longest - 1) / longest : 0);
  counts->at_least = w->lapped || (slots && longest > 1);
}

uint16_t
memif_ext_watch_behind (memif_ext_watch_handle_t w)
{
  const uint16_t behind = (uint16_t) (look_at_bounds (w).published - w->next);
  if (behind == 0)
    notice_laps (w, 0);
  return behind;
}

uint16_t
memif_ext_watch_window (memif_ext_watch_handle_t w)
{
  return (uint16_t) window (w);
}

const char *
memif_ext_watch_error (memif_ext_watch_handle_t w)
{
  return w->error;
}
