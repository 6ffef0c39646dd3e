/* Every order of the few accesses that decide whether a sleeper is woken, and who has a queue.
 *
 * The core's own code runs here (wait.c, lock.c, tx.h), its atomic accesses replaced: two
 * coroutines stop before each of them, and a store waits in a buffer until a fence, as on x86. All
 * interleavings are tried, one after the other; no thread and no luck is needed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "support.h"

static uint64_t model_load (const volatile void *at, size_t size);
static void model_store (volatile void *at, size_t size, uint64_t value);
static uint64_t model_exchange (volatile void *at, size_t size, uint64_t value);
static void model_fence (void);
static long model_syscall (long number, ...);

/* Their results are wide, and not all of what is included is called. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(at, order) model_load (at, sizeof *(at))
#define atomic_store_explicit(at, value, order) model_store (at, sizeof *(at), (uint64_t) (value))
#define atomic_exchange_explicit(at, value, order) \
  model_exchange (at, sizeof *(at), (uint64_t) (value))
#define atomic_thread_fence(order) model_fence ()
#define syscall model_syscall
#define tx_wake_peer model_wake

#include "../src/tx.h"

#include "../src/lock.c"
#include "../src/wait.c"

/* --- The model. --- */

enum { THREADS = 2, BUFFERED = 8, STACK = 1 << 16, DEEPEST = 200 };

typedef struct
{
  volatile void *at;
  size_t size;
  uint64_t value;
} store_t;

typedef struct
{
  ucontext_t context;
  char stack[STACK];
  void (*run) (void);
  store_t stores[BUFFERED];
  unsigned buffered;
  bool ended;
  /* It looks at the same place again: until that changes it may as well wait. */
  const volatile void *watched;
  uint64_t found;
  bool spins;
} coroutine_t;

static coroutine_t threads[THREADS], *running;
static ucontext_t scheduler;

/* Which of the possible steps is taken, one after another; changed from the end for the next
 * try. */
static struct
{
  unsigned char taken[DEEPEST], possible[DEEPEST];
  unsigned depth, known;
} choices;

/* Called before a queue is entered, and before a sleep, where nobody else runs. */
static void (*before_entry) (void), (*before_sleep) (void);
static const volatile void *entered; /* which queue */

static uint64_t
memory (const volatile void *at, size_t size)
{
  uint64_t value = 0;
  memcpy (&value, (const void *) at, size);
  return value;
}

static void
flush_oldest (coroutine_t *c)
{
  memcpy ((void *) c->stores[0].at, &c->stores[0].value, c->stores[0].size);
  memmove (c->stores, c->stores + 1, --c->buffered * sizeof *c->stores);
}

static void
flush (coroutine_t *c)
{
  while (c->buffered)
    flush_oldest (c);
}

/* Another may go on first. */
static void
stop_here (void)
{
  if (running)
    swapcontext (&running->context, &scheduler);
}

static uint64_t
model_load (const volatile void *at, size_t size)
{
  coroutine_t *c = running;
  if (!c || at == &owner_needs_fence) /* which nobody changes meanwhile */
    return memory (at, size);
  stop_here ();
  uint64_t value = memory (at, size);
  for (unsigned i = 0; i < c->buffered; i++)
    if (c->stores[i].at == at)
      value = c->stores[i].value;
  c->spins = c->watched == at && c->found == value;
  c->watched = at;
  c->found = value;
  return value;
}

static void
model_store (volatile void *at, size_t size, uint64_t value)
{
  stop_here ();
  if (!running)
    {
      if (before_entry && at == entered && value)
	before_entry ();
      memcpy ((void *) at, &value, size);
      return;
    }
  CHECK (running->buffered < BUFFERED);
  running->stores[running->buffered++] = (store_t){ at, size, value };
  running->watched = NULL;
}

static uint64_t
model_exchange (volatile void *at, size_t size, uint64_t value)
{
  stop_here ();
  if (running)
    flush (running);
  uint64_t old = memory (at, size);
  memcpy ((void *) at, &value, size);
  if (running)
    running->watched = NULL;
  return old;
}

