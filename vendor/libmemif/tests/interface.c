/* The public interface alone: every function by its name, every struct by its layout. */
#define _GNU_SOURCE
#include <assert.h>
#include <libmemif.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(type, field, offset) \
  static_assert (offsetof (type, field) == (offset), #type "." #field)

static_assert (sizeof (memif_conn_handle_t) == 8 && sizeof (memif_socket_handle_t) == 8, "handles");
static_assert (sizeof (memif_err_t) == 4 && sizeof (memif_rx_mode_t) == 4, "enums are ints");

static_assert (sizeof (memif_fd_event_t) == 16, "memif_fd_event_t");
AT (memif_fd_event_t, fd, 0);
AT (memif_fd_event_t, type, 4);
AT (memif_fd_event_t, private_ctx, 8);

static_assert (sizeof (memif_socket_args_t) == 208, "memif_socket_args_t");
AT (memif_socket_args_t, path, 0);
AT (memif_socket_args_t, app_name, 108);
AT (memif_socket_args_t, connection_request_timer, 144);
AT (memif_socket_args_t, on_control_fd_update, 176);
AT (memif_socket_args_t, alloc, 184);
AT (memif_socket_args_t, realloc, 192);
AT (memif_socket_args_t, free, 200);

static_assert (sizeof (memif_conn_args_t) == 80, "memif_conn_args_t");
AT (memif_conn_args_t, socket, 0);
AT (memif_conn_args_t, secret, 8);
AT (memif_conn_args_t, num_s2m_rings, 32);
AT (memif_conn_args_t, num_m2s_rings, 33);
AT (memif_conn_args_t, buffer_size, 34);
AT (memif_conn_args_t, log2_ring_size, 36);
AT (memif_conn_args_t, is_master, 37);
AT (memif_conn_args_t, interface_id, 40);
AT (memif_conn_args_t, interface_name, 44);
/* mode, a bit field, follows in byte 76: see main. */

static_assert (sizeof (memif_buffer_t) == 32, "memif_buffer_t");
AT (memif_buffer_t, desc_index, 0);
AT (memif_buffer_t, queue, 8);
AT (memif_buffer_t, len, 16);
AT (memif_buffer_t, flags, 20);
AT (memif_buffer_t, data, 24);

static_assert (sizeof (memif_queue_details_t) == 16, "memif_queue_details_t");
AT (memif_queue_details_t, region, 0);
AT (memif_queue_details_t, qid, 2);
AT (memif_queue_details_t, ring_size, 4);
AT (memif_queue_details_t, flags, 8);
AT (memif_queue_details_t, head, 10);
AT (memif_queue_details_t, tail, 12);
AT (memif_queue_details_t, buffer_size, 14);

static_assert (sizeof (memif_region_details_t) == 32, "memif_region_details_t");
AT (memif_region_details_t, index, 0);
AT (memif_region_details_t, addr, 8);
AT (memif_region_details_t, size, 16);
AT (memif_region_details_t, fd, 20);
AT (memif_region_details_t, is_external, 24);

static_assert (sizeof (memif_details_t) == 120, "memif_details_t");
AT (memif_details_t, if_name, 0);
AT (memif_details_t, inst_name, 8);
AT (memif_details_t, remote_if_name, 16);
AT (memif_details_t, remote_inst_name, 24);
AT (memif_details_t, id, 32);
AT (memif_details_t, secret, 40);
AT (memif_details_t, role, 48);
AT (memif_details_t, mode, 49);
AT (memif_details_t, socket_path, 56);
AT (memif_details_t, regions_num, 64);
AT (memif_details_t, regions, 72);
AT (memif_details_t, rx_queues_num, 80);
AT (memif_details_t, tx_queues_num, 81);
AT (memif_details_t, rx_queues, 88);
AT (memif_details_t, tx_queues, 96);
AT (memif_details_t, error, 104);
AT (memif_details_t, link_up_down, 112);

#define IS(name, number) static_assert (MEMIF_ERR_##name == (number), #name)

IS (SUCCESS, 0);
IS (SYSCALL, 1);
IS (CONNREFUSED, 2);
IS (ACCES, 3);
IS (NO_FILE, 4);
IS (FILE_LIMIT, 5);
IS (PROC_FILE_LIMIT, 6);
IS (ALREADY, 7);
IS (AGAIN, 8);
IS (BAD_FD, 9);
IS (NOMEM, 10);
IS (INVAL_ARG, 11);
IS (NOCONN, 12);
IS (CONN, 13);
IS (CB_FDUPDATE, 14);
IS (FILE_NOT_SOCK, 15);
IS (NO_SHMFD, 16);
IS (COOKIE, 17);
IS (NOBUF_RING, 18);
IS (NOBUF, 19);
IS (NOBUF_DET, 20);
IS (INT_WRITE, 21);
IS (MFMSG, 22);
IS (QID, 23);
IS (PROTO, 24);
IS (ID, 25);
IS (ACCSLAVE, 26);
IS (ALRCONN, 27);
IS (MODE, 28);
IS (SECRET, 29);
IS (NOSECRET, 30);
IS (MAXREG, 31);
IS (MAXRING, 32);
IS (NO_INTFD, 33);
IS (DISCONNECT, 34);
IS (DISCONNECTED, 35);
IS (UNKNOWN_MSG, 36);
IS (POLL_CANCEL, 37);
IS (MAX_RING, 38);
IS (PRIVHDR, 39);

static_assert (MEMIF_FD_EVENT_READ == 1 && MEMIF_FD_EVENT_WRITE == 2 && MEMIF_FD_EVENT_ERROR == 4
		 && MEMIF_FD_EVENT_DEL == 8 && MEMIF_FD_EVENT_MOD == 16,
	       "event types");
static_assert (MEMIF_RX_MODE_INTERRUPT == 0 && MEMIF_RX_MODE_POLLING == 1 && MEMIF_BUFFER_FLAG_NEXT == 1
		 && MEMIF_QUEUE_FLAG_POLLING == 1 && MEMIF_HAVE_CANCEL_POLL_EVENT == 1,
	       "flags");
static_assert (MEMIF_INTERFACE_MODE_ETHERNET == 0 && MEMIF_INTERFACE_MODE_IP == 1
		 && MEMIF_INTERFACE_MODE_PUNT_INJECT == 2,
	       "modes");

#define MUST(condition) \
  do \
    { \
      if (!(condition)) \
	{ \
	  fprintf (stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
	  exit (1); \
	} \
    } \
  while (0)

static int ups, downs;

static int
on_connect (memif_conn_handle_t conn, void *ctx)
{
  /* Of a library that offers all buffers by itself this must be accepted too. */
  MUST (memif_refill_queue (conn, 0, 1023, 0) == 0);
  MUST (ctx == &ups);
  ups++;
  return 0;
}

static int
on_disconnect (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  MUST (ctx == &ups);
  downs++;
  return 0;
}

static memif_conn_handle_t
create (memif_socket_handle_t *sock, const char *path, uint8_t is_master)
{
  memif_socket_args_t sa = { .app_name = "interface test" };
  memif_conn_args_t ca = { .is_master = is_master, .interface_id = 5, .interface_name = "if5", .secret = "abra" };
  memif_conn_handle_t conn = NULL;
  snprintf (sa.path, sizeof sa.path, "%s", path);
  MUST (memif_create_socket (sock, &sa, &ups) == 0);
  struct itimerspec never = { 0 };
  MUST (memif_set_connection_request_timer (*sock, never) == 0);
  MUST (memif_register_external_region (*sock, NULL, NULL, NULL, NULL) == 0);
  ca.socket = *sock;
  MUST (memif_create (&conn, &ca, on_connect, on_disconnect, NULL, &ups) == 0);
  MUST (memif_get_socket_handle (conn) == *sock);
  MUST (strcmp (memif_get_socket_path (*sock), path) == 0);
  return conn;
}

/* Arguments that no call can use. */
static void
refused_without_objects (void)
{
  memif_socket_args_t sa = { 0 };
  memif_conn_args_t ca = { 0 };
  memif_socket_handle_t sock = NULL;
  memif_conn_handle_t conn = NULL;
  memif_details_t md;
  memif_buffer_t b;
  struct itimerspec never = { 0 };
  uint16_t n = 0;
  int fd = -1;
  char byte;

  MUST (memif_create_socket (&sock, NULL, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_create_socket (&sock, &sa, NULL) == MEMIF_ERR_INVAL_ARG); /* no path */
  memset (sa.path, 'x', sizeof sa.path);
  MUST (memif_create_socket (&sock, &sa, NULL) == MEMIF_ERR_INVAL_ARG); /* one without an end */
  MUST (memif_create_socket (NULL, &sa, NULL) == MEMIF_ERR_INVAL_ARG && !sock);
  MUST (memif_delete_socket (NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_delete_socket (&sock) == MEMIF_ERR_INVAL_ARG);
  MUST (!memif_get_socket_handle (NULL) && !memif_get_socket_path (NULL));
  MUST (memif_get_listener_fd (NULL) == -1);
  MUST (memif_set_listener_fd (NULL, 0) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_set_connection_request_timer (NULL, never) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_create (&conn, NULL, NULL, NULL, NULL, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_create (&conn, &ca, NULL, NULL, NULL, NULL) == MEMIF_ERR_INVAL_ARG); /* no socket */
  MUST (memif_delete (NULL) == MEMIF_ERR_NOCONN && memif_delete (&conn) == MEMIF_ERR_NOCONN);
  MUST (memif_request_connection (NULL) == MEMIF_ERR_NOCONN);
  MUST (memif_poll_event (NULL, 0) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_cancel_poll_event (NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_control_fd_handler (NULL, MEMIF_FD_EVENT_READ) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_get_details (NULL, &md, &byte, 1) == MEMIF_ERR_NOCONN);
  MUST (memif_get_queue_efd (NULL, 0, &fd) == MEMIF_ERR_NOCONN);
  MUST (memif_set_rx_mode (NULL, MEMIF_RX_MODE_POLLING, 0) == MEMIF_ERR_NOCONN);
  MUST (memif_buffer_alloc (NULL, 0, &b, 1, &n, 1) == MEMIF_ERR_NOCONN);
  MUST (memif_tx_burst (NULL, 0, &b, 1, &n) == MEMIF_ERR_NOCONN);
  MUST (memif_rx_burst (NULL, 0, &b, 1, &n) == MEMIF_ERR_NOCONN);
  MUST (memif_refill_queue (NULL, 0, 1, 0) == MEMIF_ERR_NOCONN);
  MUST (memif_buffer_enq_tx (NULL, 0, &b, 1, &n) == MEMIF_ERR_NOCONN);
  MUST (memif_buffer_requeue (NULL, &b, &b) == MEMIF_ERR_NOCONN);
  MUST (memif_set_next_free_buffer (NULL, 0, &b) == MEMIF_ERR_NOCONN);
  MUST (memif_register_external_region (NULL, NULL, NULL, NULL, NULL) == MEMIF_ERR_INVAL_ARG);
}

/* Queues that are not there, and nowhere to put an answer. */
static void
refused_by (memif_conn_handle_t conn)
{
  memif_conn_args_t ca = { .socket = memif_get_socket_handle (conn), .is_master = 1, .interface_id = 5 };
  memif_conn_handle_t other = NULL;
  memif_details_t md;
  memif_buffer_t b;
  uint16_t n = 0;
  int fd = -1;
  char byte;

  MUST (memif_create (NULL, &ca, NULL, NULL, NULL, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_create (&other, &ca, NULL, NULL, NULL, NULL) == MEMIF_ERR_ID); /* taken */
  ca.interface_id = 6;
  ca.mode = 3;
  MUST (memif_create (&other, &ca, NULL, NULL, NULL, NULL) == MEMIF_ERR_INVAL_ARG);
  ca.mode = MEMIF_INTERFACE_MODE_IP;
  ca.log2_ring_size = 15;
  MUST (memif_create (&other, &ca, NULL, NULL, NULL, NULL) == MEMIF_ERR_MAX_RING && !other);

  MUST (memif_get_details (conn, NULL, &byte, 1) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_get_details (conn, &md, NULL, 0) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_get_queue_efd (conn, 0, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_get_queue_efd (conn, 1, &fd) == MEMIF_ERR_QID && fd == -1);
  MUST (memif_set_rx_mode (conn, MEMIF_RX_MODE_POLLING, 1) == MEMIF_ERR_QID);
  MUST (memif_set_rx_mode (conn, (memif_rx_mode_t) 7, 0) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_buffer_alloc (conn, 1, &b, 1, &n, 1) == MEMIF_ERR_QID);
  MUST (memif_buffer_alloc (conn, 0, NULL, 1, &n, 1) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_buffer_alloc (conn, 0, &b, 1, NULL, 1) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_tx_burst (conn, 1, &b, 1, &n) == MEMIF_ERR_QID);
  MUST (memif_tx_burst (conn, 0, NULL, 1, &n) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_tx_burst (conn, 0, &b, 1, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_rx_burst (conn, 1, &b, 1, &n) == MEMIF_ERR_QID);
  MUST (memif_rx_burst (conn, 0, NULL, 1, &n) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_rx_burst (conn, 0, &b, 1, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_refill_queue (conn, 1, 1, 0) == MEMIF_ERR_QID);
  MUST (memif_buffer_enq_tx (conn, 1, &b, 1, &n) == MEMIF_ERR_QID);
  MUST (memif_buffer_enq_tx (conn, 0, NULL, 1, &n) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_buffer_requeue (conn, &b, NULL) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_set_next_free_buffer (conn, 1, &b) == MEMIF_ERR_QID);
  MUST (memif_set_next_free_buffer (conn, 0, NULL) == MEMIF_ERR_INVAL_ARG);
}

/* What needs a link, before the first one. */
static void
refused_without_a_link (memif_conn_handle_t conn)
{
  memif_buffer_t b = { 0 };
  uint16_t n = 7;
  int fd = -1;
  MUST (memif_get_queue_efd (conn, 0, &fd) == MEMIF_ERR_DISCONNECTED);
  MUST (memif_buffer_alloc (conn, 0, &b, 1, &n, 1) == MEMIF_ERR_DISCONNECTED && n == 0);
  MUST (memif_tx_burst (conn, 0, &b, 1, &n) == MEMIF_ERR_DISCONNECTED);
  MUST (memif_rx_burst (conn, 0, &b, 1, &n) == MEMIF_ERR_DISCONNECTED);
  MUST (memif_refill_queue (conn, 0, 1, 0) == MEMIF_ERR_DISCONNECTED);
  MUST (memif_set_next_free_buffer (conn, 0, &b) == MEMIF_ERR_DISCONNECTED);
  MUST (memif_set_rx_mode (conn, MEMIF_RX_MODE_INTERRUPT, 0) == 0); /* holds for every link */
}

int
main (void)
{
  char path[64];
  snprintf (path, sizeof path, "@memif-interface-%d", (int) getpid ());

  MUST (strcmp (LIBMEMIF_VERSION, "4.0") == 0 && strcmp (MEMIF_DEFAULT_APP_NAME, "libmemif-app") == 0);
  MUST (memif_get_version () == 0x0200 && strcmp (memif_get_version_str (), "2.0") == 0);
  for (int err = 0; err <= MEMIF_ERR_PRIVHDR; err++)
    MUST (strlen (memif_strerror (err)) > 0 && strcmp (memif_strerror (err), memif_strerror (err + 1)) != 0);
  MUST (strcmp (memif_strerror (12345), memif_strerror (MEMIF_ERR_SUCCESS)) != 0);

  memif_conn_args_t args;
  memset (&args, 0, sizeof args);
  args.mode = MEMIF_INTERFACE_MODE_PUNT_INJECT;
  MUST (((unsigned char *) &args)[76] == 2 && ((unsigned char *) &args)[77] == 0);

  refused_without_objects ();
  memif_socket_handle_t sm, ss;
  memif_conn_handle_t m = create (&sm, path, 1);
  refused_without_a_link (m);
  refused_by (m);
  MUST (memif_get_listener_fd (sm) >= 0);
  MUST (memif_set_listener_fd (sm, memif_get_listener_fd (sm)) == 0);
  memif_conn_handle_t s = create (&ss, path, 0);
  MUST (memif_request_connection (s) == MEMIF_ERR_ALRCONN);
  while (ups < 2)
    MUST (memif_poll_event (sm, 10) == 0 && memif_poll_event (ss, 10) == 0);

  refused_by (m);
  MUST (memif_request_connection (m) == 0);

  memif_details_t md;
  static char memory[4096];
  MUST (memif_get_details (m, &md, memory, 10) == MEMIF_ERR_NOBUF_DET);
  MUST (memif_get_details (m, &md, memory, sizeof memory) == 0);
  MUST (md.link_up_down == 1 && md.id == 5 && md.role == 0 && md.rx_queues_num == 1);
  MUST (strcmp ((char *) md.remote_if_name, "if5") == 0 && strcmp ((char *) md.secret, "abra") == 0);

  int efd = -1;
  MUST (memif_get_queue_efd (m, 0, &efd) == 0 && efd >= 0);
  MUST (memif_set_rx_mode (m, MEMIF_RX_MODE_POLLING, 0) == 0);

  /* Slave to master; the first reservation is taken back. */
  memif_buffer_t b, r, spare;
  uint16_t n = 0;
  MUST (memif_buffer_alloc (s, 0, &b, 1, &n, 4) == 0 && n == 1);
  MUST (memif_set_next_free_buffer (s, 0, &b) == 0);
  MUST (memif_buffer_alloc (s, 0, &b, 1, &n, 4) == 0 && n == 1 && b.desc_index == 0);
  memcpy (b.data, "ping", 4);
  MUST (memif_tx_burst (s, 0, &b, 1, &n) == 0 && n == 1);
  MUST (memif_rx_burst (m, 0, &r, 1, &n) == 0 && n == 1 && memcmp (r.data, "ping", 4) == 0);
  MUST (memif_refill_queue (m, 0, 1, 0) == 0);

  /* Master to slave, and from the slave's receive queue back without a copy. */
  MUST (memif_buffer_alloc (m, 0, &b, 1, &n, 4) == 0 && n == 1);
  memcpy (b.data, "pong", 4);
  MUST (memif_tx_burst (m, 0, &b, 1, &n) == 0 && n == 1);
  MUST (memif_rx_burst (s, 0, &r, 1, &n) == 0 && n == 1);
  MUST (memif_buffer_alloc (s, 0, &spare, 1, &n, 4) == 0 && n == 1);
  void *received = r.data;
  const void *queue = r.queue;
  MUST (memif_buffer_requeue (s, &r, &spare) == 0 && r.data == received && spare.queue == queue);
  MUST (memif_buffer_requeue (s, &r, &spare) == 0 && r.data == received && r.queue == queue);
  MUST (memif_set_next_free_buffer (s, 0, &spare) == 0);
  MUST (memif_buffer_enq_tx (s, 0, &r, 1, &n) == 0 && n == 1 && r.data == received);
  MUST (memif_refill_queue (s, 0, 1, 0) == 0);
  MUST (memif_tx_burst (s, 0, &r, 1, &n) == 0 && n == 1);
  MUST (memif_rx_burst (m, 0, &b, 1, &n) == 0 && n == 1 && memcmp (b.data, "pong", 4) == 0);
  MUST (memif_refill_queue (m, 0, 1, 0) == 0);

  MUST (memif_cancel_poll_event (sm) == 0 && memif_poll_event (sm, -1) == MEMIF_ERR_POLL_CANCEL);
  MUST (memif_delete_socket (&sm) == MEMIF_ERR_INVAL_ARG);
  MUST (memif_delete (&s) == 0 && !s && downs == 1);
  MUST (memif_delete (&m) == 0 && !m);
  MUST (memif_delete_socket (&ss) == 0 && !ss);
  MUST (memif_delete_socket (&sm) == 0 && !sm);
  return 0;
}
