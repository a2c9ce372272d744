/* SPDX-License-Identifier: MIT */
/*
 * queue.h - messages between threads and processes.
 *
 * Any number of producers put messages, any number of consumers get them; each
 * message goes to one consumer. A mproc_queue lives in the arena: the pointer
 * is valid in every process of the family and may itself be sent through a
 * queue. It is never copied or moved.
 *
 * Each thread that puts has a lane of its own in the queue, so producers
 * neither wait for nor disturb each other. Messages of one producer arrive in
 * the order in which they were put; between producers there is no order, unless
 * the queue is made with .ordered.
 * While both sides are busy no call enters the kernel, but for a few in which a
 * lane of more than 64 KiB gets its memory, before it is in use to its end.
 *
 * A long message does not lie in the lane but in memory of its own, a block:
 * one that with its header is longer than half the lane or, unless the queue is
 * a .single_consumer one, longer than 4096 bytes. Nothing else is different
 * about it. In the lane it counts with its length, but at most with a quarter
 * of the capacity, so up to four messages of any length are queued for each
 * producer. A queue keeps the memory of its blocks for the next long messages,
 * at most as much as was in use at the same time, until it is destroyed or
 * memory is short.
 *
 * Several messages can be put and taken with one call, as a batch. It saves
 * time and changes nothing else: each message is still one by itself, and a
 * batch may be taken in other portions than it was put.
 *
 * A message can be written where it is going to lie in the lane, between
 * mproc_queue_reserve() and mproc_queue_commit(), and read where it lies,
 * between mproc_queue_peek() and mproc_queue_release(), without a copy.
 *
 * put returns when the message is in shared memory. There is no feeder and
 * nothing to join: what was put is not lost when its producer ends or is
 * killed.
 *
 * With .ordered there is one order for the messages of all producers: a message
 * is taken before all others whose puts began when its own had ended, in the
 * sense of "happens before", across threads and processes. Messages whose puts
 * overlapped are taken in any order. A get then looks at all lanes. What comes
 * back after a death (.ack) comes first.
 *
 * With .ack or .joinable a message stays its taker's until it is done: each
 * call that takes one, mproc_queue_peek() included, is followed by a
 * mproc_queue_task_done(). All messages of such a queue, and of one with
 * .max_items or .ordered, lie in blocks.
 *
 * A mproc_queue may also be a handle to a queue that a manager has
 * (mproc_manager_queue()), for which each call is a request to that; manager.h
 * says what is different then.
 *
 * What a kill can lose: a consumer that is killed inside a get, after its claim
 * and before the return, takes what that call had claimed with it: one message,
 * or with mproc_queue_get_many() the batch; and with several consumers the
 * message that a mproc_queue_peek() shows, from its claim to the release. With
 * .ack, and with .joinable, nothing.
 *
 * Sleeping: a waiting call wakes up by itself now and then to see whether
 * someone has died: with n sleepers in the arena each one after n/20 s to
 * 1.5 n/20 s, so that one of them looks about every 50 ms. Whoever finds a
 * death wakes those who may have waited for the dead.
 */
#ifndef MPROC_QUEUE_H
#define MPROC_QUEUE_H

#include <mproc/arena.h>
#include <mproc/core.h>
#include <sys/uio.h>

MPROC_BEGIN_DECLS

typedef struct mproc_queue mproc_queue;

/**
 * struct mproc_queue_opts - how to make a queue
 * @struct_size:     filled in by MPROC_OPTS
 * @capacity:        bytes for each producer, rounded up to a power of two;
 *                   4096 to 1 GiB; 0 means 64 KiB. A message takes its length
 *                   plus 8, rounded up to 16, or a quarter if that is less.
 * @single_consumer: only one thread at a time gets; taking is cheaper then.
 *                   The first to get is the consumer until it ends or dies.
 * @name:            for people, in error texts and mproc_queue_stat(); copied,
 *                   up to 63 bytes; NULL means none
 * @max_message:     length of the longest message that can be put; 0 means as
 *                   long as the arena is large
 * @max_items:       how many messages there may be at the same time in the
 *                   whole queue: reserved, queued, taken and not done, dead
 *                   letters; up to 16515072; 0 means as many as there is room
 *                   for
 * @max_redeliveries: with @ack, how often a message is delivered again after
 *                   the death of who had it, at most; up to 65000; 0 means 3,
 *                   -1 without end
 * @ordered:         one order for the messages of all producers, see above
 * @joinable:        a message that was taken counts until
 *                   mproc_queue_task_done(), for mproc_queue_join(); if its
 *                   taker dies before that, it is a dead letter
 * @ack:             the same, but if its taker dies the message is delivered
 *                   again, and is a dead letter only after @max_redeliveries.
 *                   Somebody has to notice the death: who sleeps in a wait, the
 *                   parent; who only polls calls mproc_arena_recover() at
 *                   times.
 * @arena:           where it is made; NULL means the default arena
 */
