/* The memory of a link between others: found, and mapped read-only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "observe.h"

/* Where the first ring may begin. */
enum { FIRST_PAGES = 4 * 4096 };

/* Reading does not fill holes, as touching a mapping of them would. */
static bool
cookie_at (int fd, uint64_t offset)
{
  uint32_t cookie = 0;
  return pread (fd, &cookie, sizeof cookie, (off_t) offset) == sizeof cookie && cookie == RING_COOKIE;
}

/* The log2 size of the ring here, by where the next begins; 0 where none follows. */
static uint8_t
size_by_next (int fd, uint64_t offset)
{
  for (uint8_t log2 = 1; log2 <= MAX_LOG2_RING_SIZE; log2++)
    if (cookie_at (fd, offset + ring_bytes (log2)))
      return log2;
  return 0;
}

/* A ring that is alone: its descriptors end with the file. */
static uint8_t
size_by_file (uint64_t left)
{
  for (uint8_t log2 = MAX_LOG2_RING_SIZE; log2 >= 1; log2--)
    if (ring_bytes (log2) <= left)
      return log2;
  return 0;
}

uint16_t
memif_ext_view_find (int fd, memif_ext_view_ring_t *rings)
{
  struct stat st;
  uint64_t offset = 0;
  uint16_t n = 0;
  if (!rings || fstat (fd, &st) < 0 || st.st_size < (off_t) ring_bytes (1))
    return 0;
  const uint64_t size = (uint64_t) st.st_size;
  uint8_t head[FIRST_PAGES];
  const ssize_t got = pread (fd, head, sizeof head, 0);
  for (;; offset += 64)
    {
      uint32_t cookie;
      if (got < 0 || offset + sizeof cookie > (uint64_t) got)
	return 0;
      memcpy (&cookie, head + offset, sizeof cookie);
      if (cookie == RING_COOKIE)
	break;
    }
  while (n < MEMIF_EXT_VIEW_RINGS && offset <= UINT32_MAX && cookie_at (fd, offset))
    {
      uint8_t log2 = size_by_next (fd, offset);
      if (!log2) /* the last is as large as the one before */
	log2 = n ? rings[n - 1].log2_size : size_by_file (size - offset);
      if (!log2 || offset + ring_bytes (log2) > size)
	break;
      rings[n++] = (memif_ext_view_ring_t){ .offset = (uint32_t) offset, .log2_size = log2 };
      offset += ring_bytes (log2);
    }
  return n;
}

static const uint64_t MAX_REGION_SIZE = 1ull << 36;

static const char *
map_region (memif_ext_view_handle_t v, int fd, bool allow_unsealed)
{
  struct stat st;
  struct statfs fs;
  if (fstatfs (fd, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC))
    return "a region is no shared memory";
  const int seals = fcntl (fd, F_GET_SEALS);
  if (!allow_unsealed && (fs.f_type != TMPFS_MAGIC || seals < 0 || !(seals & F_SEAL_SHRINK)))
    return "a region is not sealed against shrinking, which would kill this process (allow "
	   "unsealed regions to read it)";
  if (fstat (fd, &st) < 0 || !S_ISREG (st.st_mode) || st.st_size <= 0
      || (uint64_t) st.st_size > MAX_REGION_SIZE)
    return "a region has no size, or too large a one";
  void *addr = mmap (NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (addr == MAP_FAILED)
    return "a region can't be mapped";
  v->region[v->num_regions].addr = addr;
  v->region[v->num_regions++].size = (uint64_t) st.st_size;
  return NULL;
}

int
memif_ext_view_open (memif_ext_view_handle_t *view, const int *fds, uint16_t num_fds,
		     int allow_unsealed, const char **why)
{
  if (!view || !fds || !why || num_fds == 0 || num_fds > MAX_REGIONS)
    return MEMIF_ERR_INVAL_ARG;
  *why = NULL;
  memif_ext_view_handle_t v = calloc (1, sizeof *v + num_fds * sizeof v->region[0]);
  if (!v)
    return MEMIF_ERR_NOMEM;
  for (unsigned i = 0; i < num_fds && !*why; i++)
    *why = map_region (v, fds[i], allow_unsealed);
  if (*why)
    {
      memif_ext_view_close (v);
      return MEMIF_ERR_MFMSG;
    }
  *view = v;
  return MEMIF_ERR_SUCCESS;
}

void
memif_ext_view_close (memif_ext_view_handle_t v)
{
  for (unsigned i = 0; v && i < v->num_regions; i++)
    munmap ((void *) (uintptr_t) v->region[i].addr, v->region[i].size);
  free (v);
}

const ring_t *
view_ring_at (memif_ext_view_handle_t v, memif_ext_view_ring_t ring)
{
  if (ring.log2_size < 1 || ring.log2_size > MAX_LOG2_RING_SIZE || ring.offset % 8
      || ring.offset + ring_bytes (ring.log2_size) > v->region[0].size)
    return NULL;
  return (const ring_t *) (const void *) (v->region[0].addr + ring.offset);
}

int
memif_ext_view_state (memif_ext_view_handle_t v, memif_ext_view_ring_t at, int scan,
		      uint16_t want_region, memif_ext_view_state_t *state)
{
  const ring_t *ring = v && state ? view_ring_at (v, at) : NULL;
  if (!ring)
    return MEMIF_ERR_INVAL_ARG;
  /* Acquire: in this order, so that what is seen of the second is not older. */
  *state = (memif_ext_view_state_t){
    .head = atomic_load_explicit (&ring->head, memory_order_acquire),
    .tail = atomic_load_explicit (&ring->tail, memory_order_acquire),
    .flags = atomic_load_explicit (&ring->flags, memory_order_relaxed),
    .slave_marks = (desc_read (&ring->desc[0]).metadata & (uint32_t) MARK_BITS) == (uint32_t) MARK,
    .sender_promises = atomic_load_explicit (&ring->linger, memory_order_relaxed) != 0,
  };
  for (unsigned slot = 0; scan && slot < 1u << at.log2_size; slot++)
    {
      const desc_t d = desc_read (&ring->desc[slot]);
      if (d.region > state->max_region)
	state->max_region = d.region;
      if (d.region == want_region && (uint64_t) d.offset + d.length > state->max_end)
	state->max_end = (uint64_t) d.offset + d.length;
    }
  return MEMIF_ERR_SUCCESS;
}
