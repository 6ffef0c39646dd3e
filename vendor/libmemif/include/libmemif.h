/* The C interface of libmemif 4.0: packets over shared memory.
 *
 * Names, values and field orders are that interface's and do not change;
 * what this implementation adds stands in libmemif_ext.h.
 *
 * Threads: one thread at a time per control socket (everything that takes a
 * socket, and memif_create, memif_delete, memif_request_connection,
 * memif_get_details of its interfaces); the callbacks run on the thread that
 * polls. Calls on different queues may run in parallel with each other and
 * with the control thread; the first call on a queue may allocate memory. memif_strerror and memif_cancel_poll_event may be
 * called from anywhere.
 *
 * Buffers (memif_buffer_t) are good until the on_disconnect of their link returns:
 * by then all threads must have stopped to touch their data. Calls with buffers of
 * a former link touch no memory of it: DISCONNECTED, or, when the next link is up,
 * INVAL_ARG unless it has handed out a buffer with the same index.
 *
 * Functions of type int return a memif_err_t.
 */
#ifndef _LIBMEMIF_H_
#define _LIBMEMIF_H_

#include <inttypes.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define LIBMEMIF_VERSION "4.0"
#define MEMIF_DEFAULT_APP_NAME "libmemif-app"

/* memif_cancel_poll_event is there. */
#define MEMIF_HAVE_CANCEL_POLL_EVENT 1

typedef enum
{
  MEMIF_ERR_SUCCESS = 0,
  MEMIF_ERR_SYSCALL,	      /* a system call failed, for a reason without a number of its own */
  MEMIF_ERR_CONNREFUSED,      /* nobody listens on the socket */
  MEMIF_ERR_ACCES,	      /* permission denied */
  MEMIF_ERR_NO_FILE,	      /* no such file */
  MEMIF_ERR_FILE_LIMIT,	      /* the system's limit of open files */
  MEMIF_ERR_PROC_FILE_LIMIT,  /* the process's limit of open files */
  MEMIF_ERR_ALREADY,	      /* already going on, or the socket is in use */
  MEMIF_ERR_AGAIN,	      /* try again */
  MEMIF_ERR_BAD_FD,	      /* not an open descriptor */
  MEMIF_ERR_NOMEM,	      /* out of memory */
  MEMIF_ERR_INVAL_ARG,	      /* an argument can't be used */
  MEMIF_ERR_NOCONN,	      /* no such interface */
  MEMIF_ERR_CONN,	      /* the interface exists already */
  MEMIF_ERR_CB_FDUPDATE,      /* on_control_fd_update failed */
  MEMIF_ERR_FILE_NOT_SOCK,    /* the path names something that is no socket */
  MEMIF_ERR_NO_SHMFD,	      /* a region came without its descriptor */
  MEMIF_ERR_COOKIE,	      /* a ring does not begin with the cookie */
  MEMIF_ERR_NOBUF_RING,	      /* the ring has fewer free slots than asked for */
  MEMIF_ERR_NOBUF,	      /* more packets wait than buffers were given */
  MEMIF_ERR_NOBUF_DET,	      /* too little memory for the details */
  MEMIF_ERR_INT_WRITE,	      /* the interrupt could not be written */
  MEMIF_ERR_MFMSG,	      /* the peer's message or memory is malformed */
  MEMIF_ERR_QID,	      /* no such queue */
  MEMIF_ERR_PROTO,	      /* incompatible version of the protocol */
  MEMIF_ERR_ID,		      /* interface id in use, or unknown */
  MEMIF_ERR_ACCSLAVE,	      /* not possible in this role */
  MEMIF_ERR_ALRCONN,	      /* connected already */
  MEMIF_ERR_MODE,	      /* the modes of the two sides differ */
  MEMIF_ERR_SECRET,	      /* incorrect secret */
  MEMIF_ERR_NOSECRET,	      /* secret required */
  MEMIF_ERR_MAXREG,	      /* too many regions */
  MEMIF_ERR_MAXRING,	      /* too many rings */
  MEMIF_ERR_NO_INTFD,	      /* a ring came without its eventfd */
  MEMIF_ERR_DISCONNECT,	      /* the peer ended the link */
  MEMIF_ERR_DISCONNECTED,     /* the link is down */
  MEMIF_ERR_UNKNOWN_MSG,      /* a message of an unknown type */
  MEMIF_ERR_POLL_CANCEL,      /* memif_cancel_poll_event ended the poll */
  MEMIF_ERR_MAX_RING,	      /* log2_ring_size above 14 */
  MEMIF_ERR_PRIVHDR,	      /* a private header is not supported */
} memif_err_t;

typedef void *memif_conn_handle_t;
typedef void *memif_socket_handle_t;

typedef void *(memif_alloc_t) (size_t size);
typedef void *(memif_realloc_t) (void *ptr, size_t size);
typedef void (memif_free_t) (void *ptr);

