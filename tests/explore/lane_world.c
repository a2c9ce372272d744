/* SPDX-License-Identifier: MIT */
/*
 * The fibers of a lane scenario and the checks.
 */
#include <errno.h>
#include <string.h>

#include "lane_world.h"

/* The sources themselves. */
#include "ring/lane.c"
#include "ring/lane_get.c"
#include "ring/lane_put.c"

/* Messages have numbers that grow along the lane: those of a producer's heir
 * are above its own. */
#define PER_FIBER 8
#define IDS (EXPLORE_FIBERS * PER_FIBER)

static const struct lane_case *now;

static struct {
	_Alignas(MPR_APART) unsigned char bytes[sizeof(struct mpr_lane) +
						LANE_CAPACITY_MAX];
	struct mpr_producer producers[EXPLORE_FIBERS];
	struct mpr_consumer consumers[EXPLORE_FIBERS];
	unsigned owner;	    /* the fiber that produces or did so last */
	unsigned wake_ups;  /* the owner sleeps on it */
	bool has_sleeper;

	/* Of each message. */
	uint8_t len[IDS];      /* 0: nobody has tried to put it */
	uint64_t position[IDS];
	bool committed[IDS];   /* put has said so */
	bool delivered[IDS];

	/* Of each taker; the last one is the final drain. */
	unsigned last[EXPLORE_FIBERS + 1];
} w;

static struct mpr_lane *
lane(void)
{
	return (struct mpr_lane *)(void *)w.bytes;
}

static void
fill(unsigned char *msg, unsigned id, size_t len)
{
	msg[0] = (unsigned char)id;
	for (size_t i = 1; i < len; i++)
		msg[i] = (unsigned char)(id * 37 + i * 11);
}

static void
begin(void)
{
	struct mpr_lane *l = lane();

	memset(&w, 0, sizeof(w));
	mpr_lane_init(l, mpr_owner(1, 0, MPR_LANE_ACTIVE));
	atomic_init(&l->head, now->start);
	atomic_init(&l->tail, now->start);
	explore_share(LANE_HEAD, &l->head, sizeof(l->head), "head");
	explore_share(LANE_TAIL, &l->tail, sizeof(l->tail), "tail");
	explore_share(LANE_FRAMES, l->buffer, now->capacity, "buffer");
	explore_share(LANE_COUNT, &l->count, sizeof(l->count), "count");
	explore_share(LANE_WANT, &l->want, sizeof(l->want), "want");
	explore_share(LANE_AWAITS, &l->awaits, sizeof(l->awaits), "awaits");
	explore_share(LANE_NOTE, &l->last_object, 3 * sizeof(l->last_object),
		      "last reference");
	explore_share(LANE_OWNER, &l->owner, sizeof(l->owner), "owner");
	explore_share(LANE_BUSY, &l->busy, sizeof(l->busy), "busy");
	explore_share(LANE_OWES, &l->owes, sizeof(l->owes), "owes");
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		w.has_sleeper |= now->roles[f].sleeps;
		/* Who is there from the start has begun already. */
		w.producers[f] = (struct mpr_producer){
			.lane = l,
			.capacity = now->capacity,
			.tail = now->start,
			.end = now->start + now->capacity,
			.straight = (now->start | (now->capacity - 1)) + 1,
			.longest = mpr_lane_message_max(now->capacity),
		};
		w.consumers[f] = (struct mpr_consumer){
			.lane = l,
			.capacity = now->capacity,
			.head = now->start,
			.tail_seen = now->start,
			.straight = now->start,
			.like = MPR_LIKE_NONE,
		};
	}
}

/* Whether there was no room for the message when head was at @head. */
static bool
was_full(const struct mpr_producer *p, size_t len, uint64_t head)
{
	size_t need = mpr_frame_size(len);
	size_t room = p->capacity - (p->tail & (p->capacity - 1));

	if (need > room)
		need += room;
	return p->tail - head + need > p->capacity;
}

/* Sleeps until there may be room, as a put with a timeout does. */
static void
sleep_for_room(const struct mpr_producer *p, size_t len)
{
	uint64_t want = mpr_producer_want(p, len, 0);
	unsigned ticket;

	mpr_store(&lane()->want, want, memory_order_relaxed);
	explore_barrier();
	ticket = w.wake_ups;
	if (!mpr_producer_may_go(p, want))
		explore_sleep(&w.wake_ups, ticket);
	mpr_store(&lane()->want, 0, memory_order_relaxed);
}

/* Where a message of @len bytes goes that follows what ends at @tail. */
static uint64_t
place(const struct mpr_producer *p, uint64_t tail, size_t len)
{
	size_t room = p->capacity - (tail & (p->capacity - 1));

	return mpr_frame_size(len) > room ? tail + room : tail;
}

