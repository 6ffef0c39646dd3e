#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

void
failed (const char *file, int line, const char *what)
{
  fprintf (stderr, "%s:%d: %s\n", file, line, what);
  fflush (NULL);
  abort ();
}

void
check_equal (const char *file, int line, const char *what, long long got, long long wanted)
{
  if (got == wanted)
    return;
  fprintf (stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, got, wanted);
  abort ();
}

void
check_err (const char *file, int line, const char *what, int got, int wanted)
{
  if (got == wanted)
    return;
  fprintf (stderr, "%s:%d: %s: %d (%s), not %d\n", file, line, what, got, memif_strerror (got), wanted);
  abort ();
}

int
run_tests (int argc, char **argv, const test_t *tests, size_t count)
{
  setvbuf (stdout, NULL, _IOLBF, 0);
  /* What the process keeps for good is made once. */
  memif_socket_handle_t sock = socket_new (fresh_path (), 0);
  OK (memif_delete_socket (&sock));
  for (size_t i = 0; i < count; i++)
    {
      bool named = argc == 1;
      for (int a = 1; a < argc; a++)
	named |= strcmp (argv[a], tests[i].name) == 0;
      if (!named)
	continue;
      uint64_t start = now_ms ();
      unsigned fds = open_fds ();
      tests[i].run ();
      FDS_BACK (fds); /* or the next one would count them as its own */
      printf ("  %s: ok (%llu ms)\n", tests[i].name, (unsigned long long) (now_ms () - start));
    }
  return 0;
}

void
exec_self (char *first, char *second, char *third)
{
  char path[4096] = { 0 };
  if (readlink ("/proc/self/exe", path, sizeof path - 1) < 0)
    _exit (127);
  const char *runner = getenv ("TEST_RUNNER"); /* an emulator with its options */
  char command[5000];
  snprintf (command, sizeof command, "exec %s \"$0\" \"$@\"", runner ? runner : "");
  execl ("/bin/sh", "sh", "-c", command, path, first, second, third, (char *) NULL);
  _exit (127);
}

