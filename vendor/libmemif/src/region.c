/* Links: the shared memory of a connection, its regions and where its rings lie. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "link.h"

link_t *
link_new (const allocator_t *memory, const external_t *external, void *external_ctx,
	  const memif_ext_peer_t *peer, _Atomic unsigned *held)
{
  link_t *l = zalloc (memory, sizeof *l);
  if (!l)
    return NULL;
  atomic_init (&l->refs, 1);
  l->memory = *memory;
  l->external = *external;
  l->external_ctx = external_ctx;
  l->peer = *peer;
  l->held = held;
  return l;
}

bool
link_is_external (const link_t *l)
{
  for (unsigned i = 0; i < l->num_regions; i++)
    if (l->regions[i].external)
      return true;
  return false;
}

static void
rings_free (link_t *l, link_ring_t *rings, unsigned count)
{
  for (unsigned i = 0; i < count; i++)
    {
      if (rings[i].efd >= 0)
	foreign_close (rings[i].efd, FOREIGN_CHECKED, &l->peer);
      give_back (&l->memory, rings[i].own);
      give_back (&l->memory, rings[i].spare);
    }
  give_back (&l->memory, rings);
}

void
link_unref (link_t *l)
{
  /* Whoever goes last must see what the others did before they went: acquire,
   * to the release of each of theirs. */
  if (atomic_fetch_sub_explicit (&l->refs, 1, memory_order_acq_rel) != 1)
    return;
  rings_free (l, l->s2m, l->num_s2m);
  rings_free (l, l->m2s, l->num_m2s);
  link_close_fds (l);
  for (unsigned i = 0; i < l->num_regions; i++)
    {
      const region_t *r = &l->regions[i];
      if (r->external && l->external.del)
	l->external.del (r->addr, (uint32_t) r->size, r->fd, l->external_ctx);
      else if (r->external && r->fd >= 0)
	foreign_close (r->fd, FOREIGN_ANY, &l->peer);
    }
  foreign_unmap (l->mappings);
  atomic_fetch_sub (l->held, l->num_regions);
  give_back (&l->memory, l->regions);
  give_back (&l->memory, l);
}

void
link_close_fds (link_t *l)
{
  for (unsigned i = 0; i < l->num_regions; i++)
    {
      if (l->regions[i].external)
	continue;
      if (l->regions[i].fd >= 0)
	foreign_close (l->regions[i].fd, l->unsealed ? FOREIGN_ANY : FOREIGN_CHECKED, &l->peer);
      l->regions[i].fd = -1;
    }
}

/* Takes the descriptor and the mapping (or NULL) over on success. */
static int
region_append (link_t *l, region_t region, mapping_t *mapping)
{
  region_t *grown = grow (&l->memory, l->regions, (l->num_regions + 1u) * sizeof *grown);
  if (!grown)
    return MEMIF_ERR_NOMEM;
  l->regions = grown;
  grown[l->num_regions++] = region;
  atomic_fetch_add (l->held, 1);
  if (mapping)
    {
      mapping->next = l->mappings;
      l->mappings = mapping;
    }
  return MEMIF_ERR_SUCCESS;
}

/* Slave: memory for buffers that the program brings. */
static int
region_add_external (link_t *l, uint64_t size, const char **why)
{
  region_t r = { .size = size, .fd = -1, .external = true };
  int err = l->external.add (&r.addr, (uint32_t) size, &r.fd, l->external_ctx);
  *why = "the program did not add its external region";
  if (err || !r.addr || r.fd < 0)
    return err > 0 && err <= MEMIF_ERR_PRIVHDR ? err : MEMIF_ERR_NO_SHMFD;
  /* So that the peer can't take it from under us; where it can't be, as huge
   * pages, that is the program's choice. */
  (void) fcntl (r.fd, F_ADD_SEALS, F_SEAL_SHRINK);
  err = region_append (l, r, NULL);
  *why = NULL;
  if (err && l->external.del)
    l->external.del (r.addr, (uint32_t) size, r.fd, l->external_ctx);
  return err;
}

