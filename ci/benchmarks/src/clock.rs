//! The clocks, in nanoseconds.

use nix::time::{ClockId, clock_gettime};

/// Returns the time since a moment that is the same for all processes on the machine, in any namespaces.
pub fn now() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// Returns the CPU time of all threads of this process together.
pub fn cpu() -> u64 {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("the clock is one that Linux has");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
