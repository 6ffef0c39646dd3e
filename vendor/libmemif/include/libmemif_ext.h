/* What this implementation offers beyond libmemif 4.0: bursts that copy whole
 * packets between the rings and private memory, waiting, and reasons.
 *
 * Threads: as in libmemif.h. The calls on a queue (rx_burst, rx_wait, tx_burst,
 * tx_free, tx_room) belong to one thread at a time per queue and direction, its owner;
 * the control thread may take the link down or up meanwhile. They never reach
 * memory that is no longer mapped. The states, tx_pending and rx_wake may be
 * called by anybody.
 */
#ifndef _LIBMEMIF_EXT_H_
#define _LIBMEMIF_EXT_H_

#include <libmemif.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

enum
{
  MEMIF_EXT_LOG_ERROR = 1,
  MEMIF_EXT_LOG_WARN = 2,
  MEMIF_EXT_LOG_INFO = 3,
  MEMIF_EXT_LOG_DEBUG = 4,
};

/* A line without a newline; valid during the call. It must not call the library. */
typedef void (memif_ext_log_t) (int level, const char *text, void *private_ctx);

/* An attempt to connect failed: refused by the peer, or before that. */
typedef void (memif_ext_fail_t) (memif_conn_handle_t conn, void *private_ctx, int err, int refused,
				 const char *reason);

typedef struct
{
  memif_ext_log_t *log; /* may be NULL */
  void *log_ctx;
  uint32_t handshake_ms;  /* a handshake must finish within; 0: 5000 */
  uint32_t max_half_open; /* unfinished handshakes at a time; then the oldest goes of the process
			     that has most. A process has three quarters at most, and is refused
			     more while its oldest is younger than 100 ms; 0: 64 */
  uint32_t log_lines; /* lines a second about the peers of each interface, and about refused ones;
			 how many were left out is told after it; 0: 20 */
  /* Of the file of a listening socket; abstract names have none. */
  uint32_t file_mode; /* permissions, as 0660; 0: 0600, the owner alone, unless set_file_mode is */
  uint32_t file_uid, file_gid; /* its owner and group, where the next two are set */
  uint8_t set_file_uid, set_file_gid, set_file_mode;
  /* Peers, in either role, whose user or group is none of these are refused; both empty: all may
   * be peers. Copied. A peer's groups beside its effective one do not count. */
  uint16_t num_allowed_uids, num_allowed_gids;
  const uint32_t *allowed_uids, *allowed_gids;
} memif_ext_socket_args_t;

/* To be called before the first interface is created on the socket. INVAL_ARG: a mode beyond
 * 0777. NOMEM: nothing is changed. */
int memif_ext_configure_socket (memif_socket_handle_t sock, const memif_ext_socket_args_t *args);

/* What went wrong in the last failed call on this socket, in words. NULL, after memif_create_socket
 * failed with SYSCALL: which call the system lacks, without which a peer could stop a sender. */
const char *memif_ext_socket_error (memif_socket_handle_t sock);

typedef struct
{
  memif_ext_fail_t *on_fail; /* may be NULL */
  uint8_t keep_unread;	     /* a reconnect keeps packets not yet read (rx queues of any earlier link) */
  uint8_t allow_unsealed;    /* master: accept memory that the peer could shrink under us */
} memif_ext_conn_args_t;

/* memif_create with the above. */
int memif_ext_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
		      const memif_ext_conn_args_t *ext, memif_connection_update_t *on_connect,
		      memif_connection_update_t *on_disconnect, memif_on_interrupt_t *on_interrupt,
		      void *private_ctx);

/* Who a process is, as the kernel says (SO_PEERCRED): when it connected, or began to listen. */
typedef struct
{
  int32_t pid; /* 0: not to be seen from this PID namespace */
  uint32_t uid, gid;
} memif_ext_peer_t;

/* How many queues the link that is up has, at most as many as configured; 0: it is down. A queue
 * that it lacks is one without packets, and without room, until a link has it. From any thread. */
int memif_ext_link_queues (memif_conn_handle_t conn, uint16_t *rx, uint16_t *tx);

/* The peer of the link, or of the last attempt at one. NOCONN: there was none. */
int memif_ext_get_peer (memif_conn_handle_t conn, memif_ext_peer_t *peer);

/* Disconnects for good. What had arrived stays readable until memif_delete. */
int memif_ext_close (memif_conn_handle_t conn);

/* A packet in the arena of rx_burst. */
typedef struct
{
  uint32_t offset;   /* from the arena's start */
  uint32_t captured; /* bytes copied: at most the snap length */
  uint32_t length;   /* bytes that were on the ring */
} memif_ext_packet_t;

