/* The ground: errors and their texts, memory, time, descriptors. Knows nothing of links. */
#ifndef MEMIF_BASE_H
#define MEMIF_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "libmemif_ext.h"

#define NSEC_PER_SEC 1000000000ull

enum { ERROR_TEXT = 256 };

/* error.c */
int error_of_errno (int errnum);
void text_v (char *to, size_t size, const char *format, va_list args)
  __attribute__ ((format (printf, 3, 0)));
void text_f (char *to, size_t size, const char *format, ...)
  __attribute__ ((format (printf, 3, 4)));

/* alloc.c: by the program's functions, which need not know NULL */
typedef struct
{
  memif_alloc_t *alloc;
  memif_realloc_t *realloc;
  memif_free_t *free;
} allocator_t;

void *zalloc (const allocator_t *a, size_t size);
void *grow (const allocator_t *a, void *memory, size_t size);
void give_back (const allocator_t *a, void *memory);

/* timer.c */
uint64_t now_ns (void);

/* mapping.c */
/* A mapping of shared memory. To end it may free all the memory that a peer has left there. */
typedef struct mapping
{
  struct mapping *next;
  void *addr;
  uint64_t size;
} mapping_t;

mapping_t *mapping_new (int fd, uint64_t size, const char **why); /* NULL: *why not */
void mappings_end (mapping_t *list);

/* foreign.c: ends what peers brought, each call at once and in threads of its own */
typedef enum
{
  FOREIGN_ANY,
  FOREIGN_CHANNEL, /* a connection of ours, that nothing more can come on */
  FOREIGN_CHECKED, /* to close it waits for nobody: memory, an eventfd */
} foreign_kind_t;

bool foreign_open (void); /* for a socket: the thread that all of it begins with; false: not to be had */
void foreign_done (void); /* when the socket is freed */
/* Before a descriptor comes from a peer: whether there will be a place for it here. */
bool foreign_ready (void);
void foreign_close (int fd, foreign_kind_t kind, const memif_ext_peer_t *from);
void foreign_hang_up (int fd, const memif_ext_peer_t *from); /* a connection, with what nobody read */
void foreign_unmap (mapping_t *list);
/* Whether so much of this process, or its user, waits to be ended that no more is to be taken. */
bool foreign_crowded (const memif_ext_peer_t *from, bool process_only);
bool foreign_full (void); /* so much of all together that nobody else is to be let in */

/* last_close.c */
bool ends_at_once (int fd, foreign_kind_t kind); /* whether to close it waits for nobody */
void end_slowly (int fd); /* any other, as fast as can be */

/* eventfd.c; none blocks, whatever the peer does */
/* NULL, or what the system lacks. Until this has succeeded there are no sockets. */
const char *eventfds_open (void);
bool eventfd_signal (int efd); /* false: it is no eventfd, or can't be written */
/* Sets it to 0 and returns what it was. Not where preadv2 lacks RWF_NOWAIT for eventfds. */
uint64_t eventfd_clear (int efd);
bool eventfds_can_be_cleared (void);
bool is_eventfd (int fd); /* as far as /proc tells */

#endif