struct mproc_queue_opts {
	size_t struct_size;
	size_t capacity;
	bool single_consumer;
	const char *name;
	size_t max_message;
	size_t max_items;
	int max_redeliveries;
	bool ordered;
	bool joinable;
	bool ack;
	mproc_arena *arena;
};

/**
 * mproc_queue_create() - make a queue
 * @ret_q: receives the queue
 * @opts:  options, or NULL
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @ret_q is NULL, or @opts->struct_size makes no sense, or the
 *            capacity is out of range, or a message of @max_message does not
 *            fit the arena, or @max_items or @max_redeliveries are out of
 *            range, or there are redeliveries without @ack
 *   -E2BIG   @opts has fields that this library does not know
 *   -ENOMEM, -ENOSPC, -EFBIG, -EMFILE, -ENFILE  no memory, see arena.h
 *   -EAGAIN  1024 threads of the family use libmproc already
 * Context: calls the kernel; does not block.
 * Crash: killed inside, the unfinished queue is free again.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_create(mproc_queue **ret_q, const struct mproc_queue_opts *opts);

/**
 * mproc_queue_destroy() - end a queue
 * @q: queue, or NULL
 *
 * May be called by any process. Those who wait get -ESHUTDOWN, later calls
 * -ESTALE, until a new queue gets the same address; messages not taken are
 * gone. The memory is given back when the last thread that used the queue has
 * noticed, ended or died. A pointer that is no queue, or one destroyed before,
 * is ignored.
 *
 * Context: does not block.
 * Crash: killed inside, the queue is either whole or destroyed.
 */
MPROC_API void mproc_queue_destroy(mproc_queue *q);

