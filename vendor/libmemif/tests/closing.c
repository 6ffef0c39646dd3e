/* Attackers whose descriptors take as long to close as they like. Each is a process of its own;
 * the victim is this one, which must neither wait for them nor keep anything when they are gone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "raw.h"

#if defined(__SANITIZE_THREAD__)
enum { GONE_MS = 10000 };
#else
enum { GONE_MS = 1000 };
#endif
enum { HOUR = 3600 };

/* A TCP socket with more to send than its other end, which stays open here, has room for. */
static int
lingering_socket (void)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  socklen_t len = sizeof at;
  int listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK (bind (listener, (struct sockaddr *) &at, len) == 0 && listen (listener, 1) == 0);
  CHECK (getsockname (listener, (struct sockaddr *) &at, &len) == 0);
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK (connect (fd, (struct sockaddr *) &at, len) == 0);
  CHECK (accept4 (listener, NULL, NULL, SOCK_CLOEXEC) >= 0);
  close (listener);
  static const char bytes[65536];
  while (send (fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
    ;
  struct linger hour = { .l_onoff = 1, .l_linger = HOUR };
  CHECK (setsockopt (fd, SOL_SOCKET, SO_LINGER, &hour, sizeof hour) == 0);
  return fd;
}

/* In the queue of another, where nobody but the kernel finds it. */
static int
hidden_socket (void)
{
  int ends[2], inner = lingering_socket ();
  static int kind;
  const int kinds[] = { SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM };
  CHECK (socketpair (AF_UNIX, kinds[kind++ % 3] | SOCK_CLOEXEC, 0, ends) == 0);
  send_with (ends[0], (const uint8_t *) "", 0, NULL, 0);
  CHECK (send_with (ends[0], (const uint8_t *) "xyz", 3, &inner, 1));
  close (inner);
  close (ends[0]);
  return ends[1];
}

/* Sent to a connection that nobody has accepted, whose listener is what is sent: whoever closes
 * that last waits, and can do nothing about it. */
static int
stubborn_socket (void)
{
  static unsigned count;
  char name[64];
  struct sockaddr_un at;
  snprintf (name, sizeof name, "@memif-c-stubborn-%d-%u", (int) getpid (), count++);
  socklen_t len = address_of (name, &at);
  int listener = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), inner = lingering_socket ();
  CHECK (bind (listener, (struct sockaddr *) &at, len) == 0 && listen (listener, 1) == 0);
  int wire = connect_to (name);
  CHECK (send_with (wire, (const uint8_t *) "x", 1, &inner, 1));
  close (inner);
  close (wire);
  return listener;
}

static void
nothing (int signal)
{
  (void) signal;
}

/* Where the victim takes no more, the kernel gives it back, and an exit does not wait for it. A
 * victim that has already closed its own leaves the wait to us: signals end it. */
static void
send_and_close_all (int wire, const uint8_t *bytes, size_t len, const int *fds, size_t count)
{
  if (!send_with (wire, bytes, len, fds, count))
    return;
  struct itimerval often = { { 0, 10000 }, { 0, 10000 } }, never = { 0 };
  signal (SIGALRM, nothing);
  CHECK (setitimer (ITIMER_REAL, &often, NULL) == 0);
  for (size_t i = 0; i < count; i++)
    close (fds[i]);
  CHECK (setitimer (ITIMER_REAL, &never, NULL) == 0);
}

static void
send_and_close (int wire, const uint8_t *bytes, size_t len, int fd)
{
  send_and_close_all (wire, bytes, len, &fd, 1);
}

static const uint8_t wrong[128] = { 9 }; /* no message has such a type */
static const uint8_t init[128] = { 3, 0, 0, 2 };

/* The attacks, by a slave or a master: on the wires of connections that are not yet more. */

static void
a_bad_message_and_an_empty_one (int wire)
{
  send_with (wire, wrong, sizeof wrong, NULL, 0);
  send_and_close (wire, wrong, 0, lingering_socket ());
}

static void
hidden_in_the_second (int wire)
{
  send_with (wire, wrong, sizeof wrong, NULL, 0);
  send_and_close (wire, wrong, 0, hidden_socket ());
}

