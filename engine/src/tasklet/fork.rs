//! A second tasklet of one.

use super::Tasklet;
use crate::capture::SnapshotOptions;
use crate::changes::Pages;
use crate::error::Error;
use crate::host::Host;
use crate::module::Image;
use crate::sharing::Inherited;
use crate::snapshot::MemoryState;

impl Tasklet {
    /// Makes a second tasklet that stands where this one does: what a [`dump`](Tasklet::dump) that
    /// is [loaded](Tasklet::load) with that host gives, but that nothing is written, checked by
    /// digest or compiled, and that its next snapshot has the parent that this one's would have.
    ///
    /// On Linux both share the pages that they hold, and each copies those that it writes to when it
    /// does. What has not changed since the last fork is not even looked at. What is less than 128
    /// KiB in one stretch is copied at once, as everything is elsewhere. That the memory is mapped
    /// anew ends what [`SnapshotOptions::track_changes`] asked for: the next snapshot over a base
    /// compares more.
    ///
    /// # Errors
    /// Those of [`snapshot`](Tasklet::snapshot) and [`load`](Tasklet::load).
    pub fn fork(&mut self, host: Host) -> Result<Tasklet, Error> {
        let options = SnapshotOptions { embed_module: false, ..SnapshotOptions::default() };
        let mut snapshot = self.all_but_memories(&options)?;
        let image = self.image()?;
        let copied = self.share(&image);
        let mut inherited = self.inherited(&image, copied);
        let infos = self.module.metadata().memories.iter().zip(&self.exports.memories);
        snapshot.memories = infos
            .zip(&mut inherited)
            .map(|((info, memory), inherited)| MemoryState {
                index: info.index,
                pages: memory.size(&self.store),
                runs: std::mem::take(&mut inherited.runs),
            })
            .collect();
        Tasklet::load_fork(&self.module, &snapshot, &inherited, host)
    }

    /// Shares what is worth it; for each memory the pages that are to be copied, if they are known.
    fn share(&mut self, image: &Image) -> Vec<Option<Pages>> {
        let place = self.module.engine().place();
        let memories = self.exports.memories.iter().zip(&image.memories).enumerate();
        memories
            .map(|(position, (memory, image))| {
                let (bytes, state) = memory.data_and_store_mut(&mut self.store);
                state.sharing.share((position, bytes), image, &mut state.changes, place)
            })
            .collect()
    }

    fn inherited(&self, image: &Image, copied: Vec<Option<Pages>>) -> Vec<Inherited<'_>> {
        let sharing = &self.store.data().sharing;
        let memories = self.exports.memories.iter().zip(&image.memories).zip(copied).enumerate();
        memories
            .map(|(position, ((memory, image), copied))| {
                sharing.inherited((position, memory.data(&self.store)), image, copied)
            })
            .collect()
    }
}
