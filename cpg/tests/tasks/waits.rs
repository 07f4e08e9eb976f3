//! Every waiting call of a task, with a paused daemon and with one that is killed, as in `daemon/waits.rs`.
use std::future::Future;

use crate::support::deadline;
use crate::support::tasks::{current, message, soon};
use crate::support::waits::{Case, Dead, End, Gate, Paused, returns, waits, with_each_daemon};
use cpg::tokio::{Receiver, Sender, Session};
use cpg::{ConnectOptions, Error, OwnedEvent, TotemEvents};

with_each_daemon!(CASES);

const CASES: &[Case] = &[
    waits("tokio::SessionOptions::join_until", |gate| {
        run(async {
            gate.call();
            let session = Session::options().join_until(gate.name(), deadline()).await?;
            session.leave().await?;
            Ok(())
        })
    }),
    waits("tokio::Sender::members", |gate| {
        run(async {
            let (sender, _receiver) = split(gate).await;
            gate.call();
            assert_eq!(sender.members().await?, [sender.me()]);
            Ok(())
        })
    }),
    returns("tokio::Sender::send", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            sender.send(b"x").await?;
            gate.returned()?;
            assert_eq!(message(&mut receiver).await, b"x");
            Ok(())
        })
    }),
    waits("tokio::Sender::send, with a full queue", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            let filled = fill(&sender)?;
            // Dispatching sends the messages, and notices a dead daemon.
            let hearing = async {
                for _ in 0..=filled {
                    while !matches!(receiver.recv().await?, OwnedEvent::Deliver(_)) {}
                }
                Ok::<_, Error>(())
            };
            let last = vec![7; 100_000];
            tokio::try_join!(sender.send(&last), hearing)?;
            Ok(())
        })
    }),
    waits("tokio::Receiver::recv of a long message", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            sender.send(&vec![5; 3_000_000]).await?;
            while !matches!(receiver.recv().await?, OwnedEvent::Deliver(_)) {}
            Ok(())
        })
    }),
    waits("Ticket of a task", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            let ticket = sender.ticket(sender.send(b"x").await?);
            let hearing = async {
                loop {
                    if let Err(error) = receiver.dispatch(|_, _| ()).await {
                        return error;
                    }
                }
            };
            tokio::select! {
                biased;
                outcome = ticket => outcome?,
                lost = hearing => return Err(lost.into()),
            }
            Ok(())
        })
    }),
    waits("tokio::Receiver::dispatch", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            let _ = sender.try_send(b"x");
            receiver.dispatch(|_, _| ()).await?;
            Ok(())
        })
    }),
    waits("tokio::Receiver::recv", |gate| {
        run(async {
            let (sender, mut receiver) = split(gate).await;
            gate.call();
            let _ = sender.try_send(b"x");
            // After the daemon's death, the message may be handed back before the error comes.
            while !matches!(receiver.recv().await?, OwnedEvent::Deliver(_)) {}
            Ok(())
        })
    }),
    waits("tokio::Receiver::leave", |gate| {
        run(async {
            let (_sender, receiver) = split(gate).await;
            gate.call();
            receiver.leave_until(deadline(), |_, _| ()).await?;
            Ok(())
        })
    }),
    Case {
        what: "drop of tokio::Session",
        paused: Paused::Returns,
        dead: Dead::Fine,
        run: |gate| {
            run(async {
                let session = joined(gate).await;
                gate.call();
                // A separate thread ends the membership.
                drop(session);
                gate.returned()?;
                soon(joined(gate).await.leave()).await?;
                Ok(())
            })
        },
    },
];

fn run(case: impl Future<Output = Result<(), End>>) -> Result<(), End> {
    current().block_on(soon(case))
}

/// Returns a session whose first view has been handled.
async fn joined(gate: &Gate) -> Session {
    // Without events about rings, which a daemon that has just been started forms.
    let connect = ConnectOptions::new().totem_events(TotemEvents::None);
    let joining = Session::options().connect_options(connect).join_until(gate.name(), deadline());
    let mut session = joining.await.unwrap();
    assert!(matches!(session.recv().await.unwrap(), OwnedEvent::ConfChg(_)));
    session
}

async fn split(gate: &Gate) -> (Sender, Receiver) {
    joined(gate).await.split()
}

/// Fills a queue with messages. Returns the number of accepted messages.
fn fill(sender: &Sender) -> Result<usize, Error> {
    let mut filled = 0;
    loop {
        match sender.try_send(&vec![7; 100_000]) {
            Ok(_) => filled += 1,
            Err(Error::QueueFull) => return Ok(filled),
            Err(error) => return Err(error),
        }
    }
}
