//! What the dealer and the parties refuse before anything is opened: demands that are burnt, requests that were served, and
//! roles that do not agree; and which keys follow from what.

use std::thread;

use crate::played::{BOTH, DEADLINE, PARTIES, Stage, ask, demand, key, sample, texts};
use bundle::Role;
use cli::exit::REFUSED;
use model::{InputKind, Network, Sample, token_class};
use mpc::Planned;
use mpc::masked::{PartyWeights, online, prepare};
use mpc::{
    Agreement, DealtReader, Outcome, OutputShape, OutputShare, Party, Run, Trace, expand_input, join_outputs,
    mask_outputs, share_input, unpack_input,
};
use net::{Link, memory_pair};
use ring64::{Kernel, Key};
use roles::handshake::{Identity, Peer, answer_all, take};
use roles::message::{DealRequest, PublicTexts, Report, Request, expect, kind, parse, send, send_bytes};
use roles::output::output_shapes;
use roles::{dealer, party};
use runtime::exit::code_of;

const ROOT: [u8; 32] = [17; 32];

/// Both parties, played by the test before a real dealer.
struct Asking<'s> {
    stage: &'s Stage,
    batch: Vec<Sample>,
    links: [Peer; 2],
    nonces: [[u8; 32]; 3],
}

impl Asking<'_> {
    fn agreement(&self, request: u64, attempt: u32) -> Agreement {
        self.stage.agreement(self.nonces, &self.batch, request, attempt)
    }

    fn demand(&self, request: u64, attempt: u32) -> DealRequest {
        demand(&self.agreement(request, attempt), &self.batch)
    }

    fn ask(&mut self, demands: [&DealRequest; 2], place: (u64, u32)) {
        for (i, (link, demand)) in self.links.iter_mut().zip(demands).enumerate() {
            ask(link, demand, place, secret(i, place));
        }
    }

    /// The keys that the dealer sends; reads what it deals, too.
    fn served(&mut self, (request, attempt): (u64, u32)) -> [Key; 2] {
        let keys = [0, 1].map(|i: usize| key(&self.links[i].expect(kind::KEY, request, attempt, 0, Some(32)).unwrap()));
        let dealt = self.stage.plan(&self.batch).cost().dealt_bytes;
        DealtReader::new(&mut self.links[1], request, attempt, dealt).hold().unwrap();
        keys
    }

    /// Asks as both parties should.
    fn serve(&mut self, place: (u64, u32)) -> [Key; 2] {
        let demand = self.demand(place.0, place.1);
        self.ask([&demand, &demand], place);
        self.served(place)
    }

    /// Nothing comes from the dealer any more, not even a key.
    fn nothing(&mut self) {
        for link in &mut self.links {
            assert!(link.recv().is_err(), "the dealer sends something to {}", link.peer());
        }
    }
}

/// What a played party draws for an attempt.
fn secret(party: usize, (request, attempt): (u64, u32)) -> [u8; 32] {
    let mut secret = [party as u8 + 1; 32];
    (secret[0], secret[1]) = (request as u8, attempt as u8);
    secret
}

