//! What libcpg and the corosync daemon do that their manual pages do not say, and what this crate makes of it.
//!
//! Each was read in the source of corosync (`lib/cpg.c`, `exec/cpg.c`, of 3.1.7 and of the main branch of August 2026) and
//! libqb, and has a test of its name against a real daemon (but B17, B28 and B29, which cannot be had at will, B24 and B27, which take another word
//! size or another version, and A22, which a stub of libcpg plays). The comments of the code refer to them by letter and number.
//!
//! # A. What breaks memory safety or kills the process
//!
//! | | libcpg | this crate |
//! |---|---|---|
//! | A1 | `cpg_dispatch` has a frame of more than a mebibyte and no stack probe: on a smaller stack it writes past the guard page | the thread's stack is known to be large enough before each call: [`Error::StackTooSmall`](crate::Error::StackTooSmall) |
//! | A2 | a dispatch inside a callback frees what the outer one still uses | does not compile |
//! | A3 | more than 63 slices overflow an array on the stack of `cpg_mcast_joined` | more are gathered into one |
//! | A4 | two threads that make requests on one handle corrupt it | [`Handle`](crate::Handle) and [`Group`](crate::Group) are not `Sync`; the threads of a [`Session`](crate::Session) take turns at a lock |
//! | A5 | a handle is an integer, which anything may copy and share | the integer is private |
//! | A6 | a panic that leaves a callback aborts the process | it goes on in the caller of `dispatch`, once C has returned |
//! | A7 | a forked child shares its parent's connection, and its finalize ends the parent's membership | every call is refused with [`Error::Forked`](crate::Error::Forked), dropping does nothing; they are told apart by a page of memory that a fork wipes. A child that was forked while another thread connected or closed has a copy of tables that may be half-changed, and is refused with [`Error::ForkedWhileConnecting`](crate::Error::ForkedWhileConnecting) |
//! | A8 | `cpg_dispatch` copies member lists into arrays of 128, whatever their length | a group of 128 cannot be joined, one that outgrows 128 is not dispatched: [`Error::GroupTooLarge`](crate::Error::GroupTooLarge); see below |
//! | A9 | `cpg_membership_get` writes as many members as the daemon sends, up to 384; with more the daemon writes past its own reply and dies | it is asked only of a group that was last seen with fewer than 128, into a buffer of 384; others are read one by one |
//! | A10 | a group name is a length and 128 bytes, without a NUL | [`GroupName`](crate::GroupName) is bytes with a length |
//! | A11 | a newer daemon may send numbers that no enumeration has | they are kept: [`Reason::Unknown`](crate::Reason::Unknown), [`CsError::Unknown`](crate::CsError::Unknown) |
//! | A12 | connecting, closing and iterating on different handles at once gets them mixed up | one lock for the process around these calls, which threads get in the order in which they ask |
//! | A13 | the 48th open handle or iteration (libqb makes room for 48, and moves as the last of it is taken) moves the table under the other threads | is refused: [`Error::TooManyHandles`](crate::Error::TooManyHandles) |
//! | A14 | a connect without a free descriptor closes descriptor 0 of the process, whatever that is | it is made on a thread with a table of descriptors of its own, where they are tried first: [`Error::NoDescriptors`](crate::Error::NoDescriptors) |
//! | A15 | `cpg_zcb_alloc` sets the umask of the process to 077 and back, and asserts that it gets a descriptor and shared memory: two threads leave the umask wrong, and a thread that opens files meanwhile ends the process | it is called on a thread with a umask and descriptors of its own, when what it takes has been tried, and by one thread at a time |
//! | A16 | connecting, closing, `cpg_membership_get` and `cpg_zcb_alloc` have frames of 4 to 12 KiB, and no stack probes: at the end of a stack they write past a guard page into other memory | the stack is known before each of these calls too; where there is too little, the call is made on a thread that has enough |
//! | A17 | a child that is forked in a callback goes on with the dispatch that it is in, and takes its parent's events | the process is asked before each event, and in a packet before each message: the child's dispatch ends with [`Error::Forked`](crate::Error::Forked), and the parent's goes on |
//! | A18 | the stack of a main thread has no bounds for good: `setrlimit` lowers them, and the C library cannot tell them without `/proc` or a descriptor, or, as musl, tells what is mapped so far | the kernel's limit of that moment is read, and what has been used once is known to stay; a thread that dispatches deeper than before is asked again |
//! | A19 | `cpg_iteration_next` waits for ever when the daemon is killed while the request is under way: it is the one request whose wait does not look at the socket | an iteration runs as a whole on a thread and a connection that nobody else waits for, one at a time in the process. The caller watches the socket, and leaves the thread behind when the daemon dies; see below |
//! | A20 | libqb closes its socket twice when the first send of a connect fails: by then the number can be another thread's file | it closes numbers of a table that only the connecting thread has (not tested: it takes a daemon that goes between two system calls) |
//! | A22 | libqb 2.0.9 and 2.0.10 can call a connect that failed half-way a success (`qb_ipcc_setup_connect_continue` returns the length of what it received where `setsockopt` fails): the handle is none | the descriptor of a new handle must be a socket: an error that says so |
//! | A23 | libqb opens the socket and the files of a connection without close-on-exec: programs that another thread starts meanwhile get them, and with the socket keep the connection open | they are opened in that table, and the socket comes into the process's with close-on-exec |
//! | A24 | libcpg prints to descriptor 2 when flow control holds up a long message (B8): where a program has closed its standard error, that can be the connection | no connection gets the number of a standard descriptor |
//!
//! **What remains of A8.** No client can know of an event before libcpg has copied it. A group of 128 is checked before each
//! event, but a member that joins and goes between two checks is not seen; and when two parts of a cluster merge, all members
//! of the other part join in one event, so that a group can go from below 128 to above it in one step. The event then overflows
//! inside libcpg; this crate refuses it and the handle from then on. (In the builds that were looked at the overflow ends in the
//! receive buffer of the same frame.) corosync's own arrays for a merge hold 128 members too (`exec/cpg.c`,
//! `join_list_confchg_data`). Keep groups well below 128, and a ring below 128 nodes, for the same reason.
//!
//! **What remains of A9.** A group is known to be small by the last view while no event waits, by the count before a join, and, for
//! a session that [comes back](crate::Reconnect), by what its last membership has seen. A group that grows by more than 256
//! members between that and the question would end the daemon. One that grows past 128 ends its members anyway (A8).
//!
//! **What A19 costs.** A daemon that is killed in the moment between a request of an iteration and its answer keeps, for as long
//! as the process lives, the thread that waits for it, the connection (3 MiB of shared memory and a descriptor) and an entry of each of
//! libcpg's tables (A13): one at most for each death, since iterations take turns. Nobody waits for them, and they hold no lock.
//! It is rare: only lists of groups, processes and members are iterated ([`Daemon::groups`](crate::Daemon::groups) and those beside
//! it), the count before a first join, the members of a group while events wait, and a group of 128. A session that
//! [comes back](crate::Reconnect) iterates nothing. For a daemon that is paused first and then killed it takes more luck still: before
//! each entry it is asked something that notices its death.
//!
//! **What remains of A14, A15, A20, A23.** A thread gets descriptors of its own by `close_range` (from Linux 5.9 on; before that by
//! `unshare`), and a umask of its own by `unshare`, which needs no rights, but which the filter of system calls that container engines
//! install by default refuses to who may not administer the system. There the umask is the process's: files that other threads make
//! while a buffer is allocated are made without the rights of group and others. It stays as it was in any case. Where both are refused,
//! connections and buffers are made among the process's own descriptors: other threads can take the last one between the test of it and
//! the call, and programs that they start can get a file of a connection. And another process can fill `/dev/shm` between the
//! test of it and the call, which ends this one with an assertion or SIGBUS: use plain messages where that can be.
//!
//! What such a thread gets is a copy of the process's table, of which it closes all but what it needs. That takes 0.1 to 2.4 microseconds
//! for each descriptor that the process has open below the lowest free number, while other threads that connect or close wait. And
//! closing even a copy of a descriptor has the kernel flush a file on FUSE or NFS: connecting, a zero-copy buffer and a message
//! above the atomic size then wait for that server, and an error of writing that the program would get from its own `close` can be
//! reported there, to nobody. Write such files by `fsync`, or from another process. (Before Linux 5.9 the copies stay open until
//! that thread ends, so that what the process closes meanwhile is not closed.)
//!
//! # Threads of this crate
//!
//! Whatever may wait for the daemon where the caller must not, or needs tables or a stack of its own, is done by a thread with the
//! name `cpg`, which blocks all signals, has a stack of 512 KiB and ends with its work:
//!
//! - each connect, zero-copy buffer, and message above the atomic size (descriptors of its own, A14, A15, B8);
//! - each list of groups, processes or members, the count before a first join, and the members of a group while events wait (A19);
//! - connecting, closing and the members of a group, where the caller has too little stack left (A16);
//! - the way back of a session that has lost its daemon, from the loss to the return;
//! - with `cpg::tokio`: joining, leaving, closing, asking for members, and a message above the atomic size.
//!
//! Where no thread can be had the call is [`Error::Io`](crate::Error::Io). But **a thread that starts and finds no memory ends the
//! process**: Rust's standard library aborts there, as at any allocation that fails, and no caller can prevent it. A program
//! under a limit of its address space (`ulimit -v`, `LimitAS`) connects before memory is short, and leaves room for such a thread.
//!
//! # B. What silently loses data, or hangs
//!
//! | | libcpg | this crate |
//! |---|---|---|
//! | B1 | a send before joining or after leaving says `CS_OK`, and the message is gone | only a joined handle can send; after leaving [`Error::Left`](crate::Error::Left) |
//! | B2 | after a leave, joining another group on the same handle spins for ever | leaving consumes the handle |
//! | B3 | leaving a group that was not joined says `CS_OK` and leaves a ghost member behind | `leave` has no name to get wrong |
//! | B4 | an empty name joins, and stays a member for ever | cannot be made, and is refused where it was read |
//! | B5 | a process can be in a group once; for a moment after it has left, join says `CS_ERR_TRY_AGAIN`. A join that is given up while the ring re-forms is still ordered: a later membership of the process sees it come and go | waited out, up to a deadline; another membership's end is not taken for the own leave |
//! | B6 | `CS_DISPATCH_BLOCKING` cannot be stopped | waits with `poll` on the descriptor, up to a deadline or a [`Waker`](crate::Waker) |
//! | B7 | `CS_ERR_TRY_AGAIN` is flow control, and nothing says when it is over | [`Error::is_retryable`](crate::Error::is_retryable); the queue of a [`Sender`](crate::Sender) is clocked by own deliveries instead, [`Link::send_until`](crate::Link::send_until) waits |
//! | B8 | a message above the atomic size is sent in parts, and a membership change stops it | the whole message is refused with a retryable error, and a [`Sender`](crate::Sender) begins it again; what libcpg prints meanwhile goes to `/dev/null` |
//! | B9 | when the daemon has gone everything is `CS_ERR_LIBRARY`, or `CS_ERR_TRY_AGAIN` for ever if it died under flow control; undispatched events are lost | the socket is looked at, and both are [`Error::is_connection_lost`](crate::Error::is_connection_lost); a session can [come back](crate::Reconnect) by itself |
//! | B10 | an idle dispatch is an error with one flag and none with another | 0 events, in both cases |
//! | B11 | a signal does not end a dispatch | nor does it here; a deadline does |
//! | B12 | flow control is always "disabled", guarantees are ignored, zero-copy depends on the version | said in the documentation of each |
//! | B13 | two kinds of iteration want a null group, and one that is dropped early stays in the daemon | three methods, which read the whole list |
//! | B14 | the events of a member that does not dispatch wait in the daemon's memory, without a bound | [`Lag`](crate::Lag) says how far behind it is; dispatch often, or leave |
//! | B15 | CPG works without quorum: both sides of a partition go on, and their views differ until they have merged | [`View`](crate::View) has the member list; see also B26 |
//! | B16 | a request waits for its answer without a limit: a paused daemon blocks the caller | not mended: libcpg has no way to. Only a send up to the atomic size does not wait; after some 280 of them libqb spins until the daemon goes on, where this crate says `CS_ERR_TRY_AGAIN` |
//! | B17 | while a ring re-forms under a flood of large messages, the daemon can drop one that it said `CS_OK` to (`cs_ipcs_msg_process`: "No buffer space available" in its log) | not mended, there is no reply to a plain send: who must know waits for the own delivery: a [`Ticket`](crate::Ticket) fails, and the message comes back, when one sent later is delivered first |
//! | B18 | with `qb_ipc_type: socket` libcpg's connection is made of datagrams: messages above the limit of a datagram vanish or are delivered with memory that nobody has written, and the daemon's death makes no event | is told by the kind of the socket and refused: [`Error::DatagramIpc`](crate::Error::DatagramIpc) |
//! | B19 | nobody checks who the daemon is: whoever listens at its socket first is corosync to all clients, and libqb resizes and maps the files that it names | the kernel is asked whose the socket is, before and after: [`Error::UntrustedDaemon`](crate::Error::UntrustedDaemon) |
//! | B20 | a signal in the middle of connecting ends it with `CS_ERR_TRY_AGAIN` | signals go to other threads than the one that connects; where that cannot be, it is begun again, until the deadline |
//! | B21 | a connection takes 3.1 MiB of `/dev/shm`; a full one is `CS_ERR_NO_SPACE` | the error says so; a session on its way back waits for room |
//! | B22 | `/etc/libqb/force-filesystem-sockets` moves the sockets into a directory: without a daemon, or with the file on one side only, the code is `CS_ERR_NOT_EXIST` or `CS_ERR_LIBRARY` | the error names the file; both count as [lost](crate::Error::is_connection_lost) |
//! | B23 | SELinux, AppArmor or the mode of `/dev/shm` refuse what `uidgid` allows, with the same `CS_ERR_ACCESS` | the error names both, and how the daemon's log tells them apart |
//! | B24 | daemon and client must have one word size and one C library: a 32-bit client gets `CS_ERR_NOT_EXIST`, one with musl hangs now and then in a request to a daemon with glibc | the error and the guide say so |
//! | B26 | a member whose daemon joins the ring and dies before its services have agreed stays in the member list of all others for ever ([corosync 828](https://github.com/corosync/corosync/issues/828): all releases up to 3.1.10, mended upstream in July 2026) | [`Ring::ghosts`](crate::Ring::ghosts): members whose node is not in the ring |
//! | B27 | with libcpg 3.1 and a daemon without zero copy an allocation gives a buffer that the daemon has not taken | is refused, and the error says to send a plain message |
//! | B28 | agreed order is not safe delivery: a message can have come back to its sender, in a view with others, and reach none of them | not mended: said at [`Ticket`](crate::Ticket); who must not lose an acknowledged change [waits for a majority](crate::guide::promises#what-delivered-means) |
//! | B29 | while two parts of a cluster merge, daemons that did not hear the beginning of a message drop its end, and what travels in one packet with that ([`exec/totempg.c`](https://github.com/corosync/corosync/blob/v3.1.10/exec/totempg.c), `throw_away_mode`): messages, and the news that a process joined or left. The view says that all are together; a process that has left stays in the lists of some until the next ring | not mended: said at [`View`](crate::View) |
//! | B30 | with `RLIMIT_NOFILE` below 2 the system refuses libqb's waits, and requests and dispatches are `CS_ERR_INVALID_PARAM` | [`Error::Io`](crate::Error::Io), which names the limit, and ends nothing |
//!
//! # C. Found while this crate was built
//!
//! - `cpg_mcast_joined` of a message above the atomic size does not know what happened when the daemon dies while it takes the
//!   parts: `send_fragments` reads the result from a reply that it did not get. The message has failed if the daemon has gone.
//! - `cpg_leave` spins on `CS_ERR_BUSY` until the own join has been delivered, so [`Handle::join`](crate::Handle::join) waits
//!   for that.
//! - `cpg_zcb_alloc` up to 3.1 asserts that it gets shared memory, and leaves its file behind when the daemon has gone. Both are
//!   tried first.
//! - `cpg_zcb_alloc` of 3.1 does not look at the daemon's answer: a buffer that the daemon refused, which it can while its ring
//!   re-forms, looks like one, and sending it would make the daemon follow a null pointer. A buffer whose file the daemon has not
//!   taken is `CS_ERR_TRY_AGAIN` from a daemon that has taken one before, else `CS_ERR_NOT_SUPPORTED`: a daemon after 3.1 takes
//!   none (B27). (The first was read in the source, and not seen to happen.)
//! - `cpg_finalize` does not free the parts of a long message that has not come whole: up to its length stays with the process
//!   for each sender that was in the middle of one.
//! - A member that joins while the parts of a long message are sent does not get it, though the sender is told `CS_OK`.
//! - The daemon keeps groups by C string when nodes come and go (`exec/cpg.c`, `downlist_inform_clients`): `pcmk` and
//!   `pcmk\0` in one cluster are two groups, but when a node with members of both goes down, one of the groups is told that
//!   the members of both have left, and the other one is told nothing. Use one of the two spellings in a cluster, or check
//!   [`Link::members`](crate::Link::members) at each [`TotemConfChg`](crate::Event::TotemConfChg), which comes last.
//!
//! # Between versions of corosync
//!
//! `ci/matrix` runs all tests on the corosync of Debian 11, 12 and 13 (3.1.2, 3.1.7 and 3.1.9) and of Debian sid, which was 3.1.10
//! when this was written. They expect the same of each. What is known to differ, from the sources:
//!
//! - Before 3.1.10 a deliver callback that is not there is called; there is always one here.
//! - From 3.1.8 on `corosync/cpg.h` includes `sys/socket.h`, which `cpg_sys` leaves out of its declarations: they are the same
//!   for all of these.
//! - After 3.1.10 zero-copy buffers are memory of `malloc`, and sending one is a plain send (B12). Giving one back asks nobody.
//! - After 3.1.10 the daemon refuses a configuration without encryption and has no transport but knet, unless it was built otherwise:
//!   `corosync -v` lists `enforce_encryption` and `without_udpu`. Clients see no difference.
//!
//! # What does not compile
//!
//! A2, a dispatch within one of the same handle, and what would end the handle there; for a group see
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
//! B1, a send on a handle that is not joined, or of a group that has left:
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
//! B2, a second membership of a handle:
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
//! B3, a leave of another group:
//!
//! ```compile_fail,E0061
//! # fn f(group: cpg::Group, other: cpg::GroupName) {
//! group.leave(&other).ok();
//! # }
//! ```
