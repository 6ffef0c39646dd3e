/* Sockets: whose memory, who listens, when a slave asks, what is told of a link. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

/* Custom allocators: each block is marked, so foreign ones are seen. */

enum { MARK = 0x6d656d69 };

typedef struct
{
  uint64_t mark, size;
} block_t;

static long blocks, calls;
static uint64_t held;

static void *
counting_alloc (size_t size)
{
  block_t *b = malloc (sizeof *b + size);
  CHECK (b && size > 0);
  *b = (block_t){ MARK, size };
  memset (b + 1, 0xdb, size);
  blocks++;
  calls++;
  held += size;
  return b + 1;
}

static void
counting_free (void *p)
{
  block_t *b = (block_t *) p - 1;
  CHECK (p && b->mark == MARK);
  b->mark = 0;
  blocks--;
  held -= b->size;
  free (b);
}

static void *
counting_realloc (void *p, size_t size)
{
  CHECK (p && ((block_t *) p - 1)->mark == MARK);
  void *to = counting_alloc (size);
  uint64_t had = ((block_t *) p - 1)->size;
  memcpy (to, p, had < size ? had : size);
  counting_free (p);
  return to;
}

static int
note_up (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  ++*(int *) ctx;
  return 0;
}

static int
note_down (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  --*(int *) ctx;
  return 0;
}

static void
every_allocation_is_the_program_s (void)
{
  unsigned fds = open_fds ();
  int up[2] = { 0 };
  memif_socket_handle_t socks[2];
  memif_conn_handle_t conns[2] = { NULL };
  const char *path = fresh_path ();
  for (int slave = 0; slave < 2; slave++)
    {
      memif_socket_args_t sa = { .alloc = counting_alloc, .realloc = counting_realloc, .free = counting_free };
      snprintf (sa.path, sizeof sa.path, "%s", path);
      OK (memif_create_socket (&socks[slave], &sa, NULL));
    }
  for (int round = 0; round < 20; round++)
    {
      for (int slave = 0; slave < 2; slave++)
	{
	  memif_conn_args_t ca
	    = { .socket = socks[slave], .is_master = !slave, .num_s2m_rings = 3, .num_m2s_rings = 2 };
	  OK (memif_create (&conns[slave], &ca, note_up, note_down, NULL, &up[slave]));
	}
      while (!up[0] || !up[1])
	for (int i = 0; i < 2; i++)
	  OK (memif_poll_event (socks[i], 1));
      for (uint32_t i = 0; i < 100; i++)
	OK (send_packet (conns[1], 2, i, 5000));
      for (int i = 0; i < 2; i++)
	OK (memif_delete (&conns[i]));
    }
  CHECK (calls > 100 && blocks > 0 && held > 0);
  for (int i = 0; i < 2; i++)
    OK (memif_delete_socket (&socks[i]));
  EQUAL (blocks, 0);
  EQUAL (held, 0);
  FDS_BACK (fds);
}

static void *
no_memory (size_t size)
{
  (void) size;
  return NULL;
}

static void
no_memory_is_an_error (void)
{
  memif_socket_args_t sa = { .path = "@unused", .alloc = no_memory };
  memif_socket_handle_t sock = NULL;
  FAILS (memif_create_socket (&sock, &sa, NULL), MEMIF_ERR_NOMEM);
  CHECK (!sock);
}

static void
a_listener_of_the_program_s (void)
{
  unsigned fds = open_fds ();
  const char *path = fresh_path ();
  struct sockaddr_un sun = { .sun_family = AF_UNIX };
  size_t len = strlen (path);
  memcpy (sun.sun_path + 1, path + 1, len - 1);
  int fd = socket (AF_UNIX, SOCK_SEQPACKET, 0);
  CHECK (bind (fd, (struct sockaddr *) &sun, (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len)) == 0);

  pair_t p = { 0 };
  p.master.sock = socket_new ("@another-name", 5);
  EQUAL (memif_get_listener_fd (p.master.sock), -1);
  FAILS (memif_set_listener_fd (p.master.sock, fd), MEMIF_ERR_INVAL_ARG); /* it does not listen yet */
  CHECK (listen (fd, 5) == 0);
  FAILS (memif_set_listener_fd (p.master.sock, -1), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_set_listener_fd (p.master.sock, 4000), MEMIF_ERR_BAD_FD);
  FAILS (memif_set_listener_fd (NULL, fd), MEMIF_ERR_INVAL_ARG);
  OK (memif_set_listener_fd (p.master.sock, fd));
  EQUAL (memif_get_listener_fd (p.master.sock), fd);

  memif_conn_args_t ca = { .socket = p.master.sock, .is_master = 1 };
  OK (memif_create (&p.master.conn, &ca, note_up, note_down, NULL, &p.master.ups));
  side_open (&p.slave, path, false, (settings_t){ 0 });
  pair_up (&p);
  cross (&p.slave, &p.master, 0, 1, 100);
  side_close (&p.slave);
  /* Taken over, so closed with the last master. */
  OK (memif_delete (&p.master.conn));
  EQUAL (memif_get_listener_fd (p.master.sock), -1);
  OK (memif_delete_socket (&p.master.sock));
  FDS_BACK (fds);
}

