/* Ending what peers brought: connections, descriptors, memory. That may take as long as a peer
 * likes: the last close of a file waits for its daemon, that of a socket for what it has to send,
 * and a socket's queue may hold more of both. So it is never done by who serves the links.
 *
 * One thread sorts. What waits for nobody it ends itself: all that a peer by the book brings,
 * which so never stands behind anything else. The rest goes to a few other threads, of which no
 * process and no user can hold all. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base.h"

enum { THREADS = 8, THREADS_OF_PROCESS = 2, THREADS_OF_USER = 4 };
/* What may be slow of one process, also as a part of the descriptors that we may have; in such
 * shares, what may be of a user, and what may be here of all. */
enum { MOST_OF_PROCESS = 1024, PART_OF_PROCESS = 16, SHARES_OF_USER = 2, SHARES_OF_ALL = 4 };

/* A descriptor that waits, found by its number: to put one here needs no memory, and can't fail. */
typedef struct
{
  int next; /* -1: the last */
  foreign_kind_t kind;
  memif_ext_peer_t from;
} entry_t;

typedef struct
{
  int first, last;
} list_t;

typedef struct
{
  bool running, busy;
  memif_ext_peer_t from;
} thread_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static entry_t *entries;
static size_t capacity;
static list_t fresh = { -1, -1 }, slow = { -1, -1 };
static mapping_t *mappings;
static thread_t threads[THREADS];
static unsigned users;
static bool sorting;
static _Atomic unsigned unchecked; /* descriptors here of which nothing is known */

static void
append (list_t *list, int fd)
{
  entries[fd].next = -1;
  *(list->first < 0 ? &list->first : &entries[list->last].next) = fd;
  list->last = fd;
}

static void
take_out (list_t *list, int before, int fd)
{
  *(before < 0 ? &list->first : &entries[before].next) = entries[fd].next;
  if (list->last == fd)
    list->last = before;
}

static unsigned
busy_for (const memif_ext_peer_t *from, bool whole_user)
{
  unsigned n = 0;
  for (int i = 0; i < THREADS; i++)
    n += threads[i].busy && threads[i].from.uid == from->uid
	 && (whole_user || threads[i].from.pid == from->pid);
  return n;
}

/* The first whose process and user have not all of their threads in use. */
static int
take_slow (void)
{
  for (int before = -1, fd = slow.first; fd >= 0; before = fd, fd = entries[fd].next)
    if (busy_for (&entries[fd].from, false) < THREADS_OF_PROCESS
	&& busy_for (&entries[fd].from, true) < THREADS_OF_USER)
      {
	take_out (&slow, before, fd);
	return fd;
      }
  return -1;
}

static void *
end_slow (void *arg)
{
  thread_t *t = arg;
  pthread_mutex_lock (&lock);
  for (int fd; (fd = take_slow ()) >= 0;)
    {
      t->busy = true;
      t->from = entries[fd].from;
      pthread_mutex_unlock (&lock);
      end_slowly (fd);
      atomic_fetch_sub (&unchecked, 1);
      pthread_mutex_lock (&lock);
      t->busy = false;
    }
  t->running = false;
  pthread_mutex_unlock (&lock);
  return NULL;
}

static bool
start (void *(*run) (void *), void *arg)
{
  pthread_t thread;
  sigset_t all, before;
  sigfillset (&all); /* signals are for the program's threads */
  pthread_sigmask (SIG_SETMASK, &all, &before);
  bool started = pthread_create (&thread, NULL, run, arg) == 0;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  if (started)
    pthread_detach (thread);
  return started;
}

/* One more, which ends when nothing is left for it. */
static bool
start_slow (void)
{
  for (int i = 0; i < THREADS; i++)
    if (!threads[i].running)
      return threads[i].running = start (end_slow, &threads[i]);
  return true;
}

/* With the lock held: ends the first that has come, if that waits for nobody, or puts it behind what
 * is slow. */
static void
sort_one (void)
{
  const int fd = fresh.first;
  const foreign_kind_t kind = entries[fd].kind;
  take_out (&fresh, -1, fd);
  pthread_mutex_unlock (&lock);
  /* The place is another's as soon as the number is free. */
  const bool ends = ends_at_once (fd, kind);
  if (ends)
    {
      close (fd);
      if (kind != FOREIGN_CHECKED)
	atomic_fetch_sub (&unchecked, 1);
    }
  pthread_mutex_lock (&lock);
  if (!ends)
    append (&slow, fd);
}

