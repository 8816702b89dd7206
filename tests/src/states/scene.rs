//! What the programs that test WASI find: two folders, with a third thing beside them that nobody is
//! to reach.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tasklet_engine::wasi::Preopen;
use tempfile::TempDir;

/// The arguments, the program's name first.
pub const ARGS: [&str; 3] = ["states.wasm", "one", "two words"];
/// The environment.
pub const ENV: [(&str, &str); 2] = [("NAME", "value"), ("EMPTY", "")];
/// Standard input.
pub const INPUT: &[u8] = b"one\ntwo two\nthree three three\n";

/// A fresh folder with what a program is to find there.
///
/// # Errors
///
/// If it cannot be made.
pub fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for name in ["box", "box/sub", "ro", "ro/dir"] {
        fs::create_dir(at(name))?;
    }
    let files =
        [("box/hello", "Hello, world!\n"), ("box/sub/inner", "inner"), ("ro/file", "to read")];
    for (name, content) in files.into_iter().chain([("secret", "secret")]) {
        fs::write(at(name), content)?;
    }
    let links = [("link", "hello"), ("dirlink", "sub"), ("out", ".."), ("dangling", "nothing")];
    let odd = [("abs", "/etc/hostname"), ("loop1", "loop2"), ("loop2", "loop1")];
    for (name, target) in links.into_iter().chain(odd) {
        symlink(target, at("box").join(name))?;
    }
    Ok(folder)
}

/// The directories of the program: `/` is `box`, and `ro` may not be written to.
pub fn preopens(folder: &Path) -> Vec<Preopen> {
    let preopen = |name: &str, guest: &str, read_only| Preopen {
        host: folder.join(name),
        guest: guest.into(),
        read_only,
    };
    vec![preopen("box", "/", false), preopen("ro", "ro", true)]
}

/// Everything below a folder: where links lead, and what files hold.
///
/// # Errors
///
/// If it cannot be read.
pub fn contents(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    collect(folder, Path::new(""), &mut found)?;
    Ok(found)
}

fn collect(
    folder: &Path,
    below: &Path,
    found: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, kind) = (below.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            found.insert(name.clone(), b"a folder".to_vec());
            collect(&entry.path(), &name, found)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path())?;
            found.insert(name, format!("-> {}", target.display()).into_bytes());
        } else {
            found.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}
