//! Measures a stock: `cargo run --release -p stock --features testing --example measure -- FOLDER [PACKS]`.
//!
//! FOLDER is on the disk to measure; it is made, and removed at the end. Packs are as P0's, of 32 bytes, and one large one.

#![allow(clippy::print_stdout, reason = "a program that measures says what it measured")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stock::{Binding, Boots, Class, Lineage, Party, Point, Reconciled, State, Stock, StockKey, Watch};

const CLASS: Class = Class { bundle: [1; 16], plan: [2; 32], rows: 64 };
const LARGE: usize = 256 << 20;

/// How long the ledger's fsyncs took.
#[derive(Default)]
struct Syncs {
    began: Option<Instant>,
    all: Duration,
    count: u32,
}

fn open(folder: &Path, syncs: &Arc<Mutex<Syncs>>) -> Stock {
    let syncs = syncs.clone();
    let watch: Watch = Arc::new(move |point| {
        let mut syncs = syncs.lock().unwrap();
        match point {
            Point::LedgerSync => syncs.began = Some(Instant::now()),
            Point::LedgerSynced => {
                let took = syncs.began.take().map_or(Duration::ZERO, |began| began.elapsed());
                syncs.all += took;
                syncs.count += 1;
            }
            _ => {}
        }
        Ok(())
    });
    Stock::open_watched(folder, StockKey::from_bytes([3; 32]), Party::P0, u64::MAX, watch).unwrap()
}

fn reconcile(stock: &Stock) -> Reconciled {
    let lineage = Lineage { party: Party::P1, boots: Boots::first(1), seen: None };
    stock.state(&lineage.greeting()).unwrap();
    stock.reconcile(&State { lineage, answers: stock.greeting().unwrap(), classes: Vec::new() }).unwrap()
}

fn write(stock: &Stock, serial: u64, length: usize) {
    let mut writer = stock.writer(&CLASS, serial).unwrap();
    let piece = vec![7; length.min(1 << 20)];
    (0..length / piece.len()).for_each(|_| writer.append(&piece).unwrap());
    writer.finish([0; 32]).unwrap();
}

/// What this process has in memory, in KiB, as Linux says it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")).collect::<Vec<_>>().join("  ")
}

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = PathBuf::from(words.next().unwrap_or_else(|| "measured-stock".to_owned()));
    let packs: u64 = words.next().map_or(10_000, |word| word.parse().unwrap());
    let syncs = Arc::new(Mutex::new(Syncs::default()));
    let stock = open(&folder, &syncs);
    reconcile(&stock);
    println!("{packs} packs of 32 bytes; at the beginning {}", resident());
    let began = Instant::now();
    for part in 0..packs.div_ceil(10_000) {
        let serials = stock.reserve(&CLASS, 10_000.min(packs - part * 10_000)).unwrap();
        serials.for_each(|serial| write(&stock, serial, 32));
    }
    println!("writing one: {:.2?}", began.elapsed() / u32::try_from(packs).unwrap());
    drop(stock);

    let began = Instant::now();
    let stock = open(&folder, &syncs);
    println!("opening: {:.1?}; open: {}", began.elapsed(), resident());
    let reconciled = reconcile(&stock);
    burn(&stock, &reconciled, &syncs, 300.min(packs / 2));
    tell_and_verify(&stock);
    large(&stock, &reconciled);
    let began = Instant::now();
    stock.drop_all().unwrap();
    println!("dropping all: {:.1?}", began.elapsed());
    drop(stock);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn burn(stock: &Stock, reconciled: &Reconciled, syncs: &Mutex<Syncs>, burns: u64) {
    let mut beside = Vec::new();
    *syncs.lock().unwrap() = Syncs::default();
    for request in 0..burns {
        let before = syncs.lock().unwrap().all;
        let began = Instant::now();
        let serial = stock.lowest(&CLASS).unwrap().unwrap();
        let mut pack =
            stock.burn(reconciled, &CLASS, serial, Binding { session: [4; 16], request, attempt: 0 }).unwrap();
        let took = began.elapsed();
        pack.read_exact(&mut [0; 32]).unwrap();
        beside.push(took.saturating_sub(syncs.lock().unwrap().all - before));
    }
    beside.sort_unstable();
    let at = |part: f64| beside[((beside.len() - 1) as f64 * part) as usize];
    let Syncs { all, count, .. } = *syncs.lock().unwrap();
    let (median, most, longest) = (at(0.5), at(0.99), at(1.0));
    println!("burning one, beside fsync: median {median:.2?}, 99 of 100 below {most:.2?}, longest {longest:.2?}");
    println!("fsyncs of a burn: {:.1}, each {:.2?}", f64::from(count) / burns as f64, all / count.max(1));
}

fn tell_and_verify(stock: &Stock) {
    let peer = Lineage { party: Party::P1, boots: Boots::first(1), seen: None };
    let began = Instant::now();
    let bytes = serde_json::to_string(&stock.state(&peer.greeting()).unwrap()).unwrap().len();
    println!("telling its state: {:.2?}, {bytes} bytes", began.elapsed());
    let began = Instant::now();
    let sound = stock.verify().unwrap().sound;
    println!("verifying {sound} packs: {:.1?}; {}", began.elapsed(), resident());
}

fn large(stock: &Stock, reconciled: &Reconciled) {
    let serial = stock.reserve(&CLASS, 1).unwrap().start;
    let began = Instant::now();
    write(stock, serial, LARGE);
    let wrote = began.elapsed();
    let mut pack =
        stock.burn(reconciled, &CLASS, serial, Binding { session: [4; 16], request: 0, attempt: 1 }).unwrap();
    let (began, mut piece, mut read) = (Instant::now(), vec![0; 1 << 20], 0);
    loop {
        match pack.read(&mut piece).unwrap() {
            0 => break,
            length => read += length,
        }
    }
    assert_eq!(read, LARGE);
    println!("a pack of {} MiB: written in {wrote:.2?}, read in {:.2?}; {}", LARGE >> 20, began.elapsed(), resident());
}
