//! A terminal for a program that is tested: a pseudo-terminal, and what its screen would show.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::PATIENCE;

pub struct Terminal {
    columns: usize,
    keys: File,
    /// The side of the program. It stays open, so that a test can ask for the state that an ended program leaves.
    program: OwnedFd,
    output: Receiver<Vec<u8>>,
    screen: Screen,
}

impl Terminal {
    pub fn open(columns: u16) -> Self {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let keys = File::from(pair.master);
        let mut printed = keys.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The read fails when the side of the program has been closed.
            while let Ok(count) = printed.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let columns = columns.into();
        Self { columns, keys, program: pair.slave, output, screen: Screen::new(columns) }
    }

    /// Makes this the terminal of a program.
    pub fn attach<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let side = || self.program.try_clone().unwrap();
        command.stdin(side()).stdout(side()).stderr(side())
    }

    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub fn local_flags(&self) -> LocalFlags {
        tcgetattr(&self.program).unwrap().local_flags
    }

    /// Waits until the screen shows these lines, each in as many rows as it needs, below them this row with the cursor
    /// behind it, and nothing else.
    #[track_caller]
    pub fn expect(&mut self, lines: &[String], row: &str) {
        let mut wanted = Vec::new();
        for line in lines {
            let line: Vec<char> = line.chars().collect();
            wanted.extend(line.chunks(self.columns).map(|row| row.iter().collect::<String>()));
        }
        let cursor = (wanted.len(), row.chars().count());
        wanted.push(row.to_owned());
        let deadline = Instant::now() + PATIENCE;
        while self.screen.rows() != wanted || self.screen.cursor != cursor {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.output.recv_timeout(left) else {
                panic!("the screen shows {:#?} and not {wanted:#?}", self.screen.rows());
            };
            self.screen.print(&bytes);
        }
    }
}

/// The part of a terminal that the programs use, as high as needed.
struct Screen {
    columns: usize,
    cells: Vec<Vec<char>>,
    /// Row and column.
    cursor: (usize, usize),
    wraps: bool,
    /// The beginning of a sequence or of a character whose end has not been printed.
    kept: Vec<u8>,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self { columns, cells: vec![Vec::new()], cursor: (0, 0), wraps: true, kept: Vec::new() }
    }

    fn rows(&self) -> Vec<String> {
        self.cells.iter().map(|row| row.iter().collect()).collect()
    }

    fn print(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let printed = std::mem::take(&mut self.kept);
        let text = match std::str::from_utf8(&printed) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&printed[..error.valid_up_to()]).unwrap(),
        };
        let mut done = 0;
        while let Some(character) = text[done..].chars().next() {
            done += match character {
                '\x1b' => match text[done..].find(|c: char| c.is_ascii_alphabetic()) {
                    Some(end) => {
                        self.obey(&text[done + 1..=done + end]);
                        end + 1
                    }
                    None => break,
                },
                character => {
                    self.put(character);
                    character.len_utf8()
                }
            };
        }
        self.kept = printed[done..].to_vec();
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "[K" => self.cells[self.cursor.0].truncate(self.cursor.1),
            "[?7l" => self.wraps = false,
            "[?7h" => self.wraps = true,
            other => panic!("the screen does not know ESC {other}"),
        }
    }

    fn put(&mut self, character: char) {
        match character {
            '\r' => self.cursor.1 = 0,
            '\n' => self.next_row(),
            character => {
                if self.cursor.1 == self.columns {
                    if self.wraps {
                        self.next_row();
                        self.cursor.1 = 0;
                    } else {
                        self.cursor.1 -= 1;
                    }
                }
                let row = &mut self.cells[self.cursor.0];
                row.resize(row.len().max(self.cursor.1 + 1), ' ');
                row[self.cursor.1] = character;
                self.cursor.1 += 1;
            }
        }
    }

    fn next_row(&mut self) {
        self.cursor.0 += 1;
        if self.cells.len() == self.cursor.0 {
            self.cells.push(Vec::new());
        }
    }
}
