/* Who may touch a queue: its owner, or somebody else. See queue_enter. */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control.h"

_Atomic bool owner_needs_fence = true; /* until membarrier is known to work */

static long
membarrier (int command)
{
  return syscall (SYS_membarrier, command, 0, 0);
}

static void
open_once (void)
{
  if (membarrier (MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
    atomic_store (&owner_needs_fence, false);
}

void
locks_open (void)
{
  /* Nobody has a queue before it is decided how owners and lockers meet. */
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once (&once, open_once);
}

/* Spins, yields, then sleeps: whoever is in may have a lower priority. */
static void
back_off (unsigned spins)
{
  if (spins > 1000)
    nanosleep (&(struct timespec){ .tv_nsec = 50000 }, NULL);
  else if (spins > 64)
    sched_yield ();
}

void
queue_wait_gate (queue_t *q)
{
  /* Relaxed: queue_enter looks again, and acquires. */
  for (unsigned spins = 65; atomic_load_explicit (&q->gate, memory_order_relaxed); spins++)
    back_off (spins);
}

/* Every entry from now on sees the gate, and what came before it we see. */
static void
barrier (void)
{
  static _Atomic bool lost;
  if (!atomic_load (&owner_needs_fence))
    {
      if (membarrier (MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
	return;
      atomic_store (&lost, true);
      atomic_store (&owner_needs_fence, true);
    }
  if (atomic_load (&lost))
    /* It was taken away from us: let entries without a fence end. */
    nanosleep (&(struct timespec){ .tv_nsec = 1000000 }, NULL);
  /* Pairs with the fence in queue_enter: it sees the gate, or we see busy. */
  atomic_thread_fence (memory_order_seq_cst);
}

void
queue_lock (queue_t *q)
{
  /* Sequential, so it is before barrier; and takes over from the last queue_unlock. */
  for (unsigned spins = 0; atomic_exchange_explicit (&q->gate, true, memory_order_seq_cst); spins++)
    back_off (spins);
  barrier ();
  /* Acquire: what the owner did, before queue_leave's release. */
  for (unsigned spins = 0; atomic_load_explicit (&q->busy, memory_order_acquire); spins++)
    back_off (spins);
}

void
queue_unlock (queue_t *q)
{
  /* Release: to the acquire in queue_enter, and to the next queue_lock. */
  atomic_store_explicit (&q->gate, false, memory_order_release);
}
