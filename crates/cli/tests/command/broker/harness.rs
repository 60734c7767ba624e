//! Who asks in the tests beside this one finds what is wrong.

use std::time::Duration;

use super::real::Broker;
use super::real::asker::{Asker, Load, Outcome};
use super::real::responder::Responder;

/// 1,000 requests, 50 at once, answered by `answer`.
fn asked(broker: &Broker, answer: impl FnMut(&str) -> Vec<String> + Send + 'static) -> Outcome {
    let _responder = Responder::start(&broker.address(), "upper", answer);
    let load = Load::Closed { depth: 50, requests: 1000 };
    Asker::start(&broker.address(), "upper", 64, load, Duration::from_millis(300)).unwrap().join()
}

#[test]
fn what_is_lost_doubled_wrong_or_answered_by_nobody_is_told() {
    let Some(mut broker) = Broker::start("") else {
        return;
    };
    asked(&broker, |text| vec![text.to_uppercase()]).assert_whole();

    let number = |text: &str| text[1..13].parse::<u64>().unwrap();
    let every = move |text: &str, n: u64| number(text) % n == n - 1;
    let lossy = asked(&broker, move |text| if every(text, 100) { vec![] } else { vec![text.to_uppercase()] });
    assert_eq!((lossy.asked, lossy.lost(), lossy.doubled, lossy.wrong), (1000, 10, 0, 0));
    let twice = asked(&broker, move |text| vec![text.to_uppercase(); if every(text, 200) { 2 } else { 1 }]);
    assert_eq!((twice.lost(), twice.doubled, twice.wrong), (0, 5, 0));
    let mut last = String::new();
    let late = asked(&broker, move |text| {
        let before = std::mem::replace(&mut last, text.to_uppercase());
        vec![if every(text, 250) { before } else { last.clone() }]
    });
    assert_eq!((late.lost(), late.doubled, late.wrong), (4, 0, 4));

    let load = Load::Closed { depth: 10, requests: 100 };
    let alone = Asker::start(&broker.address(), "nobody", 64, load, Duration::from_secs(10)).unwrap().join();
    assert_eq!((alone.nobody, alone.answered, alone.lost()), (100, 0, 0));

    let load = Load::Open { rate: 1000 };
    let responder = Responder::start(&broker.address(), "upper", |text| vec![text.to_uppercase()]);
    let asker = Asker::start(&broker.address(), "upper", 64, load, Duration::from_millis(300)).unwrap();
    asker.wait_for(100);
    broker.stop();
    let broken = asker.stop().broken;
    assert!(broken.is_some(), "the broker is gone");
    drop(responder);
    broker.restart();
    asked(&broker, |text| vec![text.to_uppercase()]).assert_whole();
}

#[test]
fn two_brokers_of_a_cluster_are_one() {
    let Some([near, far]) = Broker::pair("") else {
        return;
    };
    let _responder = Responder::start(&far.address(), "upper", |text| vec![text.to_uppercase()]);
    near.log.wait_for("Server is ready");
    let load = Load::Closed { depth: 50, requests: 1000 };
    let mut outcome = Outcome::default();
    // The subscription reaches the other one in a moment.
    for _ in 0..1000 {
        let asker = Asker::start(&near.address(), "upper", 64, load, Duration::from_secs(10)).unwrap();
        outcome = asker.join();
        if outcome.nobody == 0 {
            break;
        }
    }
    outcome.assert_whole();
    far.lame_duck();
    far.log.wait_for("Entering lame duck mode");
}
