/* The protocol as it stands on the wire and in shared memory. */
#ifndef MEMIF_WIRE_H
#define MEMIF_WIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum
{
  PROTOCOL_VERSION = 0x0200,
  MAX_REGIONS = 256,
  MAX_LOG2_RING_SIZE = 14,
  MAX_PEER_LOG2_RING_SIZE = 15, /* all that numbers of 16 bits can tell from an empty ring */
  RING_COOKIE = 0x3E31F20,
  NAME_SIZE = 32,
  SECRET_SIZE = 24,
  REASON_SIZE = 96,
  MESSAGE_SIZE = 128,
};

enum message_type
{
  MSG_NONE,
  MSG_ACK,
  MSG_HELLO,
  MSG_INIT,
  MSG_ADD_REGION,
  MSG_ADD_RING,
  MSG_CONNECT,
  MSG_CONNECTED,
  MSG_DISCONNECT,
};

typedef struct __attribute__ ((packed))
{
  uint8_t name[NAME_SIZE];
  uint16_t min_version, max_version;
  uint16_t max_region, max_m2s_ring, max_s2m_ring; /* highest index */
  uint8_t max_log2_ring_size;
} hello_t;

typedef struct __attribute__ ((packed))
{
  uint16_t version;
  uint32_t id;
  uint8_t mode;
  uint8_t secret[SECRET_SIZE];
  uint8_t name[NAME_SIZE];
} init_t;

typedef struct __attribute__ ((packed))
{
  uint16_t index;
  uint64_t size;
} add_region_t;

enum { ADD_RING_S2M = 1 };

typedef struct __attribute__ ((packed))
{
  uint16_t flags, index, region;
  uint32_t offset;
  uint8_t log2_ring_size;
  uint16_t private_hdr_size;
} add_ring_t;

typedef struct __attribute__ ((packed))
{
  uint8_t if_name[NAME_SIZE];
} connect_t;

typedef struct __attribute__ ((packed))
{
  uint32_t code;
  uint8_t reason[REASON_SIZE];
} disconnect_t;

typedef struct __attribute__ ((packed))
{
  uint16_t type;
  union __attribute__ ((packed))
  {
    /* First, so that an initialiser that names none zeroes it all: it goes to the peer. */
    uint8_t fill[MESSAGE_SIZE - 2];
    hello_t hello;
    init_t init;
    add_region_t add_region;
    add_ring_t add_ring;
    connect_t connect; /* of CONNECT and CONNECTED */
    disconnect_t disconnect;
  };
} message_t;

_Static_assert (sizeof (message_t) == MESSAGE_SIZE, "messages have 128 bytes");
_Static_assert (offsetof (message_t, hello.max_log2_ring_size) == 2 + 32 + 10, "HELLO");
_Static_assert (offsetof (message_t, init.secret) == 2 + 7, "INIT");
_Static_assert (offsetof (message_t, add_region.size) == 4, "ADD_REGION");
_Static_assert (offsetof (message_t, add_ring.private_hdr_size) == 2 + 11, "ADD_RING");
_Static_assert (offsetof (message_t, disconnect.reason) == 6, "DISCONNECT");

/* PARTED is ours: a receiver has taken NEXT away, of a sender that would leave it set. FREE too: a
 * slave has offered the slot, and its master, which overran the ring before, not written it since. */
enum { DESC_NEXT = 1, DESC_FREE = 1 << 14, DESC_PARTED = 1 << 15 };

/* A descriptor in private memory. */
typedef struct
{
  uint16_t flags, region;
  uint32_t length, offset, metadata;
} desc_t;

/* A descriptor in shared memory: read and written as two words, each once. */
typedef struct
{
  _Atomic uint64_t word[2];
} shared_desc_t;

_Static_assert (sizeof (desc_t) == 16 && sizeof (shared_desc_t) == 16, "descriptors have 16 bytes");
_Static_assert (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "flags are the low bits of a word");
_Static_assert (sizeof (_Atomic uint64_t) == 8 && sizeof (_Atomic uint16_t) == 2, "plain atomics");

enum { RING_NO_INTERRUPT = 1 };

/* What a slave of ours leaves in the metadata of a slot that it offers again, for observers, as
 * the length is the buffer's from then on: the packet's length, whether it went on, and in which
 * round of the ring it was, to tell it from what an earlier packet left. Length 0: not known. */
enum { MARK = 0x5A << 24, MARK_NEXT = 1 << 23 };
#define MARK_BITS 0xFF000000u /* an int can't hold it */

static inline uint32_t
mark_round (uint16_t slot, unsigned log2)
{
  return (uint32_t) (slot >> log2 & 0x7F) << 16;
}

/* A ring in shared memory. Its address need not be aligned to a cache line. */
typedef struct
{
  _Atomic uint32_t cookie;
  _Atomic uint16_t flags;
  _Atomic uint16_t head;
  /* Of ours, where the protocol has nothing, and 0 with other senders: that many slots stay as they
   * are behind the sender's counter, also those that the receiver has taken. For observers. */
  _Atomic uint16_t linger;
  uint8_t pad0[54];
  _Atomic uint16_t tail;
  uint8_t pad1[62];
  shared_desc_t desc[];
} ring_t;

_Static_assert (offsetof (ring_t, flags) == 4 && offsetof (ring_t, head) == 6, "ring header");
_Static_assert (offsetof (ring_t, linger) == 8, "ring header");
_Static_assert (offsetof (ring_t, tail) == 64 && offsetof (ring_t, desc) == 128, "ring header");

static inline uint64_t
ring_bytes (unsigned log2)
{
  return sizeof (ring_t) + ((uint64_t) sizeof (desc_t) << log2);
}

#endif
