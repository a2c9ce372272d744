/* SPDX-License-Identifier: MIT */
/*
 * manager.h - the same objects for other programs and other machines.
 *
 * Inside a family shared objects need no server. A manager serves them to everybody
 * else: it is a process that has an arena, and a socket where others connect. They
 * get handles of the same types, and use them by the same functions. Of this version
 * it serves dicts, lists, sets, namespaces, values and arrays, queues, and locks,
 * semaphores, events, conditions and barriers.
 *
 *     // one program
 *     mproc_manager *m;
 *     mproc_dict *d;
 *
 *     mproc_manager_start(&m, MPROC_OPTS(mproc_manager_opts,
 *                                        .address = "unix:/run/tally.sock"));
 *     mproc_manager_dict(m, "tally", &d);
 *     mproc_dict_set(d, mproc_str("apples"), mproc_int(5));
 *
 *     // another one
 *     mproc_manager_connect(&m, "unix:/run/tally.sock", NULL, MPROC_FOREVER);
 *     mproc_manager_dict(m, "tally", &d);
 *     mproc_dict_add(d, mproc_str("apples"), mproc_int(1), NULL);
 *
 * What a manager serves are the names of its arena, those of mproc_arena_bind(): an
 * object that the family has given a name is found by that name from outside, and
 * the other way round. In the family of the server a handle leads to the object
 * itself, at memory speed. For others each call is a request to the server and its
 * answer, of some ten microseconds on one machine. What the functions do, return and
 * say is the same, with these exceptions:
 *
 *   -EPIPE    the manager is gone, or has ended the connection: at once if it has
 *             died, and within about a minute if its machine is off. All later calls
 *             give it, too; mproc_manager_connect() makes a new connection, with new
 *             handles
 *   -EMSGSIZE keys and values are more bytes than a message to the manager may have,
 *             or the value that was to come back is
 *   -EFAULT   a key or value is a MPROC_REF: what it leads to lies not in the arena
 *             of the manager. One that comes out is a MPROC_REF to NULL
 *   -ECHILD   the handle is that of another process: a forked child connects
 *             by itself
 *   -ESTALE   also: its manager was closed
 *   -EBADMSG  also: what came over the connection is no answer; it has ended then
 *   -EINTR    mproc_interrupt() was called while it waited for the answer
 *
 * A call that fails with -EPIPE, -EINTR or -ENOMEM while its answer was awaited may
 * have been carried out all the same, or be carried out later: nobody can call off
 * what was sent. With all other errors nothing has happened. What is taken out,
 * by mproc_dict_pop() and the like, stays where it is if no answer has room for it or
 * the manager has no memory for that (-EMSGSIZE, -ENOMEM); once it was asked for, an
 * interrupt ends no such call, which so waits as long as the server itself is stopped.
 * mproc_dict_update() is
 * carried out here: its function gets the value, and runs again if somebody else has
 * changed that meanwhile. mproc_dict_len(), mproc_list_len() and mproc_set_len() say
 * 0 in place of an error, as of others.
 *
 * Locks and the like. Who waits for one waits at the server, which meanwhile carries
 * out what others ask for, and what other threads of the same client do. There are
 * these differences to who is in the family:
 *
 *   A thread of a client has what it has got until it gives it back, or ends, or its
 *   connection does, in whatever way: then it counts as a holder that has died, and
 *   who comes next is told MPROC_OWNER_DIED. Of who that was nothing is known. The
 *   manager learns of a thread's end by a message, which the thread waits to send, and
 *   not for an answer.
 *   In the family all of this is seen as what the server's process has, or waits for.
 *   If the server is killed, all its clients' holds end as those of one that has died;
 *   a client learns that by -EPIPE from its next call, and until then takes itself for
 *   the holder, when somebody in the family may be that already.
 *   Permits of a semaphore with .undo come back likewise; those of others are gone with
 *   the client, as with any process. One that no client has got yet may be the server's
 *   when that is killed.
 *   Clients wait as they came; all of them together stand in line with the family
 *   once. At most 1024 threads of one client wait at a time, and it has up to 4096
 *   locks, permits with .undo and places at barriers: -ENOLCK.
 *   Who waits for a condition is notified as it came among the clients; between them and
 *   the family all clients of a manager come when the first of them does. Of a client
 *   that is gone after it was notified another one is notified, unless it has given the
 *   lock back since; and if the server is killed until then, all others who wait in the
 *   arena are. Clients of all managers of one arena may wait for 4096 conditions at a
 *   time, or have a lock since they were notified of one; those of one client, each
 *   thread counted, for half of what others leave: -ENOLCK, and the lock is held still.
 *   Threads of all clients of a manager can be parties of barriers some hundreds of
 *   times, those of one client for half of what others leave: -ENOLCK.
 *   No function is async-signal-safe. mproc_wait() and waitsets give -ENOTSUP for such
 *   an event.
 *   -EINTR of a call that waits, and -ENOMEM, say that nothing has happened, as in the
 *   family. That costs one more answer of the server's, as does the end of a timeout:
 *   while the server itself is stopped, no call returns.
 *
 * Queues. Who waits to put or to get waits at the server, as for locks, and -EINTR and
 * the end of a timeout mean what they do there. Clients get messages as they came; a
 * client that does not take the answers that it has, 64 KiB of them, is passed over, so
 * what comes goes to others. There are these differences to who is in the family:
 *
 *   All clients together are one producer of a queue, with one lane, and one consumer,
 *   which is what others see, and what mproc_queue_stat() counts. So one client that has
 *   filled the lane has the others wait. What one thread puts comes in its order.
 *   A message that is on its way to a client whose connection ends comes back, unless
 *   the kernel has had all of the answer already: over a socket of this machine it then
 *   is in the client's hands, over TCP it may be lost. What comes back is first for
 *   other clients, and otherwise is put into the queue again, behind what is there; it
 *   is lost if the server ends, or is killed, before there was room. So at most what a
 *   process takes along that is killed inside a get. Of a queue with .ack or .joinable
 *   nothing is lost: a message that was not sent, or a dead letter, comes back at once,
 *   without a death.
 *   What is on its way may come back: a drain waits for it, a join for a dead letter. Who
 *   takes less than 32 KiB of it in two seconds once one has begun, or was tried, and not
 *   the rest, is disconnected; but not who has what comes back when its connection ends, or
 *   a queue as its .single_consumer. Without memory for an answer it takes none, either.
 *   A client has up to 4096 messages that are not done: then its get gives -ENOLCK.
 *   A thread of a client has a message (.ack, .joinable) until it is done, or the thread
 *   ends, or its connection, in whatever way: that is a death, of one whose pid is 0. If
 *   the server is killed, it is that one's.
 *   A message whose answer would be longer than a message of the manager's gives
 *   -EMSGSIZE to a get, with its length, and stays in the queue.
 *   mproc_queue_put_many() and mproc_queue_get_many() move up to 4096 messages, and
 *   as many as a message of the manager's has room for, so that the first few are
 *   put or taken.
 *   mproc_queue_reserve() and mproc_queue_peek() give private memory. It is the commit
 *   that finds room: it waits for as long as was left of the timeout of the
 *   reservation, and fails as a put does; the reservation is dropped then. A peek has
 *   taken the message, of a .single_consumer queue, too; as long as it is open,
 *   mproc_queue_task_done() and mproc_queue_requeue() give -EBUSY, whatever else the
 *   thread has. mproc_queue_release() and mproc_queue_abort() do not say whether the
 *   queue is destroyed. What a thread holds when it ends is freed when the manager is
 *   closed.
 *   mproc_queue_fd(), mproc_wait() and waitsets give -ENOTSUP.
 *   -ENOMEM also if the server has no memory for what is to be kept: .max_memory. A put
 *   waits for memory that other threads of clients hold. A get that gives it took nothing.
 *   -ENOLCK if 1024 threads of the client wait for queues already.
 *
 * The server is one thread, and carries out requests one after another, each whole.
 * Besides it has up to 32 threads that wait in the arena for what others than clients
 * have; if that is more things at once, it looks for the others 200 times a second, and
 * so it does for what one client waits for beyond half of what others leave of these
 * threads. One more waits for all queues.
 * No client waits for one that is slow, silent, or takes no answers; but all wait
 * while one clears, merges or sorts what has many values, and while a process of the family
 * is stopped in the middle of a change of what they want to change.
 *
 * What is sent over TCP is neither encrypted nor signed; see mproc_listener_open().
 * A forked child of a server or client has copies of its connections, as of any
 * socket: the other side sees their end when all are closed.
 *
 * Managers need the library to be built with MessagePack: otherwise each function
 * that makes one gives -ENOTSUP.
 */