/// A real dealer between played parties; how it ended.
fn dealing(play: impl FnOnce(&mut Asking<'_>)) -> anyhow::Error {
    let stage = Stage::new();
    thread::scope(|scope| {
        let dealer = scope.spawn(|| dealer::serve_under(key(&ROOT), stage.dealer(), &stage.start(), &stage.settings()));
        let me = PARTIES.map(|role| stage.identity(role));
        let [zero, one] = [0, 1].map(|i: usize| stage.answer(&me[i], i, Role::Dealer));
        let nonces = [me[0].nonce, me[1].nonce, zero.nonce];
        let links = [zero.link, one.link];
        let mut asking = Asking { stage: &stage, batch: vec![sample(3)], links, nonces };
        play(&mut asking);
        drop(asking);
        dealer.join().unwrap().unwrap_err()
    })
}

fn assert_refused(error: &anyhow::Error, reason: &str) {
    assert_eq!(code_of(error), REFUSED, "{error:#}");
    assert!(format!("{error:#}").contains(reason), "{error:#}");
}

/// Request and attempt.
type Demanded = (u64, u32);

#[test]
fn a_demand_is_dealt_once_and_an_older_one_never() {
    let burnt: [(&[Demanded], Demanded); 4] =
        [(&[(1, 0)], (1, 0)), (&[(1, 0), (1, 1)], (1, 0)), (&[(1, 0), (2, 0)], (1, 1)), (&[(3, 2)], (2, 7))];
    for (served, again) in burnt {
        let error = dealing(|asking| {
            for place in served {
                asking.serve(*place);
            }
            let demand = asking.demand(again.0, again.1);
            asking.ask([&demand, &demand], again);
            asking.nothing();
        });
        assert_refused(&error, "it is burnt");
    }
}

#[test]
fn the_dealer_sends_nothing_to_a_party_that_holds_something_else_to_be_agreed() {
    let others: [fn(&mut Agreement); 6] = [
        |other| other.nonces[0][5] ^= 1,
        |other| other.nonces[2][0] ^= 1,
        |other| other.session[0] ^= 1,
        |other| other.bundle[0] ^= 1,
        |other| other.attempt += 1,
        |other| other.request += 1,
    ];
    for (number, change) in others.into_iter().enumerate() {
        let victim = number % 2;
        let error = dealing(|asking| {
            asking.serve((1, 0));
            let mut other = asking.agreement(1, 1);
            change(&mut other);
            let mut demands = [asking.demand(1, 1), asking.demand(1, 1)];
            demands[victim].agreement = hex::encode(other.digest());
            asking.ask([&demands[0], &demands[1]], (1, 1));
            asking.nothing();
        });
        assert_refused(&error, &format!("{}: holds something else to be agreed", PARTIES[victim]));
    }
}

#[test]
fn the_dealer_compares_plans_by_themselves() {
    let error = dealing(|asking| {
        let mut demand = asking.demand(1, 0);
        demand.plan = hex::encode([3; 32]);
        asking.ask([&demand, &demand], (1, 0));
        asking.nothing();
    });
    assert_refused(&error, "another plan than this dealer's");
    let error = dealing(|asking| {
        let (demand, mut other) = (asking.demand(1, 0), asking.demand(1, 0));
        other.plan = hex::encode([3; 32]);
        asking.ask([&demand, &other], (1, 0));
        asking.nothing();
    });
    assert_refused(&error, "another plan than party0");
}

#[test]
fn keys_follow_from_the_root_the_partys_secret_and_the_whole_agreement() {
    let error = dealing(|asking| {
        let mut seen = Vec::new();
        for place in [(1, 0), (1, 1), (2, 0)] {
            let keys = asking.serve(place);
            let agreement = asking.agreement(place.0, place.1);
            for party in BOTH {
                let secret = key(&secret(party.index(), place));
                let expected = agreement.stream_key(&key(&ROOT), &secret, party);
                assert_eq!(keys[party.index()].as_bytes(), expected.as_bytes(), "{party} at {place:?}");
            }
            seen.extend(keys.map(|key| *key.as_bytes()));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 6, "a key returns");
    });
    // the parties hung up
    assert_ne!(code_of(&error), REFUSED, "{error:#}");
}

/// A party's report and output.
type Answered = (Report, Vec<u8>);

/// A dealer and a client, played by the test, with whichever parties are real.
struct Serving<'s> {
    stage: &'s Stage,
    dealer: [Peer; 2],
    client: [Peer; 2],
    nonces: [[u8; 32]; 3],
}

