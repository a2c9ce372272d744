/* SPDX-License-Identifier: MIT */
/*
 * How the world of a queue's scenario is made, and what queue_fakes.c asks of
 * it.
 */
#include <string.h>

#include "ipc/turns.h"
#include "queue_priv.h"

struct queue_memory queue_memory;
struct queue_world world;

static mproc_arena arena = {
	.shmem = {
		.base = queue_memory.low,
		.size = sizeof(queue_memory),
	},
	.shm = (struct mpr_arena_shm *)(void *)queue_memory.low,
};

/* For what lies below. */

mproc_arena *
world_arena(void)
{
	return &arena;
}

unsigned
world_fibers(void)
{
	return world.fibers;
}

struct mpr_self *
world_self(unsigned fiber)
{
	return &world.selves[fiber];
}

struct mpr_lane *
queue_lane(unsigned fiber)
{
	return (struct mpr_lane *)(void *)queue_memory.lanes[fiber];
}

bool
world_may_look(void)
{
	return explore_has_unburied();
}

bool
world_may_run_out_of_time(unsigned fiber)
{
	const struct queue_role *role = &world.now->roles[fiber];

	return role->looks || (role->timed && !world.out_of_time[fiber]);
}

bool
world_is_interrupted(unsigned fiber)
{
	return world.interrupted[fiber];
}

void
world_answer(unsigned fiber)
{
	world.interrupted[fiber] = false;
}

void
queue_recovers(unsigned fiber, bool recovers)
{
	world.recovers[fiber] = recovers;
}

bool
queue_is_recovering(unsigned fiber)
{
	return world.recovers[fiber];
}

enum queue_part
queue_part_of(unsigned fiber)
{
	return world.now->roles[fiber].part;
}

void
queue_forge_ticket(unsigned fiber)
{
	struct mpr_participant *p = mpr_participant_at(&arena, fiber);

	world.has_forged[fiber] = true;
	world.forged[fiber] = (uint32_t)explore_newest(&p->parker.event);
}

void
queue_lose_races(struct explore_access *a)
{
	if (a->fiber == 1 && a->kind == EXPLORE_CAS && a->id == QUEUE_HEAD &&
	    world.lost_races < QUEUE_RACES) {
		world.lost_races++;
		a->fault = EXPLORE_LOST;
	}
}

uint32_t
world_ticket(unsigned fiber, uint32_t ticket)
{
	return world.has_forged[fiber] ? world.forged[fiber] : ticket;
}

static struct mpr_message_block *
block_at_head(unsigned fiber, uint64_t *ret_use)
{
	const struct mpr_attachment *at = &world.attachments[fiber];
	const struct mpr_consumer *c = &at->consumers[at->cursor];
	const uint64_t *words = (const uint64_t *)(const void *)
		(c->lane->buffer + (c->head & (c->capacity - 1)));

	*ret_use = words[2];
	return mpr_arena_at(&arena, words[1]);
}

uint64_t
queue_block_at_head(unsigned fiber, uint64_t *ret_use)
{
	return explore_newest(&block_at_head(fiber, ret_use)->state);
}

uint64_t
queue_memory_at(unsigned i)
{
	return mpr_arena_offset(&arena, queue_memory.messages[i]);
}

bool
queue_is_memory(uint64_t offset, unsigned *ret_i)
{
	for (*ret_i = 0; *ret_i < QUEUE_MEMORY_MAX; ++*ret_i)
		if (offset == queue_memory_at(*ret_i))
			return true;
	return false;
}

/* The beginning. */

static bool
has_mortal(void)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (world.now->roles[f].mortal)
			return true;
	return has(QUEUE_KILLS);
}

static bool
has_late(void)
{
	for (unsigned f = 0; f < world.fibers; f++)
		if (world.now->roles[f].late)
			return true;
	return false;
}

/* Whether all is put with lanes that cannot be full. */
static bool
has_room(void)
{
	return world.now->capacity == 0;
}

static void
begin_arena(void)
{
	struct mpr_arena_shm *shm = arena.shm;

	memset(shm, 0, sizeof(*shm));
	memset(mpr_participant_at(&arena, 0), 0,
	       EXPLORE_FIBERS * sizeof(struct mpr_participant));
	memset(&queue_memory.q, 0, sizeof(queue_memory.q));
	memset(&queue_memory.letters, 0, sizeof(queue_memory.letters));
	memset(queue_memory.lanes, 0, sizeof(queue_memory.lanes));
	memset(&queue_memory.group, 0, sizeof(queue_memory.group));
	memset(queue_memory.messages, 0, sizeof(queue_memory.messages));
	atomic_init(&shm->looked_at, 1);
	atomic_init(&shm->epochs, 100);
	atomic_init(&shm->participants_high, world.fibers);
	atomic_init(&shm->objects[MPR_KIND_QUEUE],
		    mpr_arena_offset(&arena, &queue_memory.q));
}