/**
 * mproc_queue_put() - put one message
 * @q:       queue
 * @msg:     bytes to copy; may be NULL if @len is 0
 * @len:     length in bytes; at most what the queue was made for
 * @timeout: how long to wait for room
 *
 * A thread's first put in a queue gives it a lane, which calls the kernel.
 *
 * Who has to wait waits for more room than for one message, or until nothing more
 * is taken from its lane for some milliseconds; where messages are taken one now
 * and then, for 63 ms at most after there is room for one.
 *
 * A long message needs memory of the arena besides room in the lane. Where that
 * is short while other long messages are queued or held by others, the call
 * waits as for room.
 *
 * Return: 0 when the message is in the queue. On a negative error no consumer
 * will ever see it:
 *   -EAGAIN     no room, and @timeout is MPROC_NOWAIT; or 1024 threads of the
 *               family use libmproc already
 *   -ETIMEDOUT  still no room
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EMSGSIZE   longer than the queue can ever take
 *   -ESHUTDOWN  the queue was shut down, or destroyed during the call
 *   -ESTALE     the queue is destroyed
 *   -EBUSY      this thread has a reservation open in this queue: commit or
 *               abort it first
 *   -EFAULT     @q does not lie in shared memory
 *   -EINVAL     @q is NULL or no queue, or @msg is NULL and @len is not 0
 *   -EBADMSG    the queue's memory is corrupt
 *   -ENOMEM, -ENOSPC  no memory for this thread's lane, or no room for it in
 *              the arena, or no memory for a long message while there is no
 *              other
 * Context: may block until @timeout. Wait-free while there is room, for a
 *          message that is not long.
 * Crash: the message is in the queue as a whole or not at all.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_put(mproc_queue *q, const void *msg, size_t len,
		mproc_timeout timeout);

/**
 * mproc_queue_putv() - put one message that lies in several parts
 * @q:       queue
 * @parts:   the parts, in their order; may be NULL if @n is 0
 * @n:       how many; 0 makes an empty message
 * @timeout: how long to wait for room
 *
 * As mproc_queue_put() of all parts one behind the other, without the copy that
 * would put them there.
 *
 * Return: as mproc_queue_put(), and
 *   -EINVAL  also if @n is negative, or @parts or one of them is NULL although
 *            it is not empty
 * Context: may block until @timeout. Wait-free as mproc_queue_put().
 * Crash: the message is in the queue as a whole or not at all.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_putv(mproc_queue *q, const struct iovec *parts, int n,
		 mproc_timeout timeout);

/**
 * mproc_queue_put_many() - put several messages
 * @q:       queue
 * @msgs:    the messages, in their order
 * @n:       how many, at least 1
 * @timeout: how long to wait for room for the first one
 *
 * Puts as many as there is room for, from the first on, all at the same moment.
 * It waits only while that is none: with the first few in the queue it returns,
 * and the caller goes on with the rest as it likes. So a positive result may be
 * less than @n whatever @timeout is, and 0 is never returned.
 *
 * A message that can never be put (longer than the queue takes, or NULL with a
 * length) ends the batch before it: those in front of it are put, and a call
 * that begins with it gets the error. A long one is put by a call of its own:
 * it ends a batch before it, too, and a call that begins with it puts it alone.
 *
 * Return: how many messages are in the queue, 1 to @n, or a negative error, and
 * none of them is:
 *   -EAGAIN, -ETIMEDOUT, -EINTR, -ESHUTDOWN, -ESTALE, -EBUSY, -EFAULT,
 *   -EBADMSG, -ENOMEM, -ENOSPC  as mproc_queue_put()
 *   -EMSGSIZE  the first one is longer than the queue can ever take
 *   -EINVAL    @q is NULL or no queue, @msgs is NULL, @n is not positive, or
 *              the first one is NULL and its length is not 0
 * Context: may block until @timeout. Wait-free as mproc_queue_put().
 * Crash: those that would have been counted are in the queue, or none is. No
 *        message is there in part.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_put_many(mproc_queue *q, const struct iovec *msgs, int n,
		     mproc_timeout timeout);

/**
 * mproc_queue_get() - take one message
 * @q:       queue
 * @buf:     where it goes; may be NULL if @size is 0
 * @size:    room in bytes
 * @ret_len: receives the length of the message; may be NULL
 * @timeout: how long to wait for a message
 *
 * Return: 0 when @buf holds the message, or a negative error, and no message
 * was taken (what @buf holds is then undefined):
 *   -EAGAIN     empty, and @timeout is MPROC_NOWAIT; or 1024 threads of the
 *               family use libmproc already
 *   -ETIMEDOUT  still empty
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EMSGSIZE   the next message is longer than @size; it stays in the queue,
 *               and *@ret_len is its length
 *   -ESHUTDOWN  the queue was shut down and, after MPROC_DRAIN, is empty for
 *               good; or it was destroyed during the call
 *   -ESTALE     the queue is destroyed
 *   -EBUSY      .single_consumer, and another thread is the consumer; or this
 *               thread has a peek open in this queue: release it first
 *   -EDEADLK    .ack or .joinable: after MPROC_DRAIN nothing is queued, and
 *               this thread holds messages as others do, who may wait for it in
 *               the same way: do or requeue them first. Not with MPROC_NOWAIT.
 *   -EFAULT     @q does not lie in shared memory
 *   -EINVAL     @q is NULL or no queue, or @buf is NULL and @size is not 0
 *   -EBADMSG    the queue's memory is corrupt
 *   -ENOMEM, -ENOSPC  no memory for what this thread needs as a consumer
 * Context: may block until @timeout. Lock-free while there are messages.
 * Crash: killed inside, at most the one message that it claimed is lost.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_get(mproc_queue *q, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout);

/**
 * mproc_queue_get_many() - take several messages
 * @q:        queue
 * @buf:      where they go; may be NULL if @size is 0
 * @size:     room in bytes
 * @ret_msgs: receives where in @buf each message begins, and its length
 * @n:        how many at most, at least 1
 * @timeout:  how long to wait for the first one
 *
 * Takes what there is of one producer's messages, in their order, as many as
 * fit @size and @n, and claims them all at once; a long one alone. It waits
 * only while there is none, so a positive result may be less than @n although
 * more are queued.
 *
 * The messages lie in @buf one behind the other without a gap: those of one
 * type make an array. Mixed ones may lie unaligned; copy before use.
 *
 * Return: how many messages were taken, 1 to @n, or a negative error, and none
 * was (what @buf and @ret_msgs hold is then undefined):
 *   -EAGAIN, -ETIMEDOUT, -EINTR, -ESHUTDOWN, -ESTALE, -EBUSY, -EDEADLK,
 *   -EFAULT, -EBADMSG, -ENOMEM, -ENOSPC  as mproc_queue_get()
 *   -EMSGSIZE  the next message is longer than @size; it stays in the queue,
 *              and @ret_msgs[0].iov_len is its length
 *   -EINVAL    @q is NULL or no queue, @ret_msgs is NULL, @n is not positive,
 *              or @buf is NULL and @size is not 0
 * Context: may block until @timeout. Lock-free while there are messages.
 * Crash: killed inside, at most the batch that it claimed is lost.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_get_many(mproc_queue *q, void *buf, size_t size,
		     struct iovec *ret_msgs, int n, mproc_timeout timeout);

/**
 * mproc_queue_reserve() - find room for a message, to write it there
 * @q:       queue
 * @len:     length in bytes that the message will have at most; 0 is a length
 * @ret_p:   receives where its bytes go, aligned to 8 bytes
 * @timeout: how long to wait for room
 *
 * The caller writes up to @len bytes at *@ret_p, in shared memory, and then
 * calls mproc_queue_commit() or mproc_queue_abort(): one of them for each
 * success, also when the queue is shut down or destroyed meanwhile. What lies
 * there before is undefined. Nobody sees anything of the message, or waits for
 * it, before the commit; so it may be open for as long as it takes. Not even a
 * shutdown with MPROC_DRAIN waits: the commit then fails.
 *
 * Each thread can have one reservation open in each queue. Meanwhile its
 * mproc_queue_put(), mproc_queue_putv(), mproc_queue_put_many() and
 * mproc_queue_reserve() fail with -EBUSY there. It is the thread's own: no
 * other can commit it. It ends with the thread, when this thread destroys the
 * queue (not if another was faster), and in a forked child, which must not
 * write there.
 *
 * Room is found as mproc_queue_put() does it. What is longer than short
 * messages are goes into a block, and then takes the same time for any length,
 * unless the queue has to get memory for it.
 *
 * Return: 0, or a negative error, and nothing is reserved:
 *   -EAGAIN, -ETIMEDOUT, -EINTR, -ESHUTDOWN, -ESTALE, -EFAULT, -EBADMSG,
 *   -ENOMEM, -ENOSPC  as mproc_queue_put()
 *   -EMSGSIZE  @len is more than the queue can ever take
 *   -EBUSY     this thread has a reservation open in this queue: commit or
 *              abort it first
 *   -EINVAL    @q is NULL or no queue, or @ret_p is NULL
 * Context: may block until @timeout. Wait-free as mproc_queue_put().
 * Crash: killed inside, or before the commit, nothing has happened.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_reserve(mproc_queue *q, size_t len, void **ret_p,
		    mproc_timeout timeout);

/**
 * mproc_queue_commit() - put the message that was reserved
 * @q:   queue
 * @p:   what mproc_queue_reserve() gave
 * @len: length of the message in bytes, at most what was reserved
 *
 * The message comes after all that this thread has put before. The room that
 * was reserved and is not needed is free again. @p must not be used any more,
 * except after -EINVAL.
 *
 * Return: 0 when the message is in the queue. On a negative error no consumer
 * will ever see it:
 *   -EINVAL     @p is not what this thread has reserved in @q, or @len is more
 *               than was reserved, or @q is NULL or no queue; a reservation
 *               that is open stays open
 *   -ESHUTDOWN  the queue was shut down, and the reservation is dropped
 *   -ESTALE     the queue is destroyed, and the reservation is dropped
 *   -EFAULT     @q does not lie in shared memory
 * Context: wait-free.
 * Crash: the message is in the queue as a whole or not at all.
 */
