/* Sixteen queues each way, each with threads of its own; links that come and go under them.
 *
 * THREADS_PACKETS: packets on each queue and way, 1000000 unless set. */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { QUEUES = 16, BURST = 64, LOG2 = 8 };

typedef struct
{
  side_t *side;
  uint16_t qid;
  uint64_t packets; /* to send, or received */
  uint64_t wanted;
  _Atomic bool *stop;
  bool any_order; /* links go down between: numbers only grow */
} work_t;

static uint64_t
packets_per_queue (void)
{
  const char *set = getenv ("THREADS_PACKETS");
  return set ? strtoull (set, NULL, 10) : 1000000;
}

static bool
stopped (const work_t *w)
{
  return w->stop && atomic_load (w->stop);
}

/* Packets are numbered, and tell their queue. */
typedef struct
{
  uint64_t number;
  uint32_t qid;
  uint32_t check;
} payload_t;

static payload_t
payload (uint64_t number, uint32_t qid)
{
  return (payload_t){ number, qid, (uint32_t) (number * 2654435761u) ^ qid };
}

/* By turns with the calls of 4.0 and the copying ones. */
static uint16_t
send_some (const work_t *w, uint64_t from, uint16_t count)
{
  memif_buffer_t b[BURST];
  payload_t p[BURST];
  memif_ext_slice_t slices[BURST];
  uint16_t n = 0, sent = 0;
  if (from / 1024 % 2)
    {
      for (uint16_t i = 0; i < count; i++)
	{
	  p[i] = payload (from + i, w->qid);
	  slices[i] = (memif_ext_slice_t){ (const uint8_t *) &p[i], sizeof *p };
	}
      int err = memif_ext_tx_burst (w->side->conn, w->qid, slices, count, &sent);
      CHECK (!err || err == MEMIF_ERR_NOBUF_RING || err == MEMIF_ERR_DISCONNECTED);
      return sent;
    }
  int err = memif_buffer_alloc (w->side->conn, w->qid, b, count, &n, sizeof *p);
  CHECK (!err || err == MEMIF_ERR_NOBUF_RING || err == MEMIF_ERR_DISCONNECTED);
  for (uint16_t i = 0; i < n; i++)
    {
      p[i] = payload (from + i, w->qid);
      if (!w->any_order)
	memcpy (b[i].data, &p[i], sizeof *p);
    }
  if (n == 0)
    return 0;
  err = memif_tx_burst (w->side->conn, w->qid, b, n, &sent);
  CHECK (sent == n || (w->any_order && err == MEMIF_ERR_DISCONNECTED));
  return sent;
}

static void *
sender (void *arg)
{
  work_t *w = arg;
  uint64_t sent = 0;
  while (sent < w->wanted && !stopped (w))
    {
      uint64_t left = w->wanted - sent;
      uint16_t n = send_some (w, sent, left < BURST ? (uint16_t) left : BURST);
      sent += n;
      if (n == 0)
	sched_yield ();
    }
  w->packets = sent;
  return NULL;
}

static void *
receiver (void *arg)
{
  work_t *w = arg;
  uint64_t next = 0;
  static _Thread_local uint8_t arena[BURST * 64];
  memif_ext_packet_t got[BURST];
  memif_buffer_t b[BURST];
  while (next < w->wanted && !stopped (w))
    {
      uint16_t n = 0;
      bool in_place = next / 512 % 2 && !w->any_order;
      int err = in_place ? memif_rx_burst (w->side->conn, w->qid, b, BURST, &n)
			 : memif_ext_rx_burst (w->side->conn, w->qid, arena, sizeof arena, sizeof (payload_t),
					       got, BURST, &n);
      CHECK (!err || err == MEMIF_ERR_NOBUF || (err == MEMIF_ERR_DISCONNECTED && w->any_order));
      for (uint16_t i = 0; i < n; i++)
	{
	  payload_t p;
	  memcpy (&p, in_place ? b[i].data : arena + got[i].offset, sizeof p);
	  payload_t wanted = payload (p.number, w->qid);
	  CHECK (memcmp (&p, &wanted, sizeof p) == 0);
	  CHECK (w->any_order ? p.number >= next : p.number == next);
	  next = p.number + 1;
	  w->packets++;
	}
      if (in_place)
	OK (memif_refill_queue (w->side->conn, w->qid, n, 0));
      if (n == 0)
	sched_yield ();
    }
  return NULL;
}

/* A sender that leaves gaps, for links that come and go, uses the copying calls only. */
static void *
flapping_sender (void *arg)
{
  work_t *w = arg;
  uint64_t number = 0;
  while (!stopped (w))
    {
      payload_t p = payload (number, w->qid);
      memif_ext_slice_t slice = { (const uint8_t *) &p, sizeof p };
      uint16_t n = 0, slots;
      int err = memif_ext_tx_burst (w->side->conn, w->qid, &slice, 1, &n);
      CHECK (!err || err == MEMIF_ERR_NOBUF_RING || err == MEMIF_ERR_DISCONNECTED);
      number += n;
      if (n == 0)
	sched_yield ();
      memif_ext_tx_free (w->side->conn, w->qid, &slots);
    }
  w->packets = number;
  return NULL;
}

