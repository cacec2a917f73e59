//! Damaged copies of sound models: whatever is wrong with them, the answer is a result or an error, soon,
//! and never a panic.
//!
//! What is done to models and with them is shared with the fuzzer (`fuzz/`). Longer runs without it:
//! `PROPTEST_CASES=100000 PROPTEST_RNG_SEED=1 cargo test --test mutations`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fuzz::mutation::{At, EXTREMES, KINDS, Mutation};
use fuzz::sources::SOURCES;
use fuzz::targets::{CHOICES, Case, TARGETS};
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed};

fn place() -> impl Strategy<Value = At> {
    any::<u32>().prop_map(At)
}

fn extreme() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&EXTREMES[..])
}

/// Damage to the file; most of it is noticed when the file is read.
fn damage() -> impl Strategy<Value = Mutation> {
    let at = place;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(a, b)| Mutation::Byte(a, b)),
        (at(), 1usize..400).prop_map(|(a, n)| Mutation::Delete(a, n)),
        (at(), 1usize..400).prop_map(|(a, n)| Mutation::Repeat(a, n)),
        (at(), any::<u8>()).prop_map(|(a, b)| Mutation::Weight(a, b)),
        (at(), extreme()).prop_map(|(a, n)| Mutation::Number(a, n)),
        (at(), at()).prop_map(|(a, b)| Mutation::Attribute(a, b)),
        at().prop_map(Mutation::LayerLess),
        at().prop_map(Mutation::EdgeLess),
        (at(), at()).prop_map(|(a, b)| Mutation::EdgeTo(a, b)),
    ]
}

/// Changes after which most files can be read, but what they say makes no sense.
fn nonsense() -> impl Strategy<Value = Mutation> {
    let at = place;
    prop_oneof![
        3 => (at(), -4i64..9).prop_map(|(a, n)| Mutation::Integer(a, n)),
        1 => (at(), prop::sample::select(&[i64::MIN, i64::MAX, 1 << 40][..]))
            .prop_map(|(a, n)| Mutation::Integer(a, n)),
        3 => (at(), extreme()).prop_map(|(a, n)| Mutation::Dim(a, n)),
        2 => at().prop_map(Mutation::DimMore),
        2 => at().prop_map(Mutation::DimLess),
        3 => (at(), prop::sample::select(&KINDS[..])).prop_map(|(a, kind)| Mutation::Kind(a, kind)),
        2 => (at(), extreme()).prop_map(|(a, n)| Mutation::Option(a, n)),
        2 => (at(), at()).prop_map(|(a, b)| Mutation::EdgeFrom(a, b)),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    };
    // The same cases in every run, unless asked for others: a change is to blame for its own failures only.
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(20_260_401);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

fn case(
    mutations: impl Strategy<Value = Mutation>,
    layer: impl Strategy<Value = Option<At>>,
) -> impl Strategy<Value = Case> {
    let fixture = 0..u8::try_from(SOURCES.len()).unwrap();
    let fields = (fixture, 0..CHOICES, layer, prop::collection::vec(mutations, 1..5));
    fields.prop_map(|(fixture, choice, layer, mutations)| Case { fixture, choice, layer, mutations })
}

fn time(run: impl FnOnce()) -> Duration {
    let started = Instant::now();
    run();
    started.elapsed()
}

proptest! {
    #![proptest_config(config(500))]
    #[test]
    fn damaged_files_never_panic(case in case(damage(), Just(None))) {
        let time = time(|| case.run());
        prop_assert!(time < Duration::from_secs(10), "it took {:?}", time);
    }
}

proptest! {
    #![proptest_config(config(2000))]
    #[test]
    fn models_that_make_no_sense_never_panic(case in case(nonsense(), prop::option::weighted(0.3, place()))) {
        let time = time(|| case.run());
        prop_assert!(time < Duration::from_secs(10), "it took {:?}", time);
    }
}

/// Bytes that mean something to the readers.
const TOKENS: [&str; 16] = [
    "<",
    ">",
    "/>",
    "\"",
    "</",
    "<!--",
    "-->",
    "&amp;",
    "\r\n",
    "\0",
    "-1",
    "?x?",
    "masked_1",
    "scale_1",
    "N,C,H,W",
    "18446744073709551616",
];

/// Changes bytes as fuzzers do: overwrites, deletes, repeats, puts tokens in, crosses with another input.
fn damaged(input: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(1..64)).min(bytes.len());
        match random.u8(0..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
            3 => bytes.splice(at..end, other.iter().skip(at).take(64).copied()).for_each(drop),
            _ => bytes.splice(at..at, TOKENS[random.usize(..TOKENS.len())].bytes()).for_each(drop),
        }
    }
    bytes
}

/// The fuzzer's targets, on what it begins with and on a little of what it would try, the same in every run.
#[test]
fn targets_of_the_fuzzer() {
    for (name, target, inputs) in TARGETS {
        let inputs = inputs();
        let mut random = fastrand::Rng::with_seed(20_260_401);
        let tried = (0..150).map(|_| {
            let [(of, input), (_, other)] = [(); 2].map(|()| &inputs[random.usize(..inputs.len())]);
            (format!("damaged {of}"), damaged(input, other, &mut random))
        });
        let tried: Vec<_> = tried.collect();
        for (input, bytes) in inputs.iter().chain(&tried) {
            let ended = catch_unwind(AssertUnwindSafe(|| time(|| target(bytes))));
            let shown = || format!("{name}, {input}: {}", bytes.escape_ascii());
            let time = ended.unwrap_or_else(|_| panic!("{}", shown()));
            assert!(time < Duration::from_secs(10), "it took {time:?}: {}", shown());
        }
    }
}
