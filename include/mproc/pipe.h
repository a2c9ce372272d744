/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - connections: messages between two sides.
 *
 * A pipe has two ends, connections, and what is sent at one end is received at
 * the other: whole messages of any length, none included, in the order in which
 * each thread has sent them. Messages never mix: any number of threads and
 * processes may send at one end, and each message arrives as it was sent; any
 * number may receive, and each message goes to one of them.
 *
 * A pipe lies in the default arena, and the pointers to its ends are valid in
 * every process of the family. Messages are carried as those of a queue are
 * (queue.h): while both sides are busy no call enters the kernel.
 *
 * Who holds an end. Processes hold ends, and only a process that holds one can
 * use it. The creator holds both. A child that mproc_process_start() starts holds
 * those in .conns, and the caller does not hold these any more from then on; or,
 * if it is forked and none is named (.n_conns is 0), it holds all that the caller
 * does, as after fork(2). A child that a program forks by itself holds none.
 * mproc_conn_close() ends the hold of the process, and so does its end, however it
 * ends; a process that executes another program holds what it has not closed until
 * that ends. Processes of one pipe are in one PID namespace. A start that fails
 * changes nothing.
 *
 * End of file. At one end the other one is gone when no process but the caller
 * holds it: those that did have closed it, or have ended. A copy that the caller
 * itself has never used nor closed does not count, so a parent learns of its
 * child's end without having closed anything. One that it has used counts until it
 * is closed, and so does one that no other process has ever held: the threads of
 * one process can use both ends. Then mproc_conn_recv() gives what is left, and
 * after the last message -EPIPE; mproc_conn_send() gives -EPIPE at once. A process
 * that holds an end without using it, a sibling for instance, keeps it from being
 * gone: name what each child is to hold. A process that waits for its children as it
 * ends has to close first what they wait for.
 *
 * Who ends in order, by a return from its entry or by exit(), says so itself. A
 * death is noticed at once where the parent waits in libmproc for the one who has
 * died, and otherwise within about 50 ms by any process of the family that
 * sleeps in libmproc; who only looks, with MPROC_NOWAIT, calls
 * mproc_arena_recover() at times.
 *
 * The memory of a pipe is given back when nobody holds either end any more. An
 * address of an end that this process does not hold is good for nothing: calls
 * give -ESTALE; but once the process has made further pipes it may be an end of
 * one of them.
 *
 * Ends that are sockets. With .sockets each end is a socket of this machine, and what
 * is said above is true of it but for this:
 *
 * - Open files can be sent as well: mproc_conn_send_fd(). Each message enters the
 *   kernel twice or more, at either side.
 * - Each process that holds an end has a descriptor for it, closed at exec; a child that
 *   a program forks by itself has copies of those, too, until it ends, though it holds
 *   nothing. The other end is gone when all its descriptors are closed, and at once. So
 *   a copy that the caller has counts, used or not: name what each child is to hold.
 * - Processes that hold the same end agree among themselves who uses it, with a lock
 *   for instance, and what is said below of calls that stop in the middle of a message
 *   is true. In the middle of one an end cannot be named in .conns: -EBUSY.
 * - mproc_conn_close() must not be called while another thread is in a call for it, and
 *   no thread may begin one while a start gives the end away.
 *
 * Connections to other programs. Those that mproc_connect() and
 * mproc_listener_accept() give go over a socket, of this machine or over TCP, and
 * are used by the same functions. What lies in the stream is what Python's
 * multiprocessing.connection puts there, so a Python program can be on the other
 * side: Listener, Client, send_bytes() and recv_bytes(). Such a connection lies in
 * private memory:
 *
 * - It belongs to the process that made it, and to a child that is forked from it,
 *   which has a copy. The other side sees the end when all copies are closed.
 *   Processes that share one agree among themselves who uses it, with a lock for
 *   instance; threads need not.
 * - The other side is gone when it says so, or the system says it for it: at once
 *   on one machine, and over TCP perhaps never, if a machine is switched off. Who
 *   has to know sends something from time to time. A connection that ends in the
 *   middle of a message gives -EPIPE, and mproc_error_detail() says so.
 * - A call can run out of time in the middle of a message. Nothing is lost: the next
 *   mproc_conn_recv() goes on there; and if mproc_conn_send() has stopped there, the
 *   next one must be given the same message, which goes on, and any other gives
 *   -EBUSY. A child that was forked while another thread was in a call gets -EBUSY
 *   for ever in that direction.
 * - mproc_conn_poll() says that something has come, which may be a part of a message
 *   only. The descriptor is that of the socket.
 * - What is no message gives -EBADMSG, and so does everything after it.
 * - Open files go over a socket of this machine, too, where both sides have said
 *   .pass_fds: mproc_conn_send_fd() and mproc_conn_recv_fd(). Who receives a message is
 *   never given one: what other programs send along with a message's bytes is closed by
 *   the kernel.
 * - mproc_conn_close() must not be called while another thread is in a call for it.
 * - No function raises SIGPIPE.
 */
