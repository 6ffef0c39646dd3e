/* What the files of the library share.
 *
 * Ownership: a socket has interfaces (conn) and channels (a connection of its
 * control socket, in handshake or up). A link is the shared memory of one
 * connection; the interface and each queue that uses it hold a reference, so
 * a receive queue can be drained after its channel is gone.
 *
 * Threads: everything belongs to the control thread but a queue's contents,
 * which are guarded by its lock, and the flags marked atomic.
 */
#ifndef MEMIF_CONTROL_H
#define MEMIF_CONTROL_H

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "libmemif_ext.h"
#include "wire.h"

#define NSEC_PER_SEC 1000000000ull

enum { ERROR_TEXT = 256 };

typedef struct sock sock_t;
typedef struct conn conn_t;
typedef struct channel channel_t;
typedef struct link link_t;
typedef struct queue queue_t;

/* Memory that the program brings; see memif_register_external_region. */
typedef struct
{
  memif_add_external_region_t *add;
  memif_get_external_region_addr_t *get_addr;
  memif_del_external_region_t *del;
  memif_get_external_buffer_offset_t *get_offset;
} external_t;

/* Lines about peers, within a second that ends then. */
typedef struct
{
  uint64_t end;
  uint32_t lines, left_out;
} log_limit_t;

/* A descriptor in the control loop. Kept until its socket is deleted, so a
 * program's late call of memif_control_fd_handler finds it, at worst reused:
 * handlers take what they find at their descriptor, not what the event said. */
typedef struct event
{
  sock_t *sock;
  int fd; /* -1: not in use */
  bool fresh_free; /* freed in the running dispatch: not to be reused yet */
  void (*handle) (struct event *event);
  void *owner;
  uint16_t qid;
  struct event *next;
} event_t;

struct sock
{
  char path[108];
  char app_name[NAME_SIZE];
  memif_control_fd_update_t *on_control_fd_update;
  memif_alloc_t *alloc;
  memif_realloc_t *realloc;
  memif_free_t *free;
  void *private_ctx;
  memif_ext_socket_args_t ext;
  external_t external;

  int epfd; /* -1 when the program polls */
  event_t *events;
  event_t *wake, *timer, *listener;
  int paused_listener; /* not watched for a while, as there are no descriptors; else -1 */
  uint64_t resume_at;
  uint64_t listener_dev, listener_ino; /* of the file we made; 0: none */
  uint32_t *allowed;			/* ext's uids, then its gids; NULL: none */
  uint64_t period_ns, first_ns; /* of the connection request timer; 0: never */
  uint64_t next_request;	/* 0: not armed */
  uint64_t armed_at;		/* what the timer is set to; 0: off */

  _Atomic bool cancelled;
  _Atomic bool stuck; /* an owner may hang in an eventfd */
  /* Looked at by any thread that asks whether it is the control thread. */
  _Atomic pthread_t control; /* while depth > 0 */
  _Atomic int depth;	     /* of dispatches and calls; the dead are freed at 0 */
  bool deleted;		/* by a callback: it is freed at depth 0 too */
  conn_t *conns, *dead; /* dead: deleted, not yet freed */
  channel_t *channels, *dead_channels;
  uint32_t half_open;
  log_limit_t log_limit; /* of lines that belong to no interface */
  char error[ERROR_TEXT];
};

/* A buffer of the slave's, as the slave knows it. */
typedef struct
{
  uint64_t word; /* one word, as it is written and read again at once */
} own_t;

static inline own_t
own_make (uint16_t region, uint32_t offset, bool small)
{
  return (own_t){ offset | (uint64_t) region << 32 | (uint64_t) small << 48 };
}

static inline uint32_t
own_offset (own_t own)
{
  return (uint32_t) own.word;
}

static inline uint16_t
own_region (own_t own)
{
  return (uint16_t) (own.word >> 32);
}

/* SMALL_BUFFER bytes, as against the interface's buffer size. */
static inline bool
own_small (own_t own)
{
  return own.word >> 48;
}

/* Small packets lie close together: few cache lines and pages. */
enum { SMALL_BUFFER = 128, SMALL_STRIDE = 192 }; /* an odd number of cache lines apart */

typedef struct
{
  void *addr; /* NULL: not mapped yet */
  uint64_t size;
  int fd; /* -1: closed, as it is mapped */
  bool external; /* the program mapped it, and has its descriptor */
} region_t;

typedef struct
{
  ring_t *shm; /* NULL until the regions are mapped */
  own_t *own;  /* slave: the buffer of each slot; as it sends, of each slot in use */
  own_t *spare[2]; /* slave, sending: buffers not in use, [1] the small ones */
  uint32_t small_size; /* what goes into a small one; 0: there are none */
  uint32_t offset;
  uint16_t region;
  uint8_t log2;
  int efd;
} link_ring_t;

