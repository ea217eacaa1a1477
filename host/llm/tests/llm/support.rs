//! What the other files share.

use std::sync::Arc;

use floe_llm::{Answer, Error, Model, Piece, Pieces, Request, Scripted};

pub(crate) fn scripted(script: &str) -> Arc<Scripted> {
    Arc::new(Scripted::parse("script", script).unwrap())
}

pub(crate) fn question() -> Request {
    Request::of_user("What is it?")
}

/// Asks for pieces; gives them and the result.
pub(crate) async fn listen(model: &dyn Model) -> (Result<Answer, Error>, Vec<Piece>) {
    let (pieces, mut rx) = Pieces::channel(1);
    let asking = async {
        let request = Request { pieces: Some(pieces), ..question() };
        model.complete(&request).await
    };
    let reading = async {
        let mut all = Vec::new();
        while let Some(piece) = rx.recv().await {
            all.push(piece);
        }
        all
    };
    tokio::join!(asking, reading)
}

/// What a reader has in the end.
pub(crate) fn heard(pieces: &[Piece]) -> String {
    pieces.iter().fold(String::new(), |so_far, piece| match piece {
        Piece::Text(text) => so_far + text,
        Piece::Restarted => String::new(),
    })
}
