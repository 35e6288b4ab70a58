use crate::{
    PasswordError,
    passwords::{MEMORY_KEPT, Passwords},
    tests::{Fixture, config},
};

fn passwords() -> Passwords {
    Passwords::new(&Fixture::new().host, &config().passwords).unwrap()
}

#[tokio::test]
async fn a_password_is_kept_salted() {
    let passwords = passwords();
    let (one, other) = (
        passwords.hash("secret").await.unwrap(),
        passwords.hash("secret").await.unwrap(),
    );
    assert_ne!(one, other);
    assert!(one.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{one}");
    assert!(passwords.verify("secret", Some(&one)).await.unwrap());
    assert!(!passwords.verify("Secret", Some(&one)).await.unwrap());
    assert!(!passwords.verify("secret", None).await.unwrap());
    assert!(
        !passwords
            .verify("secret", Some("not a hash"))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_told_to_come_back() {
    let passwords = passwords();
    let most = passwords.most_waiting;
    let held = passwords
        .workers
        .clone()
        .acquire_many_owned(u32::try_from(passwords.workers.available_permits()).unwrap());
    let held = held.await.unwrap();
    let mut waiting: Vec<_> = (0..most)
        .map(|_| Box::pin(passwords.verify("secret", None)))
        .collect();
    for one in &mut waiting {
        assert!(poll_once(one.as_mut()).is_none());
    }
    assert!(matches!(
        passwords.verify("secret", None).await,
        Err(PasswordError::Busy)
    ));
    // Whoever hangs up makes room.
    waiting.clear();
    drop(held);
    passwords.verify("secret", None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_idle_workers_is_let_go() {
    let passwords = passwords();
    let kept = || passwords.memories.lock().idle.len();
    for _ in 0..2 {
        passwords.hash("secret").await.unwrap();
        assert_eq!(kept(), 1);
        // Used since the watcher looked last, or at its very start.
        tokio::time::sleep(MEMORY_KEPT / 2).await;
        passwords.hash("secret").await.unwrap();
        tokio::time::sleep(MEMORY_KEPT).await;
        assert_eq!(kept(), 1);
        tokio::time::sleep(MEMORY_KEPT * 2).await;
        assert_eq!(kept(), 0);
    }
}

/// Polls once, with nobody to wake.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
