//! A real client before parties that the test plays: it adds what belongs together, and shows nothing that is no answer.

use std::thread;

use crate::played::{BOTH, DEADLINE, PARTIES, Stage, sample};
use bundle::Role;
use cli::exit::{GATE, REFUSED};
use model::{CERTIFICATE_FRAC, Lengths, Texts, token_class};
use mpc::beaver::Options;
use mpc::mask_outputs;
use net::Link;
use ring64::Key;
use roles::client::{Answer, Client};
use roles::engine::EngineKind;
use roles::liveness::Liveness;
use roles::message::{Report, kind, send, send_bytes};
use roles::output::output_shapes;
use runtime::exit::code_of;

const AGREED: [u8; 32] = [9; 32];

/// What a played party answers.
#[derive(Clone)]
struct Said {
    attempt: u32,
    report: String,
    output: Vec<u8>,
}

/// Both parties' words for these logits, with a certificate of nothing missing.
fn said(stage: &Stage, logits: [f64; 2]) -> [Said; 2] {
    said_by(EngineKind::default(), stage, logits, 0.0)
}

/// Both parties' words for these logits and this certificate, where the engine has one.
fn said_by(engine: EngineKind, stage: &Stage, logits: [f64; 2], certificate: f64) -> [Said; 2] {
    let spec = &stage.spec;
    let frac = engine.logits_frac(spec);
    let words = logits.map(|v| ring64::encode(v, frac).unwrap());
    let total = ring64::encode(certificate, CERTIFICATE_FRAC).unwrap();
    let shares = [([7, 7], [5]), (words.map(|w| w.wrapping_sub(7)), [total.wrapping_sub(5)])];
    let texts = Texts::new(&[sample(3).ids.len()], &spec.shape).unwrap();
    BOTH.map(|party| {
        let (logits, certificate) = shares[party.index()];
        let shapes = output_shapes(spec, &texts, frac, engine.certifies());
        let parts = [logits.to_vec(), certificate.to_vec()].into_iter().zip(shapes).collect();
        let half = mask_outputs(party, Key::from_bytes([3; 32]), parts);
        Said { attempt: 0, report: hex::encode(AGREED), output: [&AGREED[..], &half].concat() }
    })
}

/// What the client makes of it.
fn asked(stage: &Stage, said: [Said; 2]) -> anyhow::Result<Answer> {
    asked_by(EngineKind::default(), stage, said)
}

fn asked_by(engine: EngineKind, stage: &Stage, said: [Said; 2]) -> anyhow::Result<Answer> {
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut client = Client::connect(
                stage.client(),
                (engine, Lengths::Exact),
                &stage.start(),
                DEADLINE,
                &Liveness::unknown(),
            )?;
            client.classify(&[sample(3)], &mut || ())
        });
        let me = PARTIES.map(|role| stage.identity(role));
        let mut links = [0, 1].map(|i: usize| stage.answer(&me[i], i, Role::Client).link);
        for link in &mut links {
            link.expect(kind::REQUEST, 1, 0, 0, None).unwrap();
            send(link, kind::READY, 1, 0, &()).unwrap();
        }
        for link in &mut links {
            link.expect(kind::INPUT, 1, 0, 0, None).unwrap();
        }
        for (link, said) in links.iter_mut().zip(said) {
            let report = Report { agreement: said.report, ..Report::default() };
            // a client that refuses the first half is gone before the second one comes
            let _ = send(link, kind::REPORT, 1, said.attempt, &report)
                .and_then(|()| send_bytes(link, kind::OUTPUT, 1, said.attempt, said.output))
                .and_then(|()| Ok(link.flush()?));
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

/// The spec says how large logits become: what is beyond is no answer. Where there are certificates, the text has none.
#[test]
fn logits_beyond_the_specs_bits_are_no_answer() {
    let stage = Stage::new();
    let range = stage.spec.logits;
    let limit = f64::from(range.bits as i32 - 1 - range.frac).exp2();
    let unit = f64::from(-range.frac).exp2();
    let within = [limit - 2.0 * unit, -limit + 2.0 * unit];
    let certified = |said| asked(&stage, said).unwrap().certified(&stage.spec, 0);
    assert_eq!(asked(&stage, said(&stage, within)).unwrap().logits, [within]);
    assert_eq!(certified(said(&stage, within)), Some(true));
    // halves under two masks add up to uniform words
    let mut uniform = said(&stage, [0.0, 0.0]);
    let length = uniform[1].output.len();
    uniform[1].output[32..length - 1].fill(0x5a);
    let beyond = [[limit + unit, 0.0], [0.0, -limit - unit], [0.0, 1000.0 * limit]];
    for said in beyond.map(|logits| said(&stage, logits)).into_iter().chain([uniform]) {
        assert_eq!(certified(said), Some(false));
    }
    let published = EngineKind::Beaver(Options::of(model::Functions::SecFormer));
    let answer = asked_by(published, &stage, said_by(published, &stage, within, 0.0)).unwrap();
    assert_eq!(answer.certified(&stage.spec, 0), None);
    for logits in beyond {
        let error = asked_by(published, &stage, said_by(published, &stage, logits, 0.0)).unwrap_err();
        assert_eq!(code_of(&error), GATE, "{error:#}");
        let error = format!("{error:#}");
        assert!(error.contains("the answer is wrong and is not shown") && error.contains("--calibrate"), "{error}");
    }
}

/// A certificate is a sum of squares: within its bound it is that of a right answer, beyond it or below zero of none.
#[test]
fn an_answer_is_certified_by_what_is_missing_to_its_promises() {
    let stage = Stage::new();
    let limit = stage.spec.certificate_limit(token_class(sample(3).ids.len()));
    let certified = |total: f64| {
        let answer = asked(&stage, said_by(EngineKind::default(), &stage, [0.5, -0.25], total)).unwrap();
        answer.certified(&stage.spec, 0)
    };
    assert_eq!([0.0, limit / 4.0, limit].map(certified), [Some(true); 3]);
    assert_eq!([1.5 * limit, 1e3, -limit, -1e6].map(certified), [Some(false); 4]);
}
