//! One `/sync` request: answered at once if there is something to tell, else when there is, or when time is up.

use std::{pin::pin, sync::Arc, time::Duration};

use ruma::{OwnedDeviceId, OwnedUserId, presence::PresenceState};
use store::{Pos, UserNid};
use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use crate::{Body, Engine, Filter, SyncError, answer::Answer};

/// What a client asks.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// Who asks.
    pub user: UserNid,
    /// Their id.
    pub user_id: OwnedUserId,
    /// Their device.
    pub device_id: OwnedDeviceId,
    /// Where the last answer ended; `None` for a first sync.
    pub since: Option<Pos>,
    /// The client comes with a token of another database, which is taken for none: what it knows of devices may be wrong.
    pub starts_over: bool,
    /// How far the device has its messages: [`Engine::since_inbox`], else as `since`.
    pub inbox: Pos,
    /// What is wanted.
    pub filter: Arc<Filter>,
    /// The whole state of every joined room, changed or not.
    pub full_state: bool,
    /// State comes as of the end of the timeline, in `state_after`.
    pub use_state_after: bool,
    /// How long to wait for news.
    pub timeout: Duration,
    /// How the user is, says the client.
    pub set_presence: PresenceState,
}

impl Engine {
    /// Answers a request.
    pub async fn sync(&self, mut request: SyncRequest) -> Result<Body, SyncError> {
        let timeout = request.timeout.min(self.0.options.max_timeout);
        let immediate = request.since.is_none() || request.full_state || timeout.is_zero();
        let deadline = Instant::now() + timeout;
        self.0
            .presence
            .seen(request.user, &request.user_id, request.set_presence.clone())
            .await?;
        loop {
            let held = self.session(request.user).await?;
            // Made before anything is read: whatever comes from here on wakes it.
            let mut news = pin!(held.news());
            news.as_mut().enable();
            // News reach the session a moment before they may be told.
            let latest = held.lock().latest;
            self.store().reached(latest).await;
            let upto = self.store().visible();
            // A token from the future is none of ours, or one from before a crash that lost nothing we told.
            request.since = request.since.map(|since| since.min(upto));
            request.inbox = request.inbox.min(upto);

            let composing = async {
                let mut answer = Answer::begin(self, &held, &request, upto).await?;
                let first = answer.first().await?;
                Ok::<_, SyncError>((answer, first))
            };
            let span = debug_span!(target: traces::TARGET, "compose");
            let (answer, first) = composing.instrument(span).await?;
            // A store that is closed publishes nothing more.
            let stopping = self.0.shutdown.is_started() || upto < latest;
            if !first.is_empty || immediate || stopping || Instant::now() >= deadline {
                return Ok(Body::new(first, answer));
            }
            drop(answer);
            // Nothing up to here is of interest: the next round need not look at it again.
            request.since = Some(upto);
            if held.lock().latest > upto {
                continue;
            }
            self.wait(news, deadline).await;
        }
    }
}