static void
begin_participant(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);

	atomic_init(&p->pid, f + 1);
	atomic_init(&p->ident, (f + 1) << 2 | MPR_PARTICIPANT_LIVE);
	world.selves[f] = (struct mpr_self){
		.generation = 1,
		.arena = &arena,
		.shared = p,
		.ident = atomic_load(&p->ident),
		.slot = f,
	};
}

static void
begin_queue(void)
{
	mproc_queue *q = &queue_memory.q;

	q->magic = MPR_QUEUE_MAGIC;
	atomic_init(&q->state, mpr_owner(1, 0, MPR_QUEUE_OPEN));
	atomic_init(&q->capacity, world.capacity);
	atomic_init(&q->max_message, mpr_lane_message_max(world.capacity));
	atomic_init(&q->flags,
		    (world.now->single ? MPR_QUEUE_SINGLE_CONSUMER : 0) |
			    (world.now->keeps ? MPR_QUEUE_KEEPS : 0) |
			    (world.now->ordered ? MPR_QUEUE_ORDERED : 0));
	atomic_init(&q->max_redeliveries, world.now->redeliveries);
	if (world.now->keeps)
		atomic_init(&q->max_items, world.now->blocks);
}

static void
begin_letters(void)
{
	mproc_queue *q = &queue_memory.q, *letters = &queue_memory.letters;

	if (!has(QUEUE_READS_LETTERS))
		return;
	letters->magic = MPR_QUEUE_MAGIC;
	atomic_init(&letters->state, mpr_owner(3, 0, MPR_QUEUE_OPEN));
	atomic_init(&letters->capacity, world.capacity);
	atomic_init(&letters->flags, MPR_QUEUE_DEAD_LETTERS);
	atomic_init(&letters->partner, mpr_arena_offset(&arena, q));
	atomic_init(&q->partner, mpr_arena_offset(&arena, letters));
	atomic_init(&q->next, mpr_arena_offset(&arena, letters));
}

/* The first blocks have the memory that there is. */
static void
begin_blocks(void)
{
	struct mpr_message_group *g = &queue_memory.group;

	if (!world.now->blocks)
		return;
	atomic_init(&queue_memory.q.blocks, mpr_arena_offset(&arena, g));
	for (unsigned i = 0; i < world.now->memory; i++)
		atomic_init(&g->block[i].memory, queue_memory_at(i));
}

/* From what size on a message lies in a block. */
static size_t
lane_limit(void)
{
	if (world.now->keeps || world.now->ordered)
		return 0;
	return world.now->blocks ? QUEUE_LONG : world.capacity;
}

/* Links the lane of a producer, which has begun already. */
static void
begin_lane(unsigned f, _Atomic uint64_t **end)
{
	struct mpr_lane *lane = queue_lane(f);

	mpr_lane_init(lane, mpr_owner(10 + f, f, MPR_LANE_ACTIVE));
	atomic_init(&lane->queue, mpr_arena_offset(&arena, &queue_memory.q));
	atomic_init(&lane->head, world.now->start);
	atomic_init(&lane->tail, world.now->start);
	atomic_init(*end, mpr_arena_offset(&arena, lane));
	*end = &lane->next;
	world.attachments[f].producer = (struct mpr_producer){
		.lane = lane,
		.capacity = world.capacity,
		.tail = world.now->start,
		.end = world.now->start + world.capacity,
		.straight = (world.now->start | (world.capacity - 1)) + 1,
		.claimed = world.now->start,
		.longest = lane_limit() ? lane_limit() - 1 : 0,
	};
}

/* The attachment of one who reads dead letters, which has another one to the
 * queue that they come from. */
static void
begin_reader(unsigned f)
{
	struct mpr_attachment *at = &world.readers[f];
	mproc_queue *letters = &queue_memory.letters;

	if (world.now->roles[f].part != QUEUE_READS_LETTERS)
		return;
	*at = (struct mpr_attachment){
		.q = letters,
		.generation = 1,
		.open = atomic_load(&letters->state),
		.arena = &arena,
		.light_fences = &arena.shm->light_fences,
		.self = &world.selves[f],
		.seat = &letters->seats.seat[f],
		.capacity = world.capacity,
		.dead_letters = true,
		.patience = 1,
		.is_consumer = true,
	};
	world.attachments[f].next = at;
	atomic_init(at->seat, mpr_owner(30 + f, f, MPR_SEAT_AWAKE));
}