/* Threads of queue i: from the slave to the master, and back. */
typedef struct
{
  work_t work[4 * QUEUES];
  pthread_t threads[4 * QUEUES];
} crowd_t;

static void
crowd_start (crowd_t *c, pair_t *p, uint64_t wanted, _Atomic bool *stop)
{
  for (unsigned i = 0; i < 4 * QUEUES; i++)
    {
      bool sends = i % 2, to_master = i / 2 % 2;
      side_t *side = sends == to_master ? &p->slave : &p->master;
      c->work[i] = (work_t){ .side = side, .qid = (uint16_t) (i / 4), .wanted = wanted, .stop = stop, .any_order = stop };
      void *(*run) (void *) = !sends ? receiver : stop ? flapping_sender : sender;
      CHECK (pthread_create (&c->threads[i], NULL, run, &c->work[i]) == 0);
    }
}

static void
crowd_join (crowd_t *c)
{
  for (unsigned i = 0; i < 4 * QUEUES; i++)
    CHECK (pthread_join (c->threads[i], NULL) == 0);
}

static const settings_t settings
  = { .log2_ring_size = LOG2, .buffer_size = 256, .s2m = QUEUES, .m2s = QUEUES, .ext.keep_unread = 1 };

static void
sixteen_queues_each_way (void)
{
  pair_t p = { 0 };
  crowd_t c;
  uint64_t wanted = packets_per_queue ();
  pair_open (&p, settings);
  crowd_start (&c, &p, wanted, NULL);
  crowd_join (&c);
  for (unsigned i = 0; i < 4 * QUEUES; i++)
    EQUAL (c.work[i].packets, wanted);
  pair_close (&p);
}

/* Nothing stands still: every queue is busy, the control threads take the link down and up. */

typedef struct
{
  side_t *side;
  _Atomic bool *stop;
} control_t;

/* As if the peer had died: its control connection ends, whatever it is doing. */
static void
cut_links (void)
{
  /* What former links had is closed a moment later, and takes numbers until then. */
  for (int fd = 3; fd < 4096; fd++)
    {
      int type = 0;
      socklen_t len = sizeof type;
      struct sockaddr_un sun;
      socklen_t sun_len = sizeof sun;
      if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET
	  && getpeername (fd, (struct sockaddr *) &sun, &sun_len) == 0)
	shutdown (fd, SHUT_RDWR);
    }
}

static void *
control (void *arg)
{
  control_t *c = arg;
  while (!atomic_load (c->stop))
    OK (memif_poll_event (c->side->sock, 1));
  return NULL;
}

static void
links_up_and_down (void)
{
  pair_t p = { 0 };
  crowd_t c;
  _Atomic bool stop = false, control_stop = false;
  const char *set = getenv ("THREADS_LINKS");
  int links = set ? atoi (set) : 50;
  pair_open (&p, settings);
  crowd_start (&c, &p, UINT64_MAX, &stop);
  control_t of_slave = { &p.slave, &control_stop };
  pthread_t thread;
  CHECK (pthread_create (&thread, NULL, control, &of_slave) == 0);
  for (int i = 0; i < links; i++)
    {
      int ups = p.master.ups;
      for (int turns = 0; turns < 5; turns++)
	OK (memif_poll_event (p.master.sock, 1));
      cut_links ();
      while (p.master.ups == ups)
	OK (memif_poll_event (p.master.sock, 2));
    }
  atomic_store (&stop, true);
  crowd_join (&c);
  atomic_store (&control_stop, true);
  CHECK (pthread_join (thread, NULL) == 0);
  uint64_t received = 0;
  for (unsigned i = 0; i < 4 * QUEUES; i += 2)
    received += c.work[i].packets;
  CHECK (received > 0);
  pair_close (&p);
}

/* In a process that may not use membarrier: queues then take a fence instead. */
static void
without_membarrier (void)
{
  struct sock_filter filter[] = {
    BPF_STMT (BPF_LD | BPF_W | BPF_ABS, offsetof (struct seccomp_data, nr)),
    BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
    BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
  fflush (NULL);
  pid_t pid = fork ();
  CHECK (pid >= 0);
  if (pid == 0)
    {
      if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
	_exit (77); /* as under qemu, which has no membarrier anyway */
      setenv ("THREADS_PACKETS", "20000", 1);
      exec_self ("sixteen_queues_each_way", "links_up_and_down", NULL);
    }
  int status;
  CHECK (waitpid (pid, &status, 0) == pid && WIFEXITED (status));
  if (WEXITSTATUS (status) == 77)
    printf ("  without_membarrier: seccomp filters are not to be had here\n");
  else
    EQUAL (WEXITSTATUS (status), 0);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "sixteen_queues_each_way", sixteen_queues_each_way },
    { "links_up_and_down", links_up_and_down },
    { "without_membarrier", without_membarrier },
  };
  return RUN (argc, argv, tests);
}
