/* One queue of an interface, over all its links: who may touch it, and what is on it. */
#ifndef MEMIF_QUEUE_H
#define MEMIF_QUEUE_H

#include "link.h"

typedef struct queue queue_t;
struct conn;
struct event;

/* A later link that waits until its predecessor is drained. */
typedef struct
{
  link_t *link;
  link_ring_t *ring;
  bool down;
  uint16_t limit; /* when down: what was published */
} pending_link_t;

enum { MAX_PENDING_LINKS = 16 };

typedef enum
{
  QUEUE_GONE = MEMIF_EXT_QUEUE_GONE,
  QUEUE_UP = MEMIF_EXT_QUEUE_UP,
  QUEUE_DRAINING = MEMIF_EXT_QUEUE_DRAINING,
} queue_state_t;

/* What is the matter with the peer. */
typedef enum
{
  FAULT_NONE,
  /* Receiving, see rx_unusual.c: the next packet is a chain whose rest is not there yet; */
  FAULT_CHAIN,
  FAULT_OVERRUN, /* the peer has overrun the ring, and is stopped while it is read: up to limit */
  /* It broke the protocol: nothing more is taken from this link. */
  FAULT_NEW, /* the queue's owner has not been told */
  FAULT_TOLD,
} fault_t;

/* One queue of an interface, the same over all its links.
 *
 * Who writes a field, and how it is guarded:
 *   owner    its owner, within queue_enter; another thread with queue_lock
 *   link     queue_lock'ed by the control thread, when a link comes up or goes down; by the owner
 *            when it has drained a link and takes the next
 *   control  the control thread alone, which alone reads it
 *   made     when the queue is first asked for; never after
 *   any      any thread, at any time: these are atomic */
struct queue
{
  /* A burst touches this cache line, both ways. Processors fetch lines in pairs, so a pair of lines
   * is never shared with another queue, whose owner may be on another CPU. */
  _Alignas (128) _Atomic bool busy; /* owner: it is in a call */
  _Atomic bool gate;	  /* any: somebody else wants, or has, the queue */
  _Atomic bool attention; /* any: the wake descriptor may be readable */
  bool slave, rx;	  /* made */
  bool far;		  /* owner, tx: see far.c */
  uint16_t least; /* owner, tx master: the fewest slots that were offered again at a time; 0: none yet */
  queue_state_t state;	  /* link */
  fault_t fault;	  /* owner */
  uint16_t mask;	  /* link */
  uint16_t next; /* owner. rx: first slot not handed out; tx: first slot not reserved */
  uint16_t done; /* owner. rx: first slot not given back; tx: first slot not published */
  uint16_t peer; /* owner: the peer's counter when last read */
  uint32_t buffer_size; /* link: the slave's. owner, tx master: the largest ever offered */
  uint32_t num_regions; /* link, as all that follows here */
  const region_t *regions;
  ring_t *ring;
  own_t *own; /* slave */
  int efd;
  uint16_t own_mask;
  uint16_t linger; /* sending: slots that stay as they are behind what is published */

  /* And one half of this. Receiving: */
  _Alignas (64) uintptr_t last; /* owner, master: where the last single packet lay */
  intptr_t stride; /* owner: and how far from the one before; a hint, never followed */
  uint32_t idle;   /* owner: bursts in a row that found nothing, since it was armed if it is */
  uint16_t limit;  /* link, draining: what was published when the link went down. owner: FAULT_OVERRUN */
  bool armed;	   /* owner: interrupts are enabled in the ring */
  bool chained;	   /* owner, master: chains were handed out or cleared since the link came up */
  _Atomic bool polling; /* any, with queue_lock: the receive mode asked for */
  /* Sending: */
  uint8_t until_measured; /* owner: bursts until far.c measures again */
  uint16_t reclaimed;	/* owner, slave: first slot whose buffer is not back among the spare ones */
  uint16_t num_spare;	/* owner, slave */
  own_t *spare;		/* link; owner: what it holds */
  uint8_t *base;	/* link, slave: the region of all its buffers */
  uint32_t small_size, small; /* link, slave */
  uint16_t base_region; /* link, slave */
  uint16_t offered;	/* owner, master: most slots ever seen free */
  uint8_t log2;		/* link, both: of the number of slots */