static int
put_in_place(struct mpr_producer *p, const unsigned char *bytes, size_t len)
{
	void *to = NULL;
	int r = mpr_producer_reserve(p, len, &to);

	if (r < 0)
		return r;
	explore_check(mpr_producer_put(p, bytes, len) == -EBUSY);
	mpr_copy_in(to, bytes, len);
	mpr_producer_put_reserved(p, len);
	return 0;
}

/* What a reference to a message says. */
static struct mpr_reference
reference_to(unsigned id)
{
	return (struct mpr_reference){
		.object = id,
		.use = LANE_USE | id,
		.stamp = LANE_USE | id,
	};
}

static int
put_reference(struct mpr_producer *p, unsigned id, size_t len)
{
	struct mpr_reference ref = reference_to(id);
	void *to = NULL;
	int r = mpr_producer_reserve(p, len, &to);

	if (r == 0)
		mpr_producer_put_reference(p, &ref);
	return r;
}

/* Puts messages @id to @id + @n - 1, or the first few of them. Returns how
 * many, or an error. */
static int
put_once(struct mpr_producer *p, unsigned id, unsigned n,
	 const struct lane_role *role)
{
	unsigned char bytes[LANE_PUTS_MAX][LANE_CAPACITY_MAX];
	struct iovec msgs[LANE_PUTS_MAX];
	uint64_t tail = p->tail;
	size_t len = w.len[id];
	int r;

	for (unsigned i = 0; i < n; i++) {
		fill(bytes[i], id + i, w.len[id + i]);
		msgs[i].iov_base = bytes[i];
		msgs[i].iov_len = w.len[id + i];
		w.position[id + i] = place(p, tail, w.len[id + i]);
		tail = w.position[id + i] + mpr_frame_size(w.len[id + i]);
	}
	if (role->batch)
		return mpr_producer_put_many(p, msgs, (int)n);
	if (role->parts) {
		/* The first one is a word long, as the explorer's are. */
		msgs[0].iov_len = 8;
		msgs[1].iov_base = bytes[0] + 8;
		msgs[1].iov_len = len - 8;
		r = mpr_producer_putv(p, msgs, 2, len);
	} else if (role->refers) {
		r = put_reference(p, id, len);
	} else if (role->in_place) {
		r = put_in_place(p, bytes[0], len);
	} else {
		r = mpr_producer_put(p, bytes[0], len);
	}
	return r < 0 ? r : 1;
}

/* Returns how many. */
static unsigned
put(struct mpr_producer *p, unsigned id, unsigned n,
    const struct lane_role *role)
{
	size_t len = w.len[id];
	uint64_t head;
	int r;

	for (unsigned tries = 0; tries <= role->tries;) {
		head = explore_peek(&lane()->head);
		r = put_once(p, id, n, role);
		for (int i = 0; i < r; i++)
			w.committed[id + (unsigned)i] = true;
		if (r > 0)
			return (unsigned)r;
		explore_check(r == -EAGAIN);
		/* The pad may be there by now, which changes nothing. */
		if (explore_is_plain())
			explore_check(was_full(p, len, head));
		if (role->sleeps)
			sleep_for_room(p, len);
		else
			tries++;
	}
	return n;
}

static void
produce(unsigned fiber, const struct lane_role *role)
{
	struct mpr_producer *p = &w.producers[fiber];

	if (role->heir_of) {
		explore_inherit(role->heir_of - 1u);
		mpr_store(&lane()->owner, mpr_owner(1, 0, MPR_LANE_FREE),
			  memory_order_release);
		mpr_store(&lane()->owner,
			  mpr_owner(2 + fiber, 0, MPR_LANE_ACTIVE),
			  memory_order_release);
		w.owner = fiber;
		explore_check(mpr_producer_begin(p, lane(), now->capacity) ==
			      0);
	}
	for (unsigned i = 0; i < role->n;) {
		unsigned id = fiber * PER_FIBER + i + 1;
		unsigned n = role->batch ? role->batch : 1;

		if (n > role->n - i)
			n = role->n - i;
		for (unsigned k = 0; k < n; k++)
			w.len[id + k] = role->len[i + k];
		i += put(p, id, n, role);
	}
}

static void
took(unsigned taker, const unsigned char *msg, size_t len)
{
	unsigned char good[LANE_CAPACITY_MAX];
	unsigned id = msg[0];

	explore_check(id < IDS && w.len[id]);
	explore_check(len == w.len[id]);
	fill(good, id, len);
	explore_check(memcmp(msg, good, len) == 0);
	explore_check(!w.delivered[id]);
	w.delivered[id] = true;
	explore_check(id > w.last[taker]);
	w.last[taker] = id;
}