impl<'s> Serving<'s> {
    /// Real parties in threads of their own: how they ended.
    fn with_parties(stage: &'s Stage, play: impl FnOnce(&mut Serving<'_>)) -> [anyhow::Result<()>; 2] {
        thread::scope(|scope| {
            let real = |i: usize| {
                scope
                    .spawn(move || party::serve(&stage.listeners[i], stage.party(i), &stage.start(), &stage.settings()))
            };
            let parties = [real(0), real(1)];
            let [dealer, client] = [Role::Dealer, Role::Client].map(|role| stage.identity(role));
            let dealt = [0, 1].map(|i| stage.call(&dealer, i));
            let nonces = [dealt[0].nonce, dealt[1].nonce, dealer.nonce];
            let client = [0, 1].map(|i| stage.call(&client, i).link);
            let mut serving = Serving { stage, dealer: dealt.map(|known| known.link), client, nonces };
            play(&mut serving);
            drop(serving);
            parties.map(|party| party.join().unwrap())
        })
    }

    fn request(&mut self, batch: &[Sample], request: u64) {
        let lengths: Vec<usize> = batch.iter().map(|s| s.ids.len()).collect();
        for link in &mut self.client {
            send(link, kind::REQUEST, request, 0, &Request { texts: PublicTexts::exact(lengths.clone()) }).unwrap();
        }
    }

    /// What both parties ask of the dealer, and the secrets that they tell it.
    fn asked(&mut self, request: u64) -> [(DealRequest, [u8; 32]); 2] {
        [0, 1].map(|i: usize| {
            let link = &mut self.dealer[i];
            let demand: DealRequest = expect(link, kind::DEMAND, request, 0, "demand").unwrap();
            let secret = link.expect(kind::SECRET, request, 0, 0, Some(32)).unwrap();
            (demand, secret.try_into().unwrap())
        })
    }

    /// Serves a request to its end, and returns the parties' secrets and outputs.
    fn serve(&mut self, batch: &[Sample], request: u64) -> ([[u8; 32]; 2], [Answered; 2]) {
        self.request(batch, request);
        let asked = self.asked(request);
        let agreement = self.stage.agreement(self.nonces, batch, request, 0);
        for (demand, _) in &asked {
            assert_eq!(*demand, crate::played::demand(&agreement, batch));
        }
        let keys = || [[31; 32], [32; 32]].map(Key::from_bytes);
        for (link, key) in self.dealer.iter_mut().zip(keys()) {
            send_bytes(link, kind::KEY, request, 0, key.as_bytes().to_vec()).unwrap();
        }
        self.stage.deal(batch, keys(), &mut self.dealer[1], request);
        let answers = self.answers(batch, request, [true, true]).map(Option::unwrap);
        (asked.map(|(_, secret)| secret), answers)
    }

    /// Gives the input to those parties that are real, and returns what they answer.
    fn answers(&mut self, batch: &[Sample], request: u64, real: [bool; 2]) -> [Option<Answered>; 2] {
        let (seed, rest) = input(self.stage, batch);
        let inputs = [seed.as_bytes().to_vec(), rest];
        for ((link, input), _) in self.client.iter_mut().zip(inputs).zip(real).filter(|(_, real)| *real) {
            link.expect(kind::READY, request, 0, 0, None).unwrap();
            send_bytes(link, kind::INPUT, request, 0, input).unwrap();
        }
        [0, 1].map(|i: usize| {
            let link = &mut self.client[i];
            real[i].then(|| {
                let report =
                    parse("party", "report", &link.expect(kind::REPORT, request, 0, 0, None).unwrap()).unwrap();
                (report, link.expect(kind::OUTPUT, request, 0, 0, None).unwrap())
            })
        })
    }
}

/// The client's seed, and what P1 gets.
fn input(stage: &Stage, batch: &[Sample]) -> (Key, Vec<u8>) {
    let (seed, bundle) = (Key::from_bytes([41; 32]), stage.client());
    let (table, frac) = (bundle.table.unwrap(), stage.spec.input(InputKind::Embedded).frac);
    let rows = batch.iter().flat_map(|s| table.embed(&stage.spec.shape, &s.ids, &s.segments).unwrap());
    let values: Vec<u64> = rows.map(|v| ring64::encode(f64::from(v), frac).unwrap()).collect();
    let rest = share_input(&seed, &values, stage.spec.input_extra);
    (seed, rest)
}

