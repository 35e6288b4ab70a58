//! RocksDB's C++, compiled once for every profile (docs/decisions/one-rocksdb-archive.md).

use std::{fs, path::Path, process::Stdio};

use crate::{
    cargo::{self, Settings, cannot_start},
    setup::cache,
};

/// The folder with `librocksdb.a` of exactly the version in Cargo.lock; compiles it if it is not there.
pub(crate) fn folder(settings: &Settings) -> Result<String, String> {
    let version = locked_version()?;
    let folder = cache()?.join(format!("rocksdb-{version}"));
    let archive = folder.join("librocksdb.a");
    if !archive.exists() {
        build(settings, &archive)?;
    }
    Ok(folder.display().to_string())
}

/// The version of librocksdb-sys, without the build metadata.
fn locked_version() -> Result<String, String> {
    let path = format!("{}/Cargo.lock", cargo::root());
    let lock = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let version = lock
        .split_once("name = \"librocksdb-sys\"\nversion = \"")
        .and_then(|(_, rest)| rest.split(['"', '+']).next());
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("{path} does not name librocksdb-sys."))
}

fn build(settings: &Settings, archive: &Path) -> Result<(), String> {
    let io = |error: std::io::Error| format!("{}: {error}", archive.display());
    eprintln!("compiling RocksDB, once: about 15 minutes on two cores …");
    let mut command = cargo::command(settings);
    command
        .args([
            "build",
            "--release",
            "--locked",
            "--package",
            "rocksdb",
            "--message-format=json-render-diagnostics",
        ])
        .arg("--target-dir")
        .arg(cache()?.join("native"))
        .stdout(Stdio::piped());
    let child = command
        .spawn()
        .map_err(|error| cannot_start(&command, &error))?;
    let output = child.wait_with_output().map_err(io)?;
    if !output.status.success() {
        return Err("RocksDB cannot be compiled; the compiler's words are above.".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = out_dir(&messages).ok_or("cargo does not say where it has built RocksDB.")?;
    // Copied under another name and then renamed: half an archive is never linked.
    let folder = archive.parent().unwrap_or(archive);
    let temporary = folder.join(format!("librocksdb.a.{}", std::process::id()));
    fs::create_dir_all(folder).map_err(io)?;
    fs::copy(Path::new(built).join("librocksdb.a"), &temporary).map_err(io)?;
    fs::rename(&temporary, archive).map_err(io)
}

/// Where cargo's messages say that librocksdb-sys was built.
fn out_dir(messages: &str) -> Option<&str> {
    let line = messages.lines().find(|line| {
        line.contains("\"reason\":\"build-script-executed\"") && line.contains("librocksdb-sys")
    })?;
    line.split_once("\"out_dir\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::{locked_version, out_dir};

    #[test]
    fn the_lock_file_names_one_version() {
        let version = locked_version().unwrap();
        assert!(
            version.split('.').count() == 3 && !version.contains('+'),
            "{version}"
        );
    }

    #[test]
    fn the_archive_is_where_cargo_says() {
        let messages = "{\"reason\":\"build-script-executed\",\"package_id\":\"r#libc@0.2\",\"out_dir\":\"/a\"}\n\
            {\"reason\":\"build-script-executed\",\"package_id\":\"r#librocksdb-sys@0.19\",\"out_dir\":\"/b/out\"}\n";
        assert_eq!(out_dir(messages), Some("/b/out"));
        assert_eq!(out_dir("{}"), None);
    }
}