MPROC_API int mproc_queue_commit(mproc_queue *q, void *p, size_t len);

/**
 * mproc_queue_abort() - forget a message that was reserved
 * @q: queue
 * @p: what mproc_queue_reserve() gave; not to be used any more
 *
 * Return: 0, or a negative error:
 *   -EINVAL  @p is not what this thread has reserved in @q, or @q is NULL or no
 *            queue; a reservation that is open stays open
 *   -ESTALE  the queue is destroyed, and the reservation is dropped
 *   -EFAULT  @q does not lie in shared memory
 * Context: wait-free.
 * Crash: killed inside, nothing was reserved.
 */
MPROC_API int mproc_queue_abort(mproc_queue *q, void *p);

/**
 * mproc_queue_peek() - read the next message where it lies
 * @q:       queue
 * @ret_p:   receives where its bytes are, aligned to 8 bytes; also for an empty
 *           message not NULL
 * @ret_len: receives the length of the message in bytes; may be NULL
 * @timeout: how long to wait for a message
 *
 * The caller reads at *@ret_p and then calls mproc_queue_release(), once for
 * each success, also when the queue is shut down or destroyed meanwhile. Until
 * then the bytes can be read, whatever happens to the queue, and the room that
 * they take is not free.
 *
 * With .single_consumer nothing is copied: the bytes are those in the lane, and
 * the message is in the queue until the release. A consumer that ends or is
 * killed before leaves it to the next one, who sees it again. A peer that
 * breaks the rules and writes in lanes of others can change the bytes while
 * they are read, but not *@ret_len: where that matters, check after a copy.
 *
 * With several consumers anyone may take the message at any time. So the peek
 * takes it, as mproc_queue_get() does. A long one is then read where it lies,
 * in its block. Of a short one a copy is shown, in private memory of this
 * thread of up to 4 KiB, which is kept until the thread ends or leaves the
 * queue. The room in the lane is free at once. A consumer that ends or is
 * killed before the release takes that one message with it.
 *
 * Each thread can have one peek open in each queue. Meanwhile its
 * mproc_queue_get(), mproc_queue_get_many() and mproc_queue_peek() fail with
 * -EBUSY there. It ends with the thread, when this thread destroys the queue
 * (not if another was faster), and in a forked child, which must not read
 * there.
 *
 * Return: 0, or a negative error, and nothing is shown or taken:
 *   -EAGAIN, -ETIMEDOUT, -EINTR, -ESHUTDOWN, -ESTALE, -EDEADLK, -EFAULT,
 *   -EBADMSG, -ENOMEM, -ENOSPC  as mproc_queue_get(); -ENOMEM also if there is
 *             no memory for the copy
 *   -EBUSY    .single_consumer, and another thread is the consumer; or this
 *             thread has a peek open in this queue: release it first
 *   -EINVAL   @q is NULL or no queue, or @ret_p is NULL
 * Context: may block until @timeout. Lock-free while there are messages.
 * Crash: with .single_consumer nothing has happened; otherwise, killed inside
 *        or before the release, at most this one message is lost.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_peek(mproc_queue *q, const void **ret_p, size_t *ret_len,
		 mproc_timeout timeout);

/**
 * mproc_queue_release() - give back what a peek has shown
 * @q: queue
 * @p: what mproc_queue_peek() gave; not to be used any more
 *
 * The message is taken: it is not seen again, and with .single_consumer its
 * room in the lane is free from here on.
 *
 * Return: 0, also after a shutdown, or a negative error:
 *   -EINVAL  @p is not what this thread is shown in @q, or @q is NULL or no
 *            queue; a peek that is open stays open
 *   -ESTALE  the queue is destroyed, and the peek is dropped
 *   -EFAULT  @q does not lie in shared memory
 * Context: does not block; wakes the producer if it waits for the room.
 * Crash: the message is taken, or with .single_consumer still in the queue.
 */
