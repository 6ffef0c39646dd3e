/* Ends, and what fails on the way: buffers that the program still holds, memory, descriptors. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support.h"

/* What a program holds while its link ends. */
typedef struct
{
  memif_socket_handle_t sock;
  memif_conn_handle_t conn;
  memif_buffer_t received, reserved[2];
  int ups, downs;
} held_t;

static int
note_up (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  ((held_t *) ctx)->ups++;
  return 0;
}

/* Until this returns all of it may be read and written. */
static int
use_once_more (memif_conn_handle_t conn, void *ctx)
{
  held_t *h = ctx;
  uint16_t n = 0;
  CHECK (is_pattern (h->received.data, 7, 64));
  memset (h->received.data, 0xee, 64);
  for (int i = 0; i < 2; i++)
    memset (h->reserved[i].data, 0xee, h->reserved[i].len);
  FAILS (memif_tx_burst (conn, 0, h->reserved, 2, &n), MEMIF_ERR_DISCONNECTED);
  h->downs++;
  return 0;
}

static void
until (held_t *h, side_t *other, const int *count, int wanted)
{
  uint64_t end = now_ms () + LONG_MS;
  while (*count < wanted || (other->conn && other->ups == other->downs))
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (h->sock, 1));
      if (other->conn)
	OK (memif_poll_event (other->sock, 0));
    }
}

/* Buffers of an ended link are refused, without a look at where they point. */
static void
refused_on (held_t *h, bool up, bool master)
{
  uint16_t n = 0;
  int err = up ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_DISCONNECTED;
  FAILS (memif_tx_burst (h->conn, 0, h->reserved, 2, &n), err);
  FAILS (memif_set_next_free_buffer (h->conn, 0, &h->reserved[1]), err);
  FAILS (memif_buffer_enq_tx (h->conn, 0, &h->received, 1, &n), master ? MEMIF_ERR_INVAL_ARG : err);
  FAILS (memif_buffer_requeue (h->conn, &h->received, &h->reserved[0]), master ? MEMIF_ERR_INVAL_ARG : err);
}

static void
buffers_held_at_the_end_of_a_link (void)
{
  const settings_t settings = { .log2_ring_size = 3, .buffer_size = 256 };
  for (int master = 0; master < 2; master++)
    {
      unsigned fds = open_fds (), mapped = mapped_regions ();
      const char *path = fresh_path ();
      held_t h = { .sock = socket_new (path, 5) };
      memif_conn_args_t ca = { .socket = h.sock, .is_master = (uint8_t) master, .log2_ring_size = 3, .buffer_size = 256 };
      OK (memif_create (&h.conn, &ca, note_up, use_once_more, NULL, &h));
      for (int link = 1; link <= 20; link++)
	{
	  side_t other = { 0 };
	  uint16_t n = 0;
	  side_open (&other, path, !master, settings);
	  until (&h, &other, &h.ups, link);
	  if (link > 1)
	    refused_on (&h, true, master);
	  OK (send_packet (other.conn, 0, 7, 64));
	  OK (memif_rx_burst (h.conn, 0, &h.received, 1, &n));
	  EQUAL (n, 1);
	  OK (memif_buffer_alloc (h.conn, 0, h.reserved, 2, &n, 200));
	  EQUAL (n, 2);
	  side_close (&other);
	  until (&h, &other, &h.downs, link);
	  refused_on (&h, false, master);
	  FAILS (memif_rx_burst (h.conn, 0, &h.received, 1, &n), MEMIF_ERR_DISCONNECTED);
	}
      OK (memif_delete (&h.conn));
      OK (memif_delete_socket (&h.sock));
      FDS_BACK (fds);
      REGIONS_BACK (mapped);
      EQUAL (live_blocks (), 0);
    }
}

static int
raw_socket (const char *path, bool listens)
{
  struct sockaddr_un sun = { .sun_family = AF_UNIX };
  size_t len = strlen (path);
  memcpy (sun.sun_path + 1, path + 1, len - 1);
  socklen_t size = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len);
  int fd = socket (AF_UNIX, SOCK_SEQPACKET, 0);
  CHECK (fd >= 0);
  if (listens)
    CHECK (bind (fd, (struct sockaddr *) &sun, size) == 0 && listen (fd, 5) == 0);
  else
    CHECK (connect (fd, (struct sockaddr *) &sun, size) == 0);
  return fd;
}

