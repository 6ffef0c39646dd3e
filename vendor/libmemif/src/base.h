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

/* foreign.c; neither waits for what the last close waits for */
void foreign_close (int fd); /* a descriptor that came from a peer */
void foreign_close_all (int *fds, unsigned count); /* spoils the array */
void foreign_hang_up (int fd); /* a connection, with what the peer sent and nobody read */

/* eventfd.c; neither blocks */
void eventfds_open (void); /* once */
uint64_t eventfd_clear (int efd);
/* false: it can't be written. file: any open file that can be read, where pread does not wait. */
bool eventfd_signal (int efd, int file);
bool is_eventfd (int fd);

#endif