static void *
sort (void *unused)
{
  bool tended = true;
  pthread_mutex_lock (&lock);
  while (users || fresh.first >= 0 || mappings || !tended)
    if (fresh.first >= 0)
      {
	sort_one ();
	tended = slow.first < 0 || start_slow ();
      }
    else if (mappings)
      {
	mapping_t *maps = mappings;
	mappings = NULL;
	pthread_mutex_unlock (&lock);
	mappings_end (maps);
	pthread_mutex_lock (&lock);
      }
    else if (tended)
      pthread_cond_wait (&work, &lock);
    else
      {
	/* The system has no thread for us. */
	struct timespec at;
	clock_gettime (CLOCK_REALTIME, &at);
	at.tv_sec++;
	pthread_cond_timedwait (&work, &lock, &at);
	tended = start_slow ();
      }
  sorting = false;
  pthread_mutex_unlock (&lock);
  return unused;
}

bool
foreign_open (void)
{
  pthread_mutex_lock (&lock);
  bool ok = sorting = sorting || start (sort, NULL);
  users += ok;
  pthread_mutex_unlock (&lock);
  return ok;
}

void
foreign_done (void)
{
  pthread_mutex_lock (&lock);
  users--;
  pthread_cond_signal (&work);
  pthread_mutex_unlock (&lock);
}

/* With the lock held: room for descriptors up to this one. Pages that are never touched cost
 * nothing. */
static bool
make_room (size_t count)
{
  size_t bytes = count * sizeof *entries;
  void *grown = count <= capacity ? entries
		: entries	  ? mremap (entries, capacity * sizeof *entries, bytes, MREMAP_MAYMOVE)
				  : mmap (NULL, bytes, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (grown == MAP_FAILED)
    return false;
  entries = grown;
  if (count > capacity)
    capacity = count;
  return true;
}

bool
foreign_ready (void)
{
  struct rlimit limit;
  if (getrlimit (RLIMIT_NOFILE, &limit) < 0)
    return false;
  pthread_mutex_lock (&lock);
  bool ready = make_room (limit.rlim_cur);
  pthread_mutex_unlock (&lock);
  return ready;
}

void
foreign_close (int fd, foreign_kind_t kind, const memif_ext_peer_t *from)
{
  bool wake = false;
  pthread_mutex_lock (&lock);
  /* Beyond foreign_ready only when the program has raised its limit since; it stays open if there
   * is no memory at just that moment. */
  if (make_room ((size_t) fd + 1))
    {
      entries[fd] = (entry_t){ .kind = kind, .from = *from };
      if (kind != FOREIGN_CHECKED)
	atomic_fetch_add (&unchecked, 1);
      wake = fresh.first < 0;
      append (&fresh, fd);
    }
  pthread_mutex_unlock (&lock);
  if (wake)
    pthread_cond_signal (&work);
}

void
foreign_hang_up (int fd, const memif_ext_peer_t *from)
{
  shutdown (fd, SHUT_RDWR); /* the peer is told now, and can send nothing more */
  foreign_close (fd, FOREIGN_CHANNEL, from);
}

static void
count_slow (const memif_ext_peer_t *from, unsigned *process, unsigned *user)
{
  for (int fd = slow.first; fd >= 0; fd = entries[fd].next)
    if (entries[fd].from.uid == from->uid)
      {
	++*user;
	*process += entries[fd].from.pid == from->pid;
      }
}

/* With the lock held. */
static size_t
share (void)
{
  size_t part = capacity / PART_OF_PROCESS;
  return part < MOST_OF_PROCESS ? part : MOST_OF_PROCESS;
}

bool
foreign_crowded (const memif_ext_peer_t *from, bool process_only)
{
  unsigned process = 0, user = 0;
  if (atomic_load (&unchecked) == 0)
    return false;
  pthread_mutex_lock (&lock);
  const size_t most = share ();
  if (atomic_load (&unchecked) >= most)
    count_slow (from, &process, &user); /* what is not sorted yet will mostly be no trouble */
  bool crowded = process >= most || (!process_only && user >= SHARES_OF_USER * most);
  pthread_mutex_unlock (&lock);
  return crowded;
}

bool
foreign_full (void)
{
  pthread_mutex_lock (&lock);
  bool full = atomic_load (&unchecked) >= SHARES_OF_ALL * share ();
  pthread_mutex_unlock (&lock);
  return full;
}

void
foreign_unmap (mapping_t *list)
{
  mapping_t *last = list;
  if (!last)
    return;
  while (last->next)
    last = last->next;
  pthread_mutex_lock (&lock);
  last->next = mappings;
  mappings = list;
  pthread_cond_signal (&work);
  pthread_mutex_unlock (&lock);
}
