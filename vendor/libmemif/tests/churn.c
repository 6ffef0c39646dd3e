/* Interfaces that are made and deleted ten thousand times: from callbacks, and on several threads.
 *
 * CHURN_ROUNDS: 10000 unless set. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

enum { THREADS = 4 };

static int
rounds (void)
{
  const char *set = getenv ("CHURN_ROUNDS");
  return set ? atoi (set) : 10000;
}

/* A slave that, in its callback, deletes itself and makes its successor. */
typedef struct
{
  memif_socket_handle_t sock;
  memif_conn_handle_t conn;
  memif_conn_args_t args;
  int left, ups, downs;
} chain_t;

static int chain_up (memif_conn_handle_t conn, void *ctx);

static int
chain_down (memif_conn_handle_t conn, void *ctx)
{
  chain_t *c = ctx;
  CHECK (conn);
  c->downs++;
  /* By turns the successor is made where the predecessor's link ends. */
  if (c->left > 0 && c->left % 2)
    {
      c->left--;
      OK (memif_create (&c->conn, &c->args, chain_up, chain_down, NULL, c));
    }
  return 0;
}

static int
chain_up (memif_conn_handle_t conn, void *ctx)
{
  chain_t *c = ctx;
  c->ups++;
  OK (send_packet (conn, 0, 1, 64));
  c->conn = NULL;
  OK (memif_delete (&conn));
  if (!c->conn && c->left > 0)
    {
      c->left--;
      OK (memif_create (&c->conn, &c->args, chain_up, chain_down, NULL, c));
    }
  return 0;
}

static void
chain_run (chain_t *c, side_t *master, int count)
{
  c->left = count;
  c->left--;
  OK (memif_create (&c->conn, &c->args, chain_up, chain_down, NULL, c));
  uint64_t end = now_ms () + LONG_MS + (uint64_t) count * 10;
  while (c->left > 0 || c->conn)
    {
      CHECK (now_ms () < end);
      OK (memif_poll_event (c->sock, 0));
      OK (memif_poll_event (master->sock, 0));
    }
}

static void *
chain_thread (void *arg)
{
  int *count = arg;
  const char *path = fresh_path ();
  side_t master = { 0 };
  chain_t c = { 0 };
  side_open (&master, path, true, (settings_t){ .log2_ring_size = 2, .buffer_size = 128 });
  c.sock = socket_new (path, 5);
  c.args = (memif_conn_args_t){ .socket = c.sock, .log2_ring_size = 2, .buffer_size = 128 };
  chain_run (&c, &master, *count);
  *count = c.ups;
  OK (memif_delete_socket (&c.sock));
  side_close (&master);
  return NULL;
}

static int
on_threads (int each)
{
  pthread_t threads[THREADS];
  int counts[THREADS], ups = 0;
  for (int i = 0; i < THREADS; i++)
    {
      counts[i] = each;
      CHECK (pthread_create (&threads[i], NULL, chain_thread, &counts[i]) == 0);
    }
  for (int i = 0; i < THREADS; i++)
    {
      CHECK (pthread_join (threads[i], NULL) == 0);
      ups += counts[i];
    }
  return ups;
}

/* Whether all memory of the process is the tests' and the library's. */
static bool
by_itself (void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false;
#else
  const char *runner = getenv ("TEST_RUNNER");
  return !runner || !*runner;
#endif
}

/* Both on several threads and from callbacks. */
static void
from_callbacks_on_several_threads (void)
{
  int each = rounds () / THREADS;
  on_threads (each / 10); /* what the process keeps for itself */
  unsigned fds = open_fds (), mapped = mapped_regions ();
  long resident = resident_kib ();
  EQUAL (on_threads (each), each * THREADS);
  FDS_BACK (fds);
  REGIONS_BACK (mapped);
  EQUAL (live_blocks (), 0);
  long grown = resident_kib () - resident;
  printf ("  %d links, %ld KiB grown\n", each * THREADS, grown);
  if (by_itself ())
    CHECK (grown < 1024);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "from_callbacks_on_several_threads", from_callbacks_on_several_threads },
  };
  return RUN (argc, argv, tests);
}