static void
without_a_timer_a_slave_asks_once (void)
{
  const char *path = fresh_path ();
  side_t slave = { 0 }, master = { 0 };
  slave.sock = socket_new (path, 0);
  memif_conn_args_t ca = { .socket = slave.sock };
  OK (memif_create (&slave.conn, &ca, note_up, note_down, NULL, &slave.ups));
  side_open (&master, path, true, (settings_t){ 0 });
  for (int i = 0; i < 20; i++)
    {
      OK (memif_poll_event (slave.sock, 2));
      OK (memif_poll_event (master.sock, 0));
    }
  EQUAL (slave.ups, 0);
  OK (memif_request_connection (master.conn)); /* it listens */
  OK (memif_request_connection (slave.conn));
  FAILS (memif_request_connection (slave.conn), MEMIF_ERR_ALRCONN);
  while (!slave.ups || !master.ups)
    {
      OK (memif_poll_event (slave.sock, 1));
      OK (memif_poll_event (master.sock, 0));
    }
  FAILS (memif_request_connection (slave.conn), MEMIF_ERR_ALRCONN);

  /* With one it asks by itself, as soon as the timer is set. */
  side_close (&master);
  while (slave.ups)
    OK (memif_poll_event (slave.sock, 1));
  FAILS (memif_request_connection (slave.conn), MEMIF_ERR_CONNREFUSED);
  struct itimerspec soon = { .it_interval.tv_nsec = 1000000 };
  OK (memif_set_connection_request_timer (slave.sock, soon));
  side_open (&master, path, true, (settings_t){ 0 });
  while (!slave.ups)
    {
      OK (memif_poll_event (slave.sock, 1));
      OK (memif_poll_event (master.sock, 0));
    }
  side_close (&master);
  side_close (&slave);
}

static void
details_of_both_sides (void)
{
  pair_t p = { 0 };
  static char memory[8192];
  memif_details_t d;
  pair_open (&p, (settings_t){ .log2_ring_size = 5, .s2m = 2, .m2s = 3, .buffer_size = 1000 });
  cross (&p.slave, &p.master, 1, 1, 300);
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 1));
  side_t *sides[] = { &p.master, &p.slave };
  for (int i = 0; i < 2; i++)
    {
      OK (memif_get_details (sides[i]->conn, &d, memory, sizeof memory));
      CHECK (strcmp ((char *) d.if_name, "if0") == 0 && strcmp ((char *) d.remote_if_name, "if0") == 0);
      CHECK (strcmp ((char *) d.inst_name, "c test") == 0
	     && strcmp ((char *) d.remote_inst_name, "c test") == 0);
      EQUAL (d.role, i);
      EQUAL (d.link_up_down, 1);
      EQUAL (d.rx_queues_num, i ? 3 : 2);
      EQUAL (d.tx_queues_num, i ? 2 : 3);
      EQUAL (d.regions_num, 2);
      CHECK (d.regions[0].addr && d.regions[0].size == 5 * (128 + 32 * 16) && !d.regions[1].is_external);
      const memif_queue_details_t *used = i ? &d.tx_queues[1] : &d.rx_queues[1];
      EQUAL (used->ring_size, 32);
      EQUAL (used->buffer_size, 1000);
      EQUAL (used->head, 1);
      EQUAL (used->tail, 1);
      EQUAL (used->flags, MEMIF_QUEUE_FLAG_POLLING);
      EQUAL ((i ? d.tx_queues : d.rx_queues)[0].flags, 0);
    }
  for (ssize_t too_small = 0; too_small < 180; too_small += 7)
    FAILS (memif_get_details (p.master.conn, &d, memory, too_small), MEMIF_ERR_NOBUF_DET);
  pair_close (&p);
}

/* Sets what the next pair's master asks of its peers. */
static memif_ext_socket_args_t asked;

