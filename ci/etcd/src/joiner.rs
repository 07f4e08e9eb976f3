//! A member that joins, and gets its state while others write.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cpg_kv::store::{Command, Outcome};
use cpg_kv::wire::{Reply, Request};
use testcluster::Cluster;

use crate::store::Store;
use crate::{Result, together, wait_for};

/// The length of each value of the state, in bytes.
const VALUE: usize = 100_000;

/// The time for which writes are counted without a joiner.
const BEFORE: Duration = Duration::from_secs(5);

/// Fills two members of three with this number of megabytes, lets clients write, and starts the third member.
pub fn measure(megabytes: usize, clients: usize, sharing: usize, size: usize) -> Result<()> {
    let cluster = Cluster::start(3)?;
    let mut store = Store::start(&cluster, 2)?;
    let mut client = store.client(1)?;
    for number in 0..megabytes * 1_000_000 / VALUE {
        let key = format!("large {number:06}").into_bytes();
        let reply = client.ask(&Request::Do(Command::Put(key, vec![b'x'; VALUE])))?;
        if reply != Reply::Done(Outcome::Done) {
            return Err(format!("cannot fill the store: {reply:?}").into());
        }
    }
    for clients in [1, clients] {
        let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
        let loads = store.loads(clients, sharing, size);
        let (rates, took) = thread::scope(|scope| {
            // The closure is called once after each write.
            let goes_on = || {
                written.fetch_add(1, Ordering::Relaxed);
                !stop.load(Ordering::Relaxed)
            };
            let writes = scope.spawn(move || together(loads, &goes_on));
            let rate = |from: usize, since: Instant| {
                #[allow(clippy::cast_precision_loss, reason = "a number of writes")]
                let count = (written.load(Ordering::Relaxed) - from) as f64;
                count / since.elapsed().as_secs_f64()
            };
            let (from, since) = (written.load(Ordering::Relaxed), Instant::now());
            thread::sleep(BEFORE);
            let before = rate(from, since);
            let (from, since) = (written.load(Ordering::Relaxed), Instant::now());
            let joined = store.start_next().and_then(|()| {
                wait_for("the new member to have the state", || store.is_in_step(3).then_some(()))
            });
            let (meanwhile, took) = (rate(from, since), since.elapsed());
            stop.store(true, Ordering::Relaxed);
            writes.join().map_err(|_| "the writers panicked")??;
            joined.map(|()| ([before, meanwhile], took))
        })?;
        println!(
            "a new member received {megabytes} MB in {:.1} s; writes per second of {clients} clients: {:.0} before, {:.0} meanwhile",
            took.as_secs_f64(),
            rates[0],
            rates[1]
        );
        store.end_last()?;
    }
    Ok(())
}
