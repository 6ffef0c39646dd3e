/* What is logged about peers, by a clock that stands still until it is moved. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static uint64_t stands_at; /* ns; 0: the system's clock */

/* In place of libc's, also for the library. */
int
clock_gettime (clockid_t id, struct timespec *t)
{
  if (id != CLOCK_MONOTONIC || !stands_at)
    return (int) syscall (SYS_clock_gettime, id, t);
  *t = (struct timespec){ .tv_sec = (time_t) (stands_at / 1000000000),
			  .tv_nsec = (long) (stands_at % 1000000000) };
  return 0;
}

/* Timers are set to times that have passed, so that none of them makes us wait. */
static void
stop_the_clock (void)
{
  struct timespec t;
  CHECK (clock_gettime (CLOCK_MONOTONIC, &t) == 0);
  CHECK (t.tv_sec > 100);
  stands_at = ((uint64_t) t.tv_sec - 100) * 1000000000;
}

static char lines[256][512];
static unsigned num_lines;

static void
note (int level, const char *text, void *ctx)
{
  (void) level;
  (void) ctx;
  CHECK (num_lines < 256);
  snprintf (lines[num_lines++], sizeof *lines, "%s", text);
}

static unsigned
with (const char *words)
{
  unsigned n = 0;
  for (unsigned i = 0; i < num_lines; i++)
    n += strstr (lines[i], words) != NULL;
  return n;
}

static void
prepare (memif_socket_handle_t sock, bool master)
{
  if (master)
    OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .log = note, .log_lines = 5 }));
}

/* A peer that says nonsense. */
static void
is_refused (side_t *master, const char *path)
{
  struct sockaddr_un sun = { .sun_family = AF_UNIX };
  size_t len = strlen (path);
  memcpy (sun.sun_path + 1, path + 1, len - 1);
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK (connect (fd, (struct sockaddr *) &sun, (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len)) == 0);
  CHECK (send (fd, "?", 1, 0) == 1);
  char bytes[128];
  ssize_t n;
  do
    OK (memif_poll_event (master->sock, 0));
  while ((n = recv (fd, bytes, sizeof bytes, MSG_DONTWAIT)) != 0);
  close (fd);
}

static void
refusals_are_counted (void)
{
  side_t master = { 0 };
  const char *path = fresh_path ();
  num_lines = 0;
  stop_the_clock ();
  side_open (&master, path, true, (settings_t){ .prepare = prepare });
  for (int i = 0; i < 30; i++)
    is_refused (&master, path);
  EQUAL (num_lines, 5);
  EQUAL (with ("refused process"), 5);

  /* The next line, when the second is over, comes after the count. */
  stands_at += 999999999;
  is_refused (&master, path);
  EQUAL (num_lines, 5);
  stands_at += 1;
  is_refused (&master, path);
  EQUAL (num_lines, 7);
  CHECK (strstr (lines[5], "26 lines about peers were left out here, beyond 5 a second"));
  CHECK (strstr (lines[6], "refused process"));

  /* Without a next line the timer tells. */
  for (int i = 0; i < 9; i++)
    is_refused (&master, path);
  EQUAL (num_lines, 11);
  stands_at += 1000000000;
  while (num_lines == 11)
    OK (memif_poll_event (master.sock, LONG_MS));
  CHECK (strstr (lines[11], "5 lines about peers were left out"));
  EQUAL (num_lines, 12);
  stands_at = 0;
  side_close (&master);
  EQUAL (num_lines, 12);
}

static void
prepare_by_default (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .log = note }));
}

static void
by_default_there_are_20_a_second (void)
{
  side_t master = { 0 };
  const char *path = fresh_path ();
  num_lines = 0;
  stop_the_clock ();
  side_open (&master, path, true, (settings_t){ .prepare = prepare_by_default });
  for (int i = 0; i < 30; i++)
    is_refused (&master, path);
  EQUAL (num_lines, 20);
  stands_at = 0;
  side_close (&master);
}

static void
each_interface_has_its_own (void)
{
  pair_t p = { 0 };
  const char *path = fresh_path ();
  num_lines = 0;
  stop_the_clock ();
  side_open (&p.master, path, true, (settings_t){ .prepare = prepare });
  for (int i = 0; i < 5; i++)
    {
      side_open (&p.slave, path, false, (settings_t){ 0 });
      pair_up (&p);
      side_close (&p.slave);
      p.slave = (side_t){ 0 };
      while (p.master.downs < p.master.ups)
	OK (memif_poll_event (p.master.sock, 1));
    }
  EQUAL (num_lines, 5);
  EQUAL (with (": connected to"), 3);
  EQUAL (with (": disconnected"), 2);
  is_refused (&p.master, path);
  EQUAL (with ("refused process"), 1);
  /* With the interface goes what is still to be told. */
  side_close (&p.master);
  EQUAL (num_lines, 7);
  CHECK (strstr (lines[6], "master id 0 on ") && strstr (lines[6], ": 5 lines about peers were left out"));
  stands_at = 0;
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "refusals_are_counted", refusals_are_counted },
    { "by_default_there_are_20_a_second", by_default_there_are_20_a_second },
    { "each_interface_has_its_own", each_interface_has_its_own },
  };
  return RUN (argc, argv, tests);
}