/* Slave: makes a region that the peer can't be hurt by. */
static int
region_create (link_t *l, uint64_t size, const char **why)
{
  int err = MEMIF_ERR_SYSCALL;
  int fd = memfd_create ("memif region", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  if (fd < 0)
    return error_of_errno (errno);
  mapping_t *m = NULL;
  if (ftruncate (fd, (off_t) size) == 0 && fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
    m = mapping_new (fd, size, why);
  if (!m)
    err = error_of_errno (errno);
  else if (!(err = region_append (l, (region_t){ .addr = m->addr, .size = size, .fd = fd }, m)))
    {
      *why = NULL;
      return MEMIF_ERR_SUCCESS;
    }
  mappings_end (m); /* nobody else has it yet */
  close (fd);
  return err;
}

static link_ring_t *
rings_new (link_t *l, unsigned count)
{
  link_ring_t *rings = zalloc (&l->memory, (count ? count : 1) * sizeof *rings);
  for (unsigned i = 0; rings && i < count; i++)
    rings[i].efd = -1;
  return rings;
}

static int
ring_create (link_t *l, link_ring_t *r, unsigned log2, bool sends, uint64_t offset)
{
  unsigned size = 1u << log2;
  r->log2 = (uint8_t) log2;
  r->region = 0;
  r->offset = (uint32_t) offset;
  r->own = zalloc (&l->memory, (sends ? 2 * size : size) * sizeof *r->own);
  r->efd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  return !r->own ? MEMIF_ERR_NOMEM : r->efd < 0 ? error_of_errno (errno) : MEMIF_ERR_SUCCESS;
}

static link_ring_t *
ring_at (const link_t *l, unsigned i)
{
  return i < l->num_s2m ? &l->s2m[i] : &l->m2s[i - l->num_s2m];
}

/* What a sending slave fills: a large buffer for each slot, and those that rest. */
static int
spare_create (link_t *l, link_ring_t *r)
{
  const unsigned size = (1u << r->log2) + linger_large (r->linger);
  r->spare = zalloc (&l->memory, size * sizeof (own_t));
  if (!r->spare)
    return MEMIF_ERR_NOMEM;
  /* Taken from the end, so the last go first. */
  for (unsigned i = 0; i < size; i++)
    r->spare[size - 1 - i] = r->own[i];
  return MEMIF_ERR_SUCCESS;
}

static int
region_of_buffers (link_t *l, uint64_t size, const char **why)
{
  return l->external.add ? region_add_external (l, size, why) : region_create (l, size, why);
}

/* The buffers follow region 0 in as few regions as 32-bit offsets allow. */
static int
buffers_lay_out (link_t *l, unsigned log2, const char **why)
{
  unsigned size = 1u << log2;
  /* An odd number of cache lines, or the buffers' first ones would share few sets of a cache. */
  uint64_t stride = (((uint64_t) l->buffer_size + 63) & ~63ull) | 64;
  uint64_t used = 0;
  uint16_t region = 1;
  for (unsigned i = 0; i < (unsigned) l->num_s2m + l->num_m2s; i++)
    {
      link_ring_t *r = ring_at (l, i);
      if (i < l->num_s2m)
	r->linger = linger_of (size);
      const unsigned buffers = size + linger_large (r->linger), small = size * SMALL_ROOM;
      if (used + buffers * stride + small > UINT32_MAX)
	{
	  int err = region_of_buffers (l, used, why);
	  if (err)
	    return err;
	  region++;
	  used = 0;
	}
      for (unsigned b = 0; b < buffers; b++, used += stride)
	r->own[b] = own_make (region, (uint32_t) used, false);
      if (i >= l->num_s2m)
	continue;
      if (spare_create (l, r))
	return MEMIF_ERR_NOMEM;
      r->small_size = l->buffer_size < SMALL_BUFFER ? l->buffer_size : SMALL_BUFFER;
      r->small = (uint32_t) used;
      used += small;
    }
  return region_of_buffers (l, used, why);
}

/* The program says where each buffer lies in the region that it brings. */
static int
buffers_of_program (link_t *l, unsigned log2, const char **why)
{
  unsigned size = 1u << log2, count = (unsigned) l->num_s2m + l->num_m2s;
  uint64_t bytes = (uint64_t) count * size * l->buffer_size;
  *why = "an external region with offsets of the program's can't have 4 GiB";
  if (bytes > UINT32_MAX)
    return MEMIF_ERR_NOMEM;
  int err = region_add_external (l, bytes, why);
  for (unsigned i = 0; i < count && !err; i++)
    {
      link_ring_t *r = ring_at (l, i);
      for (unsigned slot = 0; slot < size; slot++)
	{
	  uint32_t offset = l->external.get_offset (l->external_ctx);
	  if (offset > bytes - l->buffer_size)
	    {
	      *why = "the program gave an offset outside of its external region";
	      return MEMIF_ERR_INVAL_ARG;
	    }
	  r->own[slot] = own_make (1, offset, false);
	}
      if (i < l->num_s2m)
	err = spare_create (l, r);
    }
  return err;
}

/* Region 0 holds the rings. */
int
link_create_slave (link_t *l, const memif_conn_args_t *args, unsigned num_s2m, unsigned num_m2s,
		   unsigned log2, const char **why)
{
  unsigned count = num_s2m + num_m2s, size = 1u << log2;
  int err = MEMIF_ERR_NOMEM;

  *why = NULL;
  l->buffer_size = args->buffer_size;
  l->s2m = rings_new (l, num_s2m);
  l->m2s = rings_new (l, num_m2s);
  if (!l->s2m || !l->m2s)
    return err;
  l->num_s2m = (uint16_t) num_s2m;
  l->num_m2s = (uint16_t) num_m2s;

  err = region_create (l, count * ring_bytes (log2), why);
  for (unsigned i = 0; i < count && !err; i++)
    err = ring_create (l, ring_at (l, i), log2, i < num_s2m, i * ring_bytes (log2));
  if (!err)
    err = l->external.add && l->external.get_offset ? buffers_of_program (l, log2, why)
						    : buffers_lay_out (l, log2, why);
  if (err)
    return err;

  for (unsigned i = 0; i < count; i++)
    {
      link_ring_t *r = ring_at (l, i);
      r->shm = (ring_t *) ((uint8_t *) l->regions[0].addr + r->offset);
      /* Relaxed, as are the descriptors: the peer maps this after a message over the socket. */
      atomic_store_explicit (&r->shm->cookie, RING_COOKIE, memory_order_relaxed);
      for (unsigned slot = 0; slot < size; slot++)
	desc_write (&r->shm->desc[slot],
		    (desc_t){ .region = own_region (r->own[slot]),
			      .offset = own_offset (r->own[slot]),
			      .length = l->buffer_size });
    }
  return MEMIF_ERR_SUCCESS;
}

/* Sparse files cost a peer nothing, but us the addresses. Offset and length have 32 bits. */
static const uint64_t MAX_REGION_SIZE = 1ull << 33, MAX_LINK_SIZE = 1ull << 34;
/* Of an interface, with those of former links whose packets nobody has read. */
enum { MAX_HELD = 4 * MAX_REGIONS };

int
link_add_region (link_t *l, uint64_t size, int fd, bool allow_unsealed, const char **why)
{
  struct stat st;
  struct statfs fs;

  *why = "its size is 0, or beyond the 8 GiB that descriptors reach";
  if (size == 0 || size > MAX_REGION_SIZE)
    return MEMIF_ERR_MFMSG;
  *why = "with those of former links, whose packets are not read, there are too many";
  if (atomic_load (l->held) >= MAX_HELD)
    return MEMIF_ERR_MAXREG;
  uint64_t total = size;
  for (unsigned i = 0; i < l->num_regions; i++)
    total += l->regions[i].size;
  *why = "with it the regions take more than 16 GiB";
  if (total > MAX_LINK_SIZE)
    return MEMIF_ERR_MFMSG;
  /* First, as it asks no file system: one of the peer's own need not answer. */
  int seals = fcntl (fd, F_GET_SEALS);
  *why = "it is not a memfd of normal pages (allow unsealed regions to accept it)";
  if (seals < 0 && !allow_unsealed)
    return MEMIF_ERR_MFMSG;
  /* Only plain shared memory does not fault when pages run out, as huge pages do. */
  bool plain = fstatfs (fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
  bool sealed = seals >= 0 && ((seals & F_SEAL_SHRINK) || fcntl (fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  if (plain)
    *why = "it can't be sealed against shrinking (allow unsealed regions to accept it)";
  if (!allow_unsealed && (!plain || !sealed))
    return MEMIF_ERR_MFMSG;
  l->unsealed |= !sealed;
  /* Only now, since it could have shrunk before. */
  *why = "it is larger than its file";
  if (fstat (fd, &st) < 0 || !S_ISREG (st.st_mode) || (uint64_t) st.st_size < size)
    return MEMIF_ERR_MFMSG;
  if (l->external.get_addr && l->num_regions > 0)
    {
      *why = "out of memory";
      /* The program maps it, when the rings are known. */
      return region_append (l, (region_t){ .size = size, .fd = fd }, NULL);
    }
  mapping_t *m = mapping_new (fd, size, why);
  if (!m)
    return MEMIF_ERR_NOMEM;
  *why = "out of memory";
  int err = region_append (l, (region_t){ .addr = m->addr, .size = size, .fd = -1 }, m);
  if (err)
    foreign_unmap (m);
  else
    /* A peer's 256 regions cost us no descriptor. */
    foreign_close (fd, seals >= 0 ? FOREIGN_CHECKED : FOREIGN_ANY, &l->peer);
  return err;
}

int
link_add_ring (link_t *l, const add_ring_t *r, int fd, unsigned max, const char **why)
{
  bool s2m = r->flags & ADD_RING_S2M;
  link_ring_t **rings = s2m ? &l->s2m : &l->m2s;
  uint16_t *count = s2m ? &l->num_s2m : &l->num_m2s;

  *why = "the interface has fewer queues in this direction";
  if (r->index >= max)
    return MEMIF_ERR_MAXRING;
  *why = "its index is out of order";
  if (r->index != *count)
    return MEMIF_ERR_MFMSG;
  *why = "its private header is not supported";
  if (r->private_hdr_size != 0)
    return MEMIF_ERR_PRIVHDR;
  *why = "its log2 size is not 1 to 15";
  if (r->log2_ring_size < 1 || r->log2_ring_size > MAX_PEER_LOG2_RING_SIZE)
    return MEMIF_ERR_MFMSG;
  *why = "it lies in an unknown region";
  if (r->region >= l->num_regions)
    return MEMIF_ERR_MFMSG;
  *why = "its offset is not a multiple of 8";
  if (r->offset % 8)
    return MEMIF_ERR_MFMSG;
  *why = "it reaches out of its region";
  if (r->offset + ring_bytes (r->log2_ring_size) > l->regions[r->region].size)
    return MEMIF_ERR_MFMSG;
  *why = "its descriptor is no eventfd";
  if (!eventfd_signal (fd))
    return MEMIF_ERR_NO_INTFD;
  int flags = fcntl (fd, F_GETFL);
  if (flags < 0 || fcntl (fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return MEMIF_ERR_NO_INTFD;
  /* A semaphore gives one event at a time, and would wake those for ever who have to clear it. */
  *why = "its eventfd is a semaphore, or in use";
  if (eventfds_can_be_cleared () && (!eventfd_signal (fd) || eventfd_clear (fd) < 2))
    return MEMIF_ERR_NO_INTFD;

  *why = "out of memory";
  link_ring_t *grown = grow (&l->memory, *rings, (*count + 1u) * sizeof *grown);
  if (!grown)
    return MEMIF_ERR_NOMEM;
  *rings = grown;
  grown[(*count)++] = (link_ring_t){
    .region = r->region, .offset = r->offset, .log2 = r->log2_ring_size, .efd = fd
  };
  return MEMIF_ERR_SUCCESS;
}

/* Master: the program maps what it knows better than we do. */
static int
region_map_external (link_t *l, region_t *r, const char **why)
{
  *why = "the program maps regions below 4 GiB only";
  if (r->size > UINT32_MAX)
    return MEMIF_ERR_NOMEM;
  *why = "the program did not map it";
  r->addr = l->external.get_addr ((uint32_t) r->size, r->fd, l->external_ctx);
  r->external = r->addr != NULL;
  return r->addr ? MEMIF_ERR_SUCCESS : MEMIF_ERR_NOMEM;
}

int
link_map_master (link_t *l, const char **why)
{
  for (unsigned i = 0; i < l->num_regions; i++)
    {
      /* Region 0 is never external: it holds rings. */
      int err = l->regions[i].addr ? 0 : region_map_external (l, &l->regions[i], why);
      if (err)
	return err;
    }
  for (unsigned i = 0; i < (unsigned) l->num_s2m + l->num_m2s; i++)
    {
      link_ring_t *r = ring_at (l, i);
      r->shm = (ring_t *) ((uint8_t *) l->regions[r->region].addr + r->offset);
      *why = "the program mapped a ring's region at an odd address";
      if ((uintptr_t) r->shm % 8)
	return MEMIF_ERR_INVAL_ARG;
      *why = "a ring has a wrong cookie";
      /* Relaxed: the slave wrote it before its message, and learns of the tail by ours. */
      if (atomic_load_explicit (&r->shm->cookie, memory_order_relaxed) != RING_COOKIE)
	return MEMIF_ERR_COOKIE;
      atomic_store_explicit (&r->shm->tail, 0, memory_order_relaxed);
    }
  return MEMIF_ERR_SUCCESS;
}
