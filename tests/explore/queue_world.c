/* SPDX-License-Identifier: MIT */
/*
 * The fibers of a queue scenario and the checks.
 */
#include <errno.h>

#include "ipc/queue_watch.h"
#include "os/clock.h"
#include "queue_priv.h"
#include "sync/asymmetric.h"
#include "sync/park.h"
#include "sync/told.h"

static mproc_queue *const q = &queue_memory.q;
static const struct queue_case *now;

/* Whether the message lies in the block, in a lane. */
static bool
is_queued(uint64_t word)
{
	return mpr_owner_state(word) == MPR_MESSAGE_QUEUED ||
	       mpr_owner_state(word) == MPR_MESSAGE_WRITTEN;
}

/* Nothing is in the queue any more that was put before @id's put began. */
static void
check_order(unsigned id)
{
	unsigned after = now->roles[id / QUEUE_PER_FIBER].after, other;

	if (!now->ordered || !after)
		return;
	queue_count_published(after - 1);
	for (unsigned i = 0; i < now->blocks; i++) {
		if (!is_queued(explore_newest(&queue_block(i)->state)))
			continue;
		other = queue_message_in(i);
		explore_check(other / QUEUE_PER_FIBER != after - 1 ||
			      !world.committed[other]);
	}
}

void
queue_count_published(unsigned f)
{
	const struct queue_role *role = &now->roles[f];
	unsigned n = puts_of(role) + (f == QUEUE_STOCK ? now->there : 0);
	bool in_lane = !now->keeps && !now->ordered;
	uint64_t end = now->start;

	for (unsigned i = 0; i < n; i++) {
		size_t len = role->len[i] ? role->len[i] : 8;

		end += mpr_frame_size(in_lane && len < QUEUE_LONG ?
				      len : MPR_FRAME_REFERENCE_LEN);
		if (end <= explore_newest(&queue_lane(f)->tail))
			world.committed[f * QUEUE_PER_FIBER + 1 + i] = true;
	}
}

static void
took(unsigned taker, const struct iovec *msg)
{
	unsigned id = *(const unsigned char *)msg->iov_base;
	unsigned from = id / QUEUE_PER_FIBER;

	explore_check(id < QUEUE_IDS && world.known[id]);
	if (now->keeps && taker < EXPLORE_FIBERS) {
		queue_kept_got(taker, id);
		return;
	}
	if (now->keeps) {
		world.kept[id].there++;
		return;
	}
	if (taker < EXPLORE_FIBERS)
		check_order(id);
	explore_check(!world.delivered[id]);
	world.delivered[id] = true;
	explore_check(id > world.last[taker][from]);
	world.last[taker][from] = id;
}

static mproc_timeout
timeout_of(const struct queue_role *role)
{
	return role->timed ? mproc_ms(1) : MPROC_FOREVER;
}

/* The fibers. */

/* Where a message lies, its first word says which it is. */
static void
write_in_place(void *p, unsigned id)
{
	if (explore_is_shared(p))
		explore_store(p, id, memory_order_relaxed);
	else
		*(unsigned char *)p = (unsigned char)id;
}

static unsigned char
read_in_place(const void *p)
{
	return explore_is_shared(p) ?
		       (unsigned char)explore_load(p, memory_order_relaxed) :
		       *(const unsigned char *)p;
}

unsigned
queue_message_in(unsigned i)
{
	unsigned m;

	explore_check(queue_is_memory(explore_newest(&queue_block(i)->memory),
				      &m));
	return *queue_memory.messages[m];
}

static int
put_in_place(const struct queue_role *role, unsigned id, size_t len)
{
	void *p;
	int r;

	r = mproc_queue_reserve(q, len, &p, timeout_of(role));
	if (r == 0 && role->aborts) {
		write_in_place(p, 0);
		explore_check(mproc_queue_abort(q, p) == 0);
		r = mproc_queue_reserve(q, len, &p, timeout_of(role));
	}
	if (r < 0)
		return r;
	write_in_place(p, id);
	return mproc_queue_commit(q, p, len);
}

