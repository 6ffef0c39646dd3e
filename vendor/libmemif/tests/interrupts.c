/* Receive modes and interrupts: who is woken, and that nobody is forgotten. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static uint8_t bytes[65536];

static bool
readable (int fd)
{
  struct pollfd p = { .fd = fd, .events = POLLIN };
  return poll (&p, 1, 0) == 1;
}

static int
efd_of (memif_conn_handle_t conn, uint16_t qid)
{
  int fd = -1;
  OK (memif_get_queue_efd (conn, qid, &fd));
  return fd;
}

static int
count_interrupt (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  side_t *side = ctx;
  side->interrupts[qid]++;
  while (receive_packet (conn, qid, bytes, sizeof bytes) >= 0)
    ;
  return 0;
}

/* Only the queue that a packet came on is told of, on both sides. */
static void
each_queue_has_its_interrupt (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .s2m = 4, .m2s = 3, .on_interrupt = count_interrupt });
  for (uint16_t round = 0; round < 200; round++)
    {
      uint16_t down = round % 3, up = round % 4;
      unsigned before[2] = { p.slave.interrupts[down], p.master.interrupts[up] };
      OK (send_packet (p.master.conn, down, round, 64));
      OK (send_packet (p.slave.conn, up, round, 64));
      while (p.slave.interrupts[down] == before[0] || p.master.interrupts[up] == before[1])
	pair_turn (&p);
    }
  pair_turn (&p);
  unsigned master = 0, slave = 0;
  for (int i = 0; i < 16; i++)
    {
      master += p.master.interrupts[i];
      slave += p.slave.interrupts[i];
    }
  EQUAL (master, 200);
  EQUAL (slave, 200);
  pair_close (&p);
}

static void
one_poll_tells_of_all (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .s2m = 16, .on_interrupt = count_interrupt });
  for (unsigned round = 0; round < 100; round++)
    {
      for (uint16_t q = 0; q < 16; q++)
	OK (send_packet (p.slave.conn, q, round, 64));
      OK (memif_poll_event (p.master.sock, 0));
      for (uint16_t q = 0; q < 16; q++)
	EQUAL (p.master.interrupts[q], round + 1);
    }
  pair_close (&p);
}

/* Interrupt and polling in all four combinations of the two sides. */
static void
four_combinations (void)
{
  for (int modes = 0; modes < 4; modes++)
    {
      pair_t p = { 0 };
      memif_rx_mode_t of_master = (memif_rx_mode_t) (modes & 1), of_slave = (memif_rx_mode_t) (modes >> 1);
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      OK (memif_set_rx_mode (p.master.conn, of_master, 0));
      OK (memif_set_rx_mode (p.slave.conn, of_slave, 0));
      side_t *sides[2] = { &p.master, &p.slave };
      for (uint32_t i = 0; i < 500; i++)
	for (int to = 0; to < 2; to++)
	  {
	    bool polling = to ? of_slave : of_master;
	    int fd = efd_of (sides[to]->conn, 0);
	    CHECK (!readable (fd));
	    OK (send_packet (sides[!to]->conn, 0, i, 100));
	    EQUAL (readable (fd), !polling);
	    EQUAL (receive_packet (sides[to]->conn, 0, bytes, sizeof bytes), 100);
	    CHECK (is_pattern (bytes, i, 100));
	    CHECK (!readable (fd));
	  }
      pair_close (&p);
    }
}

static void
the_mode_may_change (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  int fd = efd_of (p.master.conn, 0);
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0));
  OK (send_packet (p.slave.conn, 0, 1, 10));
  CHECK (!readable (fd));
  /* What had come meanwhile is told of. */
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_INTERRUPT, 0));
  CHECK (readable (fd));
  /* Polling again: nothing is left to wake anybody. */
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0));
  CHECK (!readable (fd));
  EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), 10);
  FAILS (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 1), MEMIF_ERR_QID);
  FAILS (memif_set_rx_mode (p.master.conn, (memif_rx_mode_t) 2, 0), MEMIF_ERR_INVAL_ARG);
  FAILS (memif_set_rx_mode (NULL, MEMIF_RX_MODE_POLLING, 0), MEMIF_ERR_NOCONN);
  FAILS (memif_get_queue_efd (p.master.conn, 1, &fd), MEMIF_ERR_QID);
  pair_close (&p);
}

/* A reader that takes a part only is woken again for the rest. */
static void
the_rest_wakes_again (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 6 });
  int fd = efd_of (p.master.conn, 0);
  memif_buffer_t b[16];
  uint16_t n = 0, left = 50;
  for (uint32_t i = 0; i < 50; i++)
    OK (send_packet (p.slave.conn, 0, i, 10));
  while (left)
    {
      CHECK (readable (fd));
      int err = memif_rx_burst (p.master.conn, 0, b, 16, &n);
      EQUAL (err, left > 16 ? MEMIF_ERR_NOBUF : MEMIF_ERR_SUCCESS);
      OK (memif_refill_queue (p.master.conn, 0, n, 0));
      left = (uint16_t) (left - n);
    }
  CHECK (!readable (fd));
  pair_close (&p);
}