static void
hidden_in_the_first (int wire)
{
  send_and_close (wire, init, sizeof init, hidden_socket ());
}

static void
stubborn_in_the_first (int wire)
{
  send_and_close (wire, init, sizeof init, stubborn_socket ());
}

static void
stubborn_in_the_second (int wire)
{
  send_with (wire, wrong, sizeof wrong, NULL, 0);
  send_and_close (wire, wrong, 0, stubborn_socket ());
}

static void
many_in_one (int wire)
{
  int fds[20];
  for (int i = 0; i < 20; i++)
    fds[i] = i % 3 ? i % 3 == 1 ? lingering_socket () : hidden_socket () : stubborn_socket ();
  send_and_close_all (wire, init, sizeof init, fds, 20);
}

/* Nothing is in their queues, and what the kernel says at the end of each is easily taken for more. */
static void
ended_ones (int wire)
{
  enum { COUNT = 250 };
  int fds[COUNT], ends[2];
  for (int i = 0; i < COUNT; i++)
    {
      CHECK (socketpair (AF_UNIX, i % 2 ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends) == 0);
      fds[i] = ends[0];
      close (ends[1]);
    }
  for (int i = 0; i < 8; i++)
    send_with (wire, wrong, sizeof wrong, fds, COUNT);
}

static void
in_a_disconnect (int wire)
{
  static const uint8_t disconnect[128] = { 8 };
  send_and_close (wire, disconnect, sizeof disconnect, hidden_socket ());
}

static void (*const attacks[]) (int wire)
  = { a_bad_message_and_an_empty_one, hidden_in_the_second,   hidden_in_the_first,
      stubborn_in_the_first,	      stubborn_in_the_second, many_in_one,
      ended_ones,		      in_a_disconnect };
enum { ATTACKS = sizeof attacks / sizeof *attacks };

/* A second after the attacker's end nothing of it is left. */
static void
all_gone (unsigned fds)
{
  uint64_t start = now_ms ();
  FDS_BACK (fds);
  CHECK (now_ms () - start <= GONE_MS);
}

static void
attack_master (const char *path, int number)
{
  attacks[number](connect_to (path)); /* all of it is sent before it is accepted */
}

static void
a_master_does_not_wait (void)
{
  const char *path = fresh_path ();
  side_t master = { 0 };
  side_open (&master, path, true, (settings_t){ 0 });
  unsigned fds = open_fds ();
  for (int i = 0; i < ATTACKS; i++)
    {
      attacker_t a = attacker_begin (attack_master, path, i);
      attacker_wait (&a);
      CHECK (longest_turn (&master, &a) < AT_ONCE_MS);
      attacker_end (&a);
      all_gone (fds);
    }
  side_close (&master);
}

