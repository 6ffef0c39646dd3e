/* Interrupts, receive modes, and waiting for packets. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "rx.h"

void
queue_arm (queue_t *q)
{
  /* Relaxed: only we write the flags, and the fence below orders it. */
  uint16_t flags = atomic_load_explicit (&q->ring->flags, memory_order_relaxed);
  atomic_store_explicit (&q->ring->flags, flags & (uint16_t) ~RING_NO_INTERRUPT,
			 memory_order_relaxed);
  q->armed = true;
  q->idle = 0;
  const bool watched = q->conn->on_interrupt || atomic_load_explicit (&q->watched, memory_order_relaxed);
  atomic_store_explicit (&q->armed_at, SLEEPS_ON | q->next, memory_order_relaxed);
  if (watched)
    atomic_store_explicit (&q->fresh, true, memory_order_relaxed);
  /* The counter is looked at again after this: either the producer sees the
   * flag, or we see its packet. Pairs with the fence in tx_publish. */
  atomic_thread_fence (memory_order_seq_cst);
  /* Some producers have no fence: see look.c. */
  if (watched)
    loop_ask_look (q->conn->sock);
}

void
queue_disarm (queue_t *q)
{
  /* Relaxed: seen late, it costs the peer a signal too many. */
  uint16_t flags = atomic_load_explicit (&q->ring->flags, memory_order_relaxed);
  atomic_store_explicit (&q->ring->flags, flags | RING_NO_INTERRUPT, memory_order_relaxed);
  q->armed = false;
  atomic_store_explicit (&q->armed_at, 0, memory_order_relaxed);
}

void
queue_clear_event (queue_t *q)
{
  if (q->efd >= 0)
    eventfd_clear (q->efd);
}

void
queue_spend_event (queue_t *q)
{
  struct epoll_event events[2];
  /* Relaxed: one that is set meanwhile is heeded at the next look. */
  if (q->epfd >= 0 && atomic_load_explicit (&q->watched, memory_order_relaxed))
    (void) epoll_wait (q->epfd, events, 2, 0); /* an edge, which is taken so */
  if (q->conn->on_interrupt || q->clears)
    queue_clear_event (q);
}

void
queue_attention (queue_t *q)
{
  uint64_t one = 1;
  if (q->wake_fd < 0)
    return;
  if (write (q->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN) /* full is readable */
    logf_ (q->conn->sock, MEMIF_EXT_LOG_ERROR, "a reader can't be woken (errno %d)", errno);
  /* After the write: who sees the flag finds something to read. */
  atomic_store_explicit (&q->attention, true, memory_order_release);
}

void
queue_heed_slow (queue_t *q)
{
  /* Relaxed: the read is after it. One set between is read too, and looked for once more. */
  atomic_store_explicit (&q->attention, false, memory_order_relaxed);
  loop_drain (q->wake_fd);
}

int
memif_set_rx_mode (memif_conn_handle_t conn, memif_rx_mode_t rx_mode, uint16_t qid)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q)
    return queue_missing (conn, qid, true);
  if (rx_mode != MEMIF_RX_MODE_INTERRUPT && rx_mode != MEMIF_RX_MODE_POLLING)
    return MEMIF_ERR_INVAL_ARG;
  queue_lock (q);
  q->polling = rx_mode == MEMIF_RX_MODE_POLLING;
  if (q->state == QUEUE_UP)
    {
      if (q->polling)
	{
	  queue_disarm (q);
	  queue_clear_event (q);
	}
      else
	queue_arm (q);
      /* What arrived while nobody was to be woken is told of now. */
      if (!q->polling && rx_published (q) > 0 && !queue_signal (q))
	queue_fault (q, "its eventfd can't be written (errno %d)", errno);
    }
  queue_unlock (q);
  return MEMIF_ERR_SUCCESS;
}

