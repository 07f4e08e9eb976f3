//! A member that has a store, and serves the clients of its node: one thread, one loop.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cpg::{ConnectOptions, Event, GroupName, Limits, Member, Reconnect, RingId, Session, TotemEvents};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::replica::format::Format as _;
use crate::replica::quorum::Nodes;
use crate::replica::{Answer, Options, Output, Replica, Standing};
use crate::store::{Outcome, Store};
use crate::wire::{Frames, Reply, Request, frame};

/// The settings of a member.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The group.
    pub group: GroupName,
    /// The number of nodes in the cluster.
    pub nodes: u32,
    /// The path of the socket for clients.
    pub socket: PathBuf,
    /// The time that a command may take.
    pub patience: Duration,
    /// True if a change is acknowledged only when a majority holds it. False demonstrates which writes are lost otherwise.
    pub confirm: bool,
}

/// The length of a tick. It sets the pace of snapshots: a part per tick, 13 MB per second.
const TICK: Duration = Duration::from_millis(10);

/// The number of ticks without progress after which the lowest member opens a new epoch.
const PATIENCE: u32 = 50;

/// The maximum number of events that are taken before clients have their turn.
const EVENTS: usize = 1024;

/// The length of a part of a snapshot in bytes, and the maximum number of parts in flight.
const PART: usize = 128 << 10;
const PARTS: usize = 2;

/// The bytes of a message that are reserved for its header, beside the command.
const HEADER: usize = 64;

/// The time limit for commands under way before leaving, and for the daemon's answer to the leave.
const FAREWELL: Duration = Duration::from_secs(5);

const SESSION: u64 = 0;
const LISTENER: u64 = 1;
const STOP: u64 = 2;
const CLIENTS: u64 = 3;