static void
model_fence (void)
{
  if (running)
    flush (running);
}

/* A barrier on all processors; nothing else that is asked for here matters. */
static long
model_syscall (long number, ...)
{
  if (number == SYS_epoll_pwait2 && before_sleep)
    before_sleep ();
  errno = EBADF;
  if (number != SYS_membarrier)
    return -1;
  stop_here ();
  for (int i = 0; i < THREADS; i++)
    flush (&threads[i]);
  return 0;
}

static void
start (void)
{
  running->run ();
  running->ended = true;
  swapcontext (&running->context, &scheduler);
}

static unsigned
choose (unsigned possible)
{
  if (choices.depth == choices.known)
    choices.taken[choices.known++] = 0;
  CHECK (choices.depth < DEEPEST - 1);
  choices.possible[choices.depth] = (unsigned char) possible;
  return choices.taken[choices.depth++];
}

static void
prepare (coroutine_t *c, void (*run) (void))
{
  c->run = run;
  c->buffered = 0;
  c->ended = c->spins = false;
  c->watched = NULL;
  CHECK (getcontext (&c->context) == 0);
  c->context.uc_stack.ss_sp = c->stack;
  c->context.uc_stack.ss_size = STACK;
  makecontext (&c->context, start, 0);
}

/* One interleaving: a step is a coroutine up to its next access, or a store that arrives. */
static void
run_once (void (*const run[THREADS]) (void))
{
  for (int i = 0; i < THREADS; i++)
    prepare (&threads[i], run[i]);
  choices.depth = 0;
  for (;;)
    {
      unsigned steps[2 * THREADS], possible = 0;
      for (unsigned i = 0; i < THREADS; i++)
	{
	  coroutine_t *c = &threads[i];
	  bool waits = c->spins && memory (c->watched, 1) == (c->found & 0xff);
	  if (!c->ended && !waits)
	    steps[possible++] = 2 * i;
	  if (c->buffered)
	    steps[possible++] = 2 * i + 1;
	}
      if (!possible)
	break;
      unsigned step = steps[choose (possible)];
      coroutine_t *c = &threads[step / 2];
      if (step % 2)
	flush_oldest (c);
      else
	{
	  running = c;
	  swapcontext (&scheduler, &c->context);
	  running = NULL;
	}
    }
  for (int i = 0; i < THREADS; i++)
    CHECK (threads[i].ended); /* or each waits for the other */
}

/* All of them; `prepare` comes before each, `look` after it. */
static void
run_all (void (*prepare) (void), void (*const run[THREADS]) (void), void (*look) (void))
{
  unsigned count = 0;
  choices.known = 0;
  do
    {
      prepare ();
      run_once (run);
      look ();
      count++;
      choices.known = choices.depth;
      while (choices.known && choices.taken[choices.known - 1] + 1 >= choices.possible[choices.known - 1])
	choices.known--;
      if (choices.known)
	choices.taken[choices.known - 1]++;
    }
  while (choices.known);
  printf ("    %u interleavings\n", count);
  CHECK (count > 10);
}

/* --- A packet and a receiver that is about to sleep. --- */

static struct
{
  queue_t tx, rx;
  conn_t conn;
  uint64_t ring[512];
  bool woken;
  int why;
} wake;

void
model_wake (queue_t *q)
{
  (void) q;
  wake.woken = true;
}

static void
prepare_wake (void)
{
  memset (&wake, 0, sizeof wake);
  ring_t *ring = (ring_t *) (void *) wake.ring;
  wake.tx = (queue_t){ .slave = true, .mask = 15, .ring = ring, .done = 1, .efd = -1 };
  wake.rx = (queue_t){ .rx = true, .mask = 15, .ring = ring, .state = QUEUE_UP, .efd = -1,
		       .epfd = -1, .wake_fd = -1, .conn = &wake.conn };
  queue_disarm (&wake.rx);
}

static void
publish (void)
{
  tx_publish (&wake.tx);
}

static void
last_look (void)
{
  wake.why = wait_look (&wake.rx, false, true);
}

