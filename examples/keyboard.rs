//! A line that the user types on a terminal while the program prints other lines.
//!
//! A terminal by itself keeps what is being typed in the kernel, where no program can read it before the line is
//! complete. A line of output then lands in the middle of the typing. So this program reads each key, edits the line,
//! and draws it again below the printed lines.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

/// Moves to the start of the row and clears it.
pub const CLEAR: &str = "\r\x1b[K";

/// Switches off, and on, that a terminal goes to the next row at its right edge. While it is off, text that is too long
/// stays in its row, even if it has characters that are wider than this program knows.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The longest line in bytes, as in a terminal that edits by itself. Further keys are ignored.
const LONGEST: usize = 4095;

/// The most bytes of keys that are read at once.
const KEYS: usize = 1024;

const END_OF_INPUT: u8 = 0x04;
const BACKSPACE: [u8; 2] = [0x08, 0x7f];
const ERASE_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const ESCAPE: u8 = 0x1b;

/// Standard input. On a terminal, reading it gives the lines that the user has completed, and [`row`](Self::row) is the
/// line that is being typed. A file or a pipe is read as it is.
#[derive(Debug)]
pub struct Keyboard {
    input: File,
    /// The state of the terminal to go back to. `None` if this is no terminal.
    before: Option<Termios>,
    typed: Vec<u8>,
    escape: Escape,
    ended: bool,
}

/// The part of an escape sequence, such as that of an arrow key, that has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Parameters,
}

impl Keyboard {
    /// Takes standard input, and the editing from the terminal if standard input and standard output are one.
    pub fn new() -> io::Result<Self> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut before = None;
        if input.is_terminal() && io::stdout().is_terminal() {
            let state = termios::tcgetattr(&input)?;
            let mut keys = state.clone();
            keys.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
            termios::tcsetattr(&input, SetArg::TCSADRAIN, &keys)?;
            before = Some(state);
        }
        Ok(Self { input, before, typed: Vec::new(), escape: Escape::None, ended: false })
    }

    /// Returns true if the user types on a terminal, so that [`row`](Self::row) is to be shown.
    pub fn is_terminal(&self) -> bool {
        self.before.is_some()
    }

    /// Returns true if the user has ended the input. The next read then says so, and does not wait for a key.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns what shows the line that is being typed: its end, if the row of the terminal is too short for all.
    pub fn row(&self) -> String {
        let typed = printable(&String::from_utf8_lossy(&self.typed));
        // The cursor stands behind the line.
        let room = self.columns().saturating_sub(1);
        let skipped = typed.chars().count().saturating_sub(room);
        format!("{NO_WRAP}{}{WRAP}", typed.chars().skip(skipped).collect::<String>())
    }

    fn columns(&self) -> usize {
        let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the descriptor is open, and TIOCGWINSZ writes one `winsize`.
        #[allow(unsafe_code, reason = "nix has no safe function for this")]
        let answer = unsafe { window_size(self.input.as_raw_fd(), &raw mut size) };
        // A terminal that does not know its size says 0.
        match answer {
            Ok(_) if size.ws_col > 0 => size.ws_col.into(),
            _ => 80,
        }
    }

    /// Handles a key, and adds the line that it completes.
    fn press(&mut self, key: u8, lines: &mut Vec<u8>) {
        match self.escape {
            Escape::Begun => {
                self.escape = if matches!(key, b'[' | b'O') { Escape::Parameters } else { Escape::None };
                return;
            }
            Escape::Parameters => {
                if (b'@'..=b'~').contains(&key) {
                    self.escape = Escape::None;
                }
                return;
            }
            Escape::None => (),
        }
        match key {
            b'\n' | b'\r' => {
                lines.append(&mut self.typed);
                lines.push(b'\n');
            }
            END_OF_INPUT => self.ended |= self.typed.is_empty(),
            ERASE_LINE => self.typed.clear(),
            ERASE_WORD => {
                let text = self.typed.trim_ascii_end();
                let word = text.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1);
                self.typed.truncate(word);
            }
            key if BACKSPACE.contains(&key) => {
                // A character is its last byte and the bytes before it that are not the first of one.
                while self.typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            ESCAPE => self.escape = Escape::Begun,
            key if key.is_ascii_control() => (),
            key if self.typed.len() < LONGEST => self.typed.push(key),
            _ => (),
        }
    }
}

impl Read for Keyboard {
    /// Reads keys, and gives the lines that they have completed: `WouldBlock` if there is none.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_terminal() {
            return self.input.read(buffer);
        }
        if self.ended {
            return Ok(0);
        }
        assert!(buffer.len() > LONGEST + KEYS, "the lines of one read have to fit");
        let mut keys = [0; KEYS];
        let count = self.input.read(&mut keys)?;
        // A terminal that has been closed has no keys.
        self.ended = count == 0;
        let mut lines = Vec::new();
        keys[..count].iter().for_each(|&key| self.press(key, &mut lines));
        if lines.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..lines.len()].copy_from_slice(&lines);
        Ok(lines.len())
    }
}

impl AsFd for Keyboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that has been closed has no state to go back to.
            let _: nix::Result<()> = termios::tcsetattr(&self.input, SetArg::TCSADRAIN, before);
        }
    }
}

/// Returns a text that shows the same and cannot command a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);
