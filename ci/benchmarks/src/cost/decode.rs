//! The speed at which packets of 64-byte messages are decoded, on one core.

use std::fs;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::process::Command;

use cpg::{Event, Flow, Limits, packet};

use super::case::join_session;
use super::stub::Stub;
use crate::Result;
use crate::clock::now;
use crate::stats::Spread;

/// The name of the mode in which this program receives packets.
pub const DECODER: &str = "decode";

/// The default size of a full packet, and the size of its messages.
const PACKET: usize = 256 << 10;
const MESSAGE: usize = 64;

/// The size of a message in a packet, with its length, which is one byte.
const FRAME: usize = 1 + MESSAGE;

/// The number of packets in a measurement, which then takes at most a second, and the number of measurements.
const PACKETS: usize = 10_000;
const ROUNDS: usize = 7;

/// Measures messages per second: decoding only, and through a receiver with the stub.
pub fn run(stub: &Stub) -> Result<[(&'static str, Spread); 2]> {
    let file = stub.file("packet");
    fs::write(&file, full_packet())?;
    let mut alone = Vec::new();
    let mut through = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(take_apart(&full_packet())?);
        let mut receiver = Command::new(std::env::current_exe()?);
        receiver.arg(DECODER).env("CPG_STUB_MESSAGE", &file).env("CPG_STUB_DELIVER", PACKETS.to_string());
        let output = stub.under(&mut receiver).output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{receiver:?}: {}\n{errors}", output.status).into());
        }
        through.push(String::from_utf8_lossy(&output.stdout).trim().parse()?);
    }
    let spread = |figures| Spread::of(figures).ok_or("nothing was measured");
    Ok([("packets", spread(alone)?), ("receiver", spread(through)?)])
}

fn full_packet() -> Vec<u8> {
    let mut bytes = Vec::new();
    packet::begin(&mut bytes);
    while bytes.len() + FRAME <= PACKET {
        packet::push(&mut bytes, &[7; MESSAGE]);
    }
    bytes
}

fn messages() -> usize {
    (PACKET - packet::HEADER_LEN) / FRAME * PACKETS
}

/// Returns the messages per second of decoding.
fn rate(began: u64) -> f64 {
    messages() as f64 / (now() - began) as f64 * 1e9
}

fn take_apart(bytes: &[u8]) -> Result<f64> {
    let mut sum = 0_usize;
    let began = now();
    for _ in 0..PACKETS {
        for message in packet::messages(black_box(bytes)) {
            sum += use_of(message?);
        }
    }
    let rate = rate(began);
    if sum == messages() * (MESSAGE + 7) { Ok(rate) } else { Err("messages were lost".into()) }
}

/// Receives packets from the stub, and prints the messages per second.
pub fn receive() -> Result<()> {
    let mut session = join_session(Flow::coalesced())?;
    let (mut count, mut sum) = (0, 0);
    let began = now();
    session.run(Limits::forever(), |_, event| {
        if let Event::Deliver(message) = event {
            count += 1;
            sum += use_of(message.payload());
        }
        if count == messages() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    println!("{}", rate(began));
    if sum == count * (MESSAGE + 7) { Ok(()) } else { Err("messages were not whole".into()) }
}

/// Reads the least that any program reads of a message: its length and its address.
fn use_of(message: &[u8]) -> usize {
    message.len() + usize::from(message.first().copied().unwrap_or(0))
}
