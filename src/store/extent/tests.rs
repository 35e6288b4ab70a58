use host::Host;

use crate::{
    Batch, Extent, Raw, Store, StoreOptions,
    tables::{Accounts, Family, RegistrationTokens, Table},
};

const ROWS: usize = 500;
const BYTES: usize = 1_000;

/// Five hundred rows that do not compress, under `a`, and one under `b`.
async fn fill(store: &Store, host: &Host) {
    let mut batch = Batch::new();
    for n in 0..ROWS {
        let text = host.random_string(BYTES);
        batch.put::<RegistrationTokens>(&format!("a{n:03}"), &Raw(text.into()));
    }
    batch.put::<RegistrationTokens>(&"b".to_owned(), &Raw("{}".into()));
    store.commit(batch).await.unwrap();
}

async fn check(store: &Store, host: &Host) {
    fill(store, host).await;
    let whole = Extent::table(RegistrationTokens::FAMILY, RegistrationTokens::PREFIX);
    let empty = Extent::table(Accounts::FAMILY, Accounts::PREFIX);
    let part = |text: &str| Extent {
        family: Family::Users,
        from: [&[RegistrationTokens::PREFIX], text.as_bytes()].concat(),
        to: [&[RegistrationTokens::PREFIX], text.as_bytes(), &[255]].concat(),
    };
    let sizes = store
        .approximate_bytes(vec![whole, empty, part("a"), part("b")])
        .await
        .unwrap();
    let all = (ROWS * BYTES) as u64;
    let about = |size: u64| size > all / 2 && size < all * 2;
    assert!(about(sizes[0]) && about(sizes[2]), "{sizes:?}");
    assert!(sizes[1] < all / 20 && sizes[3] < all / 20, "{sizes:?}");
}

#[tokio::test]
async fn in_memory_it_is_counted() {
    let host = Host::system();
    let store = Store::open_memory(host.clone());
    check(&store, &host).await;
}

#[tokio::test]
async fn on_the_disk_what_was_just_written_counts() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::system();
    let options = StoreOptions::new(directory.path());
    let store = Store::open(&options, host.clone()).unwrap();
    check(&store, &host).await;
    store.close().await;
}