/* The program waits by itself from now on; an event of before is gone after the next look. */
static void
queue_watched (queue_t *q, bool by_efd)
{
  if (atomic_load_explicit (&q->watched, memory_order_relaxed) && !by_efd)
    return;
  queue_lock (q);
  q->clears |= by_efd;
  /* Relaxed: seen by the owner with the lock. */
  atomic_store_explicit (&q->watched, true, memory_order_relaxed);
  if (q->state == QUEUE_UP && q->armed)
    queue_arm (q); /* from now on with the looks of the control thread */
  queue_unlock (q);
}

int
memif_get_queue_efd (memif_conn_handle_t conn, uint16_t qid, int *fd)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!conn)
    return MEMIF_ERR_NOCONN;
  if (!q || !fd)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, true);
  if (!eventfds_can_be_cleared ())
    return fail (q->conn->sock, MEMIF_ERR_SYSCALL, "%s", NO_CLEARING);
  queue_watched (q, true);
  queue_lock (q);
  *fd = q->efd;
  queue_unlock (q);
  return *fd < 0 ? MEMIF_ERR_DISCONNECTED : MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_prepare (memif_conn_handle_t conn, uint16_t qid)
{
  queue_t *q = queue_of (conn, qid, true);
  return q ? queue_prepare (q) : queue_missing (conn, qid, true);
}

int
memif_ext_rx_fd (memif_conn_handle_t conn, uint16_t qid, int *fd)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q || !fd)
    return q ? MEMIF_ERR_INVAL_ARG : queue_missing (conn, qid, true);
  int err = queue_prepare (q);
  if (err)
    return err;
  queue_watched (q, false);
  *fd = q->epfd;
  return q->epfd < 0 ? MEMIF_ERR_INVAL_ARG : MEMIF_ERR_SUCCESS;
}

int
memif_ext_rx_wake (memif_conn_handle_t conn, uint16_t qid)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  /* Before queue_attention; release: to the acquire in wait_look. */
  atomic_store_explicit (&q->woken, true, memory_order_release);
  queue_attention (q);
  return MEMIF_ERR_SUCCESS;
}

/* Why to keep waiting, where there is no result. */
enum
{
  WAIT_ON = -1,
  WAIT_ARMED = -2, /* it was armed just now */
  WAIT_SLOW = -3,  /* a look may take its time */
};

/* One look at the queue; arms it when the caller is about to sleep. */
static int
wait_look (queue_t *q, bool through_down, bool sleeping)
{
  int result = WAIT_ON;
  queue_enter (q);
  queue_heed (q);
  const bool news = q->peer == q->next; /* what is found was not known before */
  while (q->pending && q->state == QUEUE_DRAINING && rx_published (q) == 0)
    queue_drained (q);
  /* Acquire: the waiter sees what its waker did before. */
  if (atomic_exchange_explicit (&q->woken, false, memory_order_acquire))
    result = MEMIF_EXT_WAIT_WOKEN;
  else if (q->state == QUEUE_GONE)
    result = through_down || queue_lacking (q) ? WAIT_ON : MEMIF_EXT_WAIT_LINK_DOWN;
  else if (rx_published (q) != 0)
    result = MEMIF_EXT_WAIT_READY;
  else if (sleeping && q->state == QUEUE_UP)
    {
      queue_spend_event (q); /* armed or not: it may have come late */
      if (!q->armed)
	{
	  queue_arm (q);
	  result = WAIT_ARMED;
	}
      if (rx_published (q) != 0)
	result = MEMIF_EXT_WAIT_READY;
    }
  if (result == MEMIF_EXT_WAIT_READY && q->state == QUEUE_UP)
    {
      if (news)
	rx_note_full (q, (uint16_t) (q->peer - q->next));
      if (q->armed)
	queue_disarm (q); /* its event goes when the queue is armed again */
    }
  if (result == WAIT_ON && q->fault == FAULT_OVERRUN)
    result = WAIT_SLOW;
  queue_leave (q);
  return result;
}

static inline void
pause_cpu (void)
{
#if defined(__x86_64__)
  __builtin_ia32_pause ();
#elif defined(__aarch64__)
  __asm__ volatile ("yield");
#endif
}

