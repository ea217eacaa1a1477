//! Pieces and their reader.

use floe_llm::{Error, Model, Piece, Pieces, Request};

use crate::support::{question, scripted};

#[tokio::test]
async fn a_reader_that_has_gone_cancels_the_call() {
    let model = scripted(r#"{"pieces": ["a", "b"]}"#);
    let (pieces, rx) = Pieces::channel(1);
    drop(rx);
    let error = model.complete(&Request { pieces: Some(pieces), ..question() }).await.unwrap_err();
    assert_eq!(error, Error::Cancelled { model: "script".to_owned() });
}

#[tokio::test]
async fn a_reader_hears_of_a_new_beginning_once_and_only_if_there_was_an_old_one() {
    let (pieces, mut rx) = Pieces::channel(8);
    pieces.restart("m").await.unwrap();
    pieces.text("m", "a").await.unwrap();
    pieces.restart("m").await.unwrap();
    pieces.restart("m").await.unwrap();
    pieces.text("m", "").await.unwrap();
    pieces.restart("m").await.unwrap();
    drop(pieces);
    let mut all = Vec::new();
    while let Some(piece) = rx.recv().await {
        all.push(piece);
    }
    assert_eq!(all, [Piece::Text("a".to_owned()), Piece::Restarted]);
}