MPROC_API int mproc_queue_release(mproc_queue *q, const void *p);

/**
 * mproc_queue_task_done() - a message has been dealt with
 * @q: queue that was made with .joinable or .ack
 *
 * It is the message that this thread took first, of those that it has taken and
 * not yet done or requeued. That message is not seen again.
 *
 * Between a get and this call exactly this thread has the message. If the
 * thread ends before, the message comes back for others; if its process is
 * killed, or the thread is, that is a death as described at .ack and .joinable.
 * In a forked child the messages are the parent's.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   this thread holds no message of @q, or @q is NULL or no queue, or
 *             was made without .joinable and .ack
 *   -EBUSY    this thread has peeked at that message: release it first
 *   -ESTALE   the queue is destroyed
 *   -EFAULT   @q does not lie in shared memory
 *   -EBADMSG  the queue's memory is corrupt
 *   -EAGAIN, -ENOMEM, -ENOSPC  this thread could not be registered
 * Context: does not block; wakes those who join or wait for room.
 * Crash: the message is done, or it is delivered again.
 */
MPROC_API int mproc_queue_task_done(mproc_queue *q);

/**
 * mproc_queue_requeue() - give a message back
 * @q: queue that was made with .joinable or .ack
 *
 * For the same message as mproc_queue_task_done(). Others, or this thread, get
 * it before those that were not taken yet. That is no death: it is not counted.
 *
 * Return: as mproc_queue_task_done().
 * Context: does not block.
 * Crash: the message has come back, or does so by the death, which is counted.
 */
