/* What belongs to the control thread: a socket has interfaces (conn) and channels (a connection of
 * its control socket, in handshake or up).
 *
 * Threads: everything belongs to the control thread but a queue's contents, which its lock guards
 * (queue.h), and the fields marked atomic. */
#ifndef MEMIF_CONTROL_H
#define MEMIF_CONTROL_H

#include <pthread.h>
#include <sys/socket.h>

#include "queue.h"

typedef struct sock sock_t;
typedef struct conn conn_t;
typedef struct channel channel_t;

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
  struct event *next;
} event_t;

struct sock
{
  char path[108];
  char app_name[NAME_SIZE];
  memif_control_fd_update_t *on_control_fd_update;
  allocator_t memory;
  void *private_ctx;
  memif_ext_socket_args_t ext;
  external_t external;

  int epfd; /* -1 when the program polls */
  event_t *events;
  event_t *wake, *timer, *listener;
  int paused_listener; /* not watched for a while, as there are no descriptors; else -1 */
  int spare; /* of the same file; closed for its number, when the listener ends; else -1 */
  bool adopted;	       /* the listener is the program's own, and may be others' too */
  uint64_t resume_at;
  uint64_t listener_dev, listener_ino; /* of the file we made; 0: none */
  uint32_t *allowed;			/* ext's uids, then its gids; NULL: none */
  uint64_t period_ns, first_ns; /* of the connection request timer; 0: never */
  uint64_t next_request;	/* 0: not armed */
  uint64_t armed_at;		/* what the timer is set to; 0: off */
  uint64_t look_at, look_step;	/* of look.c; 0: none */

  _Atomic bool looking; /* any: look_at is set, or will be */
  _Atomic bool cancelled;
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

enum { NO_LINK = UINT16_MAX };

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
  bool linked;	  /* it has had a link */
  bool tells_end; /* made by memif_create: on_disconnect is called at its end, link or not */
  uint64_t asked; /* the timer's round in which it last asked for its connection */
  /* By their numbers; NULL: not asked for yet, as nearly all of a master that takes any number. */
  queue_t *_Atomic *rx, *_Atomic *tx;
  uint16_t num_rx, num_tx; /* as configured */
  uint16_t run_rx, run_tx; /* as many as the link settled on */
  _Atomic uint16_t rx_end, tx_end; /* the same while the link is up, for any thread; or NO_LINK */
  uint8_t remote_name[NAME_SIZE + 1], remote_if[NAME_SIZE + 1];
  memif_ext_peer_t peer;
  bool known_peer;
  _Atomic unsigned held_regions; /* of its links, former ones included */
  log_limit_t log_limit;
  _Atomic bool overran; /* any: the peer has overrun a ring, of which the log is to tell */
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
  uint64_t began, deadline;
  memif_ext_peer_t peer;
  char peer_name[NAME_SIZE + 1];
};

/* error.c */
/* Into the socket's error text and the log; returns err. */
int fail (sock_t *s, int err, const char *format, ...) __attribute__ ((format (printf, 3, 4)));
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
event_t *event_add (sock_t *s, int fd, void (*handle) (event_t *), void *owner);
int event_error (void); /* why event_add has just failed */
void event_remove (event_t *e); /* does not close the descriptor */
int loop_open (sock_t *s);
void loop_close (sock_t *s);
void loop_drain (int fd); /* an eventfd or timer of our own, which does not block */
/* What is deleted between these two is freed after. End: whether the socket is there still. */
void dispatch_begin (sock_t *s);
bool dispatch_end (sock_t *s);

/* timer.c */
void timer_update (sock_t *s);
void timer_event (event_t *e);

/* look.c */
void loop_ask_look (sock_t *s); /* any thread */
void looks_begin (sock_t *s);
void looks_due (sock_t *s, uint64_t now);

/* wake.c */
void loop_kick (sock_t *s);
void wake_event (event_t *e);

/* socket.c */
void sock_free (sock_t *s);
void sock_free_dead (sock_t *s);

/* message.c */
/* A peer's string: ends where its field ends, at the latest, and holds nothing unprintable. */
void text_from_wire (char *to, const uint8_t *from, size_t size);
/* Our own string into a field, cut to leave a NUL. */
void text_to_wire (uint8_t *field, size_t size, const void *text);
int message_send (int fd, const message_t *m, int attached);
/* 1: a message, *attached its descriptor or -1. 0: nothing there. <0: -memif_err_t with *why. */
int message_receive (int fd, const memif_ext_peer_t *from, message_t *m, int *attached, const char **why);

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
int handshake_hello (channel_t *ch);
void handshake_event (event_t *e); /* a message came */

/* channel.c */
void channel_accept (sock_t *s, int fd);
int channel_connect (conn_t *c);
void channel_up (channel_t *ch);
/* Who ends a channel: we (a DISCONNECT is sent), the peer by its own word, or nobody. */
typedef enum
{
  END_OURS,
  END_PEERS,
  END_LOST,
} end_t;
void channel_close (channel_t *ch, int err, end_t end, const char *format, ...)
  __attribute__ ((format (printf, 4, 5)));

/* queue.c */
int queues_create (conn_t *c);
void queues_destroy (conn_t *c);
/* A queue that is asked for the first time, by any thread; NULL: no memory. */
queue_t *queue_make (conn_t *c, uint16_t qid, bool rx);
void queues_up (conn_t *c);
void queues_offer (conn_t *c); /* slave: all buffers not offered by the program */
void queues_down (conn_t *c);
/* Gives the external regions of the last link back to the program, and what is unread with them. */
void queues_return_external (conn_t *c);
bool fault_take (conn_t *c, char text[ERROR_TEXT]);

/* Why what a program polls as libmemif has it is refused here. */
#define NO_CLEARING \
  "preadv2 can't read an eventfd with RWF_NOWAIT here (Linux 5.8, no filter), so a peer could stop its reader"

/* NULL also if nobody has asked for it yet. */
static inline queue_t *
queue_made (const conn_t *c, uint16_t qid, bool rx)
{
  if (!c || qid >= (rx ? c->num_rx : c->num_tx))
    return NULL;
  return rx ? c->rx[qid] : c->tx[qid];
}

static inline queue_t *
queue_of (conn_t *c, uint16_t qid, bool rx)
{
  if (!c || qid >= (rx ? c->num_rx : c->num_tx))
    return NULL;
  queue_t *q = rx ? c->rx[qid] : c->tx[qid];
  return __builtin_expect (q != NULL, 1) ? q : queue_make (c, qid, rx);
}

/* Why queue_of has given none. */
static inline int
queue_missing (const conn_t *c, uint16_t qid, bool rx)
{
  return c && qid < (rx ? c->num_rx : c->num_tx) ? MEMIF_ERR_NOMEM : MEMIF_ERR_QID;
}

/* Whether there is a link, which has fewer queues than that. */
static inline bool
queue_lacking (const queue_t *q)
{
  return q->qid >= (q->rx ? q->conn->rx_end : q->conn->tx_end);
}

#endif
