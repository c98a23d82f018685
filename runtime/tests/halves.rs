//! A real client before parties that the test plays: it adds what belongs together, and shows nothing that is no answer.
#![allow(clippy::unwrap_used)]

#[path = "../../convert/tests/folder/mod.rs"]
mod folder;
mod played;
mod roles;

use std::thread;

use bundle::Role;
use cli::exit::{GATE, REFUSED};
use model::Weight;
use mpc::mask_outputs;
use net::Link;
use played::{BOTH, DEADLINE, PARTIES, Stage, sample};
use ring64::Key;
use runtime::client::{Answer, Client};
use runtime::engine::Engine;
use runtime::exit::code_of;
use runtime::message::{Report, kind, send, send_bytes};
use runtime::party::output_shape;
use runtime::watched::Hope;

const AGREED: [u8; 32] = [9; 32];

/// What a played party answers.
#[derive(Clone)]
struct Said {
    attempt: u32,
    report: String,
    output: Vec<u8>,
}

/// Both parties' words for these logits.
fn said(stage: &Stage, logits: [f64; 2]) -> [Said; 2] {
    let spec = &stage.spec;
    let frac = spec.bias_frac(Weight::Classifier);
    let words = logits.map(|v| ring64::encode(v, frac).unwrap());
    let shares = [[7, 7], words.map(|w| w.wrapping_sub(7))];
    BOTH.map(|party| {
        let share = shares[party.index()].to_vec();
        let half = mask_outputs(party, Key::from_bytes([3; 32]), vec![(share, output_shape(spec, 2, frac))]);
        Said { attempt: 0, report: hex::encode(AGREED), output: [&AGREED[..], &half].concat() }
    })
}

/// What the client makes of it.
fn asked(stage: &Stage, said: [Said; 2]) -> anyhow::Result<Answer> {
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let hope = Hope::unto_the_deadline();
            let mut client = Client::connect(stage.client(), Engine::default(), &stage.start(), DEADLINE, &hope)?;
            client.classify(&[sample(3)], &mut || ())
        });
        let me = PARTIES.map(|role| stage.identity(role));
        let mut links = [0, 1].map(|i: usize| stage.answer(&me[i], i, Role::Client).link);
        for link in &mut links {
            link.expect(kind::REQUEST, 1, 0, 0, None).unwrap();
            send(link, kind::READY, 1, 0, &()).unwrap();
        }
        for (link, said) in links.iter_mut().zip(said) {
            link.expect(kind::INPUT, 1, 0, 0, None).unwrap();
            send(link, kind::REPORT, 1, said.attempt, &Report { agreement: said.report, ..Report::default() }).unwrap();
            send_bytes(link, kind::OUTPUT, 1, said.attempt, said.output).unwrap();
            link.flush().unwrap();
        }
        client.join().unwrap()
    })
}

#[test]
fn halves_of_one_agreement_are_an_answer_and_others_are_refused() {
    let stage = Stage::new();
    let right = said(&stage, [0.5, -0.25]);
    assert_eq!(asked(&stage, right.clone()).unwrap().logits, [[0.5, -0.25]]);
    type Change = fn(&mut Said);
    let other = |said: &mut Said| {
        said.report = hex::encode([8; 32]);
        said.output[..32].fill(8);
    };
    let changes: [(Change, &str); 6] = [
        (|said| said.attempt = 1, "such halves do not belong together"),
        (other, "another agreement than party0"),
        (|said| said.report = hex::encode([8; 32]), "another agreement than that of its half"),
        (|said| said.output[..32].fill(8), "another agreement than that of its half"),
        (|said| said.output.truncate(31), "without its agreement"),
        (|said| said.output.truncate(40), "malformed half"),
    ];
    for victim in [0, 1] {
        for (change, reason) in changes {
            let mut said = right.clone();
            change(&mut said[victim]);
            let error = asked(&stage, said).map(|answer| answer.logits).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
            if reason != "malformed half" {
                assert_eq!(code_of(&error), REFUSED, "{error:#}");
            }
        }
    }
}

/// The spec says how large logits become: what is beyond is no answer, and none is shown.
#[test]
fn logits_beyond_the_specs_bits_are_refused_with_a_code_and_a_cure() {
    let stage = Stage::new();
    let range = stage.spec.logits;
    let limit = f64::from(range.bits as i32 - 1 - range.frac).exp2();
    let unit = f64::from(-range.frac).exp2();
    let within = [limit - 2.0 * unit, -limit + 2.0 * unit];
    assert_eq!(asked(&stage, said(&stage, within)).unwrap().logits, [within]);
    // halves under two masks add up to a uniform word
    let mut uniform = said(&stage, [0.0, 0.0]);
    let length = uniform[1].output.len();
    uniform[1].output[32..length - 1].fill(0x5a);
    let beyond = [[limit + unit, 0.0], [0.0, -limit - unit], [0.0, 1000.0 * limit]];
    for said in beyond.map(|logits| said(&stage, logits)).into_iter().chain([uniform]) {
        let error = asked(&stage, said).map(|answer| answer.logits).unwrap_err();
        assert_eq!(code_of(&error), GATE, "{error:#}");
        let error = format!("{error:#}");
        assert!(error.contains("the answer is wrong and is not shown") && error.contains("--calibrate"), "{error}");
    }
}
