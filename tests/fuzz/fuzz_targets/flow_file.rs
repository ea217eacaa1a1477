//! A flow file and a file of tenants are read, or refused with places that exist.

#![no_main]

use std::path::PathBuf;

use floe::file::{Flow, Problems, TenantsFile, Texts};
use libfuzzer_sys::fuzz_target;

fn check(problems: &Problems) {
    assert!(!problems.is_empty(), "it is refused without a word");
    for problem in &problems.list {
        let places = problem.at.into_iter().chain(problem.beside.map(|(span, _)| span));
        places.for_each(|span| assert!(problems.texts.text.get(span.start..span.end).is_some(), "{span:?}"));
    }
    assert!(!problems.to_string().is_empty());
}

fuzz_target!(|text: &str| {
    let texts = Texts { path: "file.yaml".to_owned(), text: text.into(), sets: Vec::new() };
    match Flow::parse(texts.clone(), PathBuf::from(".")) {
        Ok(flow) => flow.outline().map_or_else(|problems| check(&problems), drop),
        Err(problems) => check(&problems),
    }
    match TenantsFile::parse(texts) {
        Ok(file) => drop((file.ceilings(), file.quotas())),
        Err(problems) => check(&problems),
    }
});