/* Whoever waits for the descriptor by himself, by levels or by edges, and reads until nothing
 * is left, is woken for every packet. */

typedef struct
{
  memif_conn_handle_t conn;
  _Atomic uint32_t *seen;
} sender_t;

enum { WAKE_UPS = 5000 };

static void *
send_when_all_is_read (void *arg)
{
  const sender_t *s = arg;
  for (uint32_t sent = 0; sent < WAKE_UPS;)
    {
      for (uint32_t burst = 1 + sent % 13; burst && sent < WAKE_UPS; burst--, sent++)
	OK (send_packet (s->conn, 0, sent, 30));
      while (atomic_load (s->seen) < sent)
	sched_yield ();
    }
  return NULL;
}

static void
nobody_sleeps_on_a_packet (void)
{
  for (int variant = 0; variant < 4; variant++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      side_t *to = variant & 1 ? &p.master : &p.slave, *from = variant & 1 ? &p.slave : &p.master;
      _Atomic uint32_t seen = 0;
      sender_t s = { from->conn, &seen };
      int epfd = epoll_create1 (0), fd = efd_of (to->conn, 0);
      struct epoll_event ee = { .events = EPOLLIN | (variant & 2 ? EPOLLET : 0) };
      CHECK (epoll_ctl (epfd, EPOLL_CTL_ADD, fd, &ee) == 0);
      pthread_t thread;
      CHECK (pthread_create (&thread, NULL, send_when_all_is_read, &s) == 0);
      while (seen < WAKE_UPS)
	{
	  memif_buffer_t b[4];
	  uint16_t n = 0;
	  int err = memif_rx_burst (to->conn, 0, b, 4, &n);
	  CHECK (err == MEMIF_ERR_SUCCESS || (err == MEMIF_ERR_NOBUF && n == 4));
	  for (uint16_t i = 0; i < n; i++)
	    CHECK (is_pattern (b[i].data, seen + i, 30));
	  OK (memif_refill_queue (to->conn, 0, n, 0));
	  seen += n;
	  if (n == 0)
	    EQUAL (epoll_wait (epfd, &ee, 1, LONG_MS), 1);
	}
      CHECK (pthread_join (thread, NULL) == 0);
      close (epfd);
      pair_close (&p);
    }
}

/* Kills the process at any system call but its end. */
static bool
forbid_system_calls (void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return false; /* they make calls of their own */
#endif
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
  return prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
	 && prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static long
receive_copied (memif_conn_handle_t conn)
{
  memif_ext_packet_t packet;
  uint16_t n = 0;
  OK (memif_ext_rx_burst (conn, 0, bytes, sizeof bytes, sizeof bytes, &packet, 1, &n));
  return n ? (long) packet.length : -1;
}

static void
polling_makes_no_system_call (void)
{
  for (int copying = 0; copying < 2; copying++)
    {
      pair_t p = { 0 };
      pair_open (&p, (settings_t){ .log2_ring_size = 4 });
      OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0));
      OK (memif_set_rx_mode (p.slave.conn, MEMIF_RX_MODE_POLLING, 0));
      side_t *sides[2] = { &p.master, &p.slave };
      fflush (NULL);
      pid_t pid = fork ();
      CHECK (pid >= 0);
      if (pid == 0)
	{
	  if (!forbid_system_calls ())
	    _exit (77);
	  for (uint32_t i = 0; i < 3000; i++)
	    {
	      memif_conn_handle_t to = sides[i % 2]->conn;
	      if (i % 3 == 0)
		OK (send_packet (sides[(i + 1) % 2]->conn, 0, i, 100));
	      EQUAL (copying ? receive_copied (to) : receive_packet (to, 0, bytes, sizeof bytes),
		     i % 3 == 0 ? 100 : -1);
	    }
	  _exit (0);
	}
      int status;
      CHECK (waitpid (pid, &status, 0) == pid);
      if (WIFEXITED (status) && WEXITSTATUS (status) == 77)
	printf ("  polling_makes_no_system_call: not to be seen here\n");
      else
	EQUAL (status, 0);
      pair_close (&p);
    }
}

static void
raise_late (int efd)
{
  uint64_t one = 1;
  EQUAL (write (efd, &one, sizeof one), (long) sizeof one);
}

static void
count_lines (int level, const char *text, void *ctx)
{
  (void) level, (void) text;
  ++*(unsigned *) ctx;
}

static unsigned lines;

