//! Where tests look in: before each step that changes the disk.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A step that changes the disk, about to be done (but for [`Point::LedgerSynced`], which is done).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub))]
pub enum Point {
    /// A pack's temporary file is made.
    PartMade,
    /// A sealed chunk is written to it.
    ChunkWrite,
    /// It is made durable.
    FileSync,
    /// It is given its name.
    Rename,
    /// That name is made durable.
    FolderSync,
    /// The file of a pack that is gone is removed.
    Unlink,
    /// Bytes are written to the ledger.
    LedgerWrite,
    /// The ledger becomes longer or shorter.
    LedgerResize,
    /// What was written to the ledger is made durable.
    LedgerSync,
    /// What was written to the ledger is durable.
    LedgerSynced,
    /// How far the ledger has come is noted beside the key.
    AnchorWrite,
}

/// What a test does at a point: it may fail the step with an error, or not come back.
#[cfg_attr(not(feature = "testing"), expect(unreachable_pub))]
pub type Watch = Arc<dyn Fn(Point) -> io::Result<()> + Send + Sync>;

/// What is called at each point: nothing, but in tests.
#[derive(Clone, Default)]
pub(crate) struct Hook(Option<Watch>);

impl Hook {
    #[cfg(feature = "testing")]
    pub(crate) fn new(watch: Watch) -> Hook {
        Hook(Some(watch))
    }

    pub(crate) fn at(&self, point: Point) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |watch| watch(point))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