#ifndef MPROC_MANAGER_H
#define MPROC_MANAGER_H

#include <mproc/containers.h>
#include <mproc/pipe.h>
#include <mproc/queue.h>
#include <mproc/sync.h>
#include <mproc/value.h>

MPROC_BEGIN_DECLS

/**
 * mproc_manager - a manager that is started, served, or connected to by this process
 *
 * Process-local: in a forked child all functions but mproc_manager_close() give
 * -ECHILD. Objects that it has given in the family of the server are shared, and
 * usable there.
 */
typedef struct mproc_manager mproc_manager;

/**
 * struct mproc_manager_opts - how to serve
 * @struct_size: filled in by MPROC_OPTS
 * @address:     where, as for mproc_listener_open(); NULL: at a name of this machine
 *               that is not in use. TCP without a host is this machine's own,
 *               127.0.0.1; all of its addresses are "tcp:0.0.0.0:port"
 * @authkey:     a key that clients have to show; over TCP there has to be one
 * @authkey_len: its length, at least 1
 * @peers:       an enum mproc_peers, as for a listener
 * @handshake_timeout: as for a listener
 * @arena:       whose names it serves, and where it makes objects; NULL: the
 *               family's default arena. What is in a named one can be served again
 *               by a manager that is started later, also after a kill
 * @max_clients: how many may be connected; who comes then is told -EBUSY; 0 means
 *               4096
 * @max_message: bytes of a request or an answer; 0 means 16 MiB, at most 1 GiB
 * @max_memory:  bytes for all requests and answers that are on their way, of all
 *               clients, and for what they wait for and have; one of them takes up to a
 *               quarter, or, if that is more, about four times @max_message; who would
 *               take more is disconnected; 0 means 256 MiB
 * @in_process:  no process is started: this one serves, in mproc_manager_serve()
 */