MPROC_API int mproc_queue_requeue(mproc_queue *q);

/**
 * mproc_queue_join() - wait until every message is done
 * @q:       queue that was made with .joinable or .ack
 * @timeout: how long
 *
 * Waits until no message is queued or taken: all that were put have been done,
 * those included that were put meanwhile, by workers for example before they
 * were done with another.
 *
 * Return: 0, or a negative error:
 *   -EOWNERDEAD  all others are done, but there are dead letters; so until they
 *                are taken out of mproc_queue_dead_letters()
 *   -EAGAIN      not all are done, and @timeout is MPROC_NOWAIT; or 1024
 *                threads of the family use libmproc already
 *   -ETIMEDOUT   still not
 *   -EINTR       mproc_interrupt() was called while it waited
 *   -EDEADLK     this thread holds messages itself
 *   -ESHUTDOWN   not all are done, and the queue was shut down with
 *                MPROC_IMMEDIATE or destroyed
 *   -ESTALE      the queue is destroyed
 *   -EINVAL      @q is NULL or no queue, or was made without .joinable and .ack
 *   -EFAULT      @q does not lie in shared memory
 *   -ENOMEM, -ENOSPC  this thread could not be registered
 * Context: may block until @timeout; its time grows with the number of messages
 *          that there were at the same time.
 * Crash: nothing has happened.
 */
MPROC_API MPROC_NODISCARD int
mproc_queue_join(mproc_queue *q, mproc_timeout timeout);

/**
 * struct mproc_killer - who died with a message in hands
 * @pid:    the process
 * @signal: what ended it; 0 if it ended by itself; -1 if that is not known:
 *          only the parent learns it, if it has started the process with
 *          libmproc and notices its end. A client of a manager is not known:
 *          its pid is 0.
 */
struct mproc_killer {
	int32_t pid;
	int32_t signal;
};

/**
 * struct mproc_dead_letter - what a dead letter begins with
 * @deaths:    how many times the holder of the message died
 * @n_killers: how many are told of
 * @killer:    the last ones, the latest at the end
 *
 * The message itself comes behind it.
 */
struct mproc_dead_letter {
	uint32_t deaths;
	uint32_t n_killers;
	struct mproc_killer killer[4];
};