typedef enum memif_fd_event_type
{
  MEMIF_FD_EVENT_READ = 1,
  MEMIF_FD_EVENT_WRITE = 2,
  MEMIF_FD_EVENT_ERROR = 4,
  MEMIF_FD_EVENT_DEL = 8,
  MEMIF_FD_EVENT_MOD = 16,
} memif_fd_event_type_t;

/* A descriptor to watch (or, with DEL, to watch no more). Give private_ctx to
 * memif_control_fd_handler when it is ready. */
typedef struct memif_fd_event
{
  int fd;
  memif_fd_event_type_t type;
  void *private_ctx;
} memif_fd_event_t;

typedef int (memif_control_fd_update_t) (memif_fd_event_t fde, void *private_ctx);
typedef int (memif_connection_update_t) (memif_conn_handle_t conn, void *private_ctx);
typedef int (memif_on_interrupt_t) (memif_conn_handle_t conn, void *private_ctx, uint16_t qid);

/* Memory that the program brings; private_ctx is the interface's. They run on
 * the control thread.
 * add: a slave needs size bytes for buffers, *fd is what the peer maps. Memory
 * that the peer could shrink is refused by careful peers: make it with
 * memfd_create and MFD_ALLOW_SEALING.
 * get_addr: a master maps size bytes of the peer's descriptor; NULL refuses.
 * del: the link needs them no more; fd is the program's to close. Called before
 * the interface's next link is made, or when the interface is deleted, as what
 * had arrived stays readable until then.
 * get_offset: where in the added memory the next buffer lies (of as many as the
 * rings have slots, each of the interface's buffer size); NULL: the library says. */
typedef int (memif_add_external_region_t) (void **addr, uint32_t size, int *fd, void *private_ctx);
typedef void *(memif_get_external_region_addr_t) (uint32_t size, int fd, void *private_ctx);
typedef int (memif_del_external_region_t) (void *addr, uint32_t size, int fd, void *private_ctx);
typedef uint32_t (memif_get_external_buffer_offset_t) (void *private_ctx);

typedef enum
{
  MEMIF_INTERFACE_MODE_ETHERNET = 0,
  MEMIF_INTERFACE_MODE_IP = 1,
  MEMIF_INTERFACE_MODE_PUNT_INJECT = 2,
} memif_interface_mode_t;

typedef enum
{
  MEMIF_RX_MODE_INTERRUPT = 0,
  MEMIF_RX_MODE_POLLING,
} memif_rx_mode_t;

typedef struct memif_socket_args
{
  char path[108]; /* a leading '@' or NUL makes it an abstract name */
  char app_name[32];
  struct itimerspec connection_request_timer; /* zero: disconnected slaves don't ask again */
  memif_control_fd_update_t *on_control_fd_update; /* NULL: memif_poll_event polls */
  memif_alloc_t *alloc;
  memif_realloc_t *realloc;
  memif_free_t *free;
} memif_socket_args_t;

/* A zero means the default, where one is named. */
typedef struct
{
  memif_socket_handle_t socket;
  uint8_t secret[24];
  uint8_t num_s2m_rings;  /* 1 */
  uint8_t num_m2s_rings;  /* 1 */
  uint16_t buffer_size;	  /* 2048 bytes */
  uint8_t log2_ring_size; /* 10; at most 14 */
  uint8_t is_master;
  uint32_t interface_id;
  uint8_t interface_name[32];
  memif_interface_mode_t mode : 8;
} memif_conn_args_t;

/* The packet goes on in the next buffer. */
#define MEMIF_BUFFER_FLAG_NEXT 1

typedef struct
{
  uint16_t desc_index;
  void *queue;
  uint32_t len;
  uint8_t flags;
  void *data;
} memif_buffer_t;

/* The receiver of the ring does not want interrupts. */
#define MEMIF_QUEUE_FLAG_POLLING 1

typedef struct
{
  uint8_t region;
  uint16_t qid;
  uint32_t ring_size;
  uint16_t flags;
  uint16_t head;
  uint16_t tail;
  uint16_t buffer_size;
} memif_queue_details_t;

typedef struct
{
  uint8_t index;
  void *addr;
  uint32_t size;
  int fd; /* -1: not kept, as it is mapped */
  uint8_t is_external;
} memif_region_details_t;

typedef struct
{
  uint8_t *if_name;
  uint8_t *inst_name;
  uint8_t *remote_if_name;
  uint8_t *remote_inst_name;
  uint32_t id;
  uint8_t *secret;
  uint8_t role; /* 0 master, 1 slave */
  uint8_t mode;
  uint8_t *socket_path;
  uint8_t regions_num;
  memif_region_details_t *regions;
  uint8_t rx_queues_num;
  uint8_t tx_queues_num;
  memif_queue_details_t *rx_queues;
  memif_queue_details_t *tx_queues;
  uint8_t *error; /* why the link went down, or could not be made */
  uint8_t link_up_down;
} memif_details_t;

/* The protocol's version: 0x0200, "2.0". */
uint16_t memif_get_version (void);
const char *memif_get_version_str (void);