static void
attempts_that_fail_leave_nothing (void)
{
  unsigned fds = open_fds ();
  const char *path = fresh_path ();
  memif_conn_args_t ca = { .socket = socket_new (path, 0) };
  memif_conn_handle_t conn = NULL;

  /* Nobody listens. */
  OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL));
  for (int i = 0; i < 500; i++)
    FAILS (memif_request_connection (conn), MEMIF_ERR_CONNREFUSED);

  /* A master that never answers. */
  int silent = raw_socket (path, true);
  OK (memif_request_connection (conn));
  FAILS (memif_request_connection (conn), MEMIF_ERR_ALRCONN);
  OK (memif_delete (&conn));
  close (silent);

  /* Slaves that never begin, when their master's socket is deleted. */
  ca.is_master = 1;
  OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL));
  int peers[20];
  for (int i = 0; i < 20; i++)
    {
      char hello[128];
      peers[i] = raw_socket (path, false);
      OK (memif_poll_event (ca.socket, LONG_MS));
      EQUAL (recv (peers[i], hello, sizeof hello, 0), (long) sizeof hello);
    }
  OK (memif_delete (&conn));
  OK (memif_delete_socket (&ca.socket));
  for (int i = 0; i < 20; i++)
    {
      char bytes[128];
      EQUAL (recv (peers[i], bytes, sizeof bytes, 0), (long) sizeof bytes); /* DISCONNECT */
      EQUAL (recv (peers[i], bytes, sizeof bytes, 0), 0);
      close (peers[i]);
    }
  FDS_BACK (fds);
  EQUAL (live_blocks (), 0);
}

/* As far as can be seen: of a master's packets by what is offered again. */
static void
what_the_peer_has_not_taken_is_known_at_the_end (void)
{
  for (int master = 0; master < 2; master++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      side_t *from = master ? &p.master : &p.slave, *to = master ? &p.slave : &p.master;
      uint8_t bytes[64];
      uint16_t slots = 0;
      for (uint32_t i = 0; i < 5; i++)
	OK (send_packet (from->conn, 0, i, 64));
      for (uint32_t i = 0; i < 2; i++)
	EQUAL (receive_packet (to->conn, 0, bytes, sizeof bytes), 64);
      OK (memif_ext_tx_pending (from->conn, 0, &slots));
      EQUAL (slots, 3);
      side_close (to);
      while (!from->downs)
	OK (memif_poll_event (from->sock, 10));
      slots = 0;
      FAILS (memif_ext_tx_pending (from->conn, 0, &slots), MEMIF_ERR_DISCONNECTED);
      EQUAL (slots, 3);
      side_close (from);
    }
}

/* The allocation after so many fails; negative: none. */
static int until_failure = -1;
static long blocks;

static void *
failing_alloc (size_t size)
{
  if (until_failure >= 0 && until_failure-- == 0)
    return NULL;
  blocks++;
  return malloc (size);
}

static void *
failing_realloc (void *p, size_t size)
{
  return until_failure >= 0 && until_failure-- == 0 ? NULL : realloc (p, size);
}

static void
counted_free (void *p)
{
  blocks--;
  free (p);
}

/* One life of two sides. true: it went to its end. */
static bool
life (void)
{
  const char *path = fresh_path ();
  memif_socket_handle_t socks[2] = { 0 };
  memif_conn_handle_t conns[2] = { 0 };
  held_t up[2] = { 0 };
  int err = MEMIF_ERR_SUCCESS;
  for (int slave = 0; slave < 2 && !err; slave++)
    {
      memif_socket_args_t sa = { .alloc = failing_alloc, .realloc = failing_realloc, .free = counted_free };
      sa.connection_request_timer.it_value.tv_nsec = 1000000;
      snprintf (sa.path, sizeof sa.path, "%s", path);
      err = memif_create_socket (&socks[slave], &sa, NULL);
      memif_conn_args_t ca = { .socket = socks[slave], .is_master = !slave, .log2_ring_size = 3 };
      if (!err)
	err = memif_create (&conns[slave], &ca, note_up, NULL, NULL, &up[slave]);
    }
  /* A link that fails is made again. */
  uint64_t end = now_ms () + LONG_MS;
  while (!err && (!up[0].ups || !up[1].ups))
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (socks[0], 0));
      OK (memif_poll_event (socks[1], 1));
    }
  if (!err)
    {
      OK (send_packet (conns[1], 0, 1, 3000));
      static uint8_t bytes[3000];
      EQUAL (receive_packet (conns[0], 0, bytes, sizeof bytes), 3000);
    }
  for (int i = 0; i < 2; i++)
    {
      if (conns[i])
	OK (memif_delete (&conns[i]));
      if (socks[i])
	OK (memif_delete_socket (&socks[i]));
    }
  CHECK (!err || err == MEMIF_ERR_NOMEM);
  return !err;
}

