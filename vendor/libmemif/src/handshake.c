/* The handshake: which message is legal in which state, and what it does. */
#define _GNU_SOURCE

#include "control.h"

typedef struct
{
  const message_t *m;
  int fd; /* the handler's: taken over, or closed by the dispatcher when it is left here */
  char why[REASON_SIZE];
} input_t;

typedef int (handler_t) (channel_t *ch, input_t *in);

static handler_t on_init, on_add_region, on_add_ring, on_connect_request, on_hello, on_init_ack,
  on_region_ack, on_ring_ack, on_connected;

/* Every legal step. DISCONNECT is legal always; all else ends the channel. */
static const struct
{
  channel_state_t state;
  enum message_type type;
  bool with_fd;
  handler_t *handle;
} steps[] = {
  { CH_MASTER_INIT, MSG_INIT, false, on_init },
  { CH_MASTER_SETUP, MSG_ADD_REGION, true, on_add_region },
  { CH_MASTER_SETUP, MSG_ADD_RING, true, on_add_ring },
  { CH_MASTER_SETUP, MSG_CONNECT, false, on_connect_request },
  { CH_SLAVE_HELLO, MSG_HELLO, false, on_hello },
  { CH_SLAVE_INIT, MSG_ACK, false, on_init_ack },
  { CH_SLAVE_REGION, MSG_ACK, false, on_region_ack },
  { CH_SLAVE_RING, MSG_ACK, false, on_ring_ack },
  { CH_SLAVE_CONNECT, MSG_CONNECTED, false, on_connected },
};

static const char *const state_names[] = {
  [CH_MASTER_INIT] = "waiting for INIT",     [CH_MASTER_SETUP] = "setting up",
  [CH_SLAVE_HELLO] = "waiting for HELLO",    [CH_SLAVE_INIT] = "waiting for the ACK of INIT",
  [CH_SLAVE_REGION] = "waiting for the ACK of a region",
  [CH_SLAVE_RING] = "waiting for the ACK of a ring",
  [CH_SLAVE_CONNECT] = "waiting for CONNECTED", [CH_UP] = "connected",
};