/* The shared memory of one connection. */
struct link
{
  _Atomic unsigned refs;
  memif_alloc_t *alloc;
  memif_realloc_t *realloc;
  memif_free_t *free;
  external_t external;
  void *external_ctx;
  region_t *regions;
  link_ring_t *s2m, *m2s;
  uint32_t buffer_size; /* slave */
  uint16_t num_regions, num_s2m, num_m2s;
  bool unsealed; /* a region could not be sealed, and was accepted all the same */
};

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

/* The peer broke the protocol: nothing more is taken from this link. */
typedef enum
{
  FAULT_NONE,
  FAULT_NEW,  /* the queue's owner has not been told */
  FAULT_TOLD,
} fault_t;

/* One queue of an interface, the same over all its links. */
struct queue
{
  _Alignas (64) _Atomic bool busy; /* its owner is in a call */
  _Atomic bool gate; /* somebody else wants, or has, the queue */
  queue_state_t state;
  bool slave, rx;
  _Atomic bool polling; /* the receive mode asked for */
  bool armed;	/* rx: interrupts are enabled in the ring */
  bool chained; /* rx: chains were handed out since the link came up */
  fault_t fault;
  _Atomic bool attention; /* the wake descriptor may be readable */
  uint16_t mask;
  uint16_t next; /* rx: first slot not handed out; tx: first slot not reserved */
  uint16_t done; /* rx: first slot not given back; tx: first slot not published */
  uint16_t peer; /* the peer's counter when last read */
  uint16_t limit;  /* rx, draining: what was published when the link went down */
  uint16_t offered; /* tx master: most slots ever seen free */
  uint16_t untaken; /* tx, down: what the peer had not taken when the link went down */
  uint32_t idle;   /* rx: bursts in a row that found nothing */
  uint32_t num_regions;
  uintptr_t last; /* rx master: where the last single packet lay */
  intptr_t stride; /* and how far from the one before; a hint, never followed */
  uint16_t reclaimed; /* tx slave: first slot whose buffer is not back among the spare ones */
  uint16_t num_spare[2];
  ring_t *ring;
  own_t *own;
  own_t *spare[2];
  uint8_t *base; /* tx slave: the region of all its buffers */
  uint16_t base_region;
  const region_t *regions;
  uint32_t buffer_size; /* slave; as tx master: the largest ever offered */
  uint32_t small_size; /* tx slave */
  int efd;
  link_t *link;

  conn_t *conn;
  uint16_t qid;
  uint32_t first_length; /* of the ring's first slot, when the link came up: a buffer's size */
  event_t *event;     /* with on_interrupt: efd in the control loop */
  int epfd, wake_fd;  /* rx: made at creation when packets are kept or waited for; else -1 */
  _Atomic bool woken; /* rx_wake asks the waiter to return */
  _Atomic bool watched; /* the program waits on epfd or efd itself */
  pending_link_t *pending; /* rx: links after this one, oldest first */
  uint16_t num_pending;
};

struct conn
{
  conn_t *next;
  sock_t *sock;
  memif_conn_args_t args;
  memif_ext_conn_args_t ext;
  memif_connection_update_t *on_connect, *on_disconnect;
  memif_on_interrupt_t *on_interrupt;
  void *private_ctx;

  channel_t *channel; /* NULL: not connected */
  link_t *link;	      /* while in handshake or up */
  link_t *external;   /* the last link, when it has external regions: they are given back here */
  bool up, closed, deleted;
  uint64_t asked; /* the timer's round in which it last asked for its connection */
  queue_t *rx, *tx; /* as many as configured */
  void *queue_memory;
  uint16_t num_rx, num_tx;
  uint16_t run_rx, run_tx; /* as many as the link settled on */
  uint8_t remote_name[NAME_SIZE + 1], remote_if[NAME_SIZE + 1];
  memif_ext_peer_t peer;
  bool known_peer;
  log_limit_t log_limit;
  char error[ERROR_TEXT];

  _Atomic int fault_lock; /* guards what follows */
  bool faulty;		  /* a queue met a violation */
  char fault[ERROR_TEXT];
};

typedef enum
{
  CH_MASTER_INIT,   /* HELLO sent */
  CH_MASTER_SETUP,  /* INIT accepted */
  CH_SLAVE_HELLO,   /* connected */
  CH_SLAVE_INIT,    /* INIT sent */
  CH_SLAVE_REGION,  /* ADD_REGION sent */
  CH_SLAVE_RING,    /* ADD_RING sent */
  CH_SLAVE_CONNECT, /* CONNECT sent */
  CH_UP,
} channel_state_t;