/* Puts messages @id to @id + @n - 1, or the first few. Returns how many. */
static unsigned
put(const struct queue_role *role, unsigned id, unsigned n,
    const uint8_t *len)
{
	unsigned char bytes[QUEUE_PUTS_MAX][QUEUE_CAPACITY_MAX] = { 0 };
	struct iovec msgs[QUEUE_PUTS_MAX];
	int r;

	for (unsigned i = 0; i < n; i++) {
		bytes[i][0] = (unsigned char)(id + i);
		msgs[i].iov_base = bytes[i];
		msgs[i].iov_len = len[i] ? len[i] : 8;
		world.known[id + i] = true;
	}
	if (role->batch) {
		r = mproc_queue_put_many(q, msgs, (int)n,
					 timeout_of(role));
	} else if (now->in_place) {
		r = put_in_place(role, id, msgs[0].iov_len);
		if (r == 0)
			r = 1;
	} else {
		r = mproc_queue_put(q, bytes[0], msgs[0].iov_len,
				    timeout_of(role));
		if (r == 0)
			r = 1;
	}
	queue_kept_note();
	for (int i = 0; i < r; i++)
		world.committed[id + (unsigned)i] = true;
	if (r < 0)
		explore_check((r == -ESHUTDOWN &&
			       explore_newest(&q->closing)) ||
			      (r == -ETIMEDOUT && role->timed));
	explore_point();
	return r < 0 ? 0 : (unsigned)r;
}

static void
produce(unsigned fiber, const struct queue_role *role)
{
	unsigned id = fiber * QUEUE_PER_FIBER + 1;

	if (fiber == QUEUE_STOCK)
		id += now->there;
	if (role->after)
		explore_inherit(role->after - 1u);
	for (unsigned i = 0, n; i < role->n; i += n) {
		n = role->batch ? role->batch : 1;
		if (n > role->n - i)
			n = role->n - i;
		n = put(role, id + i, n, &role->len[i]);
		if (n == 0)
			break;
	}
}

bool
queue_lanes_are_empty(void)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (is_producer(f) &&
		    explore_newest(&queue_lane(f)->head) !=
			    explore_newest(&queue_lane(f)->tail))
			return false;
	return true;
}

/* Until it is released, others may be shown it as well. */
static int
get_in_place(const struct queue_role *role, unsigned char *ret_id,
	     size_t *ret_len)
{
	const void *p;
	int r = mproc_queue_peek(q, &p, ret_len, timeout_of(role));

	if (r < 0)
		return r;
	*ret_id = read_in_place(p);
	explore_check(*ret_id < QUEUE_IDS && world.known[*ret_id]);
	explore_check(!world.delivered[*ret_id]);
	return mproc_queue_release(q, p);
}

/* Says what becomes of a message that the fiber has. */
static void
end_message(unsigned fiber, const struct queue_role *role, unsigned id)
{
	unsigned next = fiber * QUEUE_PER_FIBER + 1;
	bool is_first = !world.has_ended[fiber];

	world.has_ended[fiber] = true;
	if (role->passes_on && is_first)
		put(role, fiber == QUEUE_STOCK ? next + now->there : next, 1,
		    role->len);
	queue_kept_end(fiber, id, role->requeues && is_first);
}

/* Returns false if there will be no more. */
static bool
get(unsigned fiber, const struct queue_role *role)
{
	unsigned char bytes[QUEUE_CAPACITY_MAX];
	struct iovec msgs[QUEUE_PUTS_MAX] = { { bytes, 0 } };
	int r;

	if (role->batch) {
		r = mproc_queue_get_many(q, bytes, sizeof(bytes), msgs,
					 role->batch, timeout_of(role));
	} else if (now->in_place) {
		r = get_in_place(role, bytes, &msgs[0].iov_len);
		if (r == 0)
			r = 1;
	} else {
		r = mproc_queue_get(q, bytes, sizeof(bytes),
				    &msgs[0].iov_len, timeout_of(role));
		if (r == 0)
			r = 1;
	}
	for (int i = 0; i < r; i++)
		took(fiber, &msgs[i]);
	if (r == 1 && now->keeps)
		end_message(fiber, role, bytes[0]);
	if (r > 0 || (r == -ETIMEDOUT && role->timed) ||
	    (r == -EINTR && has(QUEUE_INTERRUPTS)))
		return true;
	explore_check(r == -ESHUTDOWN);
	if (explore_newest(&q->closing) == MPROC_DRAIN) {
		explore_check(queue_lanes_are_empty());
		queue_kept_check_final();
		world.was_shut_down = true;
	}
	return false;
}