uint64_t
now_ms (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

const char *
fresh_path (void)
{
  static _Thread_local char path[108];
  static _Atomic unsigned count;
  snprintf (path, sizeof path, "@memif-c-test-%d-%u", (int) getpid (), count++);
  return path;
}

unsigned
open_fds (void)
{
  unsigned count = 0;
  DIR *d = opendir ("/proc/self/fd");
  CHECK (d);
  while (readdir (d))
    count++;
  closedir (d);
  return count;
}

long
resident_kib (void)
{
  long total, resident;
  FILE *f = fopen ("/proc/self/statm", "r");
  CHECK (f && fscanf (f, "%ld %ld", &total, &resident) == 2);
  fclose (f);
  return resident * (sysconf (_SC_PAGESIZE) / 1024);
}

unsigned
mapped_regions (void)
{
  char line[512];
  unsigned count = 0;
  FILE *f = fopen ("/proc/self/maps", "r");
  CHECK (f);
  while (fgets (line, sizeof line, f))
    count += strstr (line, "memfd:") != NULL;
  fclose (f);
  return count;
}

void
back (const char *file, int line, unsigned (*count) (void), unsigned before)
{
  uint64_t end = now_ms () + LONG_MS;
  unsigned now;
  while ((now = count ()) > before)
    {
      if (now_ms () > end)
	check_equal (file, line, count == open_fds ? "open descriptors" : count == mapped_regions ? "mapped regions" : "what is counted",
		     now, before);
      nanosleep (&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}

static _Atomic long blocks;

long
live_blocks (void)
{
  return blocks;
}

static void *
counted_alloc (size_t size)
{
  void *p = malloc (size);
  blocks += p != NULL;
  return p;
}

static void
counted_free (void *p)
{
  CHECK (p);
  blocks--;
  free (p);
}

static int
on_connect (memif_conn_handle_t conn, void *ctx)
{
  side_t *side = ctx;
  for (uint16_t q = 0; side->offer && q < side->args.num_m2s_rings; q++)
    OK (memif_refill_queue (conn, q, side->offer, side->headroom));
  side->ups++;
  return 0;
}

static int
on_disconnect (memif_conn_handle_t conn, void *ctx)
{
  side_t *side = ctx;
  (void) conn;
  side->downs++;
  return 0;
}

memif_socket_handle_t
socket_new (const char *path, int retry_ms)
{
  memif_socket_args_t args
    = { .app_name = "c test", .alloc = counted_alloc, .realloc = realloc, .free = counted_free };
  memif_socket_handle_t sock = NULL;
  snprintf (args.path, sizeof args.path, "%s", path);
  args.connection_request_timer.it_value.tv_nsec = retry_ms * 1000000L;
  args.connection_request_timer.it_interval.tv_nsec = retry_ms * 1000000L;
  OK (memif_create_socket (&sock, &args, NULL));
  return sock;
}

void
side_open (side_t *side, const char *path, bool master, settings_t settings)
{
  side->sock = socket_new (path, 5);
  if (settings.prepare)
    settings.prepare (side->sock, master);
  side->args = (memif_conn_args_t){
    .socket = side->sock,
    .is_master = master,
    .log2_ring_size = settings.log2_ring_size,
    .num_s2m_rings = settings.s2m ? settings.s2m : 1,
    .num_m2s_rings = settings.m2s ? settings.m2s : 1,
    .buffer_size = settings.buffer_size,
    .interface_name = "if0",
  };
  OK (memif_ext_create (&side->conn, &side->args, &settings.ext, on_connect, on_disconnect,
			settings.on_interrupt, side));
}

void
side_close (side_t *side)
{
  OK (memif_delete (&side->conn));
  CHECK (!side->conn);
  OK (memif_delete_socket (&side->sock));
  CHECK (!side->sock);
}

void
pair_open (pair_t *pair, settings_t settings)
{
  const char *path = fresh_path ();
  side_open (&pair->master, path, true, settings);
  side_open (&pair->slave, path, false, settings);
  pair_up (pair);
}

void
pair_close (pair_t *pair)
{
  side_close (&pair->slave);
  side_close (&pair->master);
}

void
pair_turn (pair_t *pair)
{
  OK (memif_poll_event (pair->master.sock, 0));
  OK (memif_poll_event (pair->slave.sock, 1));
}

static bool
is_up (const side_t *side)
{
  return side->ups > side->downs;
}

static void
pair_until (pair_t *pair, bool up)
{
  uint64_t end = now_ms () + LONG_MS;
  while (is_up (&pair->master) != up || is_up (&pair->slave) != up)
    {
      CHECK (now_ms () < end);
      pair_turn (pair);
    }
}

void
pair_up (pair_t *pair)
{
  pair_until (pair, true);
}

void
pair_down (pair_t *pair)
{
  pair_until (pair, false);
}

static uint8_t
pattern_byte (uint32_t number, size_t at)
{
  return (uint8_t) ((number * 2654435761u >> 13) + at * 131 + (at >> 8) * 7);
}

void
pattern (uint8_t *to, uint32_t number, size_t length)
{
  for (size_t i = 0; i < length; i++)
    to[i] = pattern_byte (number, i);
}

bool
is_pattern (const uint8_t *bytes, uint32_t number, size_t length)
{
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != pattern_byte (number, i))
      return false;
  return true;
}

enum { MAX_LINKS = 2048 };

int
send_packet (memif_conn_handle_t conn, uint16_t qid, uint32_t number, uint16_t length)
{
  static _Thread_local memif_buffer_t bufs[MAX_LINKS];
  static _Thread_local uint8_t bytes[65536];
  uint16_t n = 0, sent = 0;
  int err = memif_buffer_alloc (conn, qid, bufs, 1, &n, length);
  if (err)
    return err;
  pattern (bytes, number, length);
  uint32_t at = 0;
  for (uint16_t i = 0; i < n; i++)
    {
      CHECK (bufs[i].len > 0 && at + bufs[i].len <= length);
      EQUAL (bufs[i].flags & MEMIF_BUFFER_FLAG_NEXT, i + 1 < n);
      memcpy (bufs[i].data, bytes + at, bufs[i].len);
      at += bufs[i].len;
    }
  EQUAL (at, length);
  err = memif_tx_burst (conn, qid, bufs, n, &sent);
  EQUAL (sent, err ? 0 : n);
  return err;
}

long
receive_packet (memif_conn_handle_t conn, uint16_t qid, uint8_t *to, size_t room)
{
  size_t length = 0;
  for (;;)
    {
      memif_buffer_t b;
      uint16_t n = 0;
      int err = memif_rx_burst (conn, qid, &b, 1, &n);
      if (err != MEMIF_ERR_NOBUF && err != MEMIF_ERR_DISCONNECTED)
	OK (err);
      if (n == 0)
	{
	  EQUAL (length, 0);
	  return -1;
	}
      CHECK (length + b.len <= room);
      memcpy (to + length, b.data, b.len);
      length += b.len;
      OK (memif_refill_queue (conn, qid, 1, 0));
      if (!(b.flags & MEMIF_BUFFER_FLAG_NEXT))
	return (long) length;
    }
}

void
cross (side_t *from, side_t *to, uint16_t qid, uint32_t number, uint16_t length)
{
  static uint8_t bytes[65536];
  OK (send_packet (from->conn, qid, number, length));
  EQUAL (receive_packet (to->conn, qid, bytes, sizeof bytes), length);
  CHECK (is_pattern (bytes, number, length));
  EQUAL (receive_packet (to->conn, qid, bytes, sizeof bytes), -1);
}
