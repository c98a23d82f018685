//! A pack on its way into the stock.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::class::Class;
use crate::error::StockError;
use crate::hook::Point;
use crate::key::{SALT_BYTES, owned_by_user, sync_folder};
use crate::rows::AvailableRow;
use crate::sealed::Sealer;
use crate::shared::{Making, Shared};

/// Streams one pack into the stock. Dropped before [`PackWriter::finish`] succeeded, it leaves nothing behind, and its
/// serial may be written again.
pub struct PackWriter {
    shared: Arc<Shared>,
    class: Class,
    serial: u64,
    part: PathBuf,
    /// Nothing once a write has failed.
    file: Option<File>,
    sealer: Sealer,
    content: u64,
    /// Bytes that were set aside of the quota.
    bytes: u64,
    stays: bool,
}

impl PackWriter {
    /// Begins to write a pack whose serial is marked as being written, which ends with the writer.
    pub(crate) fn begin(shared: Arc<Shared>, class: Class, serial: u64) -> Result<PackWriter, StockError> {
        let part = shared.folder.part(&class, serial);
        let sealer = Sealer::new(&shared.key, shared.owner, &class, serial).map_err(StockError::Entropy);
        let sealer = sealer.inspect_err(|_| release(&shared, &class, serial))?;
        let mut writer =
            PackWriter { shared, class, serial, part, file: None, sealer, content: 0, bytes: 0, stays: false };
        writer.shared.set_aside(&writer.part, SALT_BYTES as u64)?;
        writer.bytes = SALT_BYTES as u64;
        let make = || {
            writer.shared.hook.at(Point::PartMade)?;
            let mut file = owned_by_user().open(&writer.part)?;
            file.write_all(writer.sealer.salt())?;
            Ok(file)
        };
        let file = make().map_err(StockError::write(&writer.part, SALT_BYTES as u64))?;
        writer.file = Some(file);
        Ok(writer)
    }

    /// Adds bytes to the pack. They are on the disk only once it is finished.
    ///
    /// # Errors
    /// [`StockError::Full`] where the quota or the disk does not suffice. After any error the pack cannot be finished:
    /// drop the writer.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StockError> {
        self.content += bytes.len() as u64;
        let mut rest = self.sealer.take(bytes);
        // a full chunk waits until more follows: the last one is sealed as such
        while !rest.is_empty() {
            self.write_chunk(false)?;
            rest = self.sealer.take(rest);
        }
        Ok(())
    }

    fn write_chunk(&mut self, last: bool) -> Result<(), StockError> {
        let PackWriter { shared, sealer, bytes, part, file, .. } = self;
        // put back only once all went well
        let ended = || std::io::Error::other("an earlier write of this pack failed");
        let mut open = file.take().ok_or_else(ended).map_err(StockError::write(part, 0))?;
        sealer.seal(last, |chunk| {
            let length = chunk.len() as u64;
            shared.set_aside(part, length)?;
            *bytes += length;
            shared
                .hook
                .at(Point::ChunkWrite)
                .and_then(|()| open.write_all(chunk))
                .map_err(StockError::write(part, length))
        })?;
        *file = Some(open);
        Ok(())
    }

    /// Ends the pack and puts it into the stock: its file is durable under its name before the ledger says that it is
    /// available. `order` is the digest of the agreement that it was ordered under.
    ///
    /// # Errors
    /// [`StockError::Full`] where there is no room, [`StockError::NotAllotted`] where the stock was dropped or the order
    /// given up meanwhile, [`StockError::Io`], and those of the ledger. Nothing is left behind then.
    pub fn finish(mut self, order: [u8; 32]) -> Result<(), StockError> {
        self.write_chunk(true)?;
        let (class, serial) = (self.class, self.serial);
        let path = self.shared.folder.pack(&class, serial);
        self.place().map_err(StockError::write(&path, self.bytes))?;
        let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let row = AvailableRow { order, content: self.content, made };
        let shared = self.shared.clone();
        let mut inside = shared.lock();
        if inside.making(&class, serial) != Some(Making::Writing) {
            drop(inside);
            let _ = fs::remove_file(&path);
            return Err(StockError::NotAllotted { class, serial });
        }
        // From here on the file stays: where the ledger fails it is not known whether it names the file, and the next opening
        // of the stock removes it if not.
        self.stays = true;
        inside.ledger.change(|change| change.add_available(&class, serial, row))?;
        inside.made(&class, serial);
        Ok(())
    }

    fn place(&mut self) -> std::io::Result<()> {
        let PackWriter { shared, class, serial, part, file, .. } = self;
        let path = shared.folder.pack(class, *serial);
        shared.hook.at(Point::FileSync)?;
        if let Some(file) = file.take() {
            file.sync_all()?;
        }
        shared.hook.at(Point::Rename)?;
        fs::rename(&*part, &path)?;
        let settle = || {
            shared.hook.at(Point::FolderSync)?;
            sync_folder(shared.folder.packs())
        };
        settle().inspect_err(|_| drop(fs::remove_file(&path)))
    }
}

/// The serial may be written again, unless it was given up.
fn release(shared: &Shared, class: &Class, serial: u64) {
    if let Some(making) = shared.lock().making.get_mut(class).and_then(|serials| serials.get_mut(&serial)) {
        *making = Making::Ordered;
    }
}

impl Drop for PackWriter {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        self.file = None;
        let _ = fs::remove_file(&self.part);
        let mut inside = self.shared.lock();
        inside.used = inside.used.saturating_sub(self.bytes);
        drop(inside);
        release(&self.shared, &self.class, self.serial);
    }
}

impl fmt::Debug for PackWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PackWriter { class, serial, content, .. } = self;
        f.debug_struct("PackWriter")
            .field("class", class)
            .field("serial", serial)
            .field("content", content)
            .finish_non_exhaustive()
    }
}
