/* Peers that speak the wire by hand, as processes of their own. */
#ifndef RAW_H
#define RAW_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "support.h"

/* What the victim does at once takes less, also on a machine that is busy. */
#if defined(MEMIF_EMULATED) || defined(__SANITIZE_THREAD__)
enum { AT_ONCE_MS = 5000 };
#else
enum { AT_ONCE_MS = 500 };
#endif

socklen_t address_of (const char *path, struct sockaddr_un *at); /* an abstract one */
int connect_to (const char *path); /* -1: nobody listens */
/* One message with any descriptors; whether the other end is still there. */
bool send_with (int wire, const uint8_t *bytes, size_t len, const int *fds, size_t count);
void wait_for_the_end (int wire);

/* A process that does something, says that it is ready, and stays until it is ended. */
typedef struct
{
  pid_t pid;
  int ready; /* readable then */
} attacker_t;

attacker_t attacker_begin (void (*attack) (const char *path, int number), const char *path, int number);
void attacker_wait (const attacker_t *a);
void attacker_end (attacker_t *a);

/* Turns the victim's loop until the attacker is ready, and some more; the longest turn. */
uint64_t longest_turn (side_t *victim, const attacker_t *a);

#endif
