/* What the core takes of Linux, and the analyser's library has not. */
#ifndef PROOF_SYSTEM_H
#define PROOF_SYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define TMPFS_MAGIC 0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#define EFD_NONBLOCK 2048
#define EFD_CLOEXEC 02000000
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0x40000000
#endif
#ifndef MSG_DONTWAIT
#define MSG_DONTWAIT 0x40
#endif

#include <sys/stat.h>
int fstatfs (int fd, struct statfs *fs);
int eventfd (unsigned value, int flags);
int memfd_create (const char *name, unsigned flags);
void explicit_bzero (void *at, size_t size);

#undef CMSG_ALIGN
#undef CMSG_SPACE
#undef CMSG_LEN
#undef CMSG_FIRSTHDR
#undef CMSG_DATA
#define CMSG_ALIGN(n) (((n) + 7) & ~(size_t) 7)
#define CMSG_SPACE(n) (sizeof (struct cmsghdr) + CMSG_ALIGN (n))
#define CMSG_LEN(n) (sizeof (struct cmsghdr) + (n))
#define CMSG_FIRSTHDR(mh) ((mh)->msg_controllen ? (struct cmsghdr *) (mh)->msg_control : NULL)
#define CMSG_DATA(c) ((uint8_t *) ((c) + 1))

#endif