static void
with_log (memif_socket_handle_t sock, bool master)
{
  (void) master;
  OK (memif_ext_configure_socket (sock, &(memif_ext_socket_args_t){ .log = count_lines, .log_ctx = &lines }));
}

/* Neither is an event without a packet, nor are many packets at a time. */
static void
an_empty_queue_is_not_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .on_interrupt = count_interrupt, .prepare = with_log });
  CHECK (lines > 0);
  lines = 0;
  for (uint32_t i = 0; i < 500; i++)
    {
      raise_late (efd_of (p.master.conn, 0));
      EQUAL (receive_packet (p.master.conn, 0, bytes, sizeof bytes), -1);
      for (int n = 0; n < 16; n++)
	OK (send_packet (p.slave.conn, 0, i, 60));
      FAILS (send_packet (p.slave.conn, 0, i, 60), MEMIF_ERR_NOBUF_RING);
      pair_turn (&p);
      EQUAL (p.master.interrupts[0], i + 1);
    }
  EQUAL (lines, 0);
  pair_close (&p);
}

/* A program that polls a descriptor itself and copies its packets: the event
 * goes, also one that comes late, for packets read before. */
static void
what_is_polled_does_not_stay_readable (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  memif_conn_handle_t conn = p.master.conn;
  int efd = efd_of (conn, 0), fd = -1, result = -1;
  for (uint32_t i = 0; i < 100; i++)
    {
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (efd));
      EQUAL (receive_copied (conn), 100);
      EQUAL (receive_copied (conn), -1);
      CHECK (!readable (efd));
    }
  OK (memif_ext_rx_fd (conn, 0, &fd));
  while (receive_copied (conn) >= 0 || readable (fd))
    OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result)); /* the link's coming up is an event too */
  for (uint32_t i = 0; i < 100; i++)
    {
      raise_late (efd);
      CHECK (readable (fd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
      CHECK (!readable (fd));
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (fd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_READY);
      EQUAL (receive_copied (conn), 100);
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
    }
  /* However often nothing was found before the packet, the next look after it finds the event. */
  for (int empty = 0; empty < 20; empty++)
    {
      for (int i = 0; i < empty; i++)
	EQUAL (receive_copied (conn), -1);
      OK (send_packet (p.slave.conn, 0, 1, 100));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_READY);
      EQUAL (receive_copied (conn), 100);
      EQUAL (receive_copied (conn), -1);
      raise_late (efd);
      EQUAL (receive_copied (conn), -1);
      CHECK (!readable (fd));
    }
  pair_close (&p);
}

static void
a_wait_ends_also_while_it_spins (void)
{
  enum { MS = 1000000 };
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  for (uint64_t spin = 1 * MS; spin <= 3 * MS; spin += 2 * MS)
    {
      int result = -1;
      const uint64_t start = now_ms ();
      OK (memif_ext_rx_wait (p.master.conn, 0, 2 * MS, spin, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_TIMED_OUT);
      CHECK (now_ms () > start);
    }
  pair_close (&p);
}

/* A wait of the extension, then a burst of 4.0: the descriptor tells of the next packet all the
 * same. */
static void
a_wait_and_a_burst_in_place_may_be_mixed (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  memif_conn_handle_t conn = p.master.conn;
  int efd = efd_of (conn, 0), result = -1;
  for (uint32_t i = 0; i < 100; i++)
    {
      OK (send_packet (p.slave.conn, 0, i, 100));
      CHECK (readable (efd));
      OK (memif_ext_rx_wait (conn, 0, 0, 0, 0, &result));
      EQUAL (result, MEMIF_EXT_WAIT_READY);
      EQUAL (receive_packet (conn, 0, bytes, sizeof bytes), 100);
      CHECK (is_pattern (bytes, i, 100));
      EQUAL (receive_packet (conn, 0, bytes, sizeof bytes), -1);
      CHECK (!readable (efd));
    }
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "each_queue_has_its_interrupt", each_queue_has_its_interrupt },
    { "one_poll_tells_of_all", one_poll_tells_of_all },
    { "four_combinations", four_combinations },
    { "the_mode_may_change", the_mode_may_change },
    { "the_rest_wakes_again", the_rest_wakes_again },
    { "nobody_sleeps_on_a_packet", nobody_sleeps_on_a_packet },
    { "polling_makes_no_system_call", polling_makes_no_system_call },
    { "an_empty_queue_is_not_told_of", an_empty_queue_is_not_told_of },
    { "what_is_polled_does_not_stay_readable", what_is_polled_does_not_stay_readable },
    { "a_wait_ends_also_while_it_spins", a_wait_ends_also_while_it_spins },
    { "a_wait_and_a_burst_in_place_may_be_mixed", a_wait_and_a_burst_in_place_may_be_mixed },
  };
  return RUN (argc, argv, tests);
}
