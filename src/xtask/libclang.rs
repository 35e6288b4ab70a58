//! libclang, with which bindgen reads RocksDB's header: the system's, or the wheel of that name from PyPI.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cargo::{answer, must},
    setup::cache,
};

/// The last one; bindgen takes any since 5.
const WHEEL: &str = "libclang==18.1.1";

const BY_HAND: &str = "libclang is needed to build the database. Install it (Debian and Ubuntu: libclang-dev, Fedora: \
clang-devel) or a python3 with venv and pip and a way to PyPI, or set LIBCLANG_PATH to its folder.";

/// The folder with `libclang.so`.
pub(crate) fn folder() -> Result<String, String> {
    let found = in_system().or(in_cache(&cache()?.join("libclang-venv")));
    let folder = match found {
        Some(folder) => folder,
        None => install()?,
    };
    Ok(folder.display().to_string())
}

fn in_system() -> Option<PathBuf> {
    if let Some(folder) = answer("llvm-config", &["--libdir"]).map(PathBuf::from)
        && has_libclang(&folder)
    {
        return Some(folder);
    }
    let mut folders: Vec<PathBuf> = ["/usr/lib64", "/usr/lib", "/usr/local/lib"]
        .map(PathBuf::from)
        .to_vec();
    for parent in ["/usr/lib", "/usr/local"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("llvm") {
                folders.push(entry.path().join("lib"));
            } else if name.ends_with("-linux-gnu") {
                folders.push(entry.path());
            }
        }
    }
    folders.into_iter().find(|folder| has_libclang(folder))
}

/// Whether one of the names is there that bindgen looks for.
fn has_libclang(folder: &Path) -> bool {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name.starts_with("libclang.so") || name.starts_with("libclang-"))
                && name.contains(".so")
                && !name.starts_with("libclang-cpp")
        })
}

fn in_cache(venv: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).ok()?.flatten();
    let mut folders = versions.map(|version| version.path().join("site-packages/clang/native"));
    folders.find(|folder| has_libclang(folder))
}

/// Installs the wheel into a folder of a temporary name, so that half an installation is never taken for a whole one.
fn install() -> Result<PathBuf, String> {
    let venv = cache()?.join("libclang-venv");
    let temporary = cache()?.join(format!("libclang-venv.{}", std::process::id()));
    eprintln!("installing libclang from PyPI, once …");
    must(
        Command::new("python3").args(["-m", "venv"]).arg(&temporary),
        BY_HAND,
    )?;
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        WHEEL,
    ];
    let installed = must(
        Command::new(temporary.join("bin/python")).args(arguments),
        BY_HAND,
    );
    let _ = fs::remove_dir_all(&venv);
    installed
        .and_then(|()| {
            fs::rename(&temporary, &venv).map_err(|error| format!("{}: {error}", venv.display()))
        })
        .inspect_err(|_| {
            let _ = fs::remove_dir_all(&temporary);
        })?;
    in_cache(&venv)
        .ok_or_else(|| format!("The wheel {WHEEL} holds no library for this machine. {BY_HAND}"))
}