#ifndef MPROC_PIPE_H
#define MPROC_PIPE_H

#include <mproc/core.h>
#include <sys/uio.h>

MPROC_BEGIN_DECLS

typedef struct mproc_conn mproc_conn;

/**
 * struct mproc_pipe_opts - how to make a pipe
 * @struct_size: filled in by MPROC_OPTS
 * @one_way:     the first end only receives, and the second one only sends
 * @sockets:     the ends are sockets of this machine, which can pass open files:
 *               mproc_conn_send_fd()
 */
struct mproc_pipe_opts {
	size_t struct_size;
	bool one_way;
	bool sockets;
};

/**
 * mproc_pipe() - make a pipe
 * @ret_a: receives one end; with .one_way the one that receives
 * @ret_b: receives the other one; with .one_way the one that sends
 * @opts:  options, or NULL
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_a or @ret_b is NULL, or @opts->struct_size makes no sense
 *   -E2BIG    @opts has fields that this library does not know
 *   -EAGAIN   1024 threads of the family use libmproc already
 *   -ENOMEM, -ENOSPC  no memory
 *   -EMFILE, -ENFILE  with .sockets: no two descriptors
 *   -EBADMSG  the arena's list of pipes or of queues is corrupt
 *   and what mproc_arena_configure_default() gives where there is no arena yet
 * Context: does not block.
 * Crash: killed inside, there is a pipe whose only holder is dead, or none.
 */
MPROC_API MPROC_NODISCARD int
mproc_pipe(mproc_conn **ret_a, mproc_conn **ret_b,
	   const struct mproc_pipe_opts *opts);

