//! Any sequence of operations, then a loss of power: what is left is something that the disk was allowed to leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use tidegate::env::{Env, OpenMode};
use tidegate_sim::{
    checker::DiskView,
    env::{Crash, World, WorldSettings},
};

use crate::support::in_world;

type Name = usize;
const NAMES: Name = 3;

#[derive(Clone, Debug)]
enum Op {
    Create(Name),
    Write(Name, usize, Vec<u8>),
    Sync(Name),
    Rename(Name, Name),
    Remove(Name),
    SyncDirectory,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = || 0..NAMES;
    let data = (1..255_u8, 1..6_000_usize).prop_map(|(byte, len)| vec![byte; len]);
    let op = prop_oneof![
        2 => name().prop_map(Op::Create),
        4 => (name(), 0..9_000_usize, data).prop_map(|(name, offset, data)| Op::Write(name, offset, data)),
        2 => name().prop_map(Op::Sync),
        2 => (name(), name()).prop_map(|(from, to)| Op::Rename(from, to)),
        1 => name().prop_map(Op::Remove),
        1 => Just(Op::SyncDirectory),
    ];
    vec(op, 1..30)
}

#[derive(Default)]
struct File {
    visible: Vec<u8>,
    synced: Vec<u8>,
    /// Since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
    cut: bool,
}

impl File {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        self.visible.resize(self.visible.len().max(end), 0);
        self.visible[offset..end].copy_from_slice(data);
        self.writes.push((offset, data.to_vec()));
    }

    /// What is synced is never lost; what was written since may be, or garbage in its place.
    fn may_be(&self, found: &[u8]) -> bool {
        let end = self.writes.iter().map(|(offset, data)| offset + data.len()).max().unwrap_or(0);
        let may_hold = |(at, byte): (usize, &u8)| {
            let old = match self.synced.get(at) {
                Some(synced) => synced == byte || (self.cut && *byte == 0),
                None => *byte == 0,
            };
            old || self.writes.iter().any(|(offset, data)| (*offset..offset + data.len()).contains(&at))
        };
        (self.cut || found.len() >= self.synced.len())
            && found.len() <= end.max(self.synced.len())
            && found.iter().enumerate().all(may_hold)
    }
}

/// What the disk promises.
#[derive(Default)]
struct Model {
    files: Vec<File>,
    names: BTreeMap<Name, usize>,
    /// What each name has led to since the last sync of the directory.
    had: BTreeMap<Name, BTreeSet<Option<usize>>>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        model.sync_names();
        model
    }

    fn sync_names(&mut self) {
        self.had = (0..NAMES).map(|name| (name, [self.names.get(&name).copied()].into())).collect();
    }

    fn lead(&mut self, name: Name, file: Option<usize>) {
        match file {
            Some(file) => self.names.insert(name, file),
            None => self.names.remove(&name),
        };
        self.had.get_mut(&name).expect("all names are there").insert(file);
    }
}

fn path(name: Name) -> PathBuf {
    Path::new("/d").join(name.to_string())
}

/// Does it in the world and in the model. An operation on a name that leads nowhere is left out.
async fn carry_out(op: &Op, env: &Env, model: &mut Model) -> std::io::Result<()> {
    let file = |name: &Name| model.names.get(name).copied();
    match op {
        Op::Create(name) => {
            env.disk.open(&path(*name), OpenMode::Create).await?;
            match file(name) {
                Some(file) => {
                    model.files[file].visible.clear();
                    model.files[file].cut = true;
                }
                None => {
                    model.files.push(File::default());
                    model.lead(*name, Some(model.files.len() - 1));
                }
            }
        }
        Op::Write(name, offset, data) => {
            let Some(file) = file(name) else { return Ok(()) };
            let mut handle = env.disk.open(&path(*name), OpenMode::Write).await?;
            handle.write_at(*offset as u64, Bytes::from(data.clone())).await?;
            model.files[file].write(*offset, data);
        }
        Op::Sync(name) => {
            let Some(file) = file(name) else { return Ok(()) };
            env.disk.open(&path(*name), OpenMode::Write).await?.sync().await?;
            let visible = model.files[file].visible.clone();
            model.files[file] = File { synced: visible.clone(), visible, ..File::default() };
        }
        Op::Rename(from, to) => {
            let Some(file) = file(from).filter(|_| from != to) else { return Ok(()) };
            env.disk.rename(&path(*from), &path(*to)).await?;
            model.lead(*from, None);
            model.lead(*to, Some(file));
        }
        Op::Remove(name) => {
            let Some(_) = file(name) else { return Ok(()) };
            env.disk.remove_file(&path(*name)).await?;
            model.lead(*name, None);
        }
        Op::SyncDirectory => {
            env.disk.sync_dir(Path::new("/d")).await?;
            model.sync_names();
        }
    }
    Ok(())
}