struct mproc_manager_opts {
	size_t struct_size;
	const char *address;
	const void *authkey;
	size_t authkey_len;
	int peers;
	mproc_timeout handshake_timeout;
	mproc_arena *arena;
	int max_clients;
	size_t max_message;
	size_t max_memory;
	bool in_process;
};

/**
 * mproc_manager_start() - start a manager
 * @ret_m: receives the handle
 * @opts:  options, or NULL
 *
 * The server is a forked child of this process, which holds nothing of its
 * descriptors and memory that it needs not, and is not among mproc_children(). It
 * ends by mproc_manager_shutdown(), or when this process has ended. When the call
 * returns, clients can connect.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_m is NULL, an option makes no sense, or TCP without .authkey
 *   -E2BIG    @opts has fields that this library does not know
 *   -ENOTSUP  the library was built without managers; or with .authkey without keys
 *   -EPIPE    the server has died before it could begin
 *   and those of mproc_listener_open(), of mproc_arena_default() and, unless
 *   .in_process, of mproc_process_start()
 * Context: waits for the server to begin.
 * Crash: killed inside, the server ends.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_start(mproc_manager **ret_m,
		    const struct mproc_manager_opts *opts);

/**
 * mproc_manager_connect() - connect to a manager
 * @ret_m:   receives the handle
 * @address: as for mproc_connect()
 * @opts:    options, or NULL; .md5 is not allowed by default, and .pass_fds not
 *           at all
 * @timeout: how long to wait, for its first answer, too; so MPROC_NOWAIT gives
 *           -EAGAIN
 *
 * All threads of the process may use the connection, and do not wait for each other.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_m is NULL, or an option makes no sense
 *   -EACCES   the manager has another key, or none, or asks for one
 *   -EPROTO   it speaks another version
 *   -EBUSY    it has as many clients as it may have
 *   -EBADMSG  what answers there is no manager
 *   -EPIPE    it has left before it answered
 *   -ENOTSUP  the library was built without managers
 *   and those of mproc_connect()
 * Context: may block until @timeout.
 * Crash: the manager sees the end of the connection.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_connect(mproc_manager **ret_m, const char *address,
		      const struct mproc_connect_opts *opts,
		      mproc_timeout timeout);

/**
 * mproc_manager_address() - where a manager is
 * @m: manager
 *
 * Return: an address for mproc_manager_connect(), valid until the handle is closed.
 * Context: does not block.
 * Crash: nothing has happened.
 */