/**
 * mproc_conn_send() - send a message
 * @c:       connection
 * @buf:     the message; may be NULL if @len is 0
 * @len:     its length
 * @timeout: how long to wait for room
 *
 * Returns when the message is on its way: it arrives even if the caller closes
 * the connection or ends then. Room is there for 64 KiB of each thread that
 * sends, or for four messages of any length.
 *
 * Return: 0, or a negative error, and nothing was sent:
 *   -EPIPE      the other end is gone
 *   -EAGAIN     there is no room and @timeout is MPROC_NOWAIT; or 1024 threads of
 *               the family use libmproc already
 *   -ETIMEDOUT  there was none until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EPERM      this end only receives
 *   -EMSGSIZE   the message is longer than the arena
 *   -ESTALE     this process does not hold the end: it has closed it, or given it
 *               to a child, or has been forked by who holds it
 *   -EINVAL     @c is NULL or no connection, or @buf is NULL
 *   -EFAULT     @c is neither an end of a pipe nor a connection over a socket
 *   -EBUSY      over a socket: another message has been sent in part, or another
 *               thread was in a call when this process was forked
 *   -ENOMEM, -ENOSPC  no memory
 *   -EBADMSG    the connection's memory is corrupt
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: the message was sent, whole, or it was not.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_send(mproc_conn *c, const void *buf, size_t len,
		mproc_timeout timeout);

/**
 * mproc_conn_sendv() - send a message that lies in several parts
 * @c:       connection
 * @parts:   where they are; may be NULL if @n is 0
 * @n:       how many parts there are
 * @timeout: how long to wait for room
 *
 * The parts arrive as one message.
 *
 * Return: as mproc_conn_send(); -EINVAL also if @n is negative, or a part that is
 * not empty is at NULL.
 * Context: as mproc_conn_send().
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_sendv(mproc_conn *c, const struct iovec *parts, int n,
		 mproc_timeout timeout);

/**
 * mproc_conn_recv() - receive the next message
 * @c:       connection
 * @buf:     where it is to be copied; may be NULL if @size is 0
 * @size:    how much room there is
 * @ret_len: receives its length, also with -EMSGSIZE; or NULL
 * @timeout: how long to wait for a message
 *
 * Return: 0, or a negative error, and nothing was received:
 *   -EPIPE      the other end is gone, and all that was sent has been received
 *   -EMSGSIZE   the message is longer than @size; it is still there, and
 *               *@ret_len is its length
 *   -EAGAIN     there is none and @timeout is MPROC_NOWAIT; or 1024 threads of
 *               the family use libmproc already
 *   -ETIMEDOUT  there was none until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EPERM      this end only sends
 *   -EBUSY      over a socket: another thread was in a call when this process was
 *               forked
 *   -EACCES     over a socket: the other side asks for a key, and this one has none
 *   -ENOMSG     over a socket: no message comes next, but a descriptor, which stays
 *               for mproc_conn_recv_fd()
 *   -EBADMSG    over a socket: what came is no message; or as mproc_conn_send()
 *   -ESTALE, -EINVAL, -EFAULT, -ENOMEM, -ENOSPC  as mproc_conn_send()
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: the message is still there, or is gone with the one who had it: at most
 *        this one.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_recv(mproc_conn *c, void *buf, size_t size, size_t *ret_len,
		mproc_timeout timeout);

/**
 * mproc_conn_send_fd() - send an open file
 * @c:       connection over a socket of this machine: of mproc_connect() and
 *           mproc_listener_accept() with .pass_fds, or an end of a pipe with .sockets
 * @fd:      its descriptor, which stays open here
 * @timeout: how long to wait for room
 *
 * The other side gets a descriptor of its own for the same open file, as dup(2) gives
 * one. Descriptors and messages arrive in the order in which they were sent. In the
 * stream it lies as Python's multiprocessing.reduction.send_handle() puts it there,
 * and recv_handle() takes it. The other side has to expect it: one of libmproc's without
 * .pass_fds refuses it from Linux 6.16 on; with an earlier kernel the file is closed on
 * the way, and what is sent behind it is no message to the other side.
 *
 * Return: 0, or a negative error, and nothing was sent:
 *   -EBADF      @fd is not open
 *   -EINVAL     @c is NULL or no connection; or the kernel passes no files of that
 *               kind
 *   -ENOTSUP    @c was made without .pass_fds or .sockets, or is over TCP; or the
 *               other side refuses it
 *   -EPERM      this end only receives
 *   -ETOOMANYREFS  as many descriptors of this user are on their way, and not received
 *               yet, as it may have open (RLIMIT_NOFILE)
 *   -EPIPE, -EAGAIN, -ETIMEDOUT, -EINTR, -EBUSY, -ESTALE, -EFAULT, -ENOMEM
 *               as mproc_conn_send()
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: it was sent, or it was not. One that nobody receives is closed with the
 *        connection.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_send_fd(mproc_conn *c, int fd, mproc_timeout timeout);

/**
 * mproc_conn_recv_fd() - receive an open file
 * @c:       connection as for mproc_conn_send_fd()
 * @timeout: how long to wait for one
 *
 * Return: the descriptor, above 2 and close-on-exec, which is the caller's to close;
 * or a negative error, and nothing was received:
 *   -ENOMSG     no descriptor comes next, but a message, which stays for
 *               mproc_conn_recv()
 *   -EMFILE     this process has as many descriptors open as it may. The one that
 *               comes next waits; but if other threads were opening files at the same
 *               time, or mproc_conn_recv() has met it, it may be lost, and the error
 *               detail says so. What was sent behind it is received as ever
 *   -ENOTSUP    @c was made without .pass_fds or .sockets, or is over TCP
 *   -EPERM      this end only sends
 *   -EPIPE, -EAGAIN, -ETIMEDOUT, -EINTR, -EBUSY, -EBADMSG, -ESTALE, -EINVAL, -EFAULT
 *               as mproc_conn_recv(); -EBADMSG also if several came at once
 * Context: may block until @timeout. Thread-safe; not for signal handlers.
 * Crash: it is still there, or is closed with the one who had it.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_recv_fd(mproc_conn *c, mproc_timeout timeout);

/**
 * mproc_conn_poll() - wait until there is something to receive
 * @c:       connection
 * @timeout: how long
 *
 * Nothing is received: a message stays for mproc_conn_recv(), of this thread or
 * of another that is faster.
 *
 * Return: 0 if there is a message, or the other end is gone, which is what
 * mproc_conn_recv() would say, or over a socket another error of that one; or a
 * negative error: -EAGAIN, -ETIMEDOUT, -EINTR, -EPERM, -ESTALE, -EINVAL, -EFAULT,
 * -ENOMEM, -ENOSPC, -EBADMSG as that one.
 * Context: may block until @timeout.
 * Crash: nothing has happened.
 */
