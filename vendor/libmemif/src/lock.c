/* Who may touch a queue: its owner, or somebody else. See queue_enter. */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"

_Atomic bool owner_needs_fence;

static long
membarrier (int command)
{
  return syscall (SYS_membarrier, command, 0, 0);
}

void
locks_open (void)
{
  atomic_store_explicit (&owner_needs_fence,
			 membarrier (MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0,
			 memory_order_relaxed);
}

void
queue_wait_gate (queue_t *q)
{
  while (atomic_load_explicit (&q->gate, memory_order_acquire))
    sched_yield ();
}

void
queue_lock (queue_t *q, int efd)
{
  unsigned spins = 0;
  for (; atomic_exchange_explicit (&q->gate, true, memory_order_seq_cst); spins++)
    {
      sched_yield ();
      if (spins > 1000 && efd >= 0)
	event_clear (efd);
    }
  if (owner_needs_fence || membarrier (MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
    atomic_thread_fence (memory_order_seq_cst);
  for (spins = 0; atomic_load_explicit (&q->busy, memory_order_acquire); spins++)
    {
      if (spins > 64)
	sched_yield ();
      if (spins > 1000 && efd >= 0)
	event_clear (efd);
    }
}

void
queue_unlock (queue_t *q)
{
  atomic_store_explicit (&q->gate, false, memory_order_release);
}
