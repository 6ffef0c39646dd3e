/* Lines for the program's log. A peer can cause as many as it likes, so those are limited. */
#define _GNU_SOURCE
#include "control.h"

void
logf_ (sock_t *s, int level, const char *format, ...)
{
  if (!s->ext.log)
    return;
  char text[2 * ERROR_TEXT];
  va_list args;
  va_start (args, format);
  text_v (text, sizeof text, format, args);
  va_end (args);
  s->ext.log (level, text, s->ext.log_ctx);
}

static void
tell_left_out (sock_t *s, conn_t *c)
{
  log_limit_t *l = c ? &c->log_limit : &s->log_limit;
  if (l->left_out)
    logf_ (s, MEMIF_EXT_LOG_WARN, "%s: %u lines about peers were left out here, beyond %u a second",
	   c ? where (c) : s->path, l->left_out, s->ext.log_lines);
  l->left_out = 0;
}

void
peer_logf (sock_t *s, conn_t *c, int level, const char *format, ...)
{
  if (!s->ext.log)
    return;
  log_limit_t *l = c ? &c->log_limit : &s->log_limit;
  const uint64_t now = now_ns ();
  if (now >= l->end)
    {
      tell_left_out (s, c);
      *l = (log_limit_t){ .end = now + NSEC_PER_SEC };
    }
  bool own = c && c->closed; /* what the program does itself is told always */
  if (!own && l->lines >= s->ext.log_lines)
    {
      if (l->left_out++ == 0)
	timer_update (s); /* which tells, if no later line does */
      return;
    }
  l->lines++;
  char text[2 * ERROR_TEXT];
  va_list args;
  va_start (args, format);
  text_v (text, sizeof text, format, args);
  va_end (args);
  s->ext.log (level, text, s->ext.log_ctx);
}

void
log_tell (sock_t *s, uint64_t now)
{
  if (s->log_limit.end <= now)
    tell_left_out (s, NULL);
  for (conn_t *c = s->conns; c; c = c->next)
    if (c->log_limit.end <= now)
      tell_left_out (s, c);
}

uint64_t
log_due (const sock_t *s)
{
  uint64_t at = s->log_limit.left_out ? s->log_limit.end : 0;
  for (const conn_t *c = s->conns; c; c = c->next)
    if (c->log_limit.left_out && (!at || c->log_limit.end < at))
      at = c->log_limit.end;
  return at;
}
