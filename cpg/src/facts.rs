//! The behaviour of libcpg and of the corosync daemon that their manual pages do not mention, and how this crate handles it.
//!
//! Each fact has a number such as [B16](#b16), by which the documentation and the comments of the code refer to it. The sources
//! are corosync (`lib/cpg.c` and `exec/cpg.c`, of 3.1.7 and of the main branch of August 2026) and libqb. Each fact of A and B
//! has a test that is named after it (`a1_…`) and runs against a real daemon, except these (two numbers are not used):
//!
//! | facts | reason |
//! |---|---|
//! | [B17](#b17), [B28](#b28), [B29](#b29), [B31](#b31) | cannot be provoked at will |
//! | [B24](#b24), [B27](#b27) | take another word size or another version |
//! | [B32](#b32) | the test that provokes it takes a quiet machine, and is run by hand |
//! | [A20](#a20) | takes a daemon that goes between two system calls |
//! | [A22](#a22) | tested with a stub of libcpg |
//!
//! # A. Dangers to memory and to the process
//!
//! | | libcpg | this crate |
//! |---|---|---|
//! | <span id="a1">A1</span> | `cpg_dispatch` has a stack frame of more than a mebibyte and does not probe the stack: on a smaller stack it writes past the guard page | checks before each call that the thread's stack is large enough: [`Error::StackTooSmall`](crate::Error::StackTooSmall) |
//! | <span id="a2">A2</span> | a dispatch inside a callback frees memory that the outer dispatch still uses | such code does not compile |
//! | <span id="a3">A3</span> | more than 63 slices overflow an array on the stack of `cpg_mcast_joined` | gathers more than 63 slices into one |
//! | <span id="a4">A4</span> | two threads that make requests on one handle corrupt it. So does a thread that makes a request while the answer to an abandoned request of another thread is still due | [`Handle`](crate::Handle) and [`Group`](crate::Group) are not `Sync`; the threads of a [`Session`](crate::Session) take turns at a lock |
//! | <span id="a5">A5</span> | a handle is an integer, which anything may copy and share | keeps the integer private |
//! | <span id="a6">A6</span> | a panic that leaves a callback aborts the process | the panic propagates to the caller of `dispatch`, once C has returned |
//! | <span id="a7">A7</span> | a forked child shares its parent's connection, and `cpg_finalize` in the child ends the parent's membership | refuses every call in the child with [`Error::Forked`](crate::Error::Forked), and does nothing when the child drops a handle. A page of memory that a fork wipes tells parent and child apart. A child that was forked while another thread connected or closed has a copy of tables that may be half-changed, and is refused with [`Error::ForkedWhileConnecting`](crate::Error::ForkedWhileConnecting) |
//! | <span id="a8">A8</span> | `cpg_dispatch` copies member lists into arrays of 128 entries, whatever the length of the list | refuses to join a group of 128, and to dispatch a group that outgrows 128: [`Error::GroupTooLarge`](crate::Error::GroupTooLarge); see below |
//! | <span id="a9">A9</span> | `cpg_membership_get` writes as many members as the daemon sends, up to 384. With more than 384 the daemon writes past its own reply and dies | asks this only of a group that was last seen with fewer than 128 members, with a buffer for 384. Reads the members of other groups one by one |
//! | <span id="a10">A10</span> | a group name is a length and 128 bytes, without a NUL | [`GroupName`](crate::GroupName) is bytes with a length |
//! | <span id="a11">A11</span> | a newer daemon may send numbers that are in no enumeration | keeps these numbers: [`Reason::Unknown`](crate::Reason::Unknown), [`CsError::Unknown`](crate::CsError::Unknown) |
//! | <span id="a12">A12</span> | threads that connect, close or iterate at the same time get each other's handles, even if each thread uses only its own | holds one lock for the whole process around these calls; threads get the lock in the order in which they ask. A deadline limits the wait for the lock, and a thread that closes waits for the daemon before it takes the lock |
//! | <span id="a13">A13</span> | the 48th open handle or iteration moves libqb's table while other threads read it (libqb makes room for 48, and moves the table when the last place is taken) | refuses the 48th: [`Error::TooManyHandles`](crate::Error::TooManyHandles) |
//! | <span id="a14">A14</span> | connecting without a free descriptor closes descriptor 0 of the process, whatever that is | connects on a thread with its own table of descriptors, and first tries to open as many as connecting takes: [`Error::NoDescriptors`](crate::Error::NoDescriptors) |
//! | <span id="a15">A15</span> | `cpg_zcb_alloc` sets the umask of the process to 077 and back, and asserts that it gets a descriptor and shared memory. Two threads that call it leave the umask wrong. A thread that opens files meanwhile can make the assertion end the process | calls it on one thread at a time, which has its own umask and descriptors. First tries to get the shared memory and the descriptors that the call needs |
//! | <span id="a16">A16</span> | connecting, closing, `cpg_membership_get` and `cpg_zcb_alloc` have stack frames of 4 to 12 KiB and do not probe the stack: at the end of a stack they write past the guard page into other memory | checks the stack before each of these calls too, and makes the call on a thread with enough stack where the caller has too little |
//! | <span id="a17">A17</span> | a child that is forked in a callback goes on with the dispatch that the fork was in, and takes its parent's events | checks the process before each event, and in a packet before each message: the child's dispatch ends with [`Error::Forked`](crate::Error::Forked), and the parent's goes on |
//! | <span id="a18">A18</span> | the bounds of a main thread's stack can change: `setrlimit` lowers them. To find them, glibc needs `/proc` or a descriptor, and musl reports only the part that is mapped so far | reads the kernel's limit at that moment. Stack that was used once stays usable; a thread that dispatches deeper than before is checked again |
//! | <span id="a19">A19</span> | `cpg_iteration_next` waits for ever if the daemon is killed while the request is under way: of all requests only this one does not look at the socket while it waits | runs each iteration as a whole on its own thread and connection, which nobody else waits for, one iteration at a time in the process. The caller watches the socket, and leaves the thread behind when the daemon dies; see below |
//! | <span id="a20">A20</span> | libqb closes its socket twice when the first send of a connect fails: by then the number can be another thread's file | libqb closes numbers in a table that only the connecting thread has |
//! | <span id="a22">A22</span> | libqb 2.0.9 and 2.0.10 can report success for a connect that failed half-way (where `setsockopt` fails, `qb_ipcc_setup_connect_continue` returns the length of what it received): the new handle is unusable | requires that the descriptor of a new handle is a socket, and returns an error otherwise |
//! | <span id="a23">A23</span> | libqb opens the socket and the files of a connection without close-on-exec: programs that another thread starts meanwhile inherit them, and keep the connection open with the socket | opens them in the connecting thread's own table. The socket then comes into the process with close-on-exec |
//! | <span id="a24">A24</span> | libcpg prints to descriptor 2 when flow control holds up a long message ([B8](#b8)). In a program that has closed its standard error, descriptor 2 can be the connection | never gives a connection the number of a standard descriptor |
//!
//! **What remains of [A8](#a8).** A client cannot know of an event before libcpg has copied it. While a group has 128 members,
//! this crate asks the daemon for their number before each event. The count misses a member that joins and goes between two
//! counts. And when two parts of a cluster merge, all members of the other part join in one event, so a group can grow from
//! below 128 to above 128 in one step. That event overflows inside libcpg; this crate refuses the event, and the handle from
//! then on. (In the builds that were looked at, the overflow stays within the receive buffer of the same stack frame, and
//! damages nothing else.) corosync's own arrays for a merge and for a split hold 128 members of a group too (`exec/cpg.c`,
//! `join_list_confchg_data` and `downlist_inform_clients`). For both reasons keep groups well below 128 members, and a ring
//! below 128 nodes.
//!
//! **What remains of [A9](#a9).** To decide that a group is small, this crate looks at the last view if no event waits, at the
//! count before a join, or, in a session that [comes back](crate::Reconnect), at the last membership. A group that grows by
//! more than 256 members between that moment and the question would end the daemon. But this crate asks only about groups that
//! it is a member of, and such a membership ends as soon as the group is seen with more than 128 members ([A8](#a8)).
//!
//! **What [A19](#a19) costs.** If a daemon is killed in the moment between a request of an iteration and its answer, the process
//! keeps these for as long as it lives:
//!
//! - the thread that waits for the answer;
//! - its connection: 3 MiB of shared memory and a descriptor;
//! - an entry in each of libcpg's tables ([A13](#a13)).
//!
//! A death of the daemon leaves at most one of each, since iterations take turns. Nobody waits for such a thread, and it
//! holds no lock. The loss is rare, because little is iterated: lists of groups, processes and members
//! ([`Daemon::groups`](crate::Daemon::groups) and its neighbours), the count before a first join, the members of a group while
//! events wait, and a group of 128. A session that [comes back](crate::Reconnect) iterates nothing. If the daemon was paused
//! before it was killed, the loss is rarer still: before each entry this crate makes another request, which notices the death.
//!
//! **What remains of [A14](#a14), [A15](#a15), [A20](#a20), [A23](#a23).** A thread gets its own descriptors by `close_range`
//! (Linux 5.9 and later; before that by `unshare`), and its own umask by `unshare`. `unshare` needs no rights. But container
//! engines install a filter of system calls that by default refuses `unshare` to processes that may not administer the system.
//!
//! - Where `unshare` is refused, the umask is that of the process: files that other threads create while a buffer is allocated get no rights
//!   for group and others. In any case the umask is the same after the call as before.
//! - Where both are refused, connections and buffers are made among the descriptors of the process. Other threads can
//!   take the last descriptor between the trial and the call, and programs that they start can inherit a file of a connection.
//! - Another process can fill `/dev/shm` between the trial and the call. That ends this process with an assertion or SIGBUS. Use
//!   plain messages where this can happen.
//!
//! Such a thread gets a copy of the process's table of descriptors, and closes all descriptors in the copy except those that it needs.
//!
//! - This takes 0.1 to 2.4 microseconds per open descriptor, up to the first gap in their numbers. Other threads that connect
//!   or close wait meanwhile.
//! - When a descriptor of a file on FUSE or NFS is closed, even a copy, the kernel flushes the file. Connecting, a zero-copy buffer
//!   and a message above the atomic size then wait for that file server. A write error that the program would get from its own
//!   `close` can then be reported to this thread, and be lost. Write such files with `fsync`, or from another process.
//! - Before Linux 5.9 the copies stay open until the thread ends. A descriptor that the process closes meanwhile is not really closed until
//!   then.
//!
//! # Threads of this crate
//!
//! Some work may wait for the daemon where the caller must not wait, or needs its own tables or its own stack. A thread with the
//! name `cpg` does this work. It blocks all signals, has a stack of 512 KiB, and ends with its work. (A connection with zero-copy
//! buffers, or one that [watches the daemon](crate::Daemon::answers_until), keeps one thread.) Such work is:
//!
//! - each request that waits for the daemon's answer: joining, leaving, questions ([B16](#b16));
//! - each connect, zero-copy buffer, and message above the atomic size (own descriptors, [A14](#a14), [A15](#a15), [B8](#b8));
//! - each list of groups, processes or members, the count before a first join, and the members of a group while events wait ([A19](#a19));
//! - connecting, closing and the members of a group, if the caller has too little stack left ([A16](#a16));
//! - the return of a session that has lost its daemon, from the loss to the return;
//! - with `cpg::tokio` also closing.
//!
//! If no thread can be made, the call returns [`Error::Io`](crate::Error::Io). But **a thread that starts and finds no memory ends the
//! process**: Rust's standard library aborts in that case, as at any failed allocation, and no caller can prevent it. A program
//! with a limit of its address space (`ulimit -v`, `LimitAS`) should connect before memory is short, and leave room for such a thread.
//!
//! # B. Lost data, and calls that hang
//!
//! | | libcpg | this crate |
//! |---|---|---|
//! | <span id="b1">B1</span> | a send before joining or after leaving returns `CS_OK`, and the message is gone | only a joined handle can send; after leaving a send is [`Error::Left`](crate::Error::Left) |
//! | <span id="b2">B2</span> | after a leave, joining another group on the same handle spins for ever | leaving consumes the handle |
//! | <span id="b3">B3</span> | a joined handle that leaves under another name gets `CS_OK`. When its process has ended, the group that it had joined still lists it, until the daemon restarts | `leave` takes no name that could be wrong |
//! | <span id="b4">B4</span> | an empty name can be joined. If the process then ends without leaving, its member stays until the daemon restarts | an empty name cannot be made. One that was read from the daemon cannot be joined |
//! | <span id="b5">B5</span> | a process can be in a group once. For a moment after it has left, joining again returns `CS_ERR_TRY_AGAIN`. A join that is given up while the ring re-forms still takes effect later: the next membership of the process sees the earlier one join and leave. While a paused daemon has not heard of the end, joining again returns `CS_ERR_EXIST` | after `CS_ERR_TRY_AGAIN` waits for the end of the earlier membership, up to a deadline. After `CS_ERR_EXIST` does the same if it knows of a membership of this process in that group that is ending, and otherwise returns the code. Does not mistake the leave of the earlier membership for the leave of the new one |
//! | <span id="b6">B6</span> | no other thread and no signal can stop `CS_DISPATCH_BLOCKING`; only `cpg_finalize` in a callback can | waits with `poll` on the descriptor, up to a deadline or until a [`Waker`](crate::Waker) wakes it |
//! | <span id="b7">B7</span> | `CS_ERR_TRY_AGAIN` is flow control, and nothing says when flow control ends | [`Error::is_retryable`](crate::Error::is_retryable). The queue of a [`Sender`](crate::Sender) goes on at each self-delivery instead; [`Link::send_until`](crate::Link::send_until) waits |
//! | <span id="b8">B8</span> | a message above the atomic size is sent in parts, and a membership change interrupts it | a [`Link`](crate::Link) refuses the whole message with a retryable error, and a [`Sender`](crate::Sender) sends it again from the beginning. Anything that libcpg prints meanwhile goes to `/dev/null` |
//! | <span id="b9">B9</span> | after the daemon has died every call returns `CS_ERR_LIBRARY`, or `CS_ERR_TRY_AGAIN` for ever if it died under flow control. Undispatched events are lost | looks at the socket, so both are [`Error::is_connection_lost`](crate::Error::is_connection_lost). A session can [come back](crate::Reconnect) by itself |
//! | <span id="b10">B10</span> | a dispatch without an event is an error with one flag, and none with another | handles 0 events in both cases |
//! | <span id="b11">B11</span> | a signal does not end a dispatch | a signal does not end a dispatch here either; a deadline does |
//! | <span id="b12">B12</span> | flow control always reads "disabled", guarantees are ignored, zero-copy depends on the version | the documentation of each says so |
//! | <span id="b13">B13</span> | two kinds of iteration require a null group. An iteration that is not finalized stays in the daemon until the connection closes | has three methods instead, which read the whole list |
//! | <span id="b14">B14</span> | the events of a member that does not dispatch wait in the daemon's memory, without a bound | [`Lag`](crate::Lag) says how far behind a member is; dispatch often, or leave |
//! | <span id="b15">B15</span> | CPG works without quorum: both sides of a partition go on, and their views differ until they have merged | not mended: each [`View`](crate::View) lists the members of its own side; see [partitions](crate::guide::partitions) |
//! | <span id="b16">B16</span> | a request waits for its answer without a limit: a paused daemon blocks the caller | a thread makes each request, and is left behind when the [time limit](crate::ConnectOptions::request_timeout) is over; see below. A send up to the atomic size has no answer and does not wait. After some 280 of them libqb spins until the daemon resumes, where this crate returns `CS_ERR_TRY_AGAIN` |
//! | <span id="b17">B17</span> | while a ring re-forms under a flood of large messages, the daemon can drop a message for which it returned `CS_OK` (`cs_ipcs_msg_process`: "No buffer space available" in its log; according to the source also "Operation now in progress") | not mended, because a plain send gets no reply. A program that must know waits for self-delivery. If a message that was sent later is delivered first, the [`Ticket`](crate::Ticket) of the lost one fails and the session hands the lost message back. If nothing comes back for 5 seconds, the session sends the next of the messages that wait, although its window is closed, and its delivery shows what was lost |
//! | <span id="b18">B18</span> | with `qb_ipc_type: socket` libcpg's connection consists of datagrams. Messages above the limit of a datagram vanish, or are delivered with uninitialised memory in them, and the death of the daemon makes no event | recognises it by the kind of the socket and refuses: [`Error::DatagramIpc`](crate::Error::DatagramIpc) |
//! | <span id="b19">B19</span> | nobody checks who the daemon is: the first process that listens at its socket is corosync to all clients, and libqb resizes and maps the files that this process names | asks the kernel who owns the socket, before connecting and after: [`Error::UntrustedDaemon`](crate::Error::UntrustedDaemon) |
//! | <span id="b20">B20</span> | a signal that arrives while connecting makes it fail with `CS_ERR_TRY_AGAIN` | blocks signals in the thread that connects, so that other threads get them. Where that is not possible it connects again, until the deadline |
//! | <span id="b21">B21</span> | a connection takes 3.1 MiB of `/dev/shm`; if that is full, connecting returns `CS_ERR_NO_SPACE` | the error says so; a session that is coming back waits for room |
//! | <span id="b22">B22</span> | `/etc/libqb/force-filesystem-sockets` moves the sockets into a directory. Without a daemon, or if only one side has the file, the code is `CS_ERR_NOT_EXIST` or `CS_ERR_LIBRARY` | the error names the file; both codes count as [lost](crate::Error::is_connection_lost) |
//! | <span id="b23">B23</span> | SELinux, AppArmor or the mode of `/dev/shm` can refuse a user that `uidgid` allows, with the same `CS_ERR_ACCESS` | the error names both causes, and how the daemon's log tells them apart |
//! | <span id="b24">B24</span> | daemon and client must have the same word size and the same C library. A 32-bit client gets `CS_ERR_NOT_EXIST`. A client with musl hangs now and then in a request to a daemon with glibc | the error and the guide say so |
//! | <span id="b26">B26</span> | if a daemon joins the ring, and dies after it has told the others its members but before all daemons have agreed, its members stay in the member lists of all others until the ring changes again, and then go with [`ProcDown`](crate::Reason::ProcDown): *ghosts* ([corosync 828](https://github.com/corosync/corosync/issues/828): all releases up to 3.1.10, mended upstream in July 2026) | [`Ring::ghosts`](crate::Ring::ghosts) returns the members whose node is not in the ring |
//! | <span id="b27">B27</span> | with libcpg up to 3.1.10 and a daemon without zero copy, an allocation returns a buffer that the daemon has not accepted | refuses the buffer, and the error says to send a plain message |
//! | <span id="b28">B28</span> | a place in the order ([agreed](crate::guide#words)) does not mean that others have the message ([safe](crate::guide#words)): a message can come back to its sender, in a view that lists others, and still reach none of them | not mended, but documented at [`Ticket`](crate::Ticket). A program that must not lose an acknowledged change [waits for a majority](crate::guide::promises#what-delivered-means) |
//! | <span id="b29">B29</span> | while two parts of a cluster merge, a daemon that did not receive the beginning of a message drops the end of it, and every other message in the same network packet as that end ([`exec/totempg.c`](https://github.com/corosync/corosync/blob/v3.1.10/exec/totempg.c), `throw_away_mode`). That can be other messages, and the news that a process joined or left. The view says that all are together, but some members list a process that has left until the next ring | not mended, but documented at [`View`](crate::View) |
//! | <span id="b30">B30</span> | with `RLIMIT_NOFILE` below 2 the system refuses libqb's waits: requests and dispatches return `CS_ERR_INVALID_PARAM` | returns [`Error::Io`](crate::Error::Io), which names the limit. The membership continues. (The waits of this crate are for up to three descriptors, so it needs a limit of 3 or more) |
//! | <span id="b31">B31</span> | libcpg can deliver a long message with wrong bytes at its end. If nodes part and merge again before the daemons have agreed on the groups, no view says so. A member can then lack a part in the middle of a message. With the last part libcpg delivers the whole length, and does not compare it with the length that has come (`lib/cpg.c`, `cpg_dispatch`). In an hour of `ci/torture`, with a load of some 60 on two processors, one message came to the members of one node with its length and with other bytes, after such a parting; the way is read from the source | a session that [coalesces](crate::SessionOptions::coalesce) seals each packet that is sent in parts ([seals](crate::packet#seals)), and such bytes are [`Event::Malformed`](crate::Event::Malformed) with the error [`Seal`](crate::packet::Error::Seal); else not mended, because libcpg does not tell how much has come, but documented at [large messages](crate::guide::promises#large-messages). Test: `what_a_session_sends_in_parts_is_sealed` |
//! | <span id="b32">B32</span> | when a node leaves the ring, its last messages may come to some of the members that go on together and not to the others, and no view or gap shows it. A daemon keeps each message until all daemons have it, and at a change of the ring it gives others what they lack. But if it gets the token twice, it releases messages that others may still lack ([`exec/totemsrp.c`](https://github.com/corosync/corosync/blob/v3.1.10/exec/totemsrp.c), `message_handler_orf_token` calls `messages_free` before it discards such a token; in all releases up to 3.1.10). A node sends the token again when the next node is silent for about a quarter of the token's time-out, on a busy machine or while the network fails | not mended, but documented in [the order across changes of the ring](crate::guide::promises#the-order-across-changes-of-the-ring) |
//!
//! **What a time limit costs ([B16](#b16)).** libqb waits for the answer for as long as the connection is open (`lib/ipcc.c`,
//! `qb_ipcc_sendv_recv` with -1). Only the end of the connection ends this wait. So a thread of this crate makes each request.
//! Until the answer has come, only that thread may make requests on this connection, and another request waits for it. So an
//! answer is never taken for the answer to a later call ([A4](#a4)). A thread is started for each request. Connections with
//! zero-copy buffers, and those that [watch the daemon](crate::Daemon::answers_until), keep one thread. A thread that was left
//! behind goes on when the daemon does, and then gives everything back.
//!
//! - *A plain send* waits for no answer (`lib/cpg.c`, `cpg_mcast_joined` up to the atomic size). It is made on the caller's
//!   thread, also under flow control, and has none of these costs. The daemon answers the parts of a longer message, so sending
//!   them is a request.
//! - *A connect* holds the lock of [A12](#a12) while libqb waits for the daemon to accept it (`lib/ipcc.c`, `qb_ipcc_connect`: a
//!   `poll` without a limit, whose result is not looked at). This is the one wait that can be ended: a second thread with the
//!   same table of descriptors shuts the socket down, `recvmsg` reports it, and libqb gives up. Nothing is left of the connect.
//!   Where threads cannot have their own table of descriptors, no other thread knows the number of the socket. Then the thread is
//!   left behind with the lock, and every other connect and close waits for the lock, up to its deadline.
//! - *Closing* would hold that lock for as long as the daemon does not answer. So the closing thread first makes a request
//!   without the lock. When the daemon answers, it has read all that was sent, and is not paused. If the daemon is paused
//!   between this answer and the answer to `cpg_finalize`, other threads still wait, up to their deadlines.
//! - *A death in the middle of a request* is noticed by libqb after up to 2 seconds (`QB_IPC_MAX_WAIT_MS`). The caller watches
//!   the socket, and notices it after 20 milliseconds.
//! - *A waiting request is not ended by shutting its connection down*, by choice. Where client and daemon have different
//!   process namespaces, libqb would take the daemon for dead and remove its files (`lib/ipc_shm.c`, `qb_ipcc_shm_disconnect`).
//!   Messages that the daemon had not read would be lost.
//!
//! # C. Found while this crate was built
//!
//! - `cpg_mcast_joined` of a message above the atomic size returns an undefined result when the daemon dies while it takes the parts:
//!   `send_fragments` reads the result from a reply that it did not get. If the daemon has gone, this crate returns
//!   `CS_ERR_LIBRARY` instead. Nobody knows if other members get the message: it can have been sent before the death.
//! - `cpg_leave` spins on `CS_ERR_BUSY` until this member's own join has been delivered. [`Handle::join`](crate::Handle::join)
//!   therefore waits for that join.
//! - `cpg_zcb_alloc` up to 3.1.10 asserts that it gets shared memory, and leaves its file behind when the daemon has gone. This
//!   crate first tries to get the memory and to reach the daemon.
//! - `cpg_zcb_alloc` up to 3.1.10 does not look at the daemon's answer. If the daemon refused the buffer, as it can while its
//!   ring re-forms, the buffer still looks valid, and sending it would make the daemon follow a null pointer. So this crate
//!   looks if the daemon has taken the file of the buffer. If not, it returns `CS_ERR_TRY_AGAIN` for a daemon that has taken a
//!   buffer before, and `CS_ERR_NOT_SUPPORTED` for any other: a daemon after 3.1.10 takes none ([B27](#b27)). (The refusal
//!   while the ring re-forms was read in the source, and not seen to happen.)
//! - `cpg_finalize` does not free the parts of a long message that has not arrived completely. For each sender that was in the middle of
//!   one, the process keeps memory of up to the length of that message.
//! - A join can come between the parts of a long message in the order. If the sender's daemon delivers the join before it has
//!   taken the last part, the join interrupts the message ([B8](#b8)). If it delivers the join later, the sender gets `CS_OK`,
//!   and the new member does not get the message.
//! - When nodes come or go, the daemon compares groups by C string (`exec/cpg.c`, `downlist_inform_clients` and
//!   `do_proc_join`). `pcmk` and `pcmk\0` in one cluster are two groups. But when a node with members of both goes down, one of
//!   the groups is told that the members of both have left, and the other group is told nothing. Use one of the two spellings
//!   in a cluster, or check [`Link::members`](crate::Link::members) at each [`TotemConfChg`](crate::Event::TotemConfChg), which
//!   comes after the views of a ring change.
//!
//! # Between versions of corosync
//!
//! `ci/matrix` runs all tests on the corosync of Debian 11, 12 and 13 (3.1.2, 3.1.7 and 3.1.9) and of Debian sid, which was 3.1.10
//! when this was written. The tests expect the same of each. The sources show these differences:
//!
//! - Before 3.1.10 libcpg calls a deliver callback that is null. This crate always sets one.
//! - From 3.1.8 on `corosync/cpg.h` includes `sys/socket.h`, which `cpg_sys` leaves out of its declarations: they are the same for all of
//!   these versions.
//! - After 3.1.10 zero-copy buffers are memory of `malloc`, and sending one is a plain send ([B12](#b12)). Giving a buffer back
//!   makes no request.
//! - After 3.1.10 the daemon refuses a configuration without encryption and has no transport but knet, unless it was built otherwise:
//!   `corosync -v` lists `enforce_encryption` and `without_udpu`. Clients see no difference.
//!
//! # Code that does not compile
//!
//! [A2](#a2): a dispatch within a dispatch of the same handle, and whatever would end the handle there. For a group see
//! [`Group::dispatch`](crate::Group::dispatch).
//!
//! ```compile_fail,E0499
//! # fn f(mut handle: cpg::Handle) {
//! # use cpg::Limits;
//! handle.dispatch(Limits::available(), |_, _| drop(handle.dispatch(Limits::available(), |_, _| {}))).ok();
//! # }
//! ```
//! ```compile_fail,E0499
//! # fn f(mut receiver: cpg::Receiver) {
//! # use cpg::Limits;
//! receiver.dispatch(Limits::available(), |_, _| drop(receiver.dispatch(Limits::available(), |_, _| {}))).ok();
//! # }
//! ```
//! ```compile_fail,E0505
//! # fn f(mut group: cpg::Group) {
//! # use cpg::Limits;
//! group.dispatch(Limits::available(), |_, _| drop(group)).ok();
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn f(mut group: cpg::Group) {
//! # use cpg::Limits;
//! group.dispatch(Limits::available(), |link, _| drop(link.dispatch(Limits::available(), |_, _| {}))).ok();
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn f(mut group: cpg::Group) {
//! # use cpg::Limits;
//! group.dispatch(Limits::available(), |link, _| drop(link.leave())).ok();
//! # }
//! ```
//!
//! [B1](#b1), a send on a handle that is not joined, or of a group that has left:
//!
//! ```compile_fail,E0599
//! # fn f(handle: cpg::Handle) {
//! handle.send(b"lost").ok();
//! # }
//! ```
//! ```compile_fail,E0382
//! # fn f(group: cpg::Group) {
//! group.leave().ok();
//! group.send(b"lost").ok();
//! # }
//! ```
//!
//! [B2](#b2), a second membership of a handle:
//!
//! ```compile_fail,E0382
//! # fn f(handle: cpg::Handle, first: cpg::GroupName, second: cpg::GroupName) {
//! let group = handle.join(&first);
//! let other = handle.join(&second);
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn f(group: cpg::Group, second: cpg::GroupName) {
//! group.daemon().join(&second).ok();
//! # }
//! ```
//!
//! [B3](#b3), a leave of another group:
//!
//! ```compile_fail,E0061
//! # fn f(group: cpg::Group, other: cpg::GroupName) {
//! group.leave(&other).ok();
//! # }
//! ```
