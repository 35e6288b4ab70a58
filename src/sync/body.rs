//! The body of an answer, whole or bit by bit.

use bytes::Bytes;
use futures_util::{Stream, stream};

use crate::{
    SyncError,
    answer::{Answer, First},
};

/// The body of an answer.
pub struct Body {
    first: Bytes,
    /// What does not fit into the first chunk: it is read and written while the first is on its way.
    rest: Option<Box<Answer>>,
}

impl Body {
    pub(crate) fn new(first: First, answer: Answer) -> Self {
        let rest = (!first.is_all).then(|| Box::new(answer));
        Self {
            first: first.bytes.into(),
            rest,
        }
    }

    /// The whole body, if it is there already.
    pub fn whole(self) -> Result<Bytes, Self> {
        if self.rest.is_none() {
            Ok(self.first)
        } else {
            Err(self)
        }
    }

    /// The body, read from the store as it is taken. After an error nothing follows, and what came before is no JSON.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, SyncError>> + Send {
        enum Step {
            First(Bytes, Option<Box<Answer>>),
            Next(Box<Answer>),
            End,
        }
        stream::unfold(Step::First(self.first, self.rest), |step| async move {
            let (chunk, rest) = match step {
                Step::First(first, rest) => (Ok(first), rest),
                Step::Next(answer) => match answer.next().await {
                    Ok((bytes, rest)) => (Ok(bytes), rest.map(Box::new)),
                    Err(error) => (Err(error), None),
                },
                Step::End => return None,
            };
            Some((chunk, rest.map_or(Step::End, Step::Next)))
        })
    }
}