  /* The rest is for waiting, and for changing links. */
  link_t *link;	     /* link */
  struct conn *conn; /* made */
  void *memory;	     /* made: what the allocator gave, which need not know of cache lines */
  uint16_t qid;	     /* made */
  uint32_t number;   /* link: of the memory it works on, different for each */
  uint32_t first_length; /* link: of the ring's first slot, when it came up: a buffer's size */
  /* Receiving: */
  _Atomic uint64_t overrun; /* owner: slots that the peer has overwritten before they were read */
  _Atomic uint64_t full;    /* owner: how often the peer had filled all slots */
  struct event *event;	/* control: with on_interrupt, efd in the control loop */
  _Atomic int epfd, wake_fd; /* any, with the lock: made by queue_prepare; else -1 */
  _Atomic bool woken;	/* any: rx_wake asks the waiter to return */
  _Atomic bool watched; /* any: the program waits on epfd or efd itself */
  _Atomic bool clears;	/* any: it has efd, which must not stay readable */
  _Atomic uint32_t armed_at; /* owner: the counter it slept on, with SLEEPS_ON; 0: it is not armed */
  _Atomic bool fresh;	/* owner: armed since the control thread looked last */
  pending_link_t *pending; /* made; link: links after this one, oldest first */
  uint16_t num_pending;	/* link */
  /* Sending: */
  uint8_t samples, far_samples; /* owner: of far.c */
  uint16_t untaken; /* link, down: what the peer had not taken when the link went down */
};

_Static_assert (offsetof (struct queue, efd) < 64 && offsetof (struct queue, link) == 128,
		"a burst touches two cache lines of a queue");

/* lock.c */
/* Two ways to a queue, which exclude each other.
 *
 * Its owner, one thread at a time, enters for each burst, and pays a store and
 * a load. All others lock it, seldom, and pay for both: a barrier on every CPU
 * that runs this process (membarrier) stands between closing the gate and
 * looking whether the owner is in, in place of a fence in each burst. */
extern _Atomic bool owner_needs_fence; /* membarrier is not to be had */
void queue_wait_gate (queue_t *q);

/* False: somebody else is there. Then the owner enters by queue_enter, as it also may when it has
 * entered and touched nothing; or it leaves. */
static inline bool
queue_try_enter (queue_t *q)
{
#if defined(__SANITIZE_THREAD__)
  atomic_exchange_explicit (&q->busy, true, memory_order_seq_cst);
#else
  /* Pairs with barrier of lock.c, which fences for us: of the compiler only
   * is asked that the store stays before the load. */
  atomic_store_explicit (&q->busy, true, memory_order_relaxed);
  atomic_signal_fence (memory_order_seq_cst);
  if (__builtin_expect (atomic_load_explicit (&owner_needs_fence, memory_order_relaxed), 0))
    atomic_thread_fence (memory_order_seq_cst);
#endif
  /* Acquire: what was done with the lock, before queue_unlock's release. */
  return __builtin_expect (!atomic_load_explicit (&q->gate, memory_order_acquire), 1);
}

static inline void
queue_enter (queue_t *q)
{
  while (!queue_try_enter (q))
    {
      /* Nothing was touched; release as in queue_leave, for what an earlier entry did. */
      atomic_store_explicit (&q->busy, false, memory_order_release);
      queue_wait_gate (q);
    }
}

static inline void
queue_leave (queue_t *q)
{
  /* What was done here comes first: release, to the acquire in queue_lock. */
  atomic_store_explicit (&q->busy, false, memory_order_release);
}