MPROC_API const char *mproc_manager_address(mproc_manager *m);

/**
 * mproc_manager_serve() - serve clients in this process
 * @m:       manager that was started with .in_process
 * @timeout: how long; MPROC_NOWAIT: what can be done at once
 *
 * Return: 0 when the manager was shut down; or a negative error:
 *   -EAGAIN     all is done that can be, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it has served until then
 *   -EINTR      mproc_interrupt() was called
 *   -EBUSY      another thread serves
 *   -EINVAL     @m is NULL, or was started without .in_process, or connected to
 *   -ECHILD     it is another process's
 *   -EBADF      the program has closed a descriptor of the manager's
 * Context: may block until @timeout.
 * Crash: clients see the end of their connections; each request was carried out
 *        or not.
 */
MPROC_API int mproc_manager_serve(mproc_manager *m, mproc_timeout timeout);

/**
 * mproc_manager_fd() - a descriptor to poll for what there is to serve
 * @m: manager that was started with .in_process
 *
 * Readable when mproc_manager_serve() has something to do: call it with
 * MPROC_NOWAIT. It belongs to the manager. Call it also once a second, if anything
 * keeps it from accepting, or methods of registered types have to end in time: it looks
 * then whether that is over; and as often as the time is to be looked at of clients that
 * wait with a timeout, or take no answers while others wait for that.
 *
 * Return: the descriptor; or -EINVAL, -ECHILD as mproc_manager_serve().
 * Context: does not block.
 * Crash: nothing has happened.
 */
MPROC_API MPROC_NODISCARD int mproc_manager_fd(mproc_manager *m);

/**
 * mproc_manager_shutdown() - end a manager
 * @m:     manager that this process has started
 * @grace: how long its process has for that before it is killed
 *
 * Requests that have come are carried out or not, and clients see the end of their
 * connections. What is in the arena stays. Of one .in_process who serves it returns;
 * it may be called by any thread.
 *
 * Return: 0, also if it has ended already; or a negative error:
 *   -EPERM   @m is connected to
 *   -EINVAL  @m is NULL
 *   -ECHILD  it is another process's
 *   -EINTR   mproc_interrupt() was called within @grace: it was told to end
 * Context: blocks for @grace at most, and for what a kill takes; not if .in_process.
 * Crash: the manager ends, if it was told to, or as this process has ended.
 */
MPROC_API int mproc_manager_shutdown(mproc_manager *m, mproc_timeout grace);

/**
 * mproc_manager_close() - do not use a manager any more
 * @m: manager, or NULL; no thread is in a call for it
 *
 * Ends a connection, and what is done by its handles gives -ESTALE from then on,
 * until the process has made 4096 others: then one of them may lead somewhere again.
 * A manager that this process has started is shut down, with a grace of a second.
 *
 * Context: see mproc_manager_shutdown().
 * Crash: the connection ends, and a manager that was started.
 */
MPROC_API void mproc_manager_close(mproc_manager *m);