MPROC_API MPROC_NODISCARD int
mproc_conn_poll(mproc_conn *c, mproc_timeout timeout);

/**
 * mproc_conn_fd() - a descriptor to poll for messages
 * @c: connection
 *
 * Readable (POLLIN, EPOLLIN) when mproc_conn_recv() may have something to say: a
 * message, or the end of file. All that mproc_queue_fd() says of its descriptor
 * is true of this one, which belongs to this process and connection, and is closed
 * by mproc_conn_close(): so whoever polls receives with MPROC_NOWAIT until
 * -EAGAIN.
 *
 * Return: the descriptor, above 2 and close-on-exec, or a negative error: those of
 * mproc_queue_fd(), and -EPERM and -ESTALE as mproc_conn_recv().
 * Context: as mproc_queue_fd().
 */
MPROC_API MPROC_NODISCARD int mproc_conn_fd(mproc_conn *c);

/**
 * mproc_conn_close() - do not use a connection any more
 * @c: connection, or NULL
 *
 * Ends the hold of this process on the end: in all of its threads. Those who are
 * in a call for it get -ESTALE. What was sent before is received on the other
 * side. An end that this process does not hold is left alone.
 *
 * Context: does not block; wakes those who wait for the pipe.
 * Crash: closed, or not; and closed by the death.
 */
MPROC_API void mproc_conn_close(mproc_conn *c);

/**
 * enum mproc_md5 - whether HMAC-MD5 is good enough to show a key
 * @MPROC_MD5_ALLOW:  it is: Python before 3.12 knows nothing else
 * @MPROC_MD5_FORBID: who knows nothing else is not let in
 */
enum mproc_md5 {
	MPROC_MD5_ALLOW = 1,
	MPROC_MD5_FORBID = 2
};

/**
 * enum mproc_peers - who may be at the other end of a local socket
 * @MPROC_PEERS_USER: a process of this process's effective user, or of root
 * @MPROC_PEERS_ANY:  anybody
 */
enum mproc_peers {
	MPROC_PEERS_USER = 1,
	MPROC_PEERS_ANY = 2
};

typedef struct mproc_listener mproc_listener;

/**
 * struct mproc_listener_opts - how to listen
 * @struct_size: filled in by MPROC_OPTS
 * @authkey:     a key that each side has to show the other one that it has; NULL:
 *               none
 * @authkey_len: its length, at least 1
 * @backlog:     how many may have connected that nobody has accepted yet; 0 means
 *               128
 * @md5:         an enum mproc_md5; 0: allowed on this machine, forbidden over TCP
 * @peers:       an enum mproc_peers; 0: MPROC_PEERS_USER on this machine. A socket
 *               file gets the permissions 0600 then and 0666 otherwise, and those
 *               who have connected are looked at. Over TCP MPROC_PEERS_USER gives
 *               -EINVAL
 * @handshake_timeout: how long one who has connected has for showing its key, while
 *               somebody is in mproc_listener_accept(); zero means ten seconds
 * @pass_fds:    open files may come and go over the connections: mproc_conn_send_fd().
 *               Each message is looked at for that, which makes short ones some 10 %
 *               slower. Over TCP it gives -EINVAL
 */