static void
attack_slave (const char *path, int number)
{
  struct sockaddr_un at;
  socklen_t len = address_of (path, &at);
  int listener = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK (bind (listener, (struct sockaddr *) &at, len) == 0 && listen (listener, 1) == 0);
  CHECK (accept4 (listener, NULL, NULL, SOCK_CLOEXEC) >= 0);
  int wire = accept4 (listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK (wire >= 0);
  attacks[number](wire);
}

static void
a_slave_does_not_wait (void)
{
  for (int i = 0; i < ATTACKS; i++)
    {
      const char *path = fresh_path ();
      side_t slave = { 0 };
      unsigned fds = open_fds ();
      attacker_t a = attacker_begin (attack_slave, path, i);
      int probe;
      while ((probe = connect_to (path)) < 0)
	;
      close (probe); /* it listens */
      side_open (&slave, path, false, (settings_t){ 0 });
      attacker_wait (&a);
      CHECK (longest_turn (&slave, &a) < AT_ONCE_MS);
      uint64_t start = now_ms ();
      side_close (&slave);
      CHECK (now_ms () - start < AT_ONCE_MS);
      attacker_end (&a);
      all_gone (fds);
    }
}

/* A peer that is not let in has been able to send all the same. */

static void
allow_nobody (memif_socket_handle_t sock, bool master)
{
  static const uint32_t nobody = 12345678;
  (void) master;
  OK (memif_ext_configure_socket (
    sock, &(memif_ext_socket_args_t){ .allowed_uids = &nobody, .num_allowed_uids = 1 }));
}

static void
a_refused_peer_is_not_waited_for (void)
{
  const char *path = fresh_path ();
  side_t master = { 0 };
  side_open (&master, path, true, (settings_t){ .prepare = allow_nobody });
  unsigned fds = open_fds ();
  for (int i = 0; i < ATTACKS; i++)
    {
      attacker_t a = attacker_begin (attack_master, path, i);
      attacker_wait (&a);
      CHECK (longest_turn (&master, &a) < AT_ONCE_MS);
      attacker_end (&a);
      all_gone (fds);
    }
  side_close (&master);
}

static void
connect_and_attack (const char *path, int number)
{
  for (int i = 0; i < 4; i++)
    attacks[number](connect_to (path)); /* kept open */
}

static void
nobody_accepted_is_not_waited_for (void)
{
  for (int i = 0; i < ATTACKS; i++)
    {
      const char *path = fresh_path ();
      side_t master = { 0 };
      unsigned fds = open_fds ();
      side_open (&master, path, true, (settings_t){ 0 });
      attacker_t a = attacker_begin (connect_and_attack, path, i);
      attacker_wait (&a);
      uint64_t start = now_ms ();
      side_close (&master);
      /* The name is free, and nobody stands before it any more. */
      CHECK (connect_to (path) < 0 && errno == ECONNREFUSED);
      side_open (&master, path, true, (settings_t){ 0 });
      side_close (&master);
      CHECK (now_ms () - start < AT_ONCE_MS);
      attacker_end (&a);
      all_gone (fds);
    }
}

/* Again and again, from several processes: they keep what they brought from being closed, and so
 * get no more of it in. A peer that behaves, of the same user, is served meanwhile, as often as it
 * likes. */

static void
without_end (const char *path, int number)
{
  for (int i = 0; i < 100; i++)
    {
      int wire = connect_to (path);
      if (wire < 0)
	continue;
      (number % 2 ? stubborn_in_the_second : stubborn_in_the_first) (wire);
      wait_for_the_end (wire);
    }
}

static void
serve_one (pair_t *p, const char *path, uint32_t number)
{
  p->slave.ups = p->slave.downs = p->master.ups = p->master.downs = 0;
  side_open (&p->slave, path, false, (settings_t){ 0 });
  pair_up (p);
  cross (&p->slave, &p->master, 0, number, 100);
  side_close (&p->slave);
  while (p->master.downs < p->master.ups)
    OK (memif_poll_event (p->master.sock, 1));
}

static unsigned
threads (void)
{
  unsigned count = 0;
  DIR *d = opendir ("/proc/self/task");
  CHECK (d);
  for (struct dirent *e; (e = readdir (d));)
    count += e->d_name[0] != '.';
  closedir (d);
  return count;
}

static void
others_are_served_meanwhile (void)
{
  enum { ATTACKERS = 6, LINKS = 50 };
  const char *path = fresh_path ();
  pair_t p = { 0 };
  attacker_t a[ATTACKERS];
  unsigned before = open_fds (), most = 0;
  side_open (&p.master, path, true, (settings_t){ 0 });
  serve_one (&p, path, 0); /* whose rings the master keeps until the next one */
  unsigned fds = open_fds (), tasks = threads ();
  a[0] = attacker_begin (without_end, path, 0);
  /* One process by itself keeps two of the threads that close. */
  CHECK (longest_turn (&p.master, &a[0]) < AT_ONCE_MS);
  back (__FILE__, __LINE__, threads, tasks + 2);
  for (int i = 1; i < ATTACKERS; i++)
    {
      a[i] = attacker_begin (without_end, path, i);
      CHECK (longest_turn (&p.master, &a[i]) < AT_ONCE_MS);
    }
  most = open_fds ();
  printf ("  %u descriptors wait\n", most - fds);
  CHECK (most > fds + 10); /* the attack is one */
  for (uint32_t i = 1; i <= LINKS; i++)
    {
      serve_one (&p, path, i);
      FDS_BACK (most);
    }
  for (int i = 0; i < ATTACKERS; i++)
    attacker_end (&a[i]);
  all_gone (fds);
  side_close (&p.master);
  all_gone (before);
}

/* The kernel has no number for what comes: whatever it does with it, the thread that reads must
 * not wait. */
static void
without_a_descriptor_left (void)
{
  const char *path = fresh_path ();
  side_t master = { 0 };
  struct rlimit limit;
  CHECK (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  side_open (&master, path, true, (settings_t){ 0 });
  unsigned fds = open_fds ();
  for (int i = 0; i < ATTACKS; i++)
    for (rlim_t left = 0; left < 3; left++)
      {
	attacker_t a = attacker_begin (attack_master, path, i);
	attacker_wait (&a);
	OK (memif_poll_event (master.sock, LONG_MS)); /* it is accepted */
	int next = dup (0);
	CHECK (next >= 0);
	close (next);
	struct rlimit low = { .rlim_cur = (rlim_t) next + left, .rlim_max = limit.rlim_max };
	CHECK (setrlimit (RLIMIT_NOFILE, &low) == 0);
	uint64_t longest = longest_turn (&master, &a);
	CHECK (setrlimit (RLIMIT_NOFILE, &limit) == 0);
	CHECK (longest < AT_ONCE_MS);
	attacker_end (&a);
	all_gone (fds);
      }
  side_close (&master);
}

/* What one process may have waiting to be closed is a part of the descriptors that we may have; two
 * such shares are for a user, and four for everybody together. */
enum { LIMIT = 512, SHARE = LIMIT / 16, AT_A_TIME = 16, OTHER_USER = 12345, THIRD_USER = 12346 };

/* Reads to the connection's end; whether it was refused for what waits. A reset is told before what
 * came earlier. */
static bool
is_refused (int wire)
{
  uint8_t m[129] = { 0 };
  bool refused = false;
  for (int resets = 0; resets < 2;)
    {
      ssize_t n = recv (wire, m, sizeof m - 1, 0);
      if (n == 0)
	break;
      resets += n < 0;
      refused |= n > 0 && strstr ((char *) m + 6, "waits to be closed");
    }
  close (wire);
  return refused;
}

/* Until it is told so. Not each attempt leaves something: what the victim closes before the attacker
 * does is the attacker's to wait for. The third and the fourth are processes of another user. */
static void
more_than_its_share (const char *path, int number)
{
  struct rlimit limit;
  CHECK (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK (setrlimit (RLIMIT_NOFILE, &limit) == 0);
  CHECK (number < 2 || setuid (OTHER_USER) == 0);
  prctl (PR_SET_PDEATHSIG, SIGKILL); /* setuid has undone it */
  for (int wire, refusals = 0; refusals < AT_A_TIME; refusals += is_refused (wire))
    {
      wire = connect_to (path);
      CHECK (wire >= 0);
      stubborn_in_the_first (wire);
    }
}

typedef enum { ANSWERED, REFUSED, NOT_ACCEPTED } outcome_t;

static outcome_t
ask (const char *path)
{
  const uint8_t nobodys[128] = { 3, 0, 0, 2, 99 };
  uint8_t m[129] = { 0 };
  int wire = connect_to (path);
  struct pollfd p = { .fd = wire, .events = POLLIN };
  if (poll (&p, 1, 300) != 1)
    return NOT_ACCEPTED;
  send_with (wire, nobodys, sizeof nobodys, NULL, 0);
  while (recv (wire, m, sizeof m - 1, 0) == sizeof m - 1)
    if (strstr ((char *) m + 6, "unmatched"))
      return ANSWERED;
  CHECK (strstr ((char *) m + 6, "waits to be closed"));
  return REFUSED;
}

/* How a process of this user fares beside the link, which goes on. */
static outcome_t
another (pair_t *p, const char *path, uid_t user)
{
  fflush (NULL);
  pid_t pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    _exit (user && setuid (user) < 0 ? 99 : (int) ask (path));
  int status;
  for (uint32_t i = 0; waitpid (pid, &status, WNOHANG) == 0; i++)
    {
      pair_turn (p);
      cross (&p->slave, &p->master, 0, i, 100);
    }
  CHECK (WIFEXITED (status) && WEXITSTATUS (status) <= NOT_ACCEPTED);
  return (outcome_t) WEXITSTATUS (status);
}

static void
shares_of_what_waits (void)
{
#if defined(__SANITIZE_THREAD__)
  printf ("  ThreadSanitizer sorts too slowly for shares to be exact\n");
  return;
#endif
  struct rlimit limit;
  CHECK (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = LIMIT;
  fflush (NULL);
  pid_t pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    {
      CHECK (setrlimit (RLIMIT_NOFILE, &limit) == 0);
      exec_self ("with_few_descriptors", NULL, NULL);
    }
  int status;
  CHECK (waitpid (pid, &status, 0) == pid && WIFEXITED (status));
  EQUAL (WEXITSTATUS (status), 0);
}

static void
with_few_descriptors (void)
{
  struct rlimit limit;
  CHECK (getrlimit (RLIMIT_NOFILE, &limit) == 0);
  if (limit.rlim_cur != LIMIT)
    return; /* run by the test before */
  const char *path = fresh_path ();
  pair_t p = { 0 };
  attacker_t a[4];
  side_open (&p.master, path, true, (settings_t){ 0 });
  side_open (&p.slave, path, false, (settings_t){ 0 });
  pair_up (&p);
  unsigned fds = open_fds ();
  EQUAL (another (&p, path, 0), ANSWERED);

  a[0] = attacker_begin (more_than_its_share, path, 0);
  CHECK (longest_turn (&p.master, &a[0]) < AT_ONCE_MS);
  CHECK (open_fds () < fds + SHARE + 3 * AT_A_TIME);
  EQUAL (another (&p, path, 0), ANSWERED);

  a[1] = attacker_begin (more_than_its_share, path, 1);
  CHECK (longest_turn (&p.master, &a[1]) < AT_ONCE_MS);
  CHECK (open_fds () < fds + 2 * SHARE + 3 * AT_A_TIME);
  EQUAL (another (&p, path, 0), REFUSED);

  if (geteuid () == 0)
    {
      EQUAL (another (&p, path, OTHER_USER), ANSWERED);
      for (int i = 2; i < 4; i++)
	a[i] = attacker_begin (more_than_its_share, path, i);
      for (uint64_t end = now_ms () + LONG_MS; another (&p, path, THIRD_USER) == ANSWERED;)
	CHECK (now_ms () < end);
      EQUAL (another (&p, path, THIRD_USER), NOT_ACCEPTED);
      CHECK (open_fds () < fds + 4 * SHARE + 3 * AT_A_TIME);
      for (int i = 2; i < 4; i++)
	attacker_end (&a[i]);
    }
  else
    printf ("  other users are for root to try\n");
  for (int i = 0; i < 2; i++)
    attacker_end (&a[i]);
  FDS_BACK (fds);
  EQUAL (another (&p, path, 0), ANSWERED);
  pair_close (&p);
}

int
main (int argc, char **argv)
{
#ifdef MEMIF_EMULATED
  printf ("  an emulator handles descriptors in its own way\n");
  return 0;
#endif
  static const test_t tests[] = {
    { "a_master_does_not_wait", a_master_does_not_wait },
    { "a_slave_does_not_wait", a_slave_does_not_wait },
    { "a_refused_peer_is_not_waited_for", a_refused_peer_is_not_waited_for },
    { "nobody_accepted_is_not_waited_for", nobody_accepted_is_not_waited_for },
    { "others_are_served_meanwhile", others_are_served_meanwhile },
    { "without_a_descriptor_left", without_a_descriptor_left },
    { "shares_of_what_waits", shares_of_what_waits },
    { "with_few_descriptors", with_few_descriptors },
  };
  return RUN (argc, argv, tests);
}