#[test]
fn a_party_draws_a_fresh_secret_for_each_request_and_serves_none_twice() {
    for again in [2, 1] {
        let stage = Stage::new();
        let ends = Serving::with_parties(&stage, |serving| {
            let batch = [sample(4)];
            let (first, answers) = serving.serve(&batch, 1);
            let (second, _) = serving.serve(&batch, 2);
            let mut secrets = [first, second].concat();
            secrets.sort_unstable();
            secrets.dedup();
            assert_eq!(secrets.len(), 4, "a secret returns");
            // report and output name the agreement
            let digest = stage.agreement(serving.nonces, &batch, 1, 0).digest();
            for (report, output) in &answers {
                assert_eq!(report.agreement, hex::encode(digest));
                assert_eq!(output[..32], digest);
            }
            serving.request(&batch, again);
            for link in &mut serving.dealer {
                assert!(link.recv().is_err(), "{} asks for correlations of a request that was served", link.peer());
            }
        });
        for (role, end) in PARTIES.iter().zip(ends) {
            let error = end.unwrap_err();
            assert!(format!("{error:#}").contains("a request is served once"), "{role}: {error:#}");
            assert_eq!(code_of(&error), REFUSED, "{role}: {error:#}");
        }
    }
}

/// The test plays P1, the dealer and the client before a real P0. Its own half is masked under the root that P0 told it, and
/// both halves add up to the answer only where P0's half is too: P0 masks under what it told P1 and nobody else.
#[test]
fn p0_masks_its_half_under_the_root_that_it_tells_p1_alone() {
    let mut roots = Vec::new();
    for _ in 0..2 {
        let stage = Stage::new();
        let batch = [sample(5)];
        let ended = thread::scope(|scope| {
            let zero =
                scope.spawn(|| party::serve(&stage.listeners[0], stage.party(0), &stage.start(), &stage.settings()));
            let me = [Role::Party1, Role::Dealer, Role::Client].map(|role| stage.identity(role));
            let [mut peer, mut dealer, mut client] = me.each_ref().map(|me| stage.call(me, 0));
            let opening = peer.link.expect(kind::OUTPUT_ROOT, 0, 0, 0, Some(33)).unwrap();
            assert_eq!(opening[32], 0, "no packs are taken");
            let root: [u8; 32] = opening[..32].try_into().unwrap();
            let agreement = stage.agreement([peer.nonce, me[0].nonce, me[1].nonce], &batch, 1, 0);

            let lengths = vec![batch[0].ids.len()];
            send(&mut client.link, kind::REQUEST, 1, 0, &Request { texts: PublicTexts::exact(lengths) }).unwrap();
            let asked: DealRequest = expect(&mut dealer.link, kind::DEMAND, 1, 0, "demand").unwrap();
            assert_eq!(asked, demand(&agreement, &batch));
            let secret = dealer.link.expect(kind::SECRET, 1, 0, 0, Some(32)).unwrap();
            assert_ne!(secret, root, "the dealer must not have the root of the output's mask");
            send_bytes(&mut dealer.link, kind::KEY, 1, 0, vec![31; 32]).unwrap();
            let (seed, rest) = input(&stage, &batch);
            client.link.expect(kind::READY, 1, 0, 0, None).unwrap();
            send_bytes(&mut client.link, kind::INPUT, 1, 0, seed.as_bytes().to_vec()).unwrap();

            let (shares, frac) = as_p1(&stage, &batch, rest, &mut peer.link);
            let shapes = output_shapes(&stage.spec, &texts(&stage.spec, &batch), frac, true);
            let parts = shares.into_iter().zip(shapes.iter().copied()).collect();
            let own = mask_outputs(Party::One, agreement.output_key(&key(&root)), parts);
            client.link.expect(kind::REPORT, 1, 0, 0, None).unwrap();
            let output = client.link.expect(kind::OUTPUT, 1, 0, 0, None).unwrap();
            assert_answers(&stage, &batch, [&output[32..], &own], &shapes);
            roots.push(root);
            send(&mut client.link, kind::BYE, 0, 0, &()).unwrap();
            // nothing but a farewell goes to the dealer any more
            assert_eq!(dealer.link.recv().unwrap().header.kind, kind::BYE);
            zero.join().unwrap()
        });
        ended.unwrap();
    }
    assert_ne!(roots[0], roots[1], "a root serves one session");
}

