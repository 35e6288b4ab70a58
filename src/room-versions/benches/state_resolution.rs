//! What it costs when branches meet. Beside it, ruma's function on whole states and chains, which decides the same
//! (`tests/state_resolution.rs`).

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ruma::RoomVersionId;

#[path = "../tests/generated/mod.rs"]
mod generated;

use generated::{Act, Branch, Room, user};

/// Members of the rooms.
const MEMBERS: [usize; 3] = [100, 1_000, 10_000];
/// Things tried on each branch where much is disputed: kicks, bans, joins, power, topics.
const ACTS: usize = 50;

/// Makes two branches.
type Dispute = fn(&mut Room, &Branch) -> [Branch; 2];

/// Two branches that set the topic.
fn topics(room: &mut Room, trunk: &Branch) -> [Branch; 2] {
    let mut branches = [trunk.clone(), trunk.clone()];
    for (index, branch) in branches.iter_mut().enumerate() {
        let act = Act {
            actor: index + 1,
            kind: 0,
            target: 0,
            late_ms: 0,
        };
        assert!(room.act(branch, act), "everybody may set the topic");
    }
    branches
}

/// Two branches on which the mighty quarrel.
fn quarrel(room: &mut Room, trunk: &Branch) -> [Branch; 2] {
    let mut branches = [trunk.clone(), trunk.clone()];
    let mut random = 1_u64;
    for number in 0..2 * ACTS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let bits = usize::try_from(random >> 33).unwrap_or(0);
        let act = Act {
            actor: bits % 3,
            kind: bits / 3,
            target: bits / 27 % 10,
            late_ms: 0,
        };
        // What the rules forbid does not happen.
        room.act(&mut branches[number % 2], act);
    }
    branches
}

fn resolution(criterion: &mut Criterion) {
    let disputes: [(&str, Dispute); 2] = [("two topics", topics), ("a quarrel", quarrel)];
    for (name, dispute) in disputes {
        let mut group = criterion.benchmark_group(format!("resolve {name}"));
        group.sample_size(20);
        for members in MEMBERS {
            let (mut room, trunk) = Room::new(&RoomVersionId::V11, members);
            let branches = dispute(&mut room, &trunk);
            let meeting = room.meet(&branches.each_ref());
            let resolved = meeting.resolve().expect("a resolution");
            assert_eq!(resolved, meeting.unreduced());
            let mut joined = trunk;
            joined.become_of(resolved);
            assert!(joined.get("m.room.member", &user(0)).is_some());
            group.bench_function(BenchmarkId::new("reduced", members), |bencher| {
                bencher.iter(|| black_box(&meeting).resolve_differing());
            });
            group.bench_function(BenchmarkId::new("whole", members), |bencher| {
                bencher.iter(|| black_box(&meeting).unreduced());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, resolution);
criterion_main!(benches);