/* After -EREMOTE. Who is the first to know a message by its reference takes it;
 * others pass the reference as well. */
static void
follow_reference(unsigned taker, struct mpr_consumer *c, bool is_shared)
{
	struct mpr_reference ref;

	if (!mpr_consumer_reference(c, &ref))
		return;
	explore_check(ref.object < IDS && w.len[ref.object]);
	explore_check(ref.use == reference_to((unsigned)ref.object).use);
	explore_check(ref.stamp == ref.use);
	if (!w.delivered[ref.object]) {
		w.delivered[ref.object] = true;
		explore_check(ref.object > w.last[taker]);
		w.last[taker] = (unsigned)ref.object;
	}
	if (is_shared)
		mpr_consumer_pass_shared(c);
	else
		mpr_consumer_pass(c);
}

/* Whether a message of @len bytes can have been the next one while head went
 * from @from to @to. Without plain interleaving there is no "while". */
static bool
was_next(size_t len, uint64_t from, uint64_t to)
{
	if (!explore_is_plain())
		from = 0;
	for (unsigned id = 0; id < IDS; id++)
		if (w.len[id] == len && w.position[id] >= from &&
		    w.position[id] <= to)
			return true;
	return false;
}

static int
get_many(struct mpr_consumer *c, void *bytes, size_t room, struct iovec *msgs,
	 const struct lane_role *role, size_t *ret_len)
{
	if (role->part == LANE_CONSUMES)
		return mpr_consumer_get_many(c, bytes, room, msgs, role->batch,
					     ret_len);
	return mpr_consumer_get_many_shared(c, bytes, room, msgs, role->batch,
					    ret_len);
}

static int
get_in_place(struct mpr_consumer *c, void *bytes, size_t *ret_len)
{
	const void *at = NULL;
	int r = mpr_consumer_peek(c, &at, ret_len);

	if (r < 0)
		return r;
	explore_check(*ret_len <= LANE_CAPACITY_MAX);
	mpr_copy_out(bytes, at, *ret_len);
	mpr_consumer_release(c, *ret_len);
	return 0;
}

/* Nothing is taken, and only what can have been there is told. */
static void
look(struct mpr_consumer *c)
{
	uint64_t head = explore_peek(&lane()->head), end;
	uint64_t tail = explore_peek(&lane()->tail);
	size_t len = 0;
	int r = mpr_consumer_look_shared(c, &len);

	end = explore_peek(&lane()->head);
	if (r == 0)
		explore_check(was_next(len, head, end));
	else
		explore_check(r == -EAGAIN &&
			      (tail <= end || !explore_is_plain()));
}

static void
get(unsigned fiber, const struct lane_role *role)
{
	uint64_t head = explore_peek(&lane()->head);
	uint64_t tail = explore_peek(&lane()->tail);
	struct mpr_consumer *c = &w.consumers[fiber];
	size_t room = role->room ? role->room : LANE_CAPACITY_MAX, len = 0;
	unsigned char bytes[LANE_CAPACITY_MAX] = { 0 };
	struct iovec msgs[LANE_PUTS_MAX] = { { bytes, 0 } };
	uint64_t end;
	int r;

	if (role->batch)
		r = get_many(c, bytes, room, msgs, role, &len);
	else if (role->in_place)
		r = get_in_place(c, bytes, &len);
	else if (role->part == LANE_CONSUMES)
		r = mpr_consumer_get(c, bytes, room, &len);
	else
		r = mpr_consumer_get_shared(c, bytes, room, &len);
	if (r == -EREMOTE) {
		follow_reference(fiber, c, role->part == LANE_CONSUMES_SHARED);
		return;
	}
	if (r == 0) {
		msgs[0].iov_len = len;
		r = 1;
	}
	end = explore_peek(&lane()->head);
	if (w.has_sleeper && (r > 0 || r == -EAGAIN) &&
	    mpr_lane_take_want(lane()))
		w.wake_ups++;
	explore_point(); /* killed after its claim and before its return */
	explore_use();
	for (int i = 0; i < r; i++)
		took(fiber, msgs[i].iov_base, msgs[i].iov_len);
	if (r > 0)
		explore_check((uint64_t)(uintptr_t)msgs[0].iov_base ==
			      (uint64_t)(uintptr_t)bytes);
	else if (r == -EMSGSIZE)
		explore_check(len > room && was_next(len, head, end));
	else
		explore_check(r == -EAGAIN &&
			      (tail <= end || !explore_is_plain()));
}

