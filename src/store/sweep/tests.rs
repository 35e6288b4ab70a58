use super::*;
use crate::{
    Batch, Pos, RoomNid, UserNid,
    tables::{Accounts, Raw, ReadUpTo},
    tests::{account, both_engines, raw},
};

#[tokio::test]
async fn damaged_rows_are_shown_beside_the_others() {
    for setup in both_engines() {
        let key = (RoomNid(1), UserNid(2));
        let mut batch = Batch::new();
        batch.put::<ReadUpTo>(&key, &Pos(5));
        // A value cut short, and a key.
        let cut = key_bytes::<ReadUpTo>(&(RoomNid(1), UserNid(3)));
        batch.put_bytes(ReadUpTo::FAMILY, &cut, b"\x80");
        batch.put_bytes(
            ReadUpTo::FAMILY,
            &cut[..7],
            &value_bytes::<ReadUpTo>(&Pos(1)),
        );
        setup.store.commit(batch).await.unwrap();
        let sweep = setup.store.sweep();
        let mut seen = Vec::new();
        sweep
            .rows::<ReadUpTo>(&Scan::prefix::<ReadUpTo>(&()), &mut |row| {
                seen.push(row.decode::<ReadUpTo>().ok());
                true
            })
            .unwrap();
        assert_eq!(seen, [None, Some((key, Pos(5))), None], "{}", setup.engine);
        assert_eq!(sweep.get::<ReadUpTo>(&key).unwrap(), Some(Pos(5)));
        let damaged = (RoomNid(1), UserNid(3));
        assert_eq!(
            sweep.multi_get::<ReadUpTo>(&[damaged, key]).unwrap(),
            [None, Some(Pos(5))]
        );
        // By its bytes even a row that does not decode can be removed.
        let mut batch = Batch::new();
        batch.delete_bytes(ReadUpTo::FAMILY, &cut);
        batch.delete_bytes(ReadUpTo::FAMILY, &cut[..7]);
        setup.store.commit(batch).await.unwrap();
        let rows = setup.store.scan::<ReadUpTo>(Scan::prefix::<ReadUpTo>(&()));
        assert_eq!(rows.await.unwrap(), [(key, Pos(5))]);
    }
}

#[tokio::test]
async fn a_sweep_stops_where_it_is_told() {
    for setup in both_engines() {
        for number in 0..10 {
            setup.store.commit(account(number, "x")).await.unwrap();
        }
        let mut seen = 0;
        let all = Scan::prefix::<Accounts>(&());
        let sweep = setup.store.sweep();
        let count = &mut |_: Row<'_>| {
            seen += 1;
            seen < 4
        };
        sweep.rows::<Accounts>(&all, count).unwrap();
        assert_eq!(seen, 4, "{}", setup.engine);
    }
}

#[test]
fn nothing_is_left_over() {
    assert!(key::<Accounts>(&[1, 0, 0, 0, 7]).is_ok());
    assert!(key::<Accounts>(&[1, 0, 0, 0, 7, 7]).is_err());
    assert!(value::<ReadUpTo>(&[0; 9]).is_err());
    let all: Raw = value::<Accounts>(b"whatever it is").unwrap();
    assert_eq!(all, raw("whatever it is"));
    assert_eq!(after(&[1, 255]), [2]);
}