static void
any_allocation_may_fail (void)
{
  unsigned fds = open_fds (), mapped = mapped_regions ();
  int refused = 0, survived = 0;
  for (int nth = 0;; nth++)
    {
      until_failure = nth;
      bool whole = life ();
      EQUAL (blocks, 0);
      FDS_BACK (fds);
      REGIONS_BACK (mapped);
      if (until_failure >= 0)
	break; /* there are no more */
      refused += !whole;
      survived += whole;
    }
  until_failure = -1;
  CHECK (refused >= 8 && survived >= 8);
}

/* A queue that there is no memory for is not taken for one that does not exist, nor for good. */
static void
a_queue_may_find_no_memory (void)
{
  memif_socket_args_t sa = { .alloc = failing_alloc, .realloc = failing_realloc, .free = counted_free };
  snprintf (sa.path, sizeof sa.path, "%s", fresh_path ());
  memif_socket_handle_t sock = NULL;
  memif_conn_handle_t conn = NULL;
  OK (memif_create_socket (&sock, &sa, NULL));
  memif_conn_args_t ca = { .socket = sock, .is_master = 1, .num_s2m_rings = 3 };
  OK (memif_create (&conn, &ca, NULL, NULL, NULL, NULL));
  memif_buffer_t buf;
  uint16_t n;
  uint64_t times = 1;
  const long before = blocks;
  OK (memif_ext_rx_full (conn, 2, &times));
  EQUAL (times, 0);
  EQUAL (blocks, before);
  until_failure = 0;
  EQUAL (memif_rx_burst (conn, 2, &buf, 1, &n), MEMIF_ERR_NOMEM);
  until_failure = -1;
  EQUAL (memif_rx_burst (conn, 2, &buf, 1, &n), MEMIF_ERR_DISCONNECTED);
  EQUAL (memif_rx_burst (conn, 3, &buf, 1, &n), MEMIF_ERR_QID);
  OK (memif_delete (&conn));
  OK (memif_delete_socket (&sock));
  EQUAL (blocks, 0);
}

/* Descriptor 0 is a descriptor, whichever of the library's it becomes. */

static int steps, free_at;

/* At each step's turn, the next descriptor that is made is number 0. */
static void
step (void)
{
  if (steps++ == free_at)
    close (0);
}

static unsigned attempts_failed;

static void
note_failure (int level, const char *text, void *ctx)
{
  (void) level, (void) ctx;
  if (strstr (text, "not connected") || strstr (text, "refused") || strstr (text, "connecting to"))
    {
      printf ("  number 0 at step %d: %s\n", free_at, text);
      attempts_failed++;
    }
}

static void
step_before_interface (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .log = note_failure }));
  step ();
}

static void
descriptor_0_is_like_any_other (void)
{
  const settings_t settings = { .log2_ring_size = 3, .buffer_size = 256, .prepare = step_before_interface,
				 .ext = { .keep_unread = 1 } };
  int saved = fcntl (0, F_DUPFD, 3), null = open ("/dev/null", O_RDWR);
  CHECK (null > 0);
  for (free_at = 0;; free_at++)
    {
      const char *path = fresh_path ();
      pair_t p = { 0 };
      CHECK (dup2 (null, 0) == 0);
      unsigned fds = open_fds ();
      steps = 0;
      step ();
      side_open (&p.master, path, true, settings);
      step ();
      side_open (&p.slave, path, false, settings);
      while (!p.master.ups || !p.slave.ups)
	{
	  EQUAL (attempts_failed, 0); /* a slave would try again */
	  step ();
	  OK (memif_poll_event (p.master.sock, 0));
	  step ();
	  OK (memif_poll_event (p.slave.sock, 1));
	}
      step ();
      int result = -1;
      OK (memif_ext_rx_wait (p.master.conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
      for (uint32_t i = 0; i < 20; i++)
	{
	  cross (&p.slave, &p.master, 0, i, 600);
	  cross (&p.master, &p.slave, 0, i, 600);
	}
      pair_close (&p);
      if (steps <= free_at)
	break;
      FDS_BACK (fds - 1);
      CHECK (fcntl (0, F_GETFD) < 0); /* closed with all the others */
    }
  CHECK (free_at > 8);
  close (null);
  if (saved < 0)
    close (0);
  else
    CHECK (dup2 (saved, 0) == 0 && close (saved) == 0);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "buffers_held_at_the_end_of_a_link", buffers_held_at_the_end_of_a_link },
    { "what_the_peer_has_not_taken_is_known_at_the_end", what_the_peer_has_not_taken_is_known_at_the_end },
    { "attempts_that_fail_leave_nothing", attempts_that_fail_leave_nothing },
    { "any_allocation_may_fail", any_allocation_may_fail },
    { "a_queue_may_find_no_memory", a_queue_may_find_no_memory },
    { "descriptor_0_is_like_any_other", descriptor_0_is_like_any_other },
  };
  return RUN (argc, argv, tests);
}
