//! The sources of records.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::Record;

/// The records of one process: a file, or bytes in memory.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, which is read piece by piece.
    File(PathBuf),
    /// Bytes.
    Memory(Arc<[u8]>),
}

impl Source {
    /// Returns a source of these records.
    pub fn of(records: &[Record]) -> Self {
        let mut bytes = Vec::new();
        for record in records {
            record.write(&mut bytes);
        }
        Self::Memory(bytes.into())
    }

    /// Reads from a place that [`Reader::offset`] has returned.
    ///
    /// # Errors
    /// Those of opening a file.
    pub fn open_at(&self, offset: u64) -> io::Result<Reader> {
        let from: Box<dyn Read> = match self {
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
            Self::Memory(bytes) => {
                let mut cursor = Cursor::new(Arc::clone(bytes));
                cursor.set_position(offset);
                Box::new(cursor)
            }
        };
        Ok(Reader { from, offset, buffer: Vec::new() })
    }
}

/// Records, one after the other.
pub struct Reader {
    from: Box<dyn Read>,
    offset: u64,
    buffer: Vec<u8>,
}

impl Reader {
    /// Returns the start of the next record.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&mut self) -> io::Result<Option<Record>> {
        let next = Record::read(&mut self.from, &mut self.buffer)?;
        Ok(next.map(|(record, len)| {
            self.offset += len;
            record
        }))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("offset", &self.offset).finish_non_exhaustive()
    }
}