struct mproc_listener_opts {
	size_t struct_size;
	const void *authkey;
	size_t authkey_len;
	int backlog;
	int md5;
	int peers;
	mproc_timeout handshake_timeout;
	bool pass_fds;
};

/**
 * mproc_listener_open() - listen for connections
 * @ret_l:   receives the handle
 * @address: "unix:/path" for a socket file, of up to 107 bytes; "unix:@name" for a
 *           name of this machine that is no file, Python's "\0name";
 *           "tcp:host:port", where port 0 lets the system choose, the host may lie
 *           in brackets, and no host means all IPv4 addresses of this machine. A
 *           host with addresses of both kinds is listened for by IPv4, which is all
 *           that Python knows
 * @opts:    options, or NULL
 *
 * A socket file has its permissions, whatever the umask, before anybody can connect.
 * One that is there is replaced if it is this user's and no process has it, as after
 * a kill.
 *
 * Keys are compared by HMAC-SHA256, both ways, as Python does since 3.12; HMAC-MD5 is
 * understood for earlier ones. What is sent afterwards is neither encrypted nor
 * signed: over TCP that is for networks that are trusted.
 *
 * The handle is process-local, and works in a forked child too: several processes may
 * accept at one listener.
 *
 * Return: 0, or a negative error:
 *   -EINVAL   @ret_l or @address is NULL, @address is none, or an option makes no
 *             sense, or @opts->struct_size
 *   -E2BIG    @opts has fields that this library does not know
 *   -ENAMETOOLONG  the path or the name is too long
 *   -ENOTSUP  there is an .authkey, but the library was built without keys, or
 *             libnettle is not there, which it loads with the first one
 *   -EADDRINUSE  somebody listens there; or what has that name is no socket, or
 *             another user's, or left over in a directory that cannot be locked for
 *             a second
 *   -EADDRNOTAVAIL, -EHOSTUNREACH  the host is not this machine, or not known
 *   -EACCES, -ENOENT, -ENOTDIR, -EROFS, -ENOSPC  for the directory; or -EACCES for
 *             the port
 *   -EMFILE, -ENFILE  no descriptor, of which it takes one, and with a key two
 *   -ENOMEM   no memory
 * Context: looks up host names, which has limits of its own; otherwise does not
 *          block.
 * Crash: a socket file may stay, which the next call replaces.
 */
MPROC_API MPROC_NODISCARD int
mproc_listener_open(mproc_listener **ret_l, const char *address,
		    const struct mproc_listener_opts *opts);

/**
 * mproc_listener_accept() - take the next connection
 * @l:       listener
 * @ret_c:   receives it; closed with mproc_conn_close()
 * @timeout: how long to wait for one
 *
 * With a key it is the first one who has shown it. Up to 64 are heard at the same
 * time, so nobody waits for one who is slow; beyond that, or where there is no
 * descriptor for another one, the one who has been there longest is dropped. Who
 * shows another key, something else, or nothing in time, is dropped, and so is
 * another user where .peers says so; the log has a line of it (MPROC_LOG_WARNING).
 *
 * Return: 0, or a negative error:
 *   -EAGAIN     there is none and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  there was none until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -EINVAL     @l or @ret_c is NULL
 *   -EMFILE, -ENFILE, -ENOMEM  no descriptor, or no memory; who has connected waits
 *   -ENOSYS     the system has no random numbers
 * Context: may block until @timeout. Several threads may accept at once.
 * Crash: those who have connected see the end of the connection.
 */