static void
begin_attachment(unsigned f)
{
	struct mpr_attachment *at = &world.attachments[f];

	*at = (struct mpr_attachment){
		.q = &queue_memory.q,
		.generation = 1,
		.open = atomic_load(&queue_memory.q.state),
		.arena = &arena,
		.light_fences = &arena.shm->light_fences,
		.self = &world.selves[f],
		.seat = &queue_memory.q.seats.seat[f],
		.capacity = world.capacity,
		.max_message = mpr_lane_message_max(world.capacity),
		.lane_limit = lane_limit(),
		.short_limit = lane_limit(),
		.max_items = atomic_load(&queue_memory.q.max_items),
		.keeps = world.now->keeps,
		.ordered = world.now->ordered,
		.held = { world.held[f], 0, 0, QUEUE_HELD_MAX },
		.single_consumer = world.now->single,
		.patience = 1,
		.is_consumer = is_consumer(f),
		.consumers = world.consumers[f],
		.room = EXPLORE_FIBERS + 1,
		.copy = world.copies[f],
	};
	if (world.now->blocks) {
		world.groups[f][0] = &queue_memory.group;
		at->blocks = (struct mpr_message_blocks){
			.groups = world.groups[f],
			.n = 1,
			.room = 1,
		};
	}
	if (world.now->single && is_consumer(f)) {
		at->role = &queue_memory.q.role;
		atomic_init(at->role, mpr_owner(2, f, MPR_ROLE_TAKEN));
	}
	atomic_init(at->seat, mpr_owner(20 + f, f, MPR_SEAT_TAKEN));
	if (is_consumer(f))
		mpr_seat_awake(at->seat);
	begin_reader(f);
}

/* The consumers know all lanes that there are. */
static void
begin_consumers(void)
{
	for (unsigned f = 0; f < world.fibers; f++) {
		struct mpr_attachment *at = &world.attachments[f];

		if (!is_consumer(f))
			continue;
		for (unsigned p = 0; p < world.fibers; p++)
			if (world.attachments[p].producer.lane)
				mpr_consumer_begin(
					&at->consumers[at->n_consumers++],
					world.attachments[p].producer.lane,
					world.capacity);
		if (at->n_consumers)
			at->quantum = MPR_QUANTUM;
	}
}

/* Fibers make their accesses in turn from here on. */
static void
share_queue(void)
{
	mproc_queue *q = &queue_memory.q;

	explore_share(QUEUE_HINT, &q->hint, sizeof(q->hint), "hint");
	if (has(QUEUE_SHUTS_DOWN))
		explore_share(QUEUE_CLOSING, &q->closing, sizeof(q->closing),
			      "closing");
	if (has_late())
		explore_share(QUEUE_LINK, &q->lanes, sizeof(q->lanes),
			      "lanes");
	if (world.now->ordered)
		explore_share(QUEUE_STAMPS, &q->stamps, sizeof(q->stamps),
			      "stamps");
}

static void
share_kept(void)
{
	mproc_queue *q = &queue_memory.q, *letters = &queue_memory.letters;
	struct mpr_message_group *g = &queue_memory.group;

	if (!world.now->keeps)
		return;
	explore_share(QUEUE_RETURNED, &q->returned, sizeof(q->returned),
		      "returned");
	for (unsigned i = 0; i < world.now->blocks; i++)
		explore_share(QUEUE_DEATHS, &g->block[i].deaths,
			      sizeof(g->block[i].deaths), "deaths");
	if (has(QUEUE_JOINS))
		explore_share(QUEUE_WATCHED_BLOCKS, &g->watched,
			      sizeof(g->watched), "watched");
	if (!has(QUEUE_READS_LETTERS))
		return;
	explore_share(QUEUE_RETURNED, &letters->returned,
		      sizeof(letters->returned), "dead letters");
	explore_share(QUEUE_HINT, &letters->hint, sizeof(letters->hint),
		      "hint of dead letters");
}

static void
share_blocks(void)
{
	mproc_queue *q = &queue_memory.q;
	struct mpr_message_group *g = &queue_memory.group;

	for (unsigned i = 0; i < world.now->blocks; i++) {
		struct mpr_message_block *b = &g->block[i];

		explore_share(QUEUE_BLOCK, &b->state, sizeof(b->state),
			      "block");
		if (lane_limit() == 0)
			continue;
		explore_share(QUEUE_MEMORY, &b->memory, sizeof(b->memory),
			      "memory");
		explore_share(QUEUE_LENGTH, &b->len, sizeof(b->len), "len");
	}
	if (world.now->blocks) {
		/* Of four bytes each, and words have eight. */
		explore_share(QUEUE_WANTS_BLOCK, &q->wants_block,
			      sizeof(q->wants_block), "wants_block");
		explore_share(QUEUE_WANTS_MEMORY, &q->wants_memory,
			      sizeof(q->wants_memory), "wants_memory");
		explore_share(QUEUE_WAITS, &q->waits, sizeof(q->waits),
			      "waits");
	}
	if (world.now->in_place)
		for (unsigned i = 0; i < world.now->memory; i++)
			explore_share(QUEUE_BYTES, queue_memory.messages[i],
				      sizeof(uint64_t), "bytes");
}

