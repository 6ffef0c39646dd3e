/* Interfaces: their life, and the calls that set them. */
#define _GNU_SOURCE
#include "control.h"

static int
check_args (sock_t *s, memif_conn_args_t *args)
{
  if (args->log2_ring_size > MAX_LOG2_RING_SIZE)
    return fail (s, MEMIF_ERR_MAX_RING, "log2_ring_size is %u: it may be 1 to %d",
		 args->log2_ring_size, MAX_LOG2_RING_SIZE);
  if (args->mode > MEMIF_INTERFACE_MODE_PUNT_INJECT)
    return fail (s, MEMIF_ERR_INVAL_ARG, "mode %u is unknown", args->mode);
  for (conn_t *c = s->conns; c; c = c->next)
    if (args->is_master && c->args.is_master && !c->closed
	&& c->args.interface_id == args->interface_id)
      return fail (s, MEMIF_ERR_ID, "a master with id %u exists already on %s",
		   (unsigned) args->interface_id, s->path);
  if (!args->num_s2m_rings)
    args->num_s2m_rings = 1;
  if (!args->num_m2s_rings)
    args->num_m2s_rings = 1;
  if (!args->buffer_size)
    args->buffer_size = 2048;
  if (!args->log2_ring_size)
    args->log2_ring_size = 10;
  return MEMIF_ERR_SUCCESS;
}

int
memif_ext_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
		  const memif_ext_conn_args_t *ext, memif_connection_update_t *on_connect,
		  memif_connection_update_t *on_disconnect, memif_on_interrupt_t *on_interrupt,
		  void *private_ctx)
{
  sock_t *s = args ? args->socket : NULL;
  if (!conn || !s)
    return MEMIF_ERR_INVAL_ARG;
  memif_conn_args_t checked = *args;
  int err = check_args (s, &checked);
  if (err)
    return err;
  if (on_interrupt && !eventfds_can_be_cleared ())
    return fail (s, MEMIF_ERR_SYSCALL, "%s", NO_CLEARING);
  conn_t *c = zalloc (&s->memory, sizeof *c);
  if (!c)
    return fail (s, MEMIF_ERR_NOMEM, "no memory for an interface");

  c->sock = s;
  c->args = checked;
  if (ext)
    c->ext = *ext;
  c->on_connect = on_connect;
  c->on_disconnect = on_disconnect;
  c->on_interrupt = on_interrupt;
  c->private_ctx = private_ctx;
  err = queues_create (c);
  if (err)
    fail (s, err, "no memory or descriptors for the queues of %s", where (c));
  else if (checked.is_master)
    err = listener_open (s);
  if (err)
    {
      queues_destroy (c);
      s->memory.free (c);
      return err;
    }

  dispatch_begin (s);
  c->next = s->conns;
  s->conns = c;
  *conn = c;
  if (!checked.is_master)
    channel_connect (c); /* what fails is told by on_fail and tried again */
  timer_update (s);
  dispatch_end (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_create (memif_conn_handle_t *conn, memif_conn_args_t *args,
	      memif_connection_update_t *on_connect, memif_connection_update_t *on_disconnect,
	      memif_on_interrupt_t *on_interrupt, void *private_ctx)
{
  sock_t *s = args ? args->socket : NULL;
  if (conn && s && *conn)
    return fail (s, MEMIF_ERR_CONN, "the handle of an interface to be made is not NULL");
  int err = memif_ext_create (conn, args, NULL, on_connect, on_disconnect, on_interrupt, private_ctx);
  if (!err)
    ((conn_t *) *conn)->tells_end = true;
  return err;
}

int
memif_ext_close (memif_conn_handle_t conn)
{
  conn_t *c = conn;
  if (!c)
    return MEMIF_ERR_NOCONN;
  sock_t *s = c->sock;
  if (c->closed)
    return MEMIF_ERR_SUCCESS;
  dispatch_begin (s);
  c->closed = true;
  if (c->channel)
    channel_close (c->channel, MEMIF_ERR_DISCONNECT, END_OURS, "the interface is closed");
  bool listening = !c->args.is_master;
  for (const conn_t *other = s->conns; other; other = other->next)
    listening |= other->args.is_master && !other->closed;
  if (!listening)
    listener_close (s);
  timer_update (s);
  dispatch_end (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_delete (memif_conn_handle_t *conn)
{
  conn_t *c = conn ? *conn : NULL;
  if (!c)
    return MEMIF_ERR_NOCONN;
  if (c->deleted)
    return MEMIF_ERR_INVAL_ARG;
  sock_t *s = c->sock;
  dispatch_begin (s);
  c->deleted = true;
  const bool linked = c->linked;
  memif_ext_close (c);
  /* As libmemif has it: programs free there what the interface was given. */
  if (!linked && c->tells_end && c->on_disconnect)
    c->on_disconnect (c, c->private_ctx);
  log_tell (s, UINT64_MAX); /* of this one, before it goes */
  for (conn_t **at = &s->conns; *at; at = &(*at)->next)
    if (*at == c)
      {
	*at = c->next;
	break;
      }
  c->next = s->dead;
  s->dead = c;
  *conn = NULL;
  dispatch_end (s);
  return MEMIF_ERR_SUCCESS;
}

int
memif_request_connection (memif_conn_handle_t conn)
{
  conn_t *c = conn;
  if (!c || c->closed)
    return MEMIF_ERR_NOCONN;
  if (c->args.is_master)
    return listener_open (c->sock);
  if (c->channel)
    return fail (c->sock, MEMIF_ERR_ALRCONN, "%s is connected or connecting", where (c));
  dispatch_begin (c->sock);
  int err = channel_connect (c);
  timer_update (c->sock);
  dispatch_end (c->sock);
  /* As libmemif has it: nobody listens, with a file or without. */
  return err == MEMIF_ERR_NO_FILE ? MEMIF_ERR_CONNREFUSED : err;
}

memif_socket_handle_t
memif_get_socket_handle (memif_conn_handle_t conn)
{
  return conn ? ((conn_t *) conn)->sock : NULL;
}