MPROC_API MPROC_NODISCARD int
mproc_listener_accept(mproc_listener *l, mproc_conn **ret_c,
		      mproc_timeout timeout);

/**
 * mproc_listener_address() - where a listener listens
 * @l: listener
 *
 * Return: an address for mproc_connect(), with the port that the system has chosen
 *         and a host in numbers; valid until the listener is closed.
 * Context: does not block.
 */
MPROC_API const char *mproc_listener_address(mproc_listener *l);

/**
 * mproc_listener_fd() - a descriptor to poll for connections
 * @l: listener
 *
 * Readable (POLLIN, EPOLLIN) when mproc_listener_accept() has something to do, which
 * may be a part of a handshake: call it with MPROC_NOWAIT until -EAGAIN. It belongs
 * to the listener. A forked child asks for it again.
 *
 * Return: the descriptor, above 2 and close-on-exec, or a negative error: -EINVAL if
 *         @l is NULL; in a child also -EMFILE, -ENFILE, -ENOMEM.
 * Context: does not block.
 */
MPROC_API MPROC_NODISCARD int mproc_listener_fd(mproc_listener *l);

/**
 * mproc_listener_close() - listen no more
 * @l: listener, or NULL; no thread is in a call for it
 *
 * Connections that were accepted stay. A socket file is removed if it is still this
 * listener's and this process has opened it; a forked child only closes its copy.
 *
 * Context: does not block.
 * Crash: a socket file may stay.
 */
MPROC_API void mproc_listener_close(mproc_listener *l);

/**
 * struct mproc_connect_opts - how to connect
 * @struct_size: filled in by MPROC_OPTS
 * @authkey:     as for a listener; if one side alone has one, that is an error
 * @authkey_len: its length, at least 1
 * @md5:         an enum mproc_md5; 0: allowed on this machine, forbidden over TCP
 * @peers:       an enum mproc_peers, of who listens; 0: MPROC_PEERS_ANY
 * @handshake_timeout: how long the other side has for its part of the comparison;
 *               zero means ten seconds
 * @pass_fds:    as for a listener
 */
struct mproc_connect_opts {
	size_t struct_size;
	const void *authkey;
	size_t authkey_len;
	int md5;
	int peers;
	mproc_timeout handshake_timeout;
	bool pass_fds;
};

/**
 * mproc_connect() - connect to a listener
 * @ret_c:   receives the connection; closed with mproc_conn_close()
 * @address: as for mproc_listener_open(), with a host and a port that is not 0. All
 *           addresses of the host are tried, IPv4 first
 * @opts:    options, or NULL
 * @timeout: how long to wait. With a key an answer has to come, so MPROC_NOWAIT
 *           always gives -EAGAIN then
 *
 * If this side has no key but the other one asks for one, the first
 * mproc_conn_recv() gives -EACCES.
 *
 * Return: 0, or a negative error:
 *   -EACCES     the other side has another key, or none, speaks md5 where that is
 *               forbidden, or is another user where .peers says so; or this user may
 *               not connect there
 *   -EAGAIN     it cannot be done at once, and @timeout is MPROC_NOWAIT
 *   -ETIMEDOUT  it was not done until then
 *   -EINTR      mproc_interrupt() was called while it waited
 *   -ECONNREFUSED, -ENOENT  nobody listens there
 *   -EPIPE      the other side left before the keys were compared
 *   -EHOSTUNREACH, -ENETUNREACH  no way to the host, or it is not known
 *   -EINVAL, -E2BIG, -ENAMETOOLONG, -ENOTSUP  as mproc_listener_open(); -ENOTDIR
 *               too
 *   -EMFILE, -ENFILE, -ENOMEM  no descriptor, or no memory
 *   -ENOSYS     the system has no random numbers
 * Context: may block until @timeout; looking up a host's name has limits of its own.
 * Crash: the other side sees the end of the connection.
 */
MPROC_API MPROC_NODISCARD int
mproc_connect(mproc_conn **ret_c, const char *address,
	      const struct mproc_connect_opts *opts, mproc_timeout timeout);

MPROC_END_DECLS

#endif