struct channel
{
  channel_t *next;
  sock_t *sock;
  conn_t *conn; /* NULL: a peer that has not sent its INIT */
  event_t *event;
  channel_state_t state;
  uint16_t step; /* slave: index of the region or ring that waits for its ACK */
  uint64_t deadline;
  memif_ext_peer_t peer;
  char peer_name[NAME_SIZE + 1];
};

/* error.c */
int error_of_errno (int errnum);
/* Into the socket's error text and the log; returns err. */
int fail (sock_t *s, int err, const char *format, ...) __attribute__ ((format (printf, 3, 4)));
void text_v (char *to, size_t size, const char *format, va_list args)
  __attribute__ ((format (printf, 3, 0)));
void text_f (char *to, size_t size, const char *format, ...)
  __attribute__ ((format (printf, 3, 4)));
const char *where (const conn_t *c); /* "slave id 3 on /run/x.sock" */

/* log.c */
void logf_ (sock_t *s, int level, const char *format, ...) __attribute__ ((format (printf, 3, 4)));
/* What a peer can cause at will: so many a second of an interface, or (c NULL) of the socket. */
void peer_logf (sock_t *s, conn_t *c, int level, const char *format, ...)
  __attribute__ ((format (printf, 4, 5)));
/* Tells how many were left out, where the second is over; when the next one will be, 0: none. */
void log_tell (sock_t *s, uint64_t now);
uint64_t log_due (const sock_t *s);

/* events.c */
uint64_t now_ns (void);
void *zalloc (memif_alloc_t *alloc, size_t size);
event_t *event_add (sock_t *s, int fd, void (*handle) (event_t *), void *owner);
int event_error (void); /* why event_add has just failed */
void event_remove (event_t *e); /* does not close the descriptor */
int loop_open (sock_t *s);
void loop_close (sock_t *s);
void loop_kick (sock_t *s);
void timer_update (sock_t *s);
void enter (sock_t *s);
bool leave (sock_t *s);
void sock_free (sock_t *s);

/* message.c */
int message_send (int fd, const message_t *m, int attached);
/* 1: a message, *attached its descriptor or -1. 0: nothing there. <0: -memif_err_t with *why. */
int message_receive (int fd, message_t *m, int *attached, const char **why);

/* listener.c */
int listener_open (sock_t *s);
void listener_close (sock_t *s);
void listener_resume (sock_t *s);
int listener_adopt (sock_t *s, int fd);
socklen_t socket_address (const char *path, void *sockaddr_un);

/* access.c */
/* The owner and the permissions of the file of a socket that is bound, and does not listen yet. */
int access_set (sock_t *s, uint64_t *dev, uint64_t *ino);
/* Who is at the other end, and whether that may be a peer: if not, *why gets the reason. */
int access_check (const sock_t *s, int fd, memif_ext_peer_t *peer, char *why, size_t size);

/* handshake.c */
void channel_accept (sock_t *s, int fd);
int channel_connect (conn_t *c);
/* Who ends a channel: we (a DISCONNECT is sent), the peer by its own word, or nobody. */
typedef enum
{
  END_OURS,
  END_PEERS,
  END_LOST,
} end_t;
void channel_close (channel_t *ch, int err, end_t end, const char *format, ...)
  __attribute__ ((format (printf, 4, 5)));

/* region.c */
link_t *link_new (conn_t *c);
bool link_is_external (const link_t *l);
void link_unref (link_t *l);
void link_close_fds (link_t *l); /* of the regions: a link that is drained needs its mappings only */
int link_create_slave (link_t *l, const memif_conn_args_t *args, unsigned num_s2m, unsigned num_m2s,
		       unsigned log2, const char **why);
/* Maps it; takes the descriptor over on success. */
int link_add_region (link_t *l, uint64_t size, int fd, bool allow_unsealed, const char **why);
int link_add_ring (link_t *l, const add_ring_t *r, int fd, unsigned max, const char **why);
int link_map_master (link_t *l, const char **why);
bool is_eventfd (int fd);