/**
 * mproc_queue_dead_letters() - the queue of messages that are not delivered
 * again
 * @q:       queue that was made with .joinable or .ack
 * @ret_dlq: receives the queue of its dead letters
 *
 * There is one for each such queue, always the same, and it ends with it. It
 * can be read with mproc_queue_get() and mproc_queue_get_many(), which gives
 * one at a time, waited for, and asked for its length. Each message in it is a
 * struct mproc_dead_letter and the message. Nobody can put there (-EPERM), peek
 * (-EPERM), shut it down (-EPERM), or destroy it: that only closes this
 * process's mproc_queue_fd() for it. A reader that is killed leaves the letter
 * that it was about to read to the next one, as one of its killers.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_dlq is NULL, @q is NULL or no queue, or was made without
 *             .joinable and .ack
 *   -ESTALE   the queue is destroyed
 *   -EFAULT   @q does not lie in shared memory
 *   -EBADMSG  the queue's memory is corrupt
 *   -EAGAIN, -ENOMEM, -ENOSPC  this thread could not be registered
 * Context: does not block.
 */
MPROC_API int mproc_queue_dead_letters(mproc_queue *q, mproc_queue **ret_dlq);

/**
 * enum mproc_queue_shutdown_flag - how a queue ends
 * @MPROC_DRAIN:     no more puts; what is queued can still be taken
 * @MPROC_IMMEDIATE: no more puts, and get gives nothing any more either
 */
enum mproc_queue_shutdown_flag {
	MPROC_DRAIN = 1,
	MPROC_IMMEDIATE = 2
};

/**
 * mproc_queue_shutdown() - let no more messages in
 * @q:     queue
 * @flags: MPROC_DRAIN or MPROC_IMMEDIATE; IMMEDIATE may follow DRAIN
 *
 * Sets the state, wakes all who wait, and returns. A put that is under way may
 * still succeed; get says -ESHUTDOWN only when that is final.
 *
 * Return: 0, also if it was shut down that way before, or a negative error:
 *   -EINVAL   unknown @flags, or @q is NULL or no queue
 *   -ESTALE   the queue is destroyed
 *   -EFAULT   @q does not lie in shared memory
 *   -EAGAIN, -ENOMEM, -ENOSPC  this thread could not be registered
 * Context: does not block.
 * Crash: killed inside, the queue is shut down or it is not; those who sleep
 *        notice within their next look.
 */
MPROC_API int mproc_queue_shutdown(mproc_queue *q, unsigned flags);

/**
 * mproc_queue_fd() - a descriptor to poll for messages
 * @q: queue
 *
 * The descriptor is readable (POLLIN, EPOLLIN) when a get may have something to
 * say: a message, that the queue is shut down for good, or that it is
 * destroyed; at the latest one wake-up after that has happened. It stays
 * readable until a get or peek of this process finds nothing, which says
 * -EAGAIN or -ETIMEDOUT. It can be readable for no reason, as another consumer
 * may be faster. So whoever polls gets with MPROC_NOWAIT until -EAGAIN; with
 * edge-triggered epoll that is required. It is for polling only: not to be
 * read, written or closed.
 *
 * It belongs to this process and this queue: each call returns the same one,
 * also in other threads. It is closed when this process calls
 * mproc_queue_destroy() for the queue, and when the process ends or executes
 * another program. If another process has destroyed the queue already, that
 * call does nothing but close the descriptor, whatever is at that address by
 * then; one call for each queue. Take it out of an epoll set before. A program
 * that has closed it all the same gets a new one from the next call. A child of
 * this process has to ask for its own: what it inherits from a plain fork(2) is
 * closed when it notices, and one that mproc_process_start() makes has none.
 *
 * Asking for a descriptor is asking for a thread: the first one of a process
 * starts one, with all signals blocked, that waits for all its queues, and ends
 * with the last of them. It is one of the 1024 threads that the family has, and
 * counts as a consumer in mproc_queue_stat(), which sleeps while the descriptor
 * is not readable. Others may sleep in a get at the same time: the thread takes
 * no message, and passes on each wake-up that was meant for one who would. It
 * keeps no process alive that has no other thread left, where there is a /proc
 * to see that; it may take a second, or longer with hundreds of sleepers. After
 * MPROC_DRAIN it does not know which messages (.ack) the threads of this
 * process hold: the descriptor is readable when these are done, too. Producers
 * do nothing more than for a consumer that sleeps, and nothing at all while
 * there is no descriptor or it is readable.
 *
 * Return: the descriptor, above 2 and close-on-exec, or a negative error:
 *   -EINVAL   @q is NULL or no queue
 *   -EFAULT   @q does not lie in shared memory
 *   -ESTALE   the queue is destroyed
 *   -EMFILE, -ENFILE  no descriptor is to be had
 *   -EAGAIN   no thread is to be had, from the system or from the 1024 threads
 *             that the family can have
 *   -ENOMEM, -ENOSPC  no memory
 *   -EBADMSG  the queue's memory is corrupt
 *   -ENOSYS, -EPERM   the system has no eventfds, or forbids them
 *   -ENOTSUP  the queue is not in the default arena; a waitset has a descriptor
 *             for such (mproc_waitset_fd())
 * Context: may wait for the thread for as long as that takes to begin; calls
 *          the kernel.
 * Crash: killed inside, nothing is left. A process that is killed with a
 *        descriptor keeps nobody from getting messages: who waits notices as
 *        after the death of a consumer.
 */
