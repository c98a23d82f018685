//! Roles that join a session late.

use std::time::Duration;

use bundle::{Embedding, Role};
use trials::asking::{Asker, samples};
use trials::deployment::{Deployment, Plan};
use trials::proxy::Proxy;

use crate::folder::{Place, examples};
use crate::sessions::{PATIENCE, convert, program};

#[test]
fn a_client_that_asks_before_the_dealer_is_there_is_answered() {
    let place = Place::new();
    convert(&place.student(), Embedding::Client, &place.bundle());
    let plan = Plan::loopback(1).unwrap();
    let one = plan.listen[1];
    let far = Proxy::begin(one).unwrap();
    let mut deployment = Deployment::lay_out(place.root.path(), program(), &place.bundle(), plan).unwrap();
    // the dealer alone is far away from P1: the client has asked long before it comes
    let config = deployment.config("dealer");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&one.to_string(), &far.address().to_string())).unwrap();
    deployment.start_all().unwrap();
    deployment.ready(PATIENCE).unwrap();
    far.delay(Duration::from_millis(500));
    let texts: Vec<String> = examples(1).into_iter().map(|example| example.text).collect();
    let batch = samples(&deployment.folder("client0").join("bundle"), &texts).unwrap();
    let mut client = Asker::new(&deployment, 0, PATIENCE).unwrap().open().unwrap();
    let answer = client.classify(&batch, &mut || ()).unwrap();
    assert_eq!(answer.logits.len(), 1);
    client.bye().unwrap();
    assert!(deployment.fallen().is_empty());
    deployment.kill(Role::Dealer).unwrap();
}
