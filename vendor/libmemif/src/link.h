/* A link: the shared memory of one connection. Its interface and each queue that works on it hold
 * a reference, so a receive queue can be drained after its connection is gone. */
#ifndef MEMIF_LINK_H
#define MEMIF_LINK_H

#include "base.h"
#include "wire.h"

/* Memory that the program brings; see memif_register_external_region. */
typedef struct
{
  memif_add_external_region_t *add;
  memif_get_external_region_addr_t *get_addr;
  memif_del_external_region_t *del;
  memif_get_external_buffer_offset_t *get_offset;
} external_t;

/* A buffer of the slave's, as the slave knows it. */
typedef struct
{
  uint64_t word; /* one word, as it is written and read again at once */
} own_t;

static inline own_t
own_make (uint16_t region, uint32_t offset, bool small)
{
  return (own_t){ offset | (uint64_t) region << 32 | (uint64_t) small << 48 };
}

static inline uint32_t
own_offset (own_t own)
{
  return (uint32_t) own.word;
}

static inline uint16_t
own_region (own_t own)
{
  return (uint16_t) (own.word >> 32);
}

/* It belongs to the slot, as against those of the interface's buffer size. */
static inline bool
own_small (own_t own)
{
  return own.word >> 48;
}

/* Small packets of a slave lie close together, in buffers that belong to slots: what was sent lingers
 * there as long as its descriptor. Each slot has one of each kind. Those of a burst follow each
 * other, so that both processors read ahead. Those of single packets are apart, as while one is read
 * the next is written, and what is near would be fetched with it. */
typedef enum { SMALL_LINE, SMALL_PAIR, SMALL_APART } small_t;
enum { LINE_BUFFER = 64, SMALL_BUFFER = 128, SMALL_ROOM = LINE_BUFFER + 2 * SMALL_BUFFER, APART = 37 };

/* Where a slot's buffer begins, in a ring of so many slots. */
static inline uint32_t
small_offset (small_t kind, uint32_t at, unsigned slot, unsigned slots)
{
  if (kind == SMALL_LINE)
    return at + slot * LINE_BUFFER;
  at += slots * LINE_BUFFER;
  if (kind == SMALL_PAIR)
    return at + slot * SMALL_BUFFER;
  at += slots * SMALL_BUFFER;
  return at + (slot * APART & (slots - 1)) * SMALL_BUFFER; /* APART is odd, so each slot has its own */
}

typedef struct
{
  void *addr; /* NULL: not mapped yet */
  uint64_t size;
  int fd; /* -1: closed, as it is mapped and need not be sent */
  bool external; /* the program mapped it, and has its descriptor */
} region_t;

typedef struct
{
  ring_t *shm; /* NULL until the regions are mapped */
  own_t *own;  /* slave: the buffer of each slot; as it sends, of twice as many, those in use */
  own_t *spare;	       /* slave, sending: buffers not in use; the small ones belong to slots */
  uint32_t small_size; /* what goes into a small one; 0: there are none */
  uint32_t small;      /* where they begin, in the region of the others */
  uint32_t offset;
  uint16_t region;
  uint16_t linger; /* slave, sending: slots whose buffers rest, beside those in use */
  uint8_t log2;
  int efd;
} link_ring_t;

/* Slots that are published at once, at most: for observers the others stay as they are. So what was
 * sent can be read for 7 ms at 100,000 packets/s, and the scheduler may hold an observer up for that
 * long. Of large buffers less stay, as those in turn are to stay in the core's own cache. */
enum { AT_ONCE = 256, LINGER_LARGE = 256 };

/* Promised where more was published at once: none do, and it is one of ours that says so. */
enum { NONE_LINGER = UINT16_MAX };

/* How many linger in a ring of so many slots. */
static inline uint16_t
linger_of (unsigned size)
{
  return (uint16_t) (size / 2 > AT_ONCE ? size - AT_ONCE : size / 2);
}

/* Of so many slots that linger: how many large buffers may have to rest. */
static inline uint16_t
linger_large (uint16_t linger)
{
  return linger < LINGER_LARGE ? linger : LINGER_LARGE;
}

/* The shared memory of one connection. */
typedef struct link
{
  _Atomic unsigned refs;
  memif_ext_peer_t peer;
  allocator_t memory;
  external_t external;
  void *external_ctx;
  region_t *regions;
  mapping_t *mappings; /* of the regions that are not external */
  _Atomic unsigned *held; /* regions of all links of the interface that are not freed */
  link_ring_t *s2m, *m2s;
  uint32_t buffer_size; /* slave */
  uint16_t num_regions, num_s2m, num_m2s;
  bool unsealed; /* a region could not be sealed, and was accepted all the same */
} link_t;

static inline desc_t
desc_from (uint64_t w0, uint64_t w1)
{
  return (desc_t){ .flags = (uint16_t) w0,
		   .region = (uint16_t) (w0 >> 16),
		   .length = (uint32_t) (w0 >> 32),
		   .offset = (uint32_t) w1,
		   .metadata = (uint32_t) (w1 >> 32) };
}

/* The only ways to a descriptor: once in, once out. Relaxed, so that no word is
 * torn or read twice; the counters' acquire and release order them. */
static inline desc_t
desc_read (const shared_desc_t *d)
{
  uint64_t w0 = atomic_load_explicit (&d->word[0], memory_order_relaxed);
  uint64_t w1 = atomic_load_explicit (&d->word[1], memory_order_relaxed);
  return desc_from (w0, w1);
}

static inline void
desc_write (shared_desc_t *d, desc_t in)
{
  atomic_store_explicit (&d->word[0], in.flags | (uint64_t) in.region << 16 | (uint64_t) in.length << 32,
			 memory_order_relaxed);
  atomic_store_explicit (&d->word[1], in.offset | (uint64_t) in.metadata << 32,
			 memory_order_relaxed);
}

/* As desc_write, for whoever looks on: the length is new only where the metadata is. */
static inline void
desc_offer (shared_desc_t *d, desc_t in)
{
  atomic_store_explicit (&d->word[1], in.offset | (uint64_t) in.metadata << 32,
			 memory_order_relaxed);
  atomic_store_explicit (&d->word[0], in.flags | (uint64_t) in.region << 16 | (uint64_t) in.length << 32,
			 memory_order_release);
}

/* region.c */
link_t *link_new (const allocator_t *memory, const external_t *external, void *external_ctx,
		  const memif_ext_peer_t *peer, _Atomic unsigned *held);
bool link_is_external (const link_t *l);
void link_unref (link_t *l);
void link_close_fds (link_t *l); /* of the regions: a link that is up needs its mappings only */
int link_create_slave (link_t *l, const memif_conn_args_t *args, unsigned num_s2m, unsigned num_m2s,
		       unsigned log2, const char **why);
/* Maps it; takes the descriptor over on success. */
int link_add_region (link_t *l, uint64_t size, int fd, bool allow_unsealed, const char **why);
int link_add_ring (link_t *l, const add_ring_t *r, int fd, unsigned max, const char **why);
int link_map_master (link_t *l, const char **why);

#endif