static void
look_wake (void)
{
  /* It found the packet, or its sleep will be short. */
  CHECK (wake.why == MEMIF_EXT_WAIT_READY || wake.woken);
}

static void
a_packet_is_found_or_wakes (void)
{
  run_all (prepare_wake, (void (*const[]) (void)){ publish, last_look }, look_wake);
}

/* As libmemif and VPP send: its processor may look at the flag before the counter is seen. */
static void
publish_without_fence (void)
{
  atomic_store_explicit (&wake.tx.ring->head, wake.tx.done, memory_order_release);
  if (!(atomic_load_explicit (&wake.tx.ring->flags, memory_order_relaxed) & RING_NO_INTERRUPT))
    model_wake (&wake.tx);
}

static unsigned missed;

static void
look_later (void)
{
  if (wake.why == MEMIF_EXT_WAIT_READY || wake.woken)
    return;
  missed++;
  /* A later look, when all that was written has arrived. */
  last_look ();
  EQUAL (wake.why, MEMIF_EXT_WAIT_READY);
}

static void
a_packet_that_no_fence_follows_is_found_later (void)
{
  missed = 0;
  run_all (prepare_wake, (void (*const[]) (void)){ publish_without_fence, last_look }, look_later);
  printf ("    %u of them found it late\n", missed);
  CHECK (missed > 0);
}

/* Entries of the reader until it is disarmed, as by a link that comes up, and those made. */
static unsigned disarmed_at, entries, sleeps;

static void
disarm_once (void)
{
  if (++entries == disarmed_at)
    queue_disarm (&wake.rx);
}

static void
sleep_armed (void)
{
  sleeps++;
  CHECK (wake.rx.armed);
}

static void
a_reader_is_armed_when_it_sleeps (void)
{
  before_entry = disarm_once;
  before_sleep = sleep_armed;
  entered = &wake.rx.busy;
  for (int polling = 0; polling < 2; polling++)
    for (disarmed_at = 1; disarmed_at == 1 || disarmed_at < entries; disarmed_at++)
      {
	prepare_wake ();
	wake.rx.polling = polling;
	entries = sleeps = 0;
	EQUAL (wait_asleep (&wake.rx, UINT64_MAX, false), -1); /* as nothing can be slept on here */
	EQUAL (sleeps, 1);
	CHECK (entries > 30);
      }
  before_entry = before_sleep = NULL;
}

/* --- The owner of a queue, and who locks it. --- */

static struct
{
  queue_t q;
  int inside, most;
} door;

static void
prepare_door (void)
{
  memset (&door, 0, sizeof door);
}

static void
come_and_go (void)
{
  door.inside++;
  stop_here ();
  door.most = door.inside > door.most ? door.inside : door.most;
  door.inside--;
}

static void
enter (void)
{
  queue_enter (&door.q);
  come_and_go ();
  queue_leave (&door.q);
}

static void
lock (void)
{
  queue_lock (&door.q);
  come_and_go ();
  queue_unlock (&door.q);
}

static void
look_door (void)
{
  EQUAL (door.most, 1);
}

static void
one_is_in_at_a_time (void)
{
  for (int fence = 0; fence < 2; fence++)
    {
      /* By membarrier, and where that is not to be had. */
      owner_needs_fence = fence;
      run_all (prepare_door, (void (*const[]) (void)){ enter, lock }, look_door);
    }
}

int
main (int argc, char **argv)
{
#ifdef __SANITIZE_THREAD__
  /* It knows no coroutines, and the core has no fences for it. */
  return 0;
#endif
  static const test_t tests[] = {
    { "a_packet_is_found_or_wakes", a_packet_is_found_or_wakes },
    { "a_packet_that_no_fence_follows_is_found_later", a_packet_that_no_fence_follows_is_found_later },
    { "a_reader_is_armed_when_it_sleeps", a_reader_is_armed_when_it_sleeps },
    { "one_is_in_at_a_time", one_is_in_at_a_time },
  };
  return RUN (argc, argv, tests);
}