/**
 * mproc_manager_dict() - a dict of a manager's
 * @m:     manager
 * @name:  its name, of up to 55 bytes, which is made if there is none
 * @ret_d: receives a handle. The same name gives the same one again
 *
 * mproc_dict_destroy() takes the name away, too, if the handle is that of a
 * connection; in the family of the server mproc_arena_bind() does that before.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   a pointer is NULL, or the name is empty
 *   -ENAMETOOLONG  the name is longer than that
 *   -EPROTOTYPE  what has the name in the arena is no dict
 *   -ESTALE   what has the name was destroyed
 *   -ENOSPC   also: this process has 4096 handles of managers, to objects that were not
 *             destroyed
 *   -ECHILD   the manager is another process's
 *   and those of mproc_dict_create(), mproc_arena_bind(), and of all calls for
 *   managers, above
 * Context: of a connection, waits for the answer; otherwise as mproc_arena_bind().
 * Crash: there may be a dict that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_dict(mproc_manager *m, const char *name, mproc_dict **ret_d);

/**
 * mproc_manager_value() - a value of a manager's
 * @m:         manager
 * @name:      its name, as of a dict
 * @size:      bytes, at least 1
 * @init:      so many bytes to begin with, if there is none yet, or NULL for zeroes
 * @ret_value: receives it
 *
 * It is an array of one element; see there.
 *
 * Return: as mproc_manager_array().
 * Context: as mproc_manager_dict().
 * Crash: as mproc_manager_array().
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_value(mproc_manager *m, const char *name, size_t size,
		    const void *init, void **ret_value);

/**
 * mproc_manager_array() - an array of a manager's
 * @m:         manager
 * @name:      its name, as of a dict
 * @elem:      bytes of an element, at least 1
 * @n:         number of elements; 0: as many as it has, but it has to be there
 * @init:      @n elements to begin with, if there is none yet, or NULL for zeroes
 * @ret_array: receives it
 *
 * In the family of the server that is the array itself, as of mproc_array_new(). Over a
 * connection it is a handle, and no memory: to read or to write there crashes at once.
 * mproc_array_get() and what follows it in value.h take both, as do mproc_array_len() and
 * mproc_free(), which takes the name away, too, of a handle.
 *
 *     void *sum;
 *
 *     mproc_manager_value(m, "sum", sizeof(double), NULL, &sum);
 *     mproc_array_add_float(sum, 0, sizeof(double), 0.5, NULL);
 *
 * Elements go over as the bytes that they are: both machines have the same order of
 * bytes, and mean the same by them. mproc_lock_of() gives NULL with EOPNOTSUPP for a
 * handle. What would make the array look like an object of a registered type is not
 * stored: -EPERM. The family does not free an array that a client may still use; a client may,
 * and others get -ESTALE.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   a pointer is NULL, the name is empty, @elem is 0, or @n is with @init
 *   -ENOENT   there is none, and @n is 0
 *   -EPROTOTYPE  what has the name in the arena is no array, or not of that shape, or
 *             one that was freed
 *   and the others of mproc_manager_dict(), and of mproc_arena_array_new()
 * Context: as mproc_manager_dict().
 * Crash: there may be an array that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_array(mproc_manager *m, const char *name, size_t elem, size_t n,
		    const void *init, void **ret_array);

/**
 * mproc_manager_list() - a list of a manager's
 * @m:     manager
 * @name:  its name, as of a dict
 * @ret_l: receives a handle
 *
 * Several values go over a connection in one message, and come so: if
 * mproc_list_slice() says -EMSGSIZE, and there are no more than it has room for, a
 * part of them can be had at a time. mproc_list_update() and mproc_list_sort() run
 * their functions here, and again if somebody else has changed the value, or the list,
 * meanwhile; for mproc_list_sort() with one all values come over the connection.
 *
 * Return: as mproc_manager_dict().
 * Context: as mproc_manager_dict().
 * Crash: as mproc_manager_dict().
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_list(mproc_manager *m, const char *name, mproc_list **ret_l);

/**
 * mproc_manager_set() - a set of a manager's
 * @m:     manager
 * @name:  its name, as of a dict
 * @ret_s: receives a handle
 *
 * What is done with two sets of one manager is done there. If one of them is
 * elsewhere, each element of one of them goes over the connection by itself.
 *
 * Return: as mproc_manager_dict().
 * Context: as mproc_manager_dict().
 * Crash: as mproc_manager_dict().
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_set(mproc_manager *m, const char *name, mproc_set **ret_s);

/**
 * mproc_manager_namespace() - a namespace of a manager's
 * @m:      manager
 * @name:   its name, as of a dict
 * @ret_ns: receives a handle
 *
 * Return: as mproc_manager_dict().
 * Context: as mproc_manager_dict().
 * Crash: as mproc_manager_dict().
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_namespace(mproc_manager *m, const char *name,
			mproc_namespace **ret_ns);

/**
 * mproc_manager_lock() - a lock of a manager's
 * @m:        manager
 * @name:     its name, as of a dict
 * @ret_lock: receives a handle
 *
 * mproc_lock_destroy() takes the name away as mproc_dict_destroy() does.
 *
 * Return: as mproc_manager_dict(), but those of mproc_lock_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be a lock that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_lock(mproc_manager *m, const char *name, mproc_lock **ret_lock);

/**
 * mproc_manager_rlock() - a recursive lock of a manager's
 * @m:         manager
 * @name:      its name, as of a dict
 * @ret_rlock: receives a handle
 *
 * Return: as mproc_manager_lock().
 * Context: as mproc_manager_dict().
 * Crash: as mproc_manager_lock().
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_rlock(mproc_manager *m, const char *name, mproc_rlock **ret_rlock);

/**
 * mproc_manager_semaphore() - a semaphore of a manager's
 * @m:             manager
 * @name:          its name, as of a dict
 * @opts:          what it is to be like if it is made now, or NULL for value 0 without a
 *                 maximum; .arena is NULL
 * @ret_semaphore: receives a handle. One that is there already is as it is
 *
 * Return: as mproc_manager_dict(), but those of mproc_semaphore_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be a semaphore that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_semaphore(mproc_manager *m, const char *name,
			const struct mproc_semaphore_opts *opts,
			mproc_semaphore **ret_semaphore);

/**
 * mproc_manager_event() - an event of a manager's
 * @m:         manager
 * @name:      its name, as of a dict
 * @ret_event: receives a handle
 *
 * Return: as mproc_manager_dict(), but those of mproc_event_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be an event that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_event(mproc_manager *m, const char *name, mproc_event **ret_event);

/**
 * mproc_manager_condition() - a condition of a manager's
 * @m:             manager
 * @name:          its name, as of a dict
 * @ret_condition: receives a handle
 *
 * Who waits for it gives back a lock of the same manager, by a handle of the same
 * connection, or in the family the lock itself; with any other mproc_condition_wait()
 * gives -EINVAL.
 *
 * Return: as mproc_manager_dict(), but those of mproc_condition_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be a condition that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_condition(mproc_manager *m, const char *name,
			mproc_condition **ret_condition);

/**
 * mproc_manager_barrier() - a barrier of a manager's
 * @m:           manager
 * @name:        its name, as of a dict
 * @parties:     how many it has if it is made now: 1 to 1024
 * @ret_barrier: receives a handle. One that is there already is as it is
 *
 * A thread of a client is a party until it ends, or its connection does, which breaks the
 * barrier as the end of any party. mproc_barrier_init() gives -EINVAL for a handle.
 *
 * Return: as mproc_manager_dict(), but those of mproc_barrier_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be a barrier that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_barrier(mproc_manager *m, const char *name, unsigned parties,
		      mproc_barrier **ret_barrier);

/**
 * mproc_manager_queue() - a queue of a manager's
 * @m:     manager
 * @name:  its name, as of a dict
 * @opts:  what it is to be like if it is made now, or NULL; .arena is NULL
 * @ret_q: receives a handle. One that is there already is as it is
 *
 * mproc_queue_destroy() takes the name away as mproc_dict_destroy() does. The handle that
 * mproc_queue_dead_letters() gives for a handle is by the same connection.
 *
 * Return: as mproc_manager_dict(), but those of mproc_queue_create().
 * Context: as mproc_manager_dict().
 * Crash: there may be a queue that nobody knows, until the arena goes.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_queue(mproc_manager *m, const char *name,
		    const struct mproc_queue_opts *opts, mproc_queue **ret_q);

/*
 * Types of a program's own: objects whose methods clients call by name.
 *
 *     static int
 *     add(void *state, const struct mproc_any *args, int n, struct mproc_any *ret)
 *     {
 *             int64_t *count = state;
 *
 *             (void)n;
 *             *count += args[0].i64;
 *             *ret = mproc_int(*count);
 *             return 0;
 *     }
 *
 *     static const struct mproc_type_method methods[] = { { "add", "i", add } };
 *
 *     mproc_manager_register(m, MPROC_OPTS(mproc_type, .name = "counter",
 *                            .state_size = sizeof(int64_t),
 *                            .methods = methods, .n_methods = 1));
 *
 *     // here, or where a client is
 *     mproc_manager_object(m, "counter", "visits");
 *     mproc_manager_call(m, "visits", "add", &one, 1, &sum, mproc_sec(5));
 *
 * Methods run in worker processes, which the server forks as they are wanted, and a
 * method that crashes takes its worker with it and nothing else. The state of an object
 * lies in the manager's arena, all zero in the beginning: it outlives workers, and a
 * server, if the arena does. When a worker has died in the middle of a method, its
 * caller gets -EOWNERDEAD, and .recover is called before the next method of the object.
 *
 * Worker and server are copies of the process that has registered the type, as it was
 * when the manager was started, or, .in_process, when the worker is; what a method
 * changes in memory but the state, only its worker sees. So what has to do with the type
 * - functions, and libraries that they need - is loaded before the manager is started.
 */