/* Copies up to count whole packets, chains joined, into the arena and gives
 * their buffers back. Ends with the packet that reaches 128 KiB, or does not fit
 * any more. arena_len must be at least snaplen. Never blocks.
 * SUCCESS with *received = 0: nothing is waiting. DISCONNECTED: the link is
 * down and drained. MFMSG: the peer broke the protocol; the link goes down,
 * what came before has been delivered. */
int memif_ext_rx_burst (memif_conn_handle_t conn, uint16_t qid, uint8_t *arena, uint32_t arena_len,
			uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count,
			uint16_t *received);

/* Slots that peers have overwritten before they were read, since the interface was created: VPP
 * before 26.06 does so with chains. May be called by anybody. */
int memif_ext_rx_overrun (memif_conn_handle_t conn, uint16_t qid, uint64_t *slots);

/* How often memif_ext_rx_burst or _rx_lend found all slots of the ring filled, since the interface
 * was created: the peer may have dropped packets. May be called by anybody. */
int memif_ext_rx_full (memif_conn_handle_t conn, uint16_t qid, uint64_t *times);

/* A buffer of a received packet, where the peer has put it. */
typedef struct
{
  uint32_t offset, length;
  uint16_t region, more; /* more: the packet goes on in the next buffer */
} memif_ext_lent_t;

/* Lends the buffers of whole packets, at most count of them, without a copy. They are returned, all
 * together, before more are taken in any way. *link names the memory that they are in. As rx_burst
 * otherwise; NOBUF: the next packet has more buffers than count. */
int memif_ext_rx_lend (memif_conn_handle_t conn, uint16_t qid, memif_ext_lent_t *bufs,
		       uint16_t count, uint16_t *lent, uint32_t *link);

/* Gives them all back to the peer. */
int memif_ext_rx_return (memif_conn_handle_t conn, uint16_t qid, uint32_t link, uint16_t count);

/* Copies bytes of a buffer that is lent. The peer may write to it meanwhile. DISCONNECTED: the
 * memory is gone. INVAL_ARG: they are not within the buffer. */
int memif_ext_rx_read (memif_conn_handle_t conn, uint16_t qid, uint32_t link,
		       const memif_ext_lent_t *buf, uint32_t from, uint8_t *to, uint32_t length);

enum
{
  MEMIF_EXT_WAIT_READY = 0,	/* a packet is waiting, or the queue is broken: read */
  MEMIF_EXT_WAIT_TIMED_OUT = 1,
  MEMIF_EXT_WAIT_LINK_DOWN = 2, /* down, and all that had arrived was read */
  MEMIF_EXT_WAIT_WOKEN = 3,	/* memif_ext_rx_wake was called */
};

/* Waits for a packet: spins up to spin_ns, then sleeps, up to timeout_ns in all
 * (UINT64_MAX: no limit). With through_down a link that is down is waited out.
 * Signals do not end it. */
int memif_ext_rx_wait (memif_conn_handle_t conn, uint16_t qid, uint64_t timeout_ns,
		       uint64_t spin_ns, int through_down, int *result);

/* From any thread: ends the running wait, or else the next one, with WOKEN. */
int memif_ext_rx_wake (memif_conn_handle_t conn, uint16_t qid);

/* Makes the two descriptors that rx_wait and rx_fd need; else the first of them does. */
int memif_ext_rx_prepare (memif_conn_handle_t conn, uint16_t qid);

/* A descriptor, the same for the interface's life, that is readable when in
 * interrupt mode a packet arrives, and when the link goes up or down. Read
 * until nothing is left after every event. Owned by the library. */
int memif_ext_rx_fd (memif_conn_handle_t conn, uint16_t qid, int *fd);

typedef struct
{
  const uint8_t *data;
  uint32_t len;
} memif_ext_slice_t;

/* Copies packets into the ring, as chains where they exceed a buffer, and
 * publishes them at once. Never blocks. *sent tells how many whole packets:
 * fewer than count when the ring is full (NOBUF_RING when none).
 * INVAL_ARG: packet *sent is empty, or larger than the whole ring (memif_ext_tx_room).
 * MFMSG: the peer broke the protocol, or offers a master buffers so small that 1024 of them
 * and more hold less than 64 bytes each; the link goes down. */
int memif_ext_tx_burst (memif_conn_handle_t conn, uint16_t qid, const memif_ext_slice_t *packets,
			uint16_t count, uint16_t *sent);

/* Whether a packet of this length would be sent now: SUCCESS, or as tx_burst says. */
int memif_ext_tx_fits (memif_conn_handle_t conn, uint16_t qid, uint32_t length);

/* Free slots of a transmit ring. */
int memif_ext_tx_free (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots);

/* The size of a transmit ring: its buffers, and the bytes that the largest of them takes. Of a
 * master's ring that is what the peer has offered so far. */
int memif_ext_tx_room (memif_conn_handle_t conn, uint16_t qid, uint32_t *buffer_size, uint16_t *slots);

