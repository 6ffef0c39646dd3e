/* What the drivers of the analysis have in common: a queue in any state that its owner may find it
 * in, over memory that holds anything, at any moment.
 *
 * The analyser knows no relation between two values, so a descriptor's region and offset are taken
 * one by one; the memory is small, and the analysis has the same number of cases for each size. */
#ifndef PROOF_ANY_H
#define PROOF_ANY_H

#include "__fc_builtin.h"
#include <string.h>

/* The analyser's own wants a byte to be there, also where none is copied. */
static void *
copy (void *to, const void *from, size_t n)
{
  return n ? memcpy (to, from, n) : to;
}
#define memcpy copy

#include "control.h"
#include "rx.h"
#include "tx.h"

enum { LOG2 = 1, SLOTS = 1 << LOG2, RING = sizeof (ring_t) + 16 * SLOTS, ARENA = 72 };

static uint8_t ring[RING], memory_0[SIZE_0], memory_1[SIZE_1];
static region_t regions[REGIONS];
static own_t own[2 * SLOTS];
static sock_t sock;
static conn_t conn;
static link_t its_link;
static queue_t queue;
static queue_t *_Atomic queues[2];
/* The analyser keeps what it knows for each value of these apart. */
static int gone;
static uint16_t start;
static pending_link_t pending[MAX_PENDING_LINKS];

#define ANY(type) ((type) Frama_C_unsigned_long_long_interval (0, UINT64_MAX))

static inline bool
any_bool (void)
{
  return Frama_C_interval (0, 1);
}

/* Where others write: the shared memory, and in private memory what other threads may change. */
void
others_write (void)
{
  Frama_C_make_unknown ((char *) ring, RING);
  queue.gate = any_bool ();
  queue.attention = any_bool ();
  queue.polling = any_bool ();
}

static void
make_queue (bool rx, bool slave)
{
  regions[0] = (region_t){ .addr = memory_0, .size = SIZE_0, .fd = -1 };
  regions[1] = (region_t){ .addr = memory_1, .size = SIZE_1, .fd = -1 };
  //@ loop unroll 2;
  for (int i = 0; i < SLOTS; i++)
    own[i] = own_make (1, (uint32_t) (i * BUFFER), false);
  queue.slave = slave;
  queue.rx = rx;
  queue.far = any_bool ();
  queue.least = ANY (uint16_t);
  queue.state = Frama_C_interval (QUEUE_UP, QUEUE_DRAINING);
  queue.fault = Frama_C_interval (FAULT_NONE, FAULT_TOLD);
  queue.mask = SLOTS - 1;
  queue.log2 = LOG2;
  queue.own_mask = rx ? SLOTS - 1 : 2 * SLOTS - 1;
  start = STARTS;
  queue.next = start;
  queue.done = ANY (uint16_t);
  queue.peer = ANY (uint16_t);
  queue.limit = ANY (uint16_t);
  queue.reclaimed = ANY (uint16_t);
  queue.offered = ANY (uint16_t);
  queue.linger = ANY (uint16_t);
  queue.buffer_size = slave ? BUFFER : ANY (uint32_t);
  queue.num_regions = REGIONS;
  queue.regions = regions;
  queue.ring = (ring_t *) (void *) ring;
  queue.own = slave ? own : NULL;
  queue.efd = ANY (int);
  queue.epfd = queue.wake_fd = 3;
  queue.last = ANY (uintptr_t);
  queue.stride = ANY (intptr_t);
  queue.idle = ANY (uint32_t);
  queue.armed = any_bool ();
  queue.chained = any_bool ();
  queue.link = &its_link;
  queue.conn = &conn;
  queue.number = ANY (uint32_t);
  queue.first_length = ANY (uint32_t);
  queue.pending = any_bool () ? pending : NULL;
  queue.until_measured = ANY (uint8_t);
  conn.sock = &sock;
  conn.ext.keep_unread = any_bool ();
  conn.args.buffer_size = ANY (uint16_t);
  conn.num_rx = rx;
  conn.num_tx = !rx;
  queues[0] = queues[1] = &queue;
  conn.rx = conn.tx = queues;
}

/* What else they call, as far as it matters here. */
int
queue_fault (queue_t *q, const char *format, ...)
{
  q->fault = FAULT_NEW;
  return MEMIF_ERR_MFMSG;
}

void
queue_drained (queue_t *q)
{
  gone = 1;
  q->state = QUEUE_GONE;
  q->ring = NULL;
  q->regions = NULL;
  q->num_regions = 0;
  q->own = NULL;
  q->next = q->done = q->peer = q->limit = 0;
  q->fault = FAULT_NONE;
}

void queue_wait_gate (queue_t *q) {}
void queue_spend_event (queue_t *q) {}
void queue_clear_event (queue_t *q) {}
void queue_heed_slow (queue_t *q) {}
void loop_kick (sock_t *s) {}
bool eventfd_signal (int efd) { return any_bool (); }

void
queue_arm (queue_t *q)
{
  q->ring->flags = 0;
  q->armed = true;
}

void
queue_disarm (queue_t *q)
{
  q->ring->flags = 1;
  q->armed = false;
}

#endif