/// What is wrong with what the world shows before, or after, the loss of power.
fn compare(world: &World, model: &Model, lost: bool) -> Result<(), String> {
    for name in 0..NAMES {
        let found = world.disk.read_file_now(&path(name));
        let fits = |file: &Option<usize>| match (file, &found) {
            (None, None) => true,
            (Some(file), Some(found)) if lost => model.files[*file].may_be(found),
            (Some(file), Some(found)) => model.files[*file].visible == *found,
            _ => false,
        };
        let now = model.names.get(&name).copied();
        if !(if lost { model.had[&name].iter().any(fits) } else { fits(&now) }) {
            return Err(format!("{name} holds {:?} bytes that are not its own", found.map(|found| found.len())));
        }
        let surely = model.had[&name].len() == 1;
        let synced = now.map(|file| &model.files[file].synced[..]);
        if !lost && surely && world.disk.read_durable(&path(name)).as_deref() != synced {
            return Err(format!("{name} is not what it was synced to be"));
        }
    }
    Ok(())
}

/// All that a checker can see of the names.
fn seen(disk: &dyn DiskView) -> impl PartialEq {
    let directory = Path::new("/d");
    let files: Vec<_> = (0..NAMES).map(path).map(|p| (disk.read(&p), disk.read_durable(&p))).collect();
    (disk.list(directory), disk.list_durable(directory), files)
}

proptest! {
    /// A checker does not look again as long as the version is the same.
    #[test]
    fn what_changes_has_another_version(seed in any::<u64>(), ops in ops()) {
        let outcome = in_world(seed, WorldSettings::default(), async |world| {
            world.disk.create_directory_now(Path::new("/d"));
            let env = world.boot("a");
            let mut model = Model::new();
            let (mut before, mut version) = (seen(&*world.disk), DiskView::version(&*world.disk));
            for op in ops.iter().map(Some).chain([None]) {
                match op {
                    Some(op) => carry_out(op, &env, &mut model).await.map_err(|e| format!("{op:?} fails: {e}"))?,
                    None => world.crash("a", Crash::Power),
                }
                let new = DiskView::version(&*world.disk);
                let now = seen(&*world.disk);
                if DiskView::version(&*world.disk) != new {
                    return Err("to look makes another version".to_owned());
                }
                if now != before && new == version {
                    return Err(format!("{op:?} has changed something, and the version is that of before"));
                }
                (before, version) = (now, new);
            }
            Ok(())
        });
        prop_assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn a_loss_of_power_leaves_what_was_synced(seed in any::<u64>(), ops in ops()) {
        let outcome = in_world(seed, WorldSettings::default(), async |world| {
            world.disk.create_directory_now(Path::new("/d"));
            let env = world.boot("a");
            let mut model = Model::new();
            for op in &ops {
                carry_out(op, &env, &mut model).await.map_err(|e| format!("{op:?} fails: {e}"))?;
                compare(&world, &model, false)?;
            }
            world.crash("a", Crash::Power);
            compare(&world, &model, true)
        });
        prop_assert_eq!(outcome, Ok(()));
    }
}