/* Whether a transmit ring has had room since its link is up: a slave offers its buffers to a
 * master a moment after that. From any thread. */
int memif_ext_tx_offered (memif_conn_handle_t conn, uint16_t qid, int *offered);

/* Published slots that the peer has not taken (slave), or not offered again (master).
 * DISCONNECTED: *slots tells what it had not taken when the link went down. */
int memif_ext_tx_pending (memif_conn_handle_t conn, uint16_t qid, uint16_t *slots);

/* Of fewer pending slots than this nobody can know whether the peer has taken them, as far as can
 * be seen: some slaves offer slots again in lots only, as VPP 32 at a time, or have not offered
 * all of them yet. 1: each slot is offered by itself. May be called by anybody. */
int memif_ext_tx_lot (memif_conn_handle_t conn, uint16_t qid, uint16_t *lot);

enum
{
  MEMIF_EXT_QUEUE_GONE = 0,	/* the link is down and nothing is left to read */
  MEMIF_EXT_QUEUE_UP = 1,
  MEMIF_EXT_QUEUE_DRAINING = 2, /* the link is down, packets are left */
};

int memif_ext_rx_state (memif_conn_handle_t conn, uint16_t qid, int *state);
int memif_ext_tx_state (memif_conn_handle_t conn, uint16_t qid, int *state);

/* Links between other processes, looked at: nothing is written to their memory.
 *
 * A view is the memory of a link: its regions, mapped read-only, and the rings in the first of
 * them. It may be used by several threads. A watch reads one ring, for one thread at a time. */
typedef struct memif_ext_view *memif_ext_view_handle_t;
typedef struct memif_ext_watch *memif_ext_watch_handle_t;

enum { MEMIF_EXT_VIEW_RINGS = 510 };

/* Whether a file begins like the rings of a link, and where they are: the offsets and log2 sizes of
 * up to MEMIF_EXT_VIEW_RINGS. Returns their number. The file is read, not mapped. */
typedef struct
{
  uint32_t offset;
  uint8_t log2_size;
} memif_ext_view_ring_t;

uint16_t memif_ext_view_find (int fd, memif_ext_view_ring_t *rings);

/* Maps the regions of these descriptors, which stay the caller's. Memory that could shrink under
 * us, which would kill this process, is refused unless it is allowed. MFMSG: *why says why not. */
int memif_ext_view_open (memif_ext_view_handle_t *view, const int *fds, uint16_t num_fds,
			 int allow_unsealed, const char **why);
void memif_ext_view_close (memif_ext_view_handle_t view);

/* The counters of a ring at a moment. */
typedef struct
{
  uint16_t head, tail;
  uint16_t flags;      /* bit 0: the receiver does not want interrupts */
  uint8_t slave_marks; /* its slots bear the marks of a slave of ours that receives */
  uint8_t sender_promises; /* its sender is one of ours, and tells how long slots linger */
  uint16_t max_region; /* the highest region that its descriptors name */
  uint64_t max_end;    /* where the furthest buffer ends that lies in region want_region */
} memif_ext_view_state_t;

/* INVAL_ARG: the ring does not lie in the first region. With scan, descriptors are looked at
 * too. */
int memif_ext_view_state (memif_ext_view_handle_t view, memif_ext_view_ring_t ring, int scan,
			  uint16_t want_region, memif_ext_view_state_t *state);

/* Watches a ring, from the packets on that wait in it now. The view must live longer. */
int memif_ext_watch_open (memif_ext_watch_handle_t *watch, memif_ext_view_handle_t view,
			  memif_ext_view_ring_t ring, int m2s);
void memif_ext_watch_close (memif_ext_watch_handle_t watch);

/* Copies up to count whole packets that are new, as memif_ext_rx_burst does. SUCCESS with
 * *received = 0: there are none. MFMSG: the ring contradicts itself (memif_ext_watch_error);
 * nothing more comes. *behind: how many slots there still are that were not looked at. */
int memif_ext_watch_look (memif_ext_watch_handle_t watch, uint8_t *arena, uint32_t arena_len,
			  uint32_t snaplen, memif_ext_packet_t *packets, uint16_t count,
			  uint16_t *received, uint16_t *behind);

typedef struct
{
  uint64_t delivered;
  uint64_t missed;  /* packets that could not be read whole */
  uint8_t at_least; /* there may have been more of them */
} memif_ext_watch_counts_t;

void memif_ext_watch_counts (memif_ext_watch_handle_t watch, memif_ext_watch_counts_t *counts);

/* How many slots there are that were not looked at. */
uint16_t memif_ext_watch_behind (memif_ext_watch_handle_t watch);

/* How many slots a packet stays readable after its receiver has taken it. */
uint16_t memif_ext_watch_window (memif_ext_watch_handle_t watch);

/* What is wrong with the ring, in words. */
const char *memif_ext_watch_error (memif_ext_watch_handle_t watch);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
