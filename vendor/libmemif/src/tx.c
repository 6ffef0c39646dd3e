/* Sending: the slots of the ring, free, reserved, published and not taken. */
#define _GNU_SOURCE
#include <errno.h>

#include "control.h"
#include "tx.h"

/* Puts the buffers of the slots back among the spare ones, none of them small. */
static inline uint16_t
put_back (own_t *spare, uint16_t num_spare, const own_t *own, unsigned from, unsigned count, unsigned size)
{
  const unsigned first = count < size - from ? count : size - from;
  memcpy (spare + num_spare, own + from, first * sizeof *own);
  if (first < count) /* the rest is at the ring's start */
    memcpy (spare + num_spare + first, own, (count - first) * sizeof *own);
  return (uint16_t) (num_spare + count);
}

/* Of a slave: large buffers are in use from now on. No promise is made again after it was taken back. */
static void __attribute__ ((cold))
linger_less (queue_t *q)
{
  const uint16_t promised = atomic_load_explicit (&q->ring->linger, memory_order_relaxed);
  q->linger = linger_large (q->linger);
  if (promised > q->linger && promised != NONE_LINGER)
    tx_promise (q, q->linger);
}

void __attribute__ ((cold))
tx_much_at_once (queue_t *q, unsigned slots)
{
  if (q->slave)
    linger_less (q);
  if (slots > tx_most (q))
    tx_promise (q, NONE_LINGER);
}

/* The buffers of the slots up to this one are no longer in use; those of the last slots rest. */
static inline void
reclaim (queue_t *q, uint16_t end)
{
  const unsigned large_used = q->mask + 1u + linger_large (q->linger) - q->num_spare;
  if (__builtin_expect (large_used && q->linger > LINGER_LARGE, 0))
    linger_less (q);
  const uint16_t sent = (uint16_t) (q->done - q->reclaimed);
  const uint16_t rested = sent > q->linger ? (uint16_t) (sent - q->linger) : 0;
  const uint16_t taken = (uint16_t) (end - q->reclaimed);
  const uint16_t count = rested < taken ? rested : taken;
  const own_t *const own = q->own;
  own_t *const spare = q->spare;
  uint16_t num_spare = q->num_spare;
  const uint16_t mask = q->own_mask;
  const unsigned size = mask + 1u;
  const uint16_t used = (uint16_t) (q->next - q->reclaimed);
  if (count == 0)
    return;
  end = (uint16_t) (q->reclaimed + count);
  if (large_used == used)
    num_spare = put_back (spare, num_spare, own, q->reclaimed & mask, count, size);
  else if (large_used)
    for (uint16_t slot = q->reclaimed; slot != end; slot++)
      if (!own_small (own[slot & mask]))
	spare[num_spare++] = own[slot & mask];
  q->num_spare = num_spare;
  q->reclaimed = end;
}

void __attribute__ ((cold))
tx_promise (queue_t *q, uint16_t slots)
{
  /* Whoever sees what is written next sees this too: a full fence. */
  atomic_store_explicit (&q->ring->linger, slots, memory_order_relaxed);
  atomic_thread_fence (memory_order_seq_cst);
}

int
tx_free_slots (queue_t *q)
{
  if (q->fault != FAULT_NONE)
    return q->fault == FAULT_NEW ? -1 : 0;
  unsigned size = q->mask + 1u;
  uint16_t reserved = (uint16_t) (q->next - q->done);
  uint16_t peer = tx_peer_counter (q);
  uint16_t held = q->slave ? (uint16_t) (q->done - peer)	/* published, not taken */
			   : (uint16_t) (peer - q->done); /* offered, not published */
  /* Buffers come back slot by slot, so a counter that goes back would give some twice. */
  bool back = q->slave && (uint16_t) (peer - q->peer) > (uint16_t) (q->done - q->peer);
  if (held > size || back || reserved > (q->slave ? size - held : held))
    {
      queue_fault (q, "%u slots are outstanding in a ring of %u", held, size);
      return -1;
    }
  const uint16_t moved = (uint16_t) (peer - q->peer);
  if (!q->slave && q->done && moved && moved - 1u < q->least - 1u) /* 0 is more than all */
    q->least = moved;
  q->peer = peer;
  if (!q->slave && held > q->offered)
    q->offered = held;
  if (q->slave)
    reclaim (q, peer);
  return (int) (q->slave ? size - held : held) - reserved;
}

