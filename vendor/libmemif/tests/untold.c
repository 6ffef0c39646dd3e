/* Packets that nobody tells a sleeping reader of. A sender without a fence may take a receiver that
 * has just gone to sleep for one that is awake. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "support.h"

#include "control.h"

static uint8_t bytes[4096];

static int
read_all (memif_conn_handle_t conn, void *ctx, uint16_t qid)
{
  side_t *side = ctx;
  memif_ext_packet_t packet;
  uint16_t received;
  do
    {
      OK (memif_ext_rx_burst (conn, qid, bytes, sizeof bytes, sizeof bytes, &packet, 1, &received));
      side->interrupts[qid] += received;
    }
  while (received);
  return 0;
}

static void
send_untold (pair_t *p, unsigned packet)
{
  ring_t *ring = ((conn_t *) p->slave.conn)->tx[0]->ring;
  const uint16_t asleep = atomic_load (&ring->flags);
  EQUAL (asleep & RING_NO_INTERRUPT, 0);
  atomic_store (&ring->flags, asleep | RING_NO_INTERRUPT);
  OK (send_packet (p->slave.conn, 0, packet, 64));
  atomic_store (&ring->flags, asleep);
}

static void
a_program_with_on_interrupt_gets_what_nobody_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .on_interrupt = read_all });
  for (unsigned packet = 1; packet <= 3; packet++)
    {
      send_untold (&p, packet);
      const uint64_t start = now_ms ();
      while (p.master.interrupts[0] < packet)
	{
	  CHECK (now_ms () - start < LONG_MS);
	  OK (memif_poll_event (p.master.sock, 10));
	}
    }
  pair_close (&p);
}

/* A program that waits on the queue's descriptor, and asks for it while the queue sleeps. */
static void
a_descriptor_asked_for_late_tells_of_what_nobody_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4 });
  struct pollfd efd = { .events = POLLIN };
  OK (memif_get_queue_efd (p.master.conn, 0, &efd.fd));
  send_untold (&p, 1);
  const uint64_t start = now_ms ();
  while (poll (&efd, 1, 0) == 0)
    {
      CHECK (now_ms () - start < LONG_MS);
      OK (memif_poll_event (p.master.sock, 10));
    }
  pair_close (&p);
}

typedef struct
{
  memif_conn_handle_t conn;
  _Atomic pid_t thread;
  int result;
} waiter_t;

static void *
wait_long (void *arg)
{
  waiter_t *waiter = arg;
  waiter->thread = gettid ();
  OK (memif_ext_rx_wait (waiter->conn, 0, LONG_MS * 1000000ull, 0, 0, &waiter->result));
  return NULL;
}

static bool
is_asleep (pid_t thread)
{
  char name[64], state = 0;
  snprintf (name, sizeof name, "/proc/self/task/%d/stat", thread);
  FILE *f = fopen (name, "r");
  CHECK (!f || fscanf (f, "%*d (%*[^)]) %c", &state) == 1);
  if (f)
    fclose (f);
  return state == 'S';
}

/* One that sleeps in the library. */
static void
a_reader_that_sleeps_finds_what_nobody_told_of (void)
{
  pair_t p = { 0 };
  pair_open (&p, (settings_t){ .log2_ring_size = 4, .ext = { .keep_unread = 1 } });
  waiter_t waiter = { .conn = p.master.conn };
  queue_t *q = ((conn_t *) p.master.conn)->rx[0];
  OK (memif_set_rx_mode (p.master.conn, MEMIF_RX_MODE_POLLING, 0)); /* until it waits */
  pthread_t thread;
  CHECK (pthread_create (&thread, NULL, wait_long, &waiter) == 0);
  const uint64_t start = now_ms ();
  while (!atomic_load (&q->armed_at) || !is_asleep (waiter.thread))
    {
      CHECK (now_ms () - start < LONG_MS);
      usleep (1000);
    }
  send_untold (&p, 1);
  CHECK (pthread_join (thread, NULL) == 0);
  EQUAL (waiter.result, MEMIF_EXT_WAIT_READY);
  pair_close (&p);
}

int
main (int argc, char **argv)
{
  static const test_t tests[] = {
    { "a_program_with_on_interrupt_gets_what_nobody_told_of", a_program_with_on_interrupt_gets_what_nobody_told_of },
    { "a_descriptor_asked_for_late_tells_of_what_nobody_told_of", a_descriptor_asked_for_late_tells_of_what_nobody_told_of },
    { "a_reader_that_sleeps_finds_what_nobody_told_of", a_reader_that_sleeps_finds_what_nobody_told_of },
  };
  return RUN (argc, argv, tests);
}