/**
 * enum mproc_call_limit - limits of calls
 * @MPROC_CALL_ARGS: the most values that a method takes
 */
enum mproc_call_limit {
	MPROC_CALL_ARGS = 16
};

/**
 * mproc_method - does what clients call by a name
 * @state: of the object, .state_size bytes, aligned to 16
 * @args:  the caller's values. Texts have a 0 behind their end; texts and bytes are
 *         there until it returns
 * @n:     how many
 * @ret:   receives what the caller gets, a MPROC_NIL before. Texts and bytes may lie in
 *         the state, or in memory that stays until the worker's next method; what comes
 *         out of a container is cleared by the worker. With an error: a MPROC_STR that
 *         says more, or nothing
 *
 * Returns 0 or more, which the caller gets; or an error from -4095 to -1, which it gets,
 * too, with the text.
 *
 * Unless the type is .concurrent no other method of the object runs meanwhile.
 */
typedef int mproc_method(void *state, const struct mproc_any *args, int n,
			 struct mproc_any *ret);

/**
 * mproc_recover_fn - puts the state of an object in order
 * @state: as a method has left it that was killed, or has crashed, at any instruction;
 *         or one of these functions
 *
 * Returns 0; or a negative number, and calls of methods of the object give
 * -ENOTRECOVERABLE, after it was called each time.
 */
