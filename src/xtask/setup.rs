//! What a build needs that a plain machine lacks.

use std::{env, path::PathBuf};

use crate::{
    cargo::{Settings, answer},
    libclang, rocksdb,
};

/// The variables for every call of cargo; finds or makes what they point to. Variables that are set already win.
pub(crate) fn settings() -> Result<Settings, String> {
    for (program, package) in [("cc", "gcc"), ("c++", "g++"), ("make", "make")] {
        if answer(program, &["--version"]).is_none() {
            return Err(format!(
                "A C and C++ compiler and make are needed, and `{program}` is not there: install {package}."
            ));
        }
    }
    let mut settings = Settings::new();
    if unset("LIBCLANG_PATH") {
        settings.push(("LIBCLANG_PATH", libclang::folder()?));
    }
    // libclang without clang lacks the compiler's own headers; the C compiler's will do.
    if unset("BINDGEN_EXTRA_CLANG_ARGS")
        && let Some(headers) = answer("cc", &["-print-file-name=include"])
    {
        settings.push(("BINDGEN_EXTRA_CLANG_ARGS", format!("-I{headers}")));
    }
    if unset("ROCKSDB_LIB_DIR") {
        settings.push(("ROCKSDB_LIB_DIR", rocksdb::folder(&settings)?));
        settings.push(("ROCKSDB_STATIC", "1".to_owned()));
    }
    Ok(settings)
}

/// What is made once and kept outside of the checkout: `${XDG_CACHE_HOME:-~/.cache}/myelin`.
pub(crate) fn cache() -> Result<PathBuf, String> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = base.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    let cache = base
        .ok_or("Neither XDG_CACHE_HOME nor HOME is set.")?
        .join("myelin");
    std::fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    Ok(cache)
}

fn unset(name: &str) -> bool {
    env::var_os(name).is_none_or(|value| value.is_empty())
}
