/* Faults at home: memory that is refused, descriptors that run out, an eventfd that can't be
 * written. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support.h"

/* The allocator refuses one call: the one at which the count comes to 0. */

static long until_refused = -1;
static long blocks;

static bool
refused (void)
{
  return until_refused >= 0 && until_refused-- == 0;
}

static void *
refusing_alloc (size_t size)
{
  if (refused ())
    return NULL;
  void *p = malloc (size);
  blocks += p != NULL;
  return p;
}

static void *
refusing_realloc (void *p, size_t size)
{
  return refused () ? NULL : realloc (p, size);
}

static void
counting_free (void *p)
{
  blocks--;
  free (p);
}

/* Both sides, as far as they could be made. */
typedef struct
{
  memif_socket_handle_t sock[2];
  memif_conn_handle_t conn[2];
  int up[2];
} both_t;

static int
note_up (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  *(int *) ctx = 1;
  return 0;
}

static int
note_down (memif_conn_handle_t conn, void *ctx)
{
  (void) conn;
  *(int *) ctx = 0;
  return 0;
}

/* The first error, or success. */
static int
both_create (both_t *b, const char *path)
{
  memset (b, 0, sizeof *b);
  for (int slave = 0; slave < 2; slave++)
    {
      memif_socket_args_t sa
	= { .alloc = refusing_alloc, .realloc = refusing_realloc, .free = counting_free };
      sa.connection_request_timer.it_interval.tv_nsec = 2000000;
      snprintf (sa.path, sizeof sa.path, "%s", path);
      int err = memif_create_socket (&b->sock[slave], &sa, NULL);
      if (err)
	return err;
      memif_conn_args_t ca = { .socket = b->sock[slave],
			       .is_master = !slave,
			       .log2_ring_size = 4,
			       .num_s2m_rings = 2,
			       .num_m2s_rings = 2 };
      memif_ext_conn_args_t ext = { .keep_unread = 1 };
      err = memif_ext_create (&b->conn[slave], &ca, &ext, note_up, note_down, NULL, &b->up[slave]);
      if (err)
	return err;
    }
  return MEMIF_ERR_SUCCESS;
}

static void
both_turn (both_t *b)
{
  for (int i = 0; i < 2; i++)
    OK (memif_poll_event (b->sock[i], 1));
}

/* A link comes up, and packets cross. */
static void
both_work (both_t *b)
{
  uint8_t bytes[100];
  uint64_t end = now_ms () + LONG_MS;
  while (!b->up[0] || !b->up[1])
    {
      CHECK (now_ms () < end);
      both_turn (b);
    }
  for (int from = 0; from < 2; from++)
    {
      OK (send_packet (b->conn[from], 1, 7, 100));
      EQUAL (receive_packet (b->conn[!from], 1, bytes, sizeof bytes), 100);
      CHECK (is_pattern (bytes, 7, 100));
    }
}

static void
both_delete (both_t *b)
{
  for (int i = 0; i < 2; i++)
    {
      if (b->conn[i])
	OK (memif_delete (&b->conn[i]));
      if (b->sock[i])
	OK (memif_delete_socket (&b->sock[i]));
    }
}

static void
each_allocation_may_be_refused (void)
{
  unsigned fds = open_fds ();
  int refusals = 0, failed_creates = 0;
  for (long n = 0;; n++)
    {
      both_t b;
      until_refused = n;
      int err = both_create (&b, fresh_path ());
      if (err)
	{
	  EQUAL (err, MEMIF_ERR_NOMEM);
	  failed_creates++;
	}
      else
	both_work (&b); /* it asks again */
      bool done = until_refused >= 0;
      until_refused = -1;
      both_delete (&b);
      EQUAL (blocks, 0);
      FDS_BACK (fds);
      if (done)
	break;
      refusals++;
    }
  CHECK (failed_creates > 5);
  CHECK (refusals > failed_creates + 10);
}

enum { TAKEN_MAX = 256 };

static unsigned
take_descriptors (int taken[TAKEN_MAX], unsigned left)
{
  unsigned count = 0;
  while (count < TAKEN_MAX && (taken[count] = dup (0)) >= 0)
    count++;
  CHECK (count < TAKEN_MAX && count >= left);
  while (left--)
    close (taken[--count]);
  return count;
}

static void
descriptors_may_run_out (void)
{
  struct rlimit limit;
  unsigned fds = open_fds ();
  CHECK (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  struct rlimit low = { .rlim_cur = TAKEN_MAX, .rlim_max = limit.rlim_max };
  CHECK (setrlimit (RLIMIT_NOFILE, &low) == 0);
  bool without = false;
  for (unsigned left = 0; !without; left++)
    {
      int taken[TAKEN_MAX];
      both_t b;
      CHECK (left < 100);
      const char *path = fresh_path ();
      unsigned count = take_descriptors (taken, left);
      int err = both_create (&b, path);
      /* What is made waits for the rest: as slave, as master, on the way to a link. */
      for (int i = 0; !err && i < 10; i++)
	both_turn (&b);
      without = !err && b.up[0] && b.up[1];
      while (count > 0)
	close (taken[--count]);
      if (err)
	EQUAL (err, MEMIF_ERR_PROC_FILE_LIMIT);
      else
	both_work (&b);
      both_delete (&b);
      FDS_BACK (fds);
      EQUAL (blocks, 0);
    }
  CHECK (setrlimit (RLIMIT_NOFILE, &limit) == 0);
}

/* An open descriptor beside this one with the same count, which nobody else's eventfd has. */
static int
twin_of (int efd)
{
  uint64_t mark = 987654321;
  char name[64], line[256];
  int twin = -1;
  CHECK (write (efd, &mark, sizeof mark) == (ssize_t) sizeof mark);
  for (int fd = 0; fd < TAKEN_MAX; fd++)
    {
      snprintf (name, sizeof name, "/proc/self/fdinfo/%d", fd);
      FILE *info = fd == efd ? NULL : fopen (name, "r");
      unsigned long long count = 0;
      while (info && fgets (line, sizeof line, info))
	if (sscanf (line, "eventfd-count: %llx", &count) == 1 && count >= mark)
	  twin = fd;
      if (info)
	fclose (info);
    }
  CHECK (twin >= 0);
  return twin;
}

static void
an_eventfd_that_can_t_be_written_ends_the_link (void)
{
  pair_t p = { 0 };
  int efd;
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  OK (memif_get_queue_efd (p.slave.conn, 0, &efd));
  /* The program has put something else in the place of the master's descriptor of it. */
  int wrong = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK (wrong >= 0 && dup3 (wrong, twin_of (efd), O_CLOEXEC) >= 0);
  close (wrong);
  send_packet (p.master.conn, 0, 1, 100);
  pair_down (&p);
  char buf[4096];
  memif_details_t d;
  OK (memif_get_details (p.master.conn, &d, buf, sizeof buf));
  CHECK (strstr ((char *) d.error, "eventfd can't be written"));
  /* A new link has new ones. */
  pair_up (&p);
  cross (&p.master, &p.slave, 0, 2, 100);
  pair_close (&p);
}

static const test_t tests[] = {
  { "each_allocation_may_be_refused", each_allocation_may_be_refused },
  { "descriptors_may_run_out", descriptors_may_run_out },
  { "an_eventfd_that_can_t_be_written_ends_the_link", an_eventfd_that_can_t_be_written_ends_the_link },
};

int
main (int argc, char **argv)
{
  return RUN (argc, argv, tests);
}
