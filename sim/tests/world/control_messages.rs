//! What the simulated network can do to control messages: whole ones are lost, late and doubled, and all else keeps its order.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use tidegate::runtime::{ControlDirection, ControlMessage, MessageKind};

use crate::support::connection::*;

/// What a task manager says when a checkpoint is committed, as the engine writes it: the length, the kind, the task, the
/// checkpoint.
fn committed(checkpoint: u8) -> [u8; 10] {
    [6, 0, 0, 0, 8, 1, 0, 1, 1, checkpoint]
}

const HEARTBEAT: [u8; 5] = [1, 0, 0, 0, 1];

/// Nodes `a` and `b` with a connection whose control messages arrive thus: 1 never, 2 after 30 ms, 3 at once and after 50 ms.
fn with_control(act: impl AsyncFn(Scene) + Send + Sync) {
    let ms = Duration::from_millis;
    with_connection(async |mut s| {
        let tap = move |from: &str, to: &str, message: &ControlMessage| {
            assert_eq!((from, to, message.kind), ("a", "b", MessageKind::Committed));
            match message.checkpoint.expect("a commit belongs to one").0 {
                1 => vec![],
                2 => vec![ms(30)],
                3 => vec![ms(0), ms(50)],
                _ => vec![ms(0)],
            }
        };
        s.world.network.tap_control("b:7", Arc::new(tap));
        // Connections that were there before are left alone.
        send(&s.env, &mut s.a, &committed(1)).await;
        read_all(&s.env, &mut s.b, 10).await;
        let (a, b) = join(s.env.network.connect(&address()), s.listener.accept()).await;
        (s.a, s.b) = (a.unwrap(), b.unwrap());
        let handshake = ControlDirection::ToJobManager.preamble_len();
        send(&s.env, &mut s.a, &vec![7; handshake]).await;
        assert_eq!(read_all(&s.env, &mut s.b, handshake).await, vec![7; handshake]);
        act(s).await;
    });
}

#[test]
fn control_messages_are_lost_late_and_repeated_whole() {
    with_control(async |mut s| {
        let begin = s.env.clock.now();
        let sent = [&committed(1)[..], &committed(2), &HEARTBEAT, &committed(3), &committed(4)].concat();
        for bytes in sent.chunks(7) {
            send(&s.env, &mut s.a, bytes).await;
        }
        let in_time = [&HEARTBEAT[..], &committed(3), &committed(4)].concat();
        assert_eq!(read_all(&s.env, &mut s.b, in_time.len()).await, in_time);
        assert!(s.env.clock.now() < begin + Duration::from_millis(5));
        // Others are under way when the late ones come.
        s.world.sleep(Duration::from_millis(40)).await;
        send(&s.env, &mut s.a, &committed(5)).await;
        send(&s.env, &mut s.b, b"the other direction").await;
        let late = [committed(2), committed(5), committed(3)].concat();
        assert_eq!(read_all(&s.env, &mut s.b, 20).await, late[..20]);
        assert!(s.env.clock.now() < begin + Duration::from_millis(45));
        assert_eq!(read_all(&s.env, &mut s.b, 10).await, late[20..]);
        assert!(s.env.clock.now() >= begin + Duration::from_millis(50));
        assert_eq!(read_all(&s.env, &mut s.a, 19).await, b"the other direction");
        assert!(is_silent(&s.env, &mut s.b).await);
    });
}

#[test]
fn what_is_lost_or_late_takes_no_room() {
    with_control(async |mut s| {
        for _ in 0..WINDOW {
            send(&s.env, &mut s.a, &committed(1)).await;
            send(&s.env, &mut s.a, &committed(2)).await;
        }
        send(&s.env, &mut s.a, &committed(4).repeat(WINDOW / 10)).await;
        assert!(write(&s.env, &mut s.a, &committed(1)).await.is_none(), "what is in time does");
        read_all(&s.env, &mut s.b, WINDOW + WINDOW * 10).await;
        assert!(is_silent(&s.env, &mut s.b).await);
    });
}

#[test]
fn a_late_message_dies_with_its_connection() {
    with_control(async |mut s| {
        send(&s.env, &mut s.a, &committed(2)).await;
        send(&s.env, &mut s.a, &committed(4)).await;
        // The beginning of a message whose writer dies.
        send(&s.env, &mut s.a, &committed(5)[..3]).await;
        drop(s.a.writer);
        s.world.sleep(Duration::from_millis(50)).await;
        assert_eq!(read_all(&s.env, &mut s.b, 13).await, [&committed(4)[..], &committed(5)[..3]].concat());
        assert_eq!(read(&s.env, &mut s.b).await.unwrap().unwrap(), b"");
    });
    with_control(async |mut s| {
        send(&s.env, &mut s.a, &committed(2)).await;
        s.world.network.reset_connections("a", "b");
        s.world.sleep(Duration::from_millis(50)).await;
        is_reset(read(&s.env, &mut s.b).await);
    });
}

#[test]
fn late_messages_wait_behind_a_partition_like_all_others() {
    with_control(async |mut s| {
        send(&s.env, &mut s.a, &committed(3)).await;
        s.world.network.cut("a", "b");
        s.world.sleep(Duration::from_millis(60)).await;
        send(&s.env, &mut s.a, &committed(4)).await;
        assert!(is_silent(&s.env, &mut s.b).await);
        s.world.network.mend("a", "b");
        let all = [committed(3), committed(3), committed(4)].concat();
        assert_eq!(read_all(&s.env, &mut s.b, 30).await, all);
    });
}