/* Whether the watcher was woken for this queue, of the many that it may have. */
static bool
is_told(struct mpr_self *self, const struct mpr_watch *w)
{
	unsigned place = mpr_told_place(
		mpr_arena_name(world_arena(), &q->seats));

	return mpr_told_has(mpr_told_take(self), place) &&
	       mpr_watch_is_told(w);
}

/* Until there is something: the round of src/ipc/watcher.c. It looks at what was
 * noted, in the beginning; at what it was told of; and, as time goes by, at all. */
static void
watch(unsigned fiber, const struct queue_role *role)
{
	struct mpr_watch w = { .at = &world.attachments[fiber] };
	struct mpr_self *self = world_self(fiber);
	bool looks = true;
	uint32_t ticket;

	for (;;) {
		ticket = mpr_park_ticket(self);
		if (is_told(self, &w) || looks) {
			looks = false;
			if (mpr_watch_is_ready(&w))
				break;
			mpr_watch_begin(&w);
			mpr_fence_rare(world_arena());
			if (mpr_watch_is_ready(&w))
				break;
			mpr_watch_go_on(&w);
		}
		if (mpr_park(self, q, ticket,
			     mpr_deadline(timeout_of(role))) == -ETIMEDOUT)
			looks = world.out_of_time[fiber] = true;
	}
	mpr_watch_end(&w);
}

static void
run(unsigned fiber)
{
	const struct queue_role *role = &now->roles[fiber];
	unsigned n = role->n;

	switch (role->part) {
	case QUEUE_PUTS:
		produce(fiber, role);
		break;
	case QUEUE_GETS:
		while (n && get(fiber, role))
			n--;
		break;
	case QUEUE_SHUTS_DOWN:
		explore_check(mproc_queue_shutdown(q, role->flags) == 0);
		break;
	case QUEUE_INTERRUPTS:
		explore_point();
		world.interrupted[role->victim] = true;
		mpr_unpark(world_arena(), role->victim);
		break;
	case QUEUE_KILLS:
		explore_point();
		explore_kill(role->victim);
		break;
	case QUEUE_WATCHES:
		for (; n; n--)
			watch(fiber, role);
		break;
	case QUEUE_JOINS:
		queue_kept_join(role);
		break;
	case QUEUE_READS_LETTERS:
		for (; n; n--)
			queue_kept_read(role);
	}
}

/* The end. */

/* Whether a message could get a block: each is free that nobody has, and there
 * are always more without memory. */
static bool
has_free_block(void)
{
	bool found = queue_has_memory();

	for (unsigned i = 0; i < now->blocks; i++)
		found |= mpr_owner_state(explore_newest(
				 &queue_block(i)->state)) == MPR_MESSAGE_FREE &&
			 explore_newest(&queue_block(i)->memory);
	return found;
}

/* The head that a producer sleeps for. One that looks does not sleep for ever for more
 * room than its message needs. */
static uint64_t
want_of(unsigned f)
{
	return now->roles[f].looks ?
		       mpr_producer_want(&world.attachments[f].producer, 8, 0) :
		       explore_newest(&queue_lane(f)->want);
}

static void
check_sleeper(unsigned f)
{
	explore_check(!explore_newest(&q->closing));
	if (now->keeps)
		queue_kept_check_sleeper(f);
	else if (has_seat(f))
		explore_check(queue_lanes_are_empty());
	else if (now->blocks)
		/* Lanes have room for all. */
		explore_check(!has_free_block());
	else
		explore_check((int64_t)(explore_newest(&queue_lane(f)->head) -
					want_of(f)) < 0);
}