void
tx_wake_peer (queue_t *q)
{
  if (!queue_signal (q))
    queue_fault (q, "its eventfd can't be written (errno %d)", errno);
}

int
tx_wake_and_leave (queue_t *q)
{
  tx_wake_peer (q);
  queue_leave (q);
  return MEMIF_ERR_SUCCESS;
}

uint8_t *
tx_offered_at (queue_t *q, uint16_t slot, desc_t *d)
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

bool __attribute__ ((cold))
tx_too_small (queue_t *q, uint32_t length, unsigned n)
{
  if (q->slave || n < LONG_CHAIN || length > (uint64_t) (n - 1) * LEAST_BUFFER)
    return false;
  queue_fault (q, "the offered buffers are too small: %u of them for %u bytes", n, length);
  return true;
}

/* A slave of VPP's without copies offers so many at a time, or more. */
enum { VPP_LOT = 32 };

/* How many slots the slave offers again at a time, as far as can be seen. */
static uint16_t
lot_of (const queue_t *q)
{
  if (q->slave)
    return 1;
  if (!q->least)
    return strncmp ((const char *) q->conn->remote_name, "VPP", 3) ? 1 : VPP_LOT;
  return q->least < VPP_LOT ? q->least : VPP_LOT;
}

/* With the lock held, when the link goes down: published slots that the peer has not taken. */
uint16_t
tx_untaken (const queue_t *q)
{
  uint16_t size = (uint16_t) (q->mask + 1u);
  uint16_t peer = tx_peer_counter (q);
  uint16_t held = q->slave ? (uint16_t) (q->done - peer) : (uint16_t) (peer - q->done);
  if (held > size)
    return size; /* nonsense: nobody knows */
  if (q->slave)
    return held;
  const uint16_t pending = q->offered > held ? (uint16_t) (q->offered - held) : 0;
  /* Less than a lot may have been taken, or not; it is held to be taken. */
  return pending < lot_of (q) ? 0 : pending;
}

static int
count_slots (memif_conn_handle_t conn, uint16_t qid, bool pending, uint16_t *slots)
{
  queue_t *q = queue_of (conn, qid, false);
  int err = MEMIF_ERR_DISCONNECTED;
  if (!q || !slots)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, false);
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
  else if (queue_lacking (q))
    err = MEMIF_ERR_SUCCESS;
  if (pending)
    queue_unlock (q);
  else
    queue_leave (q);
  return err;
}

int
memif_ext_tx_free (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots)
{
  return count_slots (conn, qid, false, slots);
}

int
memif_ext_tx_pending (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots)
{
  return count_slots (conn, qid, true, slots);
}

int
memif_ext_tx_lot (memif_conn_handle_t conn, uint16_t qid, uint16_t *lot)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q || !lot)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, false);
  queue_lock (q);
  const bool up = q->state == QUEUE_UP;
  *lot = up ? lot_of (q) : 1;
  /* It may still be offering for the first time; then offered tells nothing yet. */
  const unsigned size = q->mask + 1u, late = size - q->offered;
  if (up && !q->slave && late > 1 && late > *lot)
    *lot = (uint16_t) late;
  queue_unlock (q);
  return up ? MEMIF_ERR_SUCCESS : MEMIF_ERR_DISCONNECTED;
}

int
memif_ext_tx_room (memif_conn_handle_t conn, uint16_t qid, uint32_t *buffer_size, uint16_t *slots)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q || !buffer_size || !slots)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, false);
  queue_enter (q);
  const bool up = q->state == QUEUE_UP;
  *buffer_size = up ? queue_buffer_size (q) : 0;
  *slots = !up ? 0 : q->slave ? (uint16_t) (q->mask + 1u) : q->offered;
  queue_leave (q);
  return up ? MEMIF_ERR_SUCCESS : MEMIF_ERR_DISCONNECTED;
}

int
memif_ext_tx_offered (memif_conn_handle_t conn, uint16_t qid, int *offered)
{
  queue_t *q = queue_of (conn, qid, false);
  if (!q || !offered)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, false);
  queue_lock (q);
  *offered = q->state == QUEUE_UP && (q->slave || q->done != 0 || tx_free_slots (q) > 0);
  queue_unlock (q);
  return MEMIF_ERR_SUCCESS;
}