static void
prepare_master (memif_socket_handle_t sock, bool master)
{
  if (master)
    OK (memif_ext_configure_socket (sock, &asked));
}

static void
who_may_be_a_peer (void)
{
  unsigned fds = open_fds ();
  char folder[] = "/tmp/memif-control-XXXXXX", path[64];
  struct stat st;
  const uint32_t us = geteuid (), nobody = 4000000001u;
  CHECK (mkdtemp (folder));
  snprintf (path, sizeof path, "%s/memif.sock", folder);
  settings_t settings = { .prepare = prepare_master };
  static const mode_t masks[] = { 0, 077 };
  for (int i = 0; i < 4; i++)
    {
      side_t master = { 0 };
      asked = (memif_ext_socket_args_t){ .file_mode = i / 2 ? 0660 : 0 };
      mode_t before = umask (masks[i % 2]);
      side_open (&master, path, true, settings);
      umask (before);
      CHECK (stat (path, &st) == 0);
      EQUAL (st.st_mode & 07777, i / 2 ? 0660 : 0600);
      side_close (&master);
      CHECK (stat (path, &st) < 0);
    }
  rmdir (folder);

  memif_ext_peer_t peer;
  for (int allowed = 0; allowed < 2; allowed++)
    {
      pair_t p = { 0 };
      asked = (memif_ext_socket_args_t){ .allowed_uids = allowed ? &us : &nobody, .num_allowed_uids = 1,
					 .num_allowed_gids = 1000 /* of no list, so none */ };
      const char *name = fresh_path ();
      side_open (&p.master, name, true, settings);
      FAILS (memif_ext_get_peer (p.master.conn, &peer), MEMIF_ERR_NOCONN);
      side_open (&p.slave, name, false, settings);
      for (int i = 0; i < 20; i++)
	pair_turn (&p);
      if (allowed)
	{
	  pair_up (&p);
	  OK (memif_ext_get_peer (p.master.conn, &peer));
	  EQUAL (peer.pid, getpid ());
	  EQUAL (peer.uid, us);
	}
      else
	{
	  char memory[4096];
	  memif_details_t d;
	  EQUAL (p.slave.ups, 0);
	  OK (memif_get_details (p.slave.conn, &d, memory, sizeof memory));
	  CHECK (strstr ((char *) d.error, "may not be a peer"));
	}
      asked.file_mode = 01000;
      FAILS (memif_ext_configure_socket (p.master.sock, &asked), MEMIF_ERR_INVAL_ARG);
      pair_close (&p);
    }
  FDS_BACK (fds);
}

static void
only_a_socket_that_nobody_has_is_replaced (void)
{
  char folder[] = "/tmp/memif-control-XXXXXX", path[64];
  CHECK (mkdtemp (folder));
  snprintf (path, sizeof path, "%s/memif.sock", folder);
  struct sockaddr_un sun = { .sun_family = AF_UNIX };
  memcpy (sun.sun_path, path, strlen (path));
  memif_conn_args_t ca = { .socket = socket_new (path, 0), .is_master = 1 };
  memif_conn_handle_t conn = NULL;
  static const int types[] = { SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    {
      int other = socket (AF_UNIX, types[i], 0);
      CHECK (other >= 0 && bind (other, (struct sockaddr *) &sun, sizeof sun) == 0);
      FAILS (memif_create (&conn, &ca, NULL, NULL, NULL, NULL), MEMIF_ERR_ALREADY);
      CHECK (strstr (memif_ext_socket_error (ca.socket), "is in use by"));
      close (other); /* its file stays */
      OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL));
      OK (memif_delete (&conn));
      CHECK (access (path, F_OK) < 0);
    }
  CHECK (mkdir (path, 0700) == 0);
  FAILS (memif_create (&conn, &ca, NULL, NULL, NULL, NULL), MEMIF_ERR_FILE_NOT_SOCK);
  OK (memif_delete_socket (&ca.socket));
  CHECK (rmdir (path) == 0 && rmdir (folder) == 0);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "every_allocation_is_the_program_s", every_allocation_is_the_program_s },
    { "no_memory_is_an_error", no_memory_is_an_error },
    { "a_listener_of_the_program_s", a_listener_of_the_program_s },
    { "without_a_timer_a_slave_asks_once", without_a_timer_a_slave_asks_once },
    { "details_of_both_sides", details_of_both_sides },
    { "who_may_be_a_peer", who_may_be_a_peer },
    { "only_a_socket_that_nobody_has_is_replaced", only_a_socket_that_nobody_has_is_replaced },
  };
  return RUN (argc, argv, tests);
}