typedef int mproc_recover_fn(void *state);

/**
 * struct mproc_type_method - a method of a registered type
 * @name: of up to 55 bytes
 * @args: which values it takes, a letter for each: i integer, f float, b truth value, s
 *        text, y bytes, n nothing, * any of them; behind a | are those that may be left
 *        out. "" for none. NULL: whatever comes
 * @fn:   what it does
 */
struct mproc_type_method {
	const char *name;
	const char *args;
	mproc_method *fn;
};

/**
 * struct mproc_type - a type of objects
 * @struct_size: filled in by MPROC_OPTS
 * @name:        of up to 55 bytes
 * @methods:     its methods
 * @n_methods:   how many, 1 to 1024
 * @workers:     how many methods may run at once, of all its objects together, each in a
 *               process of its own; 0 means mproc_cpu_count()
 * @state_size:  bytes of each object's state; may be 0
 * @timeout:     how long a method may run, whatever its caller says: then its worker is
 *               killed; 0 means a minute
 * @recover:     called after a worker was killed in the middle of a method; NULL: all
 *               further calls for that object give -ENOTRECOVERABLE
 * @concurrent:  methods of one object may run at the same time, and @recover is not
 *               called: what the state needs of locks lies in the state
 */
struct mproc_type {
	size_t struct_size;
	const char *name;
	const struct mproc_type_method *methods;
	int n_methods;
	int workers;
	size_t state_size;
	mproc_timeout timeout;
	mproc_recover_fn *recover;
	bool concurrent;
};