MPROC_API MPROC_NODISCARD int mproc_queue_fd(mproc_queue *q);

/**
 * mproc_queue_len() - how many messages are queued
 * @q: queue
 *
 * Exact while nothing else uses the queue, near otherwise.
 *
 * Return: the number of messages; 0 if @q is no living queue.
 * Context: does not block; its time grows with the number of producers.
 */
MPROC_API size_t mproc_queue_len(mproc_queue *q);

/**
 * enum mproc_queue_state - what can be done with a queue
 * @MPROC_QUEUE_OPEN:     everything
 * @MPROC_QUEUE_DRAINING: shut down with MPROC_DRAIN: no more puts
 * @MPROC_QUEUE_CLOSED:   shut down with MPROC_IMMEDIATE: no more gets either
 */
enum mproc_queue_state {
	MPROC_QUEUE_OPEN = 1,
	MPROC_QUEUE_DRAINING = 2,
	MPROC_QUEUE_CLOSED = 3
};

/**
 * struct mproc_queue_stat - a snapshot of a queue
 * @name:               as it was created, or ""
 * @state:              one of enum mproc_queue_state
 * @single_consumer:    as it was created
 * @capacity:           bytes of each lane
 * @max_message:        length of the longest message that can be put
 * @depth:              messages queued
 * @bytes:              what they take in their lanes, unused ends included
 * @puts:               messages put since it was created. A producer that is
 *                      killed inside a put may leave those counted that it was
 *                      about to put.
 * @gets:               messages taken since, or lost with a killed consumer:
 *                      @puts less @depth
 * @lanes:              lanes, with a producer or waiting for the next one
 * @producers:          threads that have a lane
 * @sleeping_producers: of these, asleep because there is no room
 * @consumers:          threads that have called a get or a peek, and processes
 *                      that have had to wait for mproc_queue_fd() to be
 *                      readable
 * @sleeping_consumers: of these, asleep because there is no message
 *
 * @max_items:          as it was created
 * @held:               with .joinable or .ack: messages taken and not done
 * @dead_letters:       that have not been read
 *
 * A dead thread counts until somebody has recovered from its death.
 */
struct mproc_queue_stat {
	char name[64];
	int state;
	bool single_consumer;
	uint64_t capacity;
	uint64_t max_message;
	uint64_t depth;
	uint64_t bytes;
	uint64_t puts;
	uint64_t gets;
	uint64_t lanes;
	uint64_t producers;
	uint64_t sleeping_producers;
	uint64_t consumers;
	uint64_t sleeping_consumers;
	uint64_t max_items;
	uint64_t held;
	uint64_t dead_letters;
};

/**
 * mproc_queue_stat() - take a snapshot
 * @q:        queue
 * @ret_stat: filled in on success
 *
 * The figures are exact while nothing else uses the queue, and near otherwise.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_stat is NULL, or @q is NULL or no queue
 *   -ESTALE   the queue is destroyed
 *   -EFAULT   @q does not lie in shared memory
 *   -EBADMSG  the queue's memory is corrupt
 *   -EAGAIN, -ENOMEM, -ENOSPC  this thread could not be registered
 * Context: does not block; its time grows with the number of producers.
 */
MPROC_API int mproc_queue_stat(mproc_queue *q,
			       struct mproc_queue_stat *ret_stat);

MPROC_END_DECLS

#endif