static int
refuse (input_t *in, int err, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

static int
refuse (input_t *in, int err, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  text_v (in->why, sizeof in->why, format, args);
  va_end (args);
  return err;
}

static int
send_or_refuse (channel_t *ch, input_t *in, const message_t *m, int fd)
{
  int err = message_send (ch->event->fd, m, fd);
  return err ? refuse (in, err, "the peer does not take our messages") : MEMIF_ERR_SUCCESS;
}

static int
send_ack (channel_t *ch, input_t *in)
{
  return send_or_refuse (ch, in, &(message_t){ .type = MSG_ACK }, -1);
}

/* Master */

/* The highest ring index of a direction that any master here takes. */
static uint16_t
max_ring (const sock_t *s, bool s2m)
{
  uint16_t max = 0;
  for (const conn_t *c = s->conns; c; c = c->next)
    if (c->args.is_master && !c->closed && (s2m ? c->num_rx : c->num_tx) > max)
      max = s2m ? c->num_rx : c->num_tx;
  return max ? (uint16_t) (max - 1) : 0;
}

int
handshake_hello (channel_t *ch)
{
  const sock_t *s = ch->sock;
  message_t m = { .type = MSG_HELLO };
  text_to_wire (m.hello.name, NAME_SIZE, s->app_name);
  m.hello.min_version = m.hello.max_version = PROTOCOL_VERSION;
  m.hello.max_region = MAX_REGIONS - 1;
  m.hello.max_s2m_ring = max_ring (s, true);
  m.hello.max_m2s_ring = max_ring (s, false);
  m.hello.max_log2_ring_size = MAX_LOG2_RING_SIZE;
  return message_send (ch->event->fd, &m, -1);
}

/* In the same time, whatever they are. Both end at their NUL: some peers have something behind
 * it. */
static bool
secrets_equal (const uint8_t *a, const uint8_t *b)
{
  volatile uint8_t different = 0, in_a = 0xff, in_b = 0xff;
  for (int i = 0; i < SECRET_SIZE; i++)
    {
      /* 0 from the NUL on. */
      in_a &= (uint8_t) -(a[i] != 0);
      in_b &= (uint8_t) -(b[i] != 0);
      different |= (a[i] & in_a) ^ (b[i] & in_b);
    }
  return different == 0;
}

static int
on_init (channel_t *ch, input_t *in)
{
  const init_t *init = &in->m->init;
  static const uint8_t none[SECRET_SIZE];
  conn_t *c;

  text_from_wire (ch->peer_name, init->name, NAME_SIZE);
  if (init->version != PROTOCOL_VERSION)
    return refuse (in, MEMIF_ERR_PROTO, "incompatible version %u.%u, we speak 2.0",
		   init->version >> 8, init->version & 0xff);
  for (c = ch->sock->conns; c; c = c->next)
    if (c->args.is_master && !c->closed && c->args.interface_id == init->id)
      break;
  if (!c)
    return refuse (in, MEMIF_ERR_ID, "unmatched interface id %u", (unsigned) init->id);
  /* Before anything more is told of the interface. */
  if (!secrets_equal (c->args.secret, none))
    {
      if (secrets_equal (init->secret, none))
	return refuse (in, MEMIF_ERR_NOSECRET, "secret required");
      if (!secrets_equal (init->secret, c->args.secret))
	return refuse (in, MEMIF_ERR_SECRET, "incorrect secret");
    }
  if (c->channel)
    return refuse (in, MEMIF_ERR_ALRCONN, "already connected: interface id %u", (unsigned) init->id);
  if (c->args.mode != init->mode)
    return refuse (in, MEMIF_ERR_MODE, "mode mismatch: we have %u, you have %u", c->args.mode,
		   init->mode);
  queues_return_external (c);
  c->link = link_new (&ch->sock->memory, &ch->sock->external, c->private_ctx, &ch->peer, &c->held_regions);
  if (!c->link)
    return refuse (in, MEMIF_ERR_NOMEM, "out of memory");
  c->channel = ch;
  ch->conn = c;
  c->peer = ch->peer;
  c->known_peer = true;
  memcpy (c->remote_name, ch->peer_name, sizeof c->remote_name);
  ch->state = CH_MASTER_SETUP;
  return send_ack (ch, in);
}

static int
on_add_region (channel_t *ch, input_t *in)
{
  const add_region_t *r = &in->m->add_region;
  link_t *l = ch->conn->link;
  const char *why = NULL;

  if (in->fd < 0)
    return refuse (in, MEMIF_ERR_NO_SHMFD, "region %u came without its descriptor", r->index);
  if (r->index >= MAX_REGIONS)
    return refuse (in, MEMIF_ERR_MAXREG, "region index %u: at most %d", r->index, MAX_REGIONS - 1);
  if (r->index != l->num_regions)
    return refuse (in, MEMIF_ERR_MFMSG, "region index %u: expected %u", r->index, l->num_regions);
  int err = link_add_region (l, r->size, in->fd, ch->conn->ext.allow_unsealed, &why);
  if (err)
    return refuse (in, err, "region %u: %s", r->index, why);
  in->fd = -1;
  return send_ack (ch, in);
}

static int
on_add_ring (channel_t *ch, input_t *in)
{
  const add_ring_t *r = &in->m->add_ring;
  bool s2m = r->flags & ADD_RING_S2M;
  conn_t *c = ch->conn;
  const char *why = NULL;

  if (in->fd < 0)
    return refuse (in, MEMIF_ERR_NO_INTFD, "ring %u came without its eventfd", r->index);
  int err = link_add_ring (c->link, r, in->fd, s2m ? c->num_rx : c->num_tx, &why);
  if (err)
    return refuse (in, err, "%s ring %u: %s", s2m ? "slave-to-master" : "master-to-slave", r->index,
		   why);
  in->fd = -1;
  if (!queue_of (c, r->index, s2m))
    return refuse (in, MEMIF_ERR_NOMEM, "out of memory");
  return send_ack (ch, in);
}

static int
on_connect_request (channel_t *ch, input_t *in)
{
  conn_t *c = ch->conn;
  link_t *l = c->link;
  const char *why = NULL;

  if (l->num_s2m + l->num_m2s == 0)
    return refuse (in, MEMIF_ERR_MFMSG, "CONNECT before any ring");
  int err = link_map_master (l, &why);
  if (err)
    return refuse (in, err, "%s", why);
  text_from_wire ((char *) c->remote_if, in->m->connect.if_name, NAME_SIZE);

  message_t m = { .type = MSG_CONNECTED };
  text_to_wire (m.connect.if_name, NAME_SIZE, c->args.interface_name);
  err = send_or_refuse (ch, in, &m, -1);
  if (err)
    return err;
  channel_up (ch);
  return MEMIF_ERR_SUCCESS;
}

/* Slave */

static int
on_hello (channel_t *ch, input_t *in)
{
  const hello_t *h = &in->m->hello;
  conn_t *c = ch->conn;
  unsigned max_s2m = h->max_s2m_ring + 1u, max_m2s = h->max_m2s_ring + 1u;
  unsigned log2 = c->args.log2_ring_size;

  text_from_wire (ch->peer_name, h->name, NAME_SIZE);
  memcpy (c->remote_name, ch->peer_name, sizeof c->remote_name);
  if (h->min_version > PROTOCOL_VERSION || h->max_version < PROTOCOL_VERSION)
    return refuse (in, MEMIF_ERR_PROTO, "incompatible version: peer speaks %u.%u to %u.%u, we 2.0",
		   h->min_version >> 8, h->min_version & 0xff, h->max_version >> 8,
		   h->max_version & 0xff);
  if (h->max_log2_ring_size < 1)
    return refuse (in, MEMIF_ERR_MFMSG, "HELLO allows no ring of a usable size");
  if (log2 > h->max_log2_ring_size)
    log2 = h->max_log2_ring_size;

  const char *why = NULL;
  queues_return_external (c);
  c->link = link_new (&ch->sock->memory, &ch->sock->external, c->private_ctx, &ch->peer, &c->held_regions);
  int err = !c->link ? MEMIF_ERR_NOMEM
		     : link_create_slave (c->link, &c->args, c->num_tx < max_s2m ? c->num_tx : max_s2m,
					  c->num_rx < max_m2s ? c->num_rx : max_m2s, log2, &why);
  if (err)
    return refuse (in, err, "no shared memory: %s", why ? why : memif_strerror (err));
  const unsigned s2m = c->link->num_s2m, rings = s2m + c->link->num_m2s;
  for (unsigned i = 0; i < rings; i++)
    if (!queue_of (c, (uint16_t) (i < s2m ? i : i - s2m), i >= s2m))
      return refuse (in, MEMIF_ERR_NOMEM, "out of memory");
  if (c->link->num_regions > h->max_region + 1u)
    return refuse (in, MEMIF_ERR_MAXREG, "HELLO allows %u regions, we need %u", h->max_region + 1u,
		   c->link->num_regions);

  message_t m = { .type = MSG_INIT };
  m.init.version = PROTOCOL_VERSION;
  m.init.id = c->args.interface_id;
  m.init.mode = (uint8_t) c->args.mode;
  /* Not what a program may have left behind the NUL. */
  memcpy (m.init.secret, c->args.secret, strnlen ((const char *) c->args.secret, SECRET_SIZE));
  text_to_wire (m.init.name, NAME_SIZE, ch->sock->app_name);
  ch->state = CH_SLAVE_INIT;
  return send_or_refuse (ch, in, &m, -1);
}

static int
send_region (channel_t *ch, input_t *in)
{
  const region_t *r = &ch->conn->link->regions[ch->step];
  message_t m = { .type = MSG_ADD_REGION };
  m.add_region.index = ch->step;
  m.add_region.size = r->size;
  return send_or_refuse (ch, in, &m, r->fd);
}

static int
send_ring (channel_t *ch, input_t *in)
{
  const link_t *l = ch->conn->link;
  bool s2m = ch->step < l->num_s2m;
  uint16_t index = s2m ? ch->step : (uint16_t) (ch->step - l->num_s2m);
  const link_ring_t *r = s2m ? &l->s2m[index] : &l->m2s[index];
  message_t m = { .type = MSG_ADD_RING };
  m.add_ring.flags = s2m ? ADD_RING_S2M : 0;
  m.add_ring.index = index;
  m.add_ring.region = r->region;
  m.add_ring.offset = r->offset;
  m.add_ring.log2_ring_size = r->log2;
  return send_or_refuse (ch, in, &m, r->efd);
}

static int
on_init_ack (channel_t *ch, input_t *in)
{
  ch->state = CH_SLAVE_REGION;
  ch->step = 0;
  return send_region (ch, in);
}

static int
on_region_ack (channel_t *ch, input_t *in)
{
  if (++ch->step < ch->conn->link->num_regions)
    return send_region (ch, in);
  ch->state = CH_SLAVE_RING;
  ch->step = 0;
  return send_ring (ch, in);
}

static int
on_ring_ack (channel_t *ch, input_t *in)
{
  const link_t *l = ch->conn->link;
  if (++ch->step < l->num_s2m + l->num_m2s)
    return send_ring (ch, in);
  message_t m = { .type = MSG_CONNECT };
  text_to_wire (m.connect.if_name, NAME_SIZE, ch->conn->args.interface_name);
  ch->state = CH_SLAVE_CONNECT;
  return send_or_refuse (ch, in, &m, -1);
}

static int
on_connected (channel_t *ch, input_t *in)
{
  text_from_wire ((char *) ch->conn->remote_if, in->m->connect.if_name, NAME_SIZE);
  channel_up (ch);
  return MEMIF_ERR_SUCCESS;
}

/* Both */

void
handshake_event (event_t *e)
{
  channel_t *ch = e->owner;
  message_t m;
  input_t in = { .m = &m, .fd = -1 };
  const char *why = "";
  int err;

  /* Of who has sent its INIT only its own count: another's of the same user must not end a link. */
  if (foreign_crowded (&ch->peer, ch->state != CH_MASTER_INIT))
    {
      channel_close (ch, MEMIF_ERR_AGAIN, END_OURS, "too much of it waits to be closed");
      return;
    }
  int got = message_receive (e->fd, &ch->peer, &m, &in.fd, &why);
  if (got == 0)
    return;
  if (got < 0)
    {
      channel_close (ch, -got, got == -MEMIF_ERR_DISCONNECTED ? END_LOST : END_OURS, "%s", why);
      return;
    }
  if (m.type == MSG_DISCONNECT)
    {
      char reason[REASON_SIZE + 1];
      text_from_wire (reason, m.disconnect.reason, REASON_SIZE);
      if (in.fd >= 0)
	foreign_close (in.fd, FOREIGN_ANY, &ch->peer);
      /* Some peers give an error number that is also ours. */
      err = m.disconnect.code >= MEMIF_ERR_PROTO && m.disconnect.code <= MEMIF_ERR_NO_INTFD
	      ? (int) m.disconnect.code
	      : MEMIF_ERR_DISCONNECT;
      channel_close (ch, err, END_PEERS, "%s", reason[0] ? reason : "no reason given");
      return;
    }

  err = refuse (&in, m.type > MSG_DISCONNECT || m.type == MSG_NONE ? MEMIF_ERR_UNKNOWN_MSG
								   : MEMIF_ERR_MFMSG,
		"unexpected message of type %u while %s", m.type, state_names[ch->state]);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
    if (steps[i].state == ch->state && steps[i].type == m.type)
      {
	if (in.fd >= 0 && !steps[i].with_fd)
	  err = refuse (&in, MEMIF_ERR_MFMSG, "unexpected descriptor with a message of type %u",
			m.type);
	else
	  err = steps[i].handle (ch, &in);
	break;
      }
  if (in.fd >= 0)
    foreign_close (in.fd, FOREIGN_ANY, &ch->peer);
  explicit_bzero (&m, sizeof m); /* a secret, perhaps */
  if (err)
    channel_close (ch, err, END_OURS, "%s", in.why);
}