static void
consume(unsigned fiber, const struct lane_role *role)
{
	if (role->heir_of) {
		explore_inherit(role->heir_of - 1u);
		w.last[fiber] = w.last[role->heir_of - 1];
		mpr_consumer_begin(&w.consumers[fiber], lane(), now->capacity);
	}
	for (unsigned i = 0; i < role->n; i++) {
		if (role->looks)
			look(&w.consumers[fiber]);
		get(fiber, role);
	}
}

/* Asks for the length, which counts at least what was there all the time. */
static void
count_messages(void)
{
	uint64_t tail = explore_peek(&lane()->tail), head;
	size_t len, bytes, there = 0;

	len = mpr_lane_len(lane(), now->capacity);
	bytes = mpr_lane_bytes(lane(), now->capacity);
	explore_check(len <= now->capacity / MPR_FRAME_ALIGN);
	explore_check(bytes <= now->capacity);
	head = explore_peek(&lane()->head);
	if (!explore_is_plain())
		return;
	for (unsigned id = 0; id < IDS; id++)
		there += w.len[id] && w.position[id] >= head &&
			 w.position[id] < tail;
	explore_check(len >= there);
	explore_check((int64_t)(tail - head) <= (int64_t)bytes);
}

static void
run(unsigned fiber)
{
	const struct lane_role *role = &now->roles[fiber];

	switch (role->part) {
	case LANE_PRODUCES:
		produce(fiber, role);
		break;
	case LANE_COUNTS:
		for (unsigned i = 0; i < role->n; i++)
			count_messages();
		break;
	default:
		consume(fiber, role);
	}
}

static bool
is_consumer(unsigned fiber)
{
	return now->roles[fiber].part == LANE_CONSUMES ||
	       now->roles[fiber].part == LANE_CONSUMES_SHARED;
}

/* Takes what is left. Returns how much that was. */
static unsigned
drain(void)
{
	unsigned char msg[LANE_CAPACITY_MAX];
	struct mpr_consumer c;
	unsigned n = 0;
	size_t len;
	int r;

	/* All that was taken before came before. */
	for (unsigned f = 0; f < EXPLORE_FIBERS; f++)
		if (w.last[EXPLORE_FIBERS] < w.last[f])
			w.last[EXPLORE_FIBERS] = w.last[f];
	mpr_consumer_begin(&c, lane(), now->capacity);
	while (((r = mpr_consumer_get_shared(&c, msg, sizeof(msg), &len)) == 0 ||
		r == -EREMOTE) &&
	       n++ < IDS)
		if (r == 0)
			took(EXPLORE_FIBERS, msg, len);
		else
			follow_reference(EXPLORE_FIBERS, &c, true);
	explore_check(r == -EAGAIN);
	return n;
}

static void
end(void)
{
	unsigned killed = 0, allowed = 0, lost = 0;
	size_t len;

	for (unsigned f = 0; f < EXPLORE_FIBERS; f++) {
		unsigned batch = now->roles[f].batch ? now->roles[f].batch : 1;

		if (!now->roles[f].n || !is_consumer(f) || !explore_killed(f))
			continue;
		killed++;
		allowed += batch;
	}
	/* Whoever recovers a killed consumer wakes all who sleep. */
	if (explore_asleep(w.owner) && !killed)
		explore_check((int64_t)(explore_peek(&lane()->head) -
					explore_peek(&lane()->want)) < 0);

	/* An owner that was killed has lost the lane by now. */
	if (explore_killed(w.owner))
		mpr_store(&lane()->owner, mpr_owner(1, 0, MPR_LANE_FREE),
			  memory_order_relaxed);
	len = mpr_lane_len(lane(), now->capacity);
	mpr_store(&lane()->owner, mpr_owner(1, 0, MPR_LANE_FREE),
		  memory_order_relaxed);
	explore_check(mpr_lane_len(lane(), now->capacity) == len);
	explore_check(drain() == len);
	explore_check(mpr_lane_is_empty(lane()));
	explore_check(mpr_lane_len(lane(), now->capacity) == 0);

	for (unsigned id = 0; id < IDS; id++)
		lost += w.committed[id] && !w.delivered[id];
	explore_check(lost <= allowed);
}

const struct explore_scenario *
lane_scenario(const struct lane_case *c)
{
	static struct explore_scenario s;

	now = c;
	s = (struct explore_scenario){
		.name = c->name,
		.begin = begin,
		.run = run,
		.end = end,
	};
	while (s.fibers < EXPLORE_FIBERS && c->roles[s.fibers].n) {
		s.mortal |= (unsigned)c->roles[s.fibers].mortal << s.fibers;
		s.fibers++;
	}
	return &s;
}