/// P1's shares of the logits and of the certificate, from a run with P0 over this link.
fn as_p1(stage: &Stage, batch: &[Sample], rest: Vec<u8>, peer: &mut Peer) -> ([Vec<u64>; 2], i32) {
    let (bundle, spec, texts, kernel) = (stage.party(1), &stage.spec, texts(&stage.spec, batch), Kernel::detect());
    let calibrated = spec.calibrated(InputKind::Embedded);
    let weights = PartyWeights::expand(Party::One, calibrated.network.table(), bundle.weights, &bundle.seed, kernel);
    let (mut from, mut to) = memory_pair("dealer", "party1");
    stage.deal(batch, [[31; 32], [32; 32]].map(Key::from_bytes), &mut from, 1);
    let (count, batches) = (calibrated.input_count(&texts), [texts]);
    let run = Run { calibrated: &calibrated, batches: &batches, request: 1, attempt: 0, kernel };
    let reader = DealtReader::new(&mut to, 1, 0, stage.plan(batch).cost().dealt_bytes);
    let made = prepare(&run, &weights, Key::from_bytes([32; 32]), Some(reader), u64::MAX).unwrap();
    let mut inputs = [unpack_input(&rest, count, spec.input_extra).unwrap()];
    assert_eq!(expand_input(&Key::from_bytes([41; 32]), count, spec.input_extra).len(), count);
    match online(&run, &weights, made, &mut inputs, peer, &mut Trace::default()).unwrap() {
        Outcome::Outputs(outputs) => {
            let [OutputShare { results, frac, certificates }] = &outputs[..] else { panic!("one run") };
            ([results.clone(), certificates.clone()], *frac)
        }
        Outcome::Restart => panic!("a restart, by a chance of one in thousands"),
    }
}

fn assert_answers(stage: &Stage, batch: &[Sample], halves: [&[u8]; 2], shapes: &[OutputShape]) {
    let parts = join_outputs(halves, shapes).unwrap();
    let [logits, certificate] = &parts[..] else { panic!("logits and one certificate") };
    assert!(stage.spec.certificate(token_class(batch[0].ids.len()), certificate[0]).holds(), "{certificate:?}");
    let student = convert::Student::read(&stage.place.student()).unwrap();
    let expected = student.folded.logits(&texts(&stage.spec, batch), &batch[0].ids, &batch[0].segments).unwrap();
    for (private, float) in logits.iter().zip(&expected) {
        assert!((private - f64::from(*float)).abs() < 0.02, "private {private}, float {float}");
    }
}

/// Roles that were given to two sessions do not even shake hands; the names are compared before the agreement is.
#[test]
fn a_role_of_another_session_or_bundle_is_turned_away_by_the_dealer() {
    type Change = fn(&mut Identity);
    let changes: [(Change, &str); 4] = [
        (|me| me.session[15] ^= 1, "another session"),
        (|me| me.bundle[0] ^= 1, "another bundle"),
        (|me| me.spec[0] ^= 1, "another spec"),
        (|me| me.token = Some(Key::from_bytes([0; 32])), "this deployment's token"),
    ];
    for (change, reason) in changes {
        let stage = Stage::new();
        let error = thread::scope(|scope| {
            let dealer = scope.spawn(|| dealer::serve(stage.dealer(), &stage.start(), &stage.settings()));
            let mut me = stage.identity(Role::Party0);
            change(&mut me);
            let short = std::time::Duration::from_millis(500);
            let refused = answer_all(&me, &stage.listeners[0], &[Role::Dealer], short);
            assert!(refused.and_then(|mut known| take(&mut known, Role::Dealer)).is_err());
            dealer.join().unwrap().unwrap_err()
        });
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    assert!(DEADLINE.as_secs() > 1);
}