/* The text of an error number. */
char *memif_strerror (int err_code);

int memif_create_socket (memif_socket_handle_t *sock, memif_socket_args_t *args, void *private_ctx);
/* INVAL_ARG while interfaces use it. */
int memif_delete_socket (memif_socket_handle_t *sock);
memif_socket_handle_t memif_get_socket_handle (memif_conn_handle_t conn);
const char *memif_get_socket_path (memif_socket_handle_t sock);
/* The path of an interface's socket. */
const char *memif_get_socket_filename (memif_conn_handle_t conn);
/* The listening descriptor, or -1. */
int memif_get_listener_fd (memif_socket_handle_t sock);
/* Takes a listening descriptor of the program's over. */
int memif_set_listener_fd (memif_socket_handle_t sock, int fd);
int memif_set_connection_request_timer (memif_socket_handle_t sock, struct itimerspec timer);

/* A slave asks for its connection at once (a refusal is no error), a master listens. */
int memif_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
		  memif_connection_update_t *on_connect, memif_connection_update_t *on_disconnect,
		  memif_on_interrupt_t *on_interrupt, void *private_ctx);
/* Disconnects (calling on_disconnect) and frees. No burst of it may be running. */
int memif_delete (memif_conn_handle_t *conn);
int memif_request_connection (memif_conn_handle_t conn);

/* Waits for events up to timeout ms (-1: for ever, 0: not at all) and handles all that are
 * there. */
int memif_poll_event (memif_socket_handle_t sock, int timeout);
/* Ends the running poll, or else the next one, with POLL_CANCEL. */
int memif_cancel_poll_event (memif_socket_handle_t sock);
/* ptr: the private_ctx of the event. Not to be called for descriptors of a deleted socket:
 * each was told of with DEL. */
int memif_control_fd_handler (void *ptr, memif_fd_event_type_t events);

int memif_get_details (memif_conn_handle_t conn, memif_details_t *md, char *buf, ssize_t buflen);
/* The eventfd of a receive queue; DISCONNECTED while the link is down. */
int memif_get_queue_efd (memif_conn_handle_t conn, uint16_t qid, int *fd);
int memif_set_rx_mode (memif_conn_handle_t conn, memif_rx_mode_t rx_mode, uint16_t qid);

/* Reserves up to count buffers for packets of size bytes; a packet larger than
 * a buffer takes several, chained by NEXT, each of which counts. size 0: whole
 * buffers, whose len is the room. *count_out: how many were reserved, whole
 * packets only. NOBUF_RING: fewer than asked.
 * bufs has room for count buffers, or for one packet where that takes more: size
 * divided by the interface's own buffer_size, rounded up. No more are written,
 * also where the peer's buffers are smaller. */
int memif_buffer_alloc (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs,
			uint16_t count, uint16_t *count_out, uint16_t size);
/* Publishes reserved buffers, in the order of their reservation. len may be less
 * than what was reserved; on a slave data may be moved on inside its buffer.
 * INVAL_ARG: the buffer after *tx is not the next reserved one, or reaches out of
 * its memory, or a chain lacks its end; *tx of them were published. */
int memif_tx_burst (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		    uint16_t *tx);
/* Hands out received buffers; NOBUF when more are waiting. What arrived before
 * the link went down is handed out too; after it DISCONNECTED. */
int memif_rx_burst (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs, uint16_t count,
		    uint16_t *rx);
/* Gives the count oldest received buffers back; a count beyond them is cut. Slave:
 * data of what comes then begins headroom bytes into its buffer. */
int memif_refill_queue (memif_conn_handle_t conn, uint16_t qid, uint16_t count, uint16_t headroom);

/* Slave: moves received buffers, whole packets, to the end of what is reserved on
 * transmit queue qid, for memif_tx_burst; data stays where it is. In exchange
 * their receive queue gets free buffers, to be given back by memif_refill_queue
 * as if they had been read. The caller owns both queues. *count_out: how many;
 * NOBUF_RING: fewer than asked. (With more than 4 GiB of buffers, data may move.) */
int memif_buffer_enq_tx (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *bufs,
			 uint16_t count, uint16_t *count_out);
/* Slave: two buffers that are received or reserved change their places in the
 * rings: each keeps its data, len and flags, and gets the other's desc_index and
 * queue. The caller owns both queues. */
int memif_buffer_requeue (memif_conn_handle_t conn, memif_buffer_t *buf_a, memif_buffer_t *buf_b);
/* Takes back the reservation of this buffer and all after it. */
int memif_set_next_free_buffer (memif_conn_handle_t conn, uint16_t qid, memif_buffer_t *buf);
/* For the links made from now on. Any may be NULL; a region without get_addr is
 * mapped by the library. Region 0, with the rings, is never external. */
int memif_register_external_region (memif_socket_handle_t sock, memif_add_external_region_t *add,
				    memif_get_external_region_addr_t *get_addr,
				    memif_del_external_region_t *del,
				    memif_get_external_buffer_offset_t *get_offset);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