void locks_open (void); /* once, before any queue is there */
void queue_lock (queue_t *q);
void queue_unlock (queue_t *q);

/* queue.c */
/* Makes what waiting takes, where packets are kept. */
int queue_prepare (queue_t *q);
/* With the lock held: the link breaks, the control thread hears of it. Returns MFMSG. */
int queue_fault (queue_t *q, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
/* With the lock held: nothing left on a draining queue. Takes the next link, or is gone. */
void queue_drained (queue_t *q);

enum { SLEEPS_ON = 1 << 16 };
/* Looks at a ring after it was armed; see look.c. */
#define FIRST_LOOK_NS 1000000ull
#define LAST_LOOK_NS 1000000000ull
enum { LOOK_FACTOR = 10 };

/* wait.c; arm, disarm and clear_event with the lock held */
void queue_arm (queue_t *q);
void queue_disarm (queue_t *q);
void queue_clear_event (queue_t *q);
/* Where an event that is left would wake for ever. rx_wait itself takes each once. */
void queue_spend_event (queue_t *q);
void queue_attention (queue_t *q);
void queue_heed_slow (queue_t *q);

/* Takes note of queue_attention. */
static inline void
queue_heed (queue_t *q)
{
  /* Acquire: the write to wake_fd came before queue_attention's release. */
  if (__builtin_expect (atomic_load_explicit (&q->attention, memory_order_acquire), 0))
    queue_heed_slow (q);
}

/* With the lock held, of a queue that is up. */
static inline bool
queue_signal (queue_t *q)
{
  return eventfd_signal (q->efd);
}

/* The bytes of a buffer, or NULL where it does not lie in the peer's memory. */
static inline uint8_t *
buffer_at (const queue_t *q, uint16_t region, uint32_t offset, uint32_t length)
{
  if (region >= q->num_regions || (uint64_t) offset + length > q->regions[region].size)
    return NULL;
  return (uint8_t *) q->regions[region].addr + offset;
}

static inline uint8_t *
own_buffer (const queue_t *q, uint16_t slot)
{
  own_t own = q->own[slot & q->own_mask];
  return (uint8_t *) q->regions[own_region (own)].addr + own_offset (own);
}

/* In line also where the compiler takes it for a rare case, for which it would take a slow way. */
static inline void
copy_32 (uint8_t *to, const uint8_t *from)
{
  memcpy (to, from, 32);
}

/* What most packets are: short enough for two halves in line, which overlap. */
static inline bool
copies_in_line (size_t n)
{
  return n - 32 <= 96;
}

static inline void
copy_in_line (uint8_t *to, const uint8_t *from, size_t n)
{
  copy_32 (to, from);
  if (n > 64)
    {
      copy_32 (to + 32, from + 32);
      copy_32 (to + n - 64, from + n - 64);
    }
  copy_32 (to + n - 32, from + n - 32);
}

/* memcpy, without the call where that is shorter: in the loops of bursts, which copy_in_line made
 * slower by 4 to 7 %. */
static inline void
copy_bytes (uint8_t *to, const uint8_t *from, size_t n)
{
  if (n - 32 <= 32) /* two halves, which overlap */
    {
      copy_32 (to, from);
      copy_32 (to + n - 32, from + n - 32);
    }
  else if (n - 64 <= 64)
    {
      memcpy (to, from, 64);
      memcpy (to + n - 64, from + n - 64, 64);
    }
  else
    memcpy (to, from, n);
}

/* Whether every buffer that was handed out has been given back. */
static inline bool
queue_holds_none (const queue_t *q)
{
  return q->slave ? (uint16_t) (q->done - q->next) == q->mask + 1u : q->next == q->done;
}

/* rx.c, tx.c: with the lock held, published or free slots; -1 after a fault that is to be told. */
int rx_published (queue_t *q);
int tx_free_slots (queue_t *q);
uint16_t tx_untaken (const queue_t *q);
uint32_t queue_buffer_size (queue_t *q);

#endif