static void
share_lane(struct mpr_lane *l)
{
	explore_share(QUEUE_TAIL, &l->tail, sizeof(l->tail), "tail");
	explore_share(QUEUE_HEAD, &l->head, sizeof(l->head), "head");
	if (!has_room())
		explore_share(QUEUE_WANT, &l->want, sizeof(l->want), "want");
	if (world.now->blocks) {
		explore_share(QUEUE_AWAITS, &l->awaits, sizeof(l->awaits),
			      "awaits");
		explore_share(QUEUE_NOTE, &l->last_object,
			      3 * sizeof(l->last_object), "last reference");
	}
	if (has(QUEUE_SHUTS_DOWN))
		explore_share(QUEUE_BUSY, &l->busy, sizeof(l->busy), "busy");
	if (has_mortal())
		explore_share(QUEUE_OWNER, &l->owner, sizeof(l->owner),
			      "owner");
	if (has_late())
		explore_share(QUEUE_LINK, &l->next, sizeof(l->next), "next");
}

static void
share_fiber(unsigned f)
{
	struct mpr_participant *p = mpr_participant_at(&arena, f);

	if (is_producer(f))
		share_lane(queue_lane(f));
	if (has_seat(f))
		explore_share(QUEUE_SEAT, world.attachments[f].seat,
			      sizeof(uint64_t), "seat");
	if (world.now->roles[f].part == QUEUE_READS_LETTERS)
		explore_share(QUEUE_SEAT, world.readers[f].seat,
			      sizeof(uint64_t), "seat of dead letters");
	explore_share(QUEUE_EVENT, &p->parker.event, sizeof(p->parker.event),
		      "event");
	if (world.now->roles[f].part == QUEUE_WATCHES)
		explore_share(QUEUE_TOLD, &p->told, sizeof(p->told), "told");
	explore_share(QUEUE_IDENT, &p->ident, sizeof(p->ident), "ident");
}

static void
put_stock(void)
{
	struct mpr_producer *p = &world.attachments[QUEUE_STOCK].producer;
	unsigned free = lane_limit() ? 0 : world.now->blocks - world.now->there;
	unsigned char msg[8] = { 0 };
	int r;

	if (!world.now->there)
		return;
	queue_enter(QUEUE_STOCK);
	for (unsigned i = 0; i < free; i++)
		atomic_store(&queue_block(i)->state,
			     mpr_owner(1, 0, MPR_MESSAGE_WRITTEN));
	for (unsigned i = 0; i < world.now->there; i++) {
		msg[0] = (unsigned char)(1 + i);
		if (lane_limit() == 0)
			r = mproc_queue_put(&queue_memory.q, msg, sizeof(msg),
					    MPROC_NOWAIT);
		else
			r = mpr_producer_put(p, msg, sizeof(msg));
		explore_check(r == 0);
		world.known[msg[0]] = world.committed[msg[0]] = true;
	}
	for (unsigned i = 0; i < free; i++)
		atomic_store(&queue_block(i)->state, 0);
}

void
queue_begin(const struct queue_case *c)
{
	_Atomic uint64_t *end = &queue_memory.q.lanes;
	unsigned fibers = 0;

	while (fibers < EXPLORE_FIBERS && c->roles[fibers].n)
		fibers++;
	memset(&world, 0, sizeof(world));
	world.now = c;
	world.fibers = fibers;
	world.capacity = c->capacity ? c->capacity : QUEUE_CAPACITY_MAX;
	queue_fakes_begin(c->memory);
	begin_arena();
	begin_queue();
	begin_letters();
	begin_blocks();
	for (unsigned f = 0; f < fibers; f++) {
		begin_participant(f);
		begin_attachment(f);
		if (is_producer(f) && !world.now->roles[f].late)
			begin_lane(f, &end);
	}
	begin_consumers();
	put_stock();
	share_queue();
	share_blocks();
	share_kept();
	for (unsigned f = 0; f < fibers; f++)
		share_fiber(f);
}

void
queue_enter(unsigned fiber)
{
	struct mpr_attachment *at = &world.attachments[fiber];

	mpr_attachments = (struct mpr_attachments){
		.all = at,
		.generation = 1,
	};
	mpr_attachments.hot[mpr_attachment_index(&queue_memory.q)] = at;
	if (at->next)
		mpr_attachments.hot[mpr_attachment_index(at->next->q)] =
			at->next;
}