/* A message that is left in a block, or a reference that nobody has passed.
 * Returns whether there is one. */
static bool
look_into_block(struct mpr_consumer *c, struct iovec *found)
{
	struct mpr_message_block *b;
	struct mpr_reference ref;
	uint64_t word;
	unsigned i;

	explore_check(mpr_consumer_reference(c, &ref));
	b = mpr_arena_at(world_arena(), ref.object);
	word = explore_newest(&b->state);
	mpr_consumer_pass(c);
	if (mpr_owner_epoch(word) != ref.use || !is_queued(word))
		return false;
	i = (unsigned)(b - queue_block(0));
	explore_check(i < now->blocks && !world.found[i]);
	world.found[i] = true;
	explore_check(queue_is_memory(explore_newest(&b->memory), &i));
	found->iov_len = explore_newest(&b->len);
	*(unsigned char *)found->iov_base =
		read_in_place(queue_memory.messages[i]);
	return true;
}


/* Each is free, or was found in a lane, or is a dead one's. */
static void
check_blocks(void)
{
	for (unsigned i = 0; i < now->blocks; i++) {
		uint64_t word = explore_newest(&queue_block(i)->state);
		unsigned state = mpr_owner_state(word);

		if (state == MPR_MESSAGE_FREE || world.found[i])
			continue;
		if (now->keeps && state == MPR_MESSAGE_QUEUED)
			continue;
		explore_check(state != MPR_MESSAGE_QUEUED);
		explore_check(explore_killed(mpr_owner_slot(word)));
		explore_check(explore_has_unburied());
	}
}

/* What is left is there. */
static void
look_into(unsigned f)
{
	unsigned char msg[QUEUE_CAPACITY_MAX];
	struct iovec found = { msg, 0 };
	struct mpr_consumer c;
	int r;

	for (unsigned taker = 0; taker < EXPLORE_FIBERS; taker++)
		if (world.last[EXPLORE_FIBERS][f] < world.last[taker][f])
			world.last[EXPLORE_FIBERS][f] = world.last[taker][f];
	mpr_consumer_begin(&c, queue_lane(f), world.capacity);
	while ((r = mpr_consumer_get(&c, msg, sizeof(msg), &found.iov_len)) ==
		       0 ||
	       r == -EREMOTE)
		if (r == 0 || look_into_block(&c, &found))
			took(EXPLORE_FIBERS, &found);
	explore_check(r == -EAGAIN);
}

static void
end(void)
{
	unsigned allowed = 0, lost = 0;

	for (unsigned f = 0; f < world.fibers; f++) {
		const struct queue_role *role = &now->roles[f];

		if (explore_asleep(f))
			check_sleeper(f);
		if (is_consumer(f) && explore_killed(f))
			allowed += role->batch ? role->batch : 1;
	}
	if (world.was_shut_down && explore_newest(&q->closing) == MPROC_DRAIN)
		explore_check(queue_lanes_are_empty());
	for (unsigned f = 0; f < world.fibers; f++)
		if (is_producer(f) &&
		    (!now->roles[f].late ||
		     world.attachments[f].producer.lane))
			look_into(f);
	check_blocks();
	for (unsigned f = 0; now->blocks && f < world.fibers; f++)
		if (is_producer(f))
			queue_count_published(f);
	if (now->keeps) {
		queue_kept_check();
		return;
	}
	for (unsigned id = 0; id < QUEUE_IDS; id++)
		lost += world.committed[id] && !world.delivered[id];
	explore_check(lost <= allowed);
}

static void
begin(void)
{
	queue_begin(now);
}

const struct explore_scenario *
queue_scenario(const struct queue_case *c)
{
	static struct explore_scenario s;

	now = c;
	s = (struct explore_scenario){
		.name = c->name,
		.begin = begin,
		.enter = queue_enter,
		.run = run,
		.end = end,
	};
	while (s.fibers < EXPLORE_FIBERS && c->roles[s.fibers].n) {
		s.mortal |= (unsigned)c->roles[s.fibers].mortal << s.fibers;
		s.fibers++;
	}
	return &s;
}