/// An error that ends a member.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Server {
    /// Joins the group. Waits indefinitely for the daemon if it does not run. Clients can connect when this function has returned.
    ///
    /// # Errors
    /// Another process serves the socket, or the failure is one that waiting does not mend.
    pub fn join(settings: Settings) -> Result<Self, Failure> {
        // Two members on one node have no vote, so the socket is checked before the join, too.
        check_unserved(&settings.socket)?;
        let connect = ConnectOptions::new()
            .totem_events(TotemEvents::InitialAndChanges)
            .wait_for_daemon()
            .request_timeout(FAREWELL);
        let session = Session::options()
            .connect_options(connect)
            .coalesce()
            .reconnect(Reconnect::new())
            .join(&settings.group)?;
        let listener = listen(&settings.socket)?;
        let expiry = u32::try_from(settings.patience.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        let options = Options {
            nodes: Nodes(settings.nodes),
            confirm: settings.confirm,
            patience: PATIENCE,
            expiry,
            part: PART,
            parts: PARTS,
        };
        // The keys of `RandomState` are random in each process.
        let process = RandomState::new().build_hasher().finish();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        epoll.add(&session, readable(SESSION))?;
        epoll.add(&listener, readable(LISTENER))?;
        Ok(Self {
            replica: Replica::new(session.me(), process, options),
            session,
            ring: None,
            outgoing: VecDeque::new(),
            epoll,
            socket: settings.socket,
            listener: Some(listener),
            clients: HashMap::new(),
            next_client: CLIENTS,
            waiting: BTreeMap::new(),
        })
    }

    /// Serves clients until `stop` is readable, and then leaves the group.
    ///
    /// # Errors
    /// A failure that waiting does not mend.
    pub fn serve(mut self, stop: &impl AsFd) -> Result<(), Failure> {
        self.epoll.add(stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        let ended = self.run();
        let _: io::Result<()> = fs::remove_file(&self.socket);
        ended?;
        Ok(self.session.leave_until(Instant::now() + FAREWELL, |_, _| {})?)
    }
}

fn check_unserved(socket: &Path) -> io::Result<()> {
    if UnixStream::connect(socket).is_ok() {
        let text = format!(
            "{}: another process serves this socket. Does 'kv serve' already run on this node?",
            socket.display()
        );
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    Ok(())
}

/// Listens on the socket. Replaces the socket of a server that has ended, but not that of a server that runs.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", socket.display()));
    check_unserved(socket)?;
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(socket).map_err(failed)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A member that has a store and serves clients.
#[derive(Debug)]
pub struct Server {
    session: Session,
    replica: Replica<Store>,
    ring: Option<RingId>,
    /// The messages that wait for room in the session's queue.
    outgoing: VecDeque<Vec<u8>>,
    epoll: Epoll,
    socket: PathBuf,
    /// The listener; `None` once the server is to end.
    listener: Option<UnixListener>,
    clients: HashMap<u64, Connection>,
    next_client: u64,
    /// For the number of each command under way, the client that waits for it and the number of the client's request.
    waiting: BTreeMap<u64, (u64, u64)>,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    frames: Frames,
    replies: Vec<u8>,
    /// True while the socket has no room for replies.
    blocked: bool,
}

impl Server {
    fn run(&mut self) -> Result<(), Failure> {
        let mut events = vec![EpollEvent::empty(); 256];
        let mut next_tick = Instant::now();
        let mut end = None;
        loop {
            let wait = next_tick.saturating_duration_since(Instant::now());
            let timeout = EpollTimeout::try_from(wait.as_millis() + 1).unwrap_or(EpollTimeout::ZERO);
            let count = match self.epoll.wait(&mut events, timeout) {
                Err(Errno::EINTR) => 0,
                count => count?,
            };
            self.dispatch()?;
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    STOP if end.is_none() => {
                        end = Some(Instant::now() + FAREWELL);
                        self.listener = None;
                    }
                    SESSION | STOP => {}
                    client => self.client(client, event.events()),
                }
            }
            if Instant::now() >= next_tick {
                // A member that was held up goes on from now.
                next_tick = (next_tick + TICK).max(Instant::now());
                self.replica.tick();
            }
            self.replica.flush();
            self.drain();
            self.send()?;
            self.reply();
            if end.is_some_and(|end| self.waiting.is_empty() || Instant::now() >= end) {
                return Ok(());
            }
        }
    }

    fn dispatch(&mut self) -> cpg::Result<()> {
        let Self { session, replica, ring, .. } = self;
        session.dispatch(Limits::available().at_most(EVENTS), |_, event| match event {
            Event::Deliver(message) => replica.deliver(message.sender(), message.payload()),
            Event::ConfChg(view) => replica.view(view.members()),
            Event::Rejoined(back) => replica.view(back.view().members()),
            Event::Lost(lost) => {
                eprintln!(
                    "the connection to corosync is lost, and this member tries to come back: {}",
                    lost.error()
                );
                replica.view(&[]);
                *ring = None;
            }
            Event::TotemConfChg(new) => *ring = Some(new.id()),
            _ => {}
        })?;
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(output) = self.replica.output() {
            match output {
                Output::Send(message) => self.outgoing.push_back(message),
                Output::Answer(number, answer) => {
                    let Some((client, request)) = self.waiting.remove(&number) else { continue };
                    let reply = match answer {
                        Answer::Done(outcome) => Reply::Done(outcome),
                        Answer::Refused => Reply::Refused(format!("not done: {}", self.why())),
                        Answer::Unknown => {
                            Reply::Unknown(format!("it may or may not have been done: {}", self.why()))
                        }
                    };
                    self.answer(client, request, &reply);
                }
            }
        }
    }

    /// Passes messages to the session as long as its queue has room.
    fn send(&mut self) -> cpg::Result<()> {
        while let Some(message) = self.outgoing.front() {
            match self.session.send(message) {
                Ok(_) => {}
                // The session reconnects by itself, and the next dispatch may be the first to report the loss.
                Err(error) if error.is_connection_lost() => {
                    self.outgoing.clear();
                    return Ok(());
                }
                Err(error) if error.is_retryable() => return Ok(()),
                Err(error) => return Err(error),
            }
            self.outgoing.pop_front();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client has gone, or the process has no descriptor left.
                Err(error) => {
                    eprintln!("cannot accept a client: {error}");
                    return Ok(());
                }
            };
            stream.set_nonblocking(true)?;
            let client = self.next_client;
            self.next_client += 1;
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, client))?;
            let (frames, replies) = (Frames::default(), Vec::new());
            self.clients.insert(client, Connection { stream, frames, replies, blocked: false });
        }
    }

    fn client(&mut self, client: u64, flags: EpollFlags) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        connection.blocked = false;
        if !flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            return;
        }
        let open = match connection.frames.read(&connection.stream) {
            Ok(open) => open,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        loop {
            let Some(connection) = self.clients.get_mut(&client) else { return };
            match connection.frames.next_frame() {
                Ok(Some((number, request))) => self.handle(client, number, request),
                Ok(None) if open => return,
                _ => return self.drop_client(client),
            }
        }
    }

    fn drop_client(&mut self, client: u64) {
        if let Some(connection) = self.clients.remove(&client) {
            let _: nix::Result<()> = self.epoll.delete(&connection.stream);
        }
    }

    fn handle(&mut self, client: u64, number: u64, request: Request) {
        let reply = match request {
            Request::Do(_) if self.listener.is_none() => {
                Reply::Refused("not done: the member on this node is ending".to_owned())
            }
            Request::Do(command) => {
                let (command, longest) =
                    (command.to_bytes(), self.session.max_atomic_message_size() - HEADER);
                if command.len() <= longest {
                    let own = self.replica.submit(command);
                    self.waiting.insert(own, (client, number));
                    return;
                }
                let len = command.len();
                Reply::Refused(format!("not done: the command has {len} bytes, and {longest} is the most"))
            }
            Request::Local(command) => {
                let in_step = self.replica.standing() == Standing::InStep;
                Reply::Local(in_step, self.replica.machine().read(&command).unwrap_or(Outcome::Malformed))
            }
            Request::Status => Reply::Text(self.status()),
            Request::Begin => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                match self.replica.begin(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)) {
                    Ok(()) => Reply::Text(
                        "the store begins when a majority of the nodes has agreed: see 'kv status'\n"
                            .to_owned(),
                    ),
                    Err(Standing::InStep | Standing::CatchingUp(_)) => {
                        Reply::Refused("nothing to begin: the store has its state".to_owned())
                    }
                    Err(_) => Reply::Refused(format!("not done: {}", self.why())),
                }
            }
        };
        self.answer(client, number, &reply);
    }

    fn answer(&mut self, client: u64, number: u64, reply: &Reply) {
        if let Some(connection) = self.clients.get_mut(&client) {
            connection.replies.extend(frame(number, reply));
        }
    }

    /// Writes replies to the clients whose sockets have room.
    fn reply(&mut self) {
        let mut gone = Vec::new();
        for (&client, connection) in &mut self.clients {
            if connection.replies.is_empty() || connection.blocked {
                continue;
            }
            match connection.stream.write(&connection.replies) {
                Ok(count) => drop(connection.replies.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => gone.push(client),
            }
            connection.blocked = !connection.replies.is_empty();
            let room = if connection.blocked { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            let mut wanted = EpollEvent::new(EpollFlags::EPOLLIN | room, client);
            let _: nix::Result<()> = self.epoll.modify(&connection.stream, &mut wanted);
        }
        for client in gone {
            self.drop_client(client);
        }
    }

    /// Returns the reason why this member cannot do a command now, and the remedy if there is one.
    fn why(&self) -> String {
        let text = match self.replica.standing() {
            Standing::Away => "corosync does not run on this node, or has just been started",
            Standing::Minority => {
                "no majority of the nodes is connected: do corosync and 'kv serve' run on the other nodes, and \
                 does the network work?"
            }
            Standing::Misfit(member, nodes) => {
                return format!(
                    "member {member} was started with --nodes {nodes}, and this member with another number"
                );
            }
            Standing::Forming => "a majority of the nodes is connected, but has not agreed on the state yet",
            Standing::Stateless { holders: 0 } => {
                "no connected member has state: if this is the first start, or the state is lost for good, run \
                 'kv begin'"
            }
            Standing::Stateless { holders } => {
                return format!(
                    "connected members with state: {holders}, fewer than a majority of the nodes. Start the \
                     missing members, or if their state is lost for good, run 'kv begin'"
                );
            }
            Standing::CatchingUp(bytes) => {
                return format!("this member is receiving the state, {bytes} bytes so far");
            }
            Standing::InStep => "a majority of the nodes has not confirmed it",
        };
        text.to_owned()
    }

    fn status(&self) -> String {
        let list = |members: Vec<Member>| members.iter().map(Member::to_string).collect::<Vec<_>>().join(" ");
        let component = match self.replica.standing() {
            Standing::InStep => "primary, in step".to_owned(),
            Standing::CatchingUp(_) => format!("primary: {}", self.why()),
            _ => format!("none: {}", self.why()),
        };
        let (delivered, unanswered) = self.replica.behind();
        let lag = self.session.lag().unwrap_or_default();
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _: std::fmt::Result = writeln!(text, "{name:<10} {value}");
        };
        line("member", self.session.me().to_string());
        line("view", list(self.replica.members().iter().copied().collect()));
        line("ring", self.ring.map_or("none".to_owned(), |ring| ring.to_string()));
        line("component", component);
        line("sequencer", self.replica.sequencer().map_or("none".to_owned(), |member| member.to_string()));
        match self.replica.held() {
            Some(held) => {
                line(
                    "epoch",
                    format!("{}.{}.{:016x}", held.epoch.begun, held.epoch.number, held.epoch.opener),
                );
                line("position", held.position.to_string());
            }
            None => line("epoch", "none: no state".to_owned()),
        }
        line("holders", list(self.replica.holders()));
        line("keys", self.replica.machine().0.len().to_string());
        line(
            "lag",
            format!(
                "{delivered} changes to apply, {unanswered} commands to answer, {} messages under way and {} to send",
                lag.in_flight(),
                lag.waiting() + self.outgoing.len()
            ),
        );
        text
    }
}