/* Until an event, which it takes, or for so long; UINT64_MAX: for ever. */
static int
sleep_on (int epfd, uint64_t ns)
{
  struct timespec time = { .tv_sec = (time_t) (ns / NSEC_PER_SEC), .tv_nsec = (long) (ns % NSEC_PER_SEC) };
  struct timespec *limit = ns == UINT64_MAX ? NULL : &time;
  struct epoll_event events[2];
#if defined(SYS_epoll_pwait2) && __SIZEOF_LONG__ == 8 /* it takes 64-bit times only */
  long n = syscall (SYS_epoll_pwait2, epfd, events, 2, limit, NULL, (size_t) 0);
  if (n >= 0 || (errno != ENOSYS && errno != EPERM)) /* seccomp may say EPERM */
    return (int) n;
#endif
  struct pollfd p = { .fd = epfd, .events = POLLIN };
  return ppoll (&p, 1, limit, NULL) < 0 ? -1 : epoll_wait (epfd, events, 2, 0);
}

/* Some looks, one after the other. */
static int
wait_looks (queue_t *q, bool through_down)
{
  enum { LOOKS = 32 };
  int seen = WAIT_ON;
  for (int i = 0; i < LOOKS && seen == WAIT_ON; i++)
    {
      pause_cpu ();
      seen = wait_look (q, through_down, false);
    }
  return seen;
}

/* For so long; UINT64_MAX: for ever. */
static uint64_t
later (uint64_t now, uint64_t ns)
{
  return ns > UINT64_MAX - now ? UINT64_MAX : now + ns;
}

/* Sleeps until there is a result; negative: the system failed. */
static int
wait_asleep (queue_t *q, uint64_t end, bool through_down)
{
  /* What was armed before may have been so just now. */
  bool fresh = true;
  uint64_t step = 0, look = UINT64_MAX;
  for (;;)
    {
      int seen = wait_look (q, through_down, true);
      if (seen >= 0)
	return seen;
      uint64_t now = now_ns ();
      if (now >= end)
	return MEMIF_EXT_WAIT_TIMED_OUT;
      if (fresh || seen == WAIT_ARMED)
	{
	  /* For a producer without a fence, as in look.c. The looks of now find nearly all of its
	   * packets, so those that interrupt the sleep begin later: a time that is the next of all
	   * that the system waits for costs a virtual machine some microseconds. */
	  fresh = false;
	  step = FIRST_LOOK_NS * LOOK_FACTOR;
	  look = now + step;
	  if ((seen = wait_looks (q, through_down)) >= 0)
	    return seen;
	  continue; /* the link may be another: the last look before a sleep is one that arms */
	}
      if (now >= look)
	{
	  step *= LOOK_FACTOR;
	  look = step > LAST_LOOK_NS ? UINT64_MAX : now + step;
	}
      uint64_t until = look < end ? look : end;
      if (sleep_on (q->epfd, until == UINT64_MAX ? until : until - now) < 0 && errno != EINTR)
	return -1;
    }
}

int
memif_ext_rx_wait (memif_conn_handle_t conn, uint16_t qid, uint64_t timeout_ns, uint64_t spin_ns,
		   int through_down, int *result)
{
  queue_t *q = queue_of (conn, qid, true);
  if (!q)
    return queue_missing (conn, qid, true);
  int err = queue_prepare (q);
  if (err)
    return err;
  if (!result || q->epfd < 0)
    return MEMIF_ERR_INVAL_ARG;
  if ((*result = wait_look (q, through_down, false)) >= 0)
    return MEMIF_ERR_SUCCESS;

  const uint64_t start = now_ns (), end = later (start, timeout_ns), spin_end = later (start, spin_ns);
  for (uint64_t now = start; now < spin_end && now < end && !queue_lacking (q); now = now_ns ())
    if ((*result = wait_looks (q, through_down)) >= 0)
      return MEMIF_ERR_SUCCESS;
  *result = wait_asleep (q, end, through_down);
  return *result < 0 ? error_of_errno (errno) : MEMIF_ERR_SUCCESS;
}