/* queue.c */
int queues_create (conn_t *c);
void queues_destroy (conn_t *c);
void queues_up (conn_t *c);
void queues_offer (conn_t *c); /* slave: all buffers not offered by the program */
void queues_down (conn_t *c);
/* Gives the external regions of the last link back to the program, and what is unread with them. */
void queues_return_external (conn_t *c);
/* With the lock held: the link breaks, the control thread hears of it. Returns MFMSG. */
int queue_fault (queue_t *q, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
bool fault_take (conn_t *c, char text[ERROR_TEXT]);
/* With the lock held: nothing left on a draining queue. Takes the next link, or is gone. */
void queue_drained (queue_t *q);

/* foreign.c; neither waits for what the last close waits for */
void foreign_close (int fd); /* a descriptor that came from a peer */
void foreign_close_all (int *fds, unsigned count); /* spoils the array */
void foreign_hang_up (int fd); /* a connection, with what the peer sent and nobody read */

/* eventfd.c; neither blocks */
void eventfds_open (void); /* once */
uint64_t event_clear (int efd);
/* false: it can't be written. file: any open file that can be read, where pread does not wait. */
bool event_signal (int efd, int file);

/* wait.c; arm, disarm and clear_event with the lock held */
void queue_arm (queue_t *q);
void queue_disarm (queue_t *q);
void queue_clear_event (queue_t *q);
/* Where an event that is left would wake for ever. rx_wait itself takes each once. */
static inline void
queue_spend_event (queue_t *q)
{
  /* Relaxed: one that is set meanwhile is heeded at the next look. */
  if (q->conn->on_interrupt || atomic_load_explicit (&q->watched, memory_order_relaxed))
    queue_clear_event (q);
}
/* With the lock held, of a queue that is up. */
static inline bool
queue_signal (queue_t *q)
{
  return event_signal (q->efd, q->regions[0].fd);
}

void queue_attention (queue_t *q);
void queue_heed_slow (queue_t *q);

/* lock.c */
/* Two ways to a queue, which exclude each other.
 *
 * Its owner, one thread at a time, enters for each burst, and pays a store and
 * a load. All others lock it, seldom, and pay for both: a barrier on every CPU
 * that runs this process (membarrier) stands between closing the gate and
 * looking whether the owner is in, in place of a fence in each burst. */
extern _Atomic bool owner_needs_fence; /* membarrier is not to be had */
void queue_wait_gate (queue_t *q);

static inline void
queue_enter (queue_t *q)
{
  for (;;)
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
      if (__builtin_expect (!atomic_load_explicit (&q->gate, memory_order_acquire), 1))
	return;
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

static inline queue_t *
queue_of (conn_t *c, uint16_t qid, bool rx)
{
  if (!c || qid >= (rx ? c->num_rx : c->num_tx))
    return NULL;
  return rx ? &c->rx[qid] : &c->tx[qid];
}

/* Takes note of queue_attention. */
static inline void
queue_heed (queue_t *q)
{
  /* Acquire: the write to wake_fd came before queue_attention's release. */
  if (__builtin_expect (atomic_load_explicit (&q->attention, memory_order_acquire), 0))
    queue_heed_slow (q);
}

void locks_open (void); /* once, before any queue is there */
void queue_lock (queue_t *q);
void queue_unlock (queue_t *q);
void link_unblock (const link_t *l); /* control thread */

/* The only ways to a descriptor: once in, once out. Relaxed, so that no word is
 * torn or read twice; the counters' acquire and release order them. */
static inline desc_t
desc_read (const shared_desc_t *d)
{
  uint64_t w0 = atomic_load_explicit (&d->word[0], memory_order_relaxed);
  uint64_t w1 = atomic_load_explicit (&d->word[1], memory_order_relaxed);
  return (desc_t){ .flags = (uint16_t) w0,
		   .region = (uint16_t) (w0 >> 16),
		   .length = (uint32_t) (w0 >> 32),
		   .offset = (uint32_t) w1,
		   .metadata = (uint32_t) (w1 >> 32) };
}

static inline void
desc_write (shared_desc_t *d, desc_t in)
{
  atomic_store_explicit (&d->word[0], in.flags | (uint64_t) in.region << 16 | (uint64_t) in.length << 32,
			 memory_order_relaxed);
  atomic_store_explicit (&d->word[1], in.offset | (uint64_t) in.metadata << 32,
			 memory_order_relaxed);
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
  own_t own = q->own[slot & q->mask];
  return (uint8_t *) q->regions[own_region (own)].addr + own_offset (own);
}

/* memcpy, without the call for what most packets are: short. */
static inline void
copy_bytes (uint8_t *to, const uint8_t *from, size_t n)
{
  if (n - 32 <= 32) /* 32 to 64: two halves, which overlap */
    {
      memcpy (to, from, 32);
      memcpy (to + n - 32, from + n - 32, 32);
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
void rx_give_back (queue_t *q, uint16_t count, uint16_t headroom);
uint16_t tx_untaken (const queue_t *q);

#endif