/**
 * mproc_manager_register() - serve objects of a type of this program's own
 * @m:    manager that this process has started
 * @type: type, which is copied
 *
 * Return: 0, or a negative error:
 *   -EINVAL   a pointer is NULL, or a field of @type makes no sense
 *   -E2BIG    @type has fields that this library does not know
 *   -ENAMETOOLONG
 *   -EEXIST   the manager has a type of that name
 *   -EPERM    @m is connected to
 *   -EBUSY    @m is served by another thread at the moment
 *   -EPIPE    the manager has ended
 *   -ENOMEM
 *   -ECHILD   it is another process's
 *   -EINTR    mproc_interrupt() was called while another thread registered a type
 * Context: waits for the server to answer; not if .in_process.
 * Crash: the manager ends, as this process has ended.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_register(mproc_manager *m, const struct mproc_type *type);

/**
 * mproc_manager_object() - find or make an object of a registered type
 * @m:    manager
 * @type: name of the type
 * @name: name of the object, as of a dict
 *
 * Of a manager that this process has started this, and the two functions below, use a
 * connection to its server, as others do. One .in_process has to be served by another
 * thread meanwhile.
 *
 * Return: 0, or a negative error:
 *   -ENOENT   no type of that name is registered
 *   -EPROTOTYPE  what has the name in the arena is something else, or the type is not
 *             what it was: its state is of another size
 *   -EINVAL   a pointer is NULL, or a name is empty
 *   -ENAMETOOLONG
 *   -ENOMEM, -ENOSPC  no memory for it
 *   -ECHILD   the manager is another process's
 *   and those of mproc_arena_bind(), mproc_manager_connect(), and of all calls for
 *   managers, above
 * Context: waits for the answer.
 * Crash: it is made or not.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_object(mproc_manager *m, const char *type, const char *name);

/**
 * mproc_manager_object_destroy() - destroy an object of a registered type
 * @m:    manager
 * @name: name of the object
 *
 * Calls for it that wait get -ENOENT or -ESTALE.
 *
 * Return: 0, or a negative error:
 *   -ENOENT   nothing has the name
 *   -EPROTOTYPE  something else has it
 *   -EBUSY    a method of it runs
 *   and those of mproc_manager_object()
 * Context: waits for the answer.
 * Crash: it is destroyed or not.
 */
MPROC_API int mproc_manager_object_destroy(mproc_manager *m, const char *name);

/**
 * mproc_manager_call() - call a method of an object of a registered type
 * @m:       manager
 * @object:  name of the object
 * @method:  name of the method
 * @args:    its values; may be NULL if @n is 0
 * @n:       how many, up to MPROC_CALL_ARGS
 * @ret:     receives what it has made, on success; to be given back with
 *           mproc_any_clear(). NULL: that is not wanted
 * @timeout: how long to wait; a method that runs still then is killed with its worker.
 *           MPROC_NOWAIT gives -EAGAIN, and nothing is called
 *
 * Calls of one object run in the order in which they come to the server, one at a time
 * unless its type is .concurrent. A caller that dies, disconnects or is interrupted gets
 * no answer: what waits of its is forgotten when its connection ends, and what runs goes
 * on. When the server ends, methods that run are killed.
 *
 * Return: what the method has returned, 0 or more; or a negative error, its own or one
 * of these:
 *   -ENOENT      nothing has the name @object, or its type is not registered
 *   -EPROTOTYPE  what has it is no object of a registered type
 *   -ENOSYS      the type has no such method
 *   -EINVAL      the method does not take such values; a pointer is NULL; or what it has
 *                returned makes no sense
 *   -EFAULT      one of @args is a MPROC_REF
 *   -EOWNERDEAD  its worker has died in the middle; the error detail says how
 *   -ENOTRECOVERABLE  a worker has died in the middle of an earlier method, and the type
 *                cannot put the object in order
 *   -ETIMEDOUT   it has not come to an end in time
 *   -ESTALE      the object was destroyed before it began
 *   -EBUSY       256 calls of this connection, or 16384 of all, are on their way
 *   -EMSGSIZE    the values, or what it has made, are more than a message may have
 *   -EAGAIN, -EMFILE and others of mproc_process_start(), if no worker could be started
 *   and those of mproc_manager_object()
 * Context: may block until @timeout.
 * Crash: as described above.
 */
MPROC_API MPROC_NODISCARD int
mproc_manager_call(mproc_manager *m, const char *object, const char *method,
		   const struct mproc_any *args, int n, struct mproc_any *ret,
		   mproc_timeout timeout);

MPROC_END_DECLS

#endif
