//! The inner loops: names, digests, shards. Run with `cargo bench`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fogold::monitor::Silent;
use fogold::repository::name::NameBuffer;
use fogold::repository::{Access, Claim, Layout, Parsed, Prover, RepositoryName, Tree, TreePath};
use fogold::sysconf::HostTable;

const NAME: &str =
    "0123456789abcdef0123456789abcdef01234567.0123456789abcdef0123456789abcdef.10240";

fn names(criterion: &mut Criterion) {
    criterion.bench_function("parse a name", |bencher| {
        bencher.iter(|| Parsed::of(black_box(NAME.as_bytes())));
    });
    let name: RepositoryName = NAME.parse().expect("a name");
    criterion.bench_function("write a name", |bencher| {
        let mut buffer = NameBuffer::default();
        bencher.iter(|| black_box(&name).write_to(&mut buffer).len());
    });
}

/// Opens, reads and hashes 200 files of 10 KiB.
fn prove(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let layout = Layout {
        depth: 2,
        hosts: HostTable::default(),
    };
    let tree = Tree::open(directory.path(), layout, Access::default()).expect("a tree");
    let name: RepositoryName = NAME.parse().expect("a name");
    let claims: Vec<Claim> = (0..200u32)
        .map(|number| {
            let file = format!("file-{number}");
            let contents = vec![number as u8; 10_240];
            std::fs::write(directory.path().join(&file), &contents).expect("a file");
            Claim {
                path: TreePath(file.into_bytes()),
                name,
                size: name.size,
            }
        })
        .collect();
    let mut group = criterion.benchmark_group("prove");
    group.throughput(Throughput::Bytes(200 * 10_240));
    group.bench_function("200 files of 10 KiB", |bencher| {
        bencher.iter_batched(
            || Prover::new(false),
            |mut prover| tree.prove(&claims, &mut prover, &Silent).len(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(kernels, names, prove);
criterion_main!(kernels);
