//! Every way in which the simulated network can fail a connection.

use std::{io, time::Duration};

use futures_util::future::join;
use tidegate::env::timeout;
use tidegate_sim::env::{Crash, NetworkSettings, WorldSettings};
use tokio::io::AsyncReadExt;

use crate::support::{connection::*, in_world};

#[test]
fn a_partition_is_silence_until_it_is_healed() {
    with_connection(async |mut s| {
        s.world.network.partition("a", "b");
        send(&s.env, &mut s.a, b"to b").await;
        send(&s.env, &mut s.b, b"to a").await;
        assert!(is_silent(&s.env, &mut s.a).await && is_silent(&s.env, &mut s.b).await);
        let refused = s.env.network.connect(&address()).await.err().map(|e| e.kind());
        assert_eq!(refused, Some(io::ErrorKind::TimedOut));
        s.world.network.heal("b", "a");
        assert_eq!(read_all(&s.env, &mut s.b, 4).await, b"to b");
        assert_eq!(read_all(&s.env, &mut s.a, 4).await, b"to a");
        assert!(join(s.env.network.connect(&address()), s.listener.accept()).await.0.is_ok());
    });
}

#[test]
fn a_cut_is_one_direction_of_a_partition() {
    with_connection(async |mut s| {
        s.world.network.cut("a", "b");
        send(&s.env, &mut s.a, b"to b").await;
        send(&s.env, &mut s.b, b"to a").await;
        assert!(is_silent(&s.env, &mut s.b).await);
        assert_eq!(read_all(&s.env, &mut s.a, 4).await, b"to a");
        s.world.network.heal_all();
        assert_eq!(read_all(&s.env, &mut s.b, 4).await, b"to b");
    });
}

#[test]
fn what_is_under_way_when_a_partition_begins_arrives_after_it() {
    with_connection(async |mut s| {
        send(&s.env, &mut s.a, b"early").await;
        s.world.network.partition("a", "b");
        assert!(is_silent(&s.env, &mut s.b).await);
        s.world.network.heal("a", "b");
        assert_eq!(read_all(&s.env, &mut s.b, 5).await, b"early");
    });
}

#[test]
fn a_death_behind_a_partition_is_not_heard_of() {
    with_connection(async |mut s| {
        s.world.network.partition("a", "b");
        s.world.crash("b", Crash::Process);
        assert!(is_silent(&s.env, &mut s.a).await);
        // The window fills, and nobody says that there is nobody.
        assert!(write(&s.env, &mut s.a, &[0; 2 * WINDOW]).await.is_none());
        s.world.network.heal("a", "b");
        is_reset(write(&s.env, &mut s.a, b"more").await);
    });
}

#[test]
fn a_closed_connection_behind_a_partition_is_not_heard_of() {
    with_connection(async |mut s| {
        s.world.network.partition("a", "b");
        drop(s.b);
        assert!(is_silent(&s.env, &mut s.a).await);
        send(&s.env, &mut s.a, b"nobody reads this").await;
        s.world.network.heal("a", "b");
        assert_eq!(read(&s.env, &mut s.a).await.unwrap().unwrap(), b"");
        is_reset(write(&s.env, &mut s.a, b"more").await);
    });
}

#[test]
fn a_delayed_link_is_slower_and_keeps_the_order() {
    with_connection(async |mut s| {
        let extra = Duration::from_millis(300);
        s.world.network.delay_link("a", "b", extra);
        let sent = s.env.clock.now();
        send(&s.env, &mut s.a, b"slow").await;
        s.world.network.delay_link("a", "b", Duration::ZERO);
        send(&s.env, &mut s.a, b"fast").await;
        send(&s.env, &mut s.b, b"back").await;
        assert_eq!(read_all(&s.env, &mut s.a, 4).await, b"back");
        assert!(s.env.clock.now() < sent + extra, "only what is sent during the delay is late");
        assert_eq!(read_all(&s.env, &mut s.b, 8).await, b"slowfast");
        assert!(s.env.clock.now() >= sent + extra, "the delay has passed");
    });
}

#[test]
fn a_reset_ends_both_sides_and_loses_what_is_under_way() {
    with_connection(async |mut s| {
        let (other, mut peer) = join(s.env.network.connect(&address()), s.listener.accept()).await;
        send(&s.env, &mut s.a, b"lost").await;
        s.world.network.reset_connections("b", "c");
        assert_eq!(read_all(&s.env, &mut s.b, 4).await, b"lost");
        send(&s.env, &mut s.a, b"lost").await;
        s.world.network.reset_connections("b", "a");
        for end in [&mut s.a, &mut s.b, &mut other.unwrap(), peer.as_mut().unwrap()] {
            is_reset(read(&s.env, end).await);
            is_reset(write(&s.env, end, b"more").await);
        }
        // A new connection is as good as any.
        let (a, b) = join(s.env.network.connect(&address()), s.listener.accept()).await;
        send(&s.env, &mut a.unwrap(), b"anew").await;
        assert_eq!(read_all(&s.env, &mut b.unwrap(), 4).await, b"anew");
    });
}

#[test]
fn a_killed_process_ends_its_connections() {
    with_connection(async |mut s| {
        send(&s.env, &mut s.b, b"last words").await;
        s.world.crash("b", Crash::Process);
        assert_eq!(read_all(&s.env, &mut s.a, 10).await, b"last words");
        assert_eq!(read(&s.env, &mut s.a).await.unwrap().unwrap(), b"");
        is_reset(write(&s.env, &mut s.a, b"anybody?").await);
        let refused = s.env.network.connect(&address()).await.err().map(|e| e.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    });
}

#[test]
fn a_node_without_power_is_silent_until_it_runs_again() {
    with_connection(async |mut s| {
        s.world.crash("b", Crash::Power);
        assert!(is_silent(&s.env, &mut s.a).await);
        send(&s.env, &mut s.a, &[0; WINDOW]).await;
        assert!(write(&s.env, &mut s.a, b"more").await.is_none());
        let refused = s.env.network.connect(&address()).await.err().map(|e| e.kind());
        assert_eq!(refused, Some(io::ErrorKind::TimedOut));
        let peer = s.world.boot("b");
        is_reset(write(&s.env, &mut s.a, b"more").await);
        let refused = s.env.network.connect(&address()).await.err().map(|e| e.kind());
        assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
        assert!(peer.network.bind(&address()).await.is_ok(), "the address is free again");
    });
}

/// The kernel goes on sending what nobody has acknowledged, and the new life of the node does not know it.
#[test]
fn a_writer_that_waits_for_a_node_without_power_is_reset_when_that_runs_again() {
    with_connection(async |mut s| {
        s.world.crash("b", Crash::Power);
        let world = s.world.clone();
        s.env.spawner.start("boot", async move {
            world.sleep(SECOND / 2).await;
            drop(world.boot("b"));
        });
        let begin = s.env.clock.now();
        is_reset(write(&s.env, &mut s.a, &[0; 2 * WINDOW]).await);
        assert!(s.env.clock.now() < begin + SECOND, "it is woken, and not by the time-out");
    });
}

#[test]
fn a_full_window_makes_the_writer_wait() {
    with_connection(async |mut s| {
        send(&s.env, &mut s.a, &[1; WINDOW]).await;
        assert!(write(&s.env, &mut s.a, &[2]).await.is_none());
        assert_eq!(read_all(&s.env, &mut s.b, 10).await, [1; 10]);
        send(&s.env, &mut s.a, &[3; 10]).await;
        assert!(write(&s.env, &mut s.a, &[4]).await.is_none());
        assert_eq!(read_all(&s.env, &mut s.b, WINDOW).await[WINDOW - 10..], [3; 10]);
        // The other direction has a window of its own.
        send(&s.env, &mut s.b, &[5; WINDOW]).await;
    });
}

#[test]
fn the_dead_say_and_hear_nothing() {
    with_connection(async |mut s| {
        send(&s.env, &mut s.b, b"too late").await;
        s.world.crash("a", Crash::Power);
        let new = s.world.boot("a");
        assert!(write(&new, &mut s.a, b"a ghost").await.is_none());
        assert!(is_silent(&new, &mut s.a).await && is_silent(&new, &mut s.b).await);
        assert!(s.waits(s.env.network.connect(&address())).await);
        drop(s.a);
        assert!(is_silent(&new, &mut s.b).await, "the end of the dead is not told");
    });
}

#[test]
fn a_cut_ends_one_way_too_and_new_connections_need_both() {
    with_connection(async |mut s| {
        for (from, to) in [("a", "b"), ("b", "a")] {
            s.world.network.partition("a", "b");
            s.world.network.mend(to, from);
            send(&s.env, &mut s.a, b"to b").await;
            send(&s.env, &mut s.b, b"to a").await;
            let (silent, heard) = if from == "a" { (&mut s.b, &mut s.a) } else { (&mut s.a, &mut s.b) };
            assert!(is_silent(&s.env, silent).await, "nothing of {from} reaches {to}");
            read_all(&s.env, heard, 4).await;
            let refused = s.env.network.connect(&address()).await.err().map(|e| e.kind());
            assert_eq!(refused, Some(io::ErrorKind::TimedOut), "nothing of {from} reaches {to}");
            s.world.network.mend(from, to);
            read_all(&s.env, silent, 4).await;
        }
        assert!(join(s.env.network.connect(&address()), s.listener.accept()).await.0.is_ok());
    });
}

#[test]
fn a_throttled_link_carries_its_bytes_one_after_another_for_all_connections() {
    with_connection(async |mut s| {
        let ms = Duration::from_millis;
        let (other, peer) = join(s.env.network.connect(&address()), s.listener.accept()).await;
        let (mut other, mut peer) = (other.unwrap(), peer.unwrap());
        s.world.network.throttle("b", "a", Some(5));
        let begin = s.env.clock.now();
        send(&s.env, &mut s.a, &[1; 100]).await;
        send(&s.env, &mut other, &[2; 200]).await;
        // The other direction has a rate of its own.
        send(&s.env, &mut s.b, &[3; 5]).await;
        read_all(&s.env, &mut s.a, 5).await;
        let took = s.env.clock.now().since(begin);
        assert!(took >= ms(1) && took < ms(3), "{took:?}");
        read_all(&s.env, &mut s.b, 100).await;
        let took = s.env.clock.now().since(begin);
        assert!(took >= ms(20) && took < ms(22), "{took:?}");
        read_all(&s.env, &mut peer, 200).await;
        let took = s.env.clock.now().since(begin);
        assert!(took >= ms(60) && took < ms(62), "{took:?}");
    });
}

#[test]
fn the_end_of_a_throttle_lets_go_what_waits() {
    with_connection(async |mut s| {
        let ms = Duration::from_millis;
        s.world.network.throttle("a", "b", Some(1));
        let begin = s.env.clock.now();
        send(&s.env, &mut s.a, &[1; 10]).await;
        send(&s.env, &mut s.a, &[2; 900]).await;
        drop(s.a.writer);
        read_all(&s.env, &mut s.b, 10).await;
        assert!(s.env.clock.now() >= begin + ms(10));
        let before = s.env.clock.now();
        s.world.network.throttle("a", "b", Some(10));
        s.world.sleep(ms(1)).await;
        let mut one = [0];
        assert!(timeout(&*s.env.clock, ms(20), s.b.reader.read(&mut one)).await.is_none(), "it is carried anew");
        s.world.network.heal_all();
        read_all(&s.env, &mut s.b, 900).await;
        assert_eq!(read(&s.env, &mut s.b).await.unwrap().unwrap(), b"");
        assert!(s.env.clock.now() < before + ms(23), "{:?}", s.env.clock.now().since(before));
    });
}

#[test]
fn a_network_may_have_little_bandwidth_for_ever() {
    let settings = NetworkSettings { bandwidth: Some(10), ..NetworkSettings::default() };
    with_connection_in(&settings, async |mut s| {
        let begin = s.env.clock.now();
        s.world.network.throttle("a", "b", Some(1000));
        s.world.network.heal_all();
        send(&s.env, &mut s.a, &[1; 500]).await;
        read_all(&s.env, &mut s.b, 500).await;
        assert!(s.env.clock.now() >= begin + Duration::from_millis(50), "a throttle does not make it wider");
    });
}

#[test]
fn a_silent_connection_is_dead_and_nobody_is_told() {
    with_connection(async |mut s| {
        send(&s.env, &mut s.a, b"under way").await;
        s.world.network.silence_connections("b", "c");
        read_all(&s.env, &mut s.b, 9).await;
        send(&s.env, &mut s.a, b"under way").await;
        s.world.network.silence_connections("b", "a");
        s.world.network.reset_connections("a", "b");
        s.world.network.heal_all();
        assert!(is_silent(&s.env, &mut s.a).await && is_silent(&s.env, &mut s.b).await);
        send(&s.env, &mut s.a, &[0; WINDOW - 9]).await;
        assert!(write(&s.env, &mut s.a, b"no room").await.is_none());
        // A new connection works, and ends as any other.
        let (a, b) = join(s.env.network.connect(&address()), s.listener.accept()).await;
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        send(&s.env, &mut a, b"anew").await;
        assert_eq!(read_all(&s.env, &mut b, 4).await, b"anew");
        s.world.crash("b", Crash::Process);
        assert_eq!(read(&s.env, &mut a).await.unwrap().unwrap(), b"");
        // No death, no new life and no close is heard of on the silent one.
        assert!(is_silent(&s.env, &mut s.a).await);
        let _peer = s.world.boot("b");
        assert!(write(&s.env, &mut s.a, b"no room").await.is_none() && is_silent(&s.env, &mut s.a).await);
    });
}

#[test]
fn a_silent_connection_that_is_closed_stays_silent_to_the_other_side() {
    with_connection(async |mut s| {
        s.world.network.silence_connections("a", "b");
        drop(s.b);
        assert!(is_silent(&s.env, &mut s.a).await);
        send(&s.env, &mut s.a, &[0; WINDOW]).await;
        assert!(write(&s.env, &mut s.a, b"no room").await.is_none());
    });
}

/// How long each of many bytes takes from `a` to `b`, and from `b` to `a`.
fn ways(seed: u64, network: NetworkSettings) -> [Vec<Duration>; 2] {
    in_world(seed, WorldSettings { network, ..WorldSettings::default() }, async |world| {
        let (env, peer) = (world.boot("a"), world.boot("b"));
        let mut listener = peer.network.bind(&address()).await.unwrap();
        let (a, b) = join(env.network.connect(&address()), listener.accept()).await;
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        let mut ways = [Vec::new(), Vec::new()];
        for _ in 0..2_000 {
            let begin = env.clock.now();
            send(&env, &mut a, b"x").await;
            read_all(&env, &mut b, 1).await;
            let there = env.clock.now();
            send(&env, &mut b, b"x").await;
            read_all(&env, &mut a, 1).await;
            ways[0].push(there.since(begin));
            ways[1].push(env.clock.now().since(there));
        }
        ways
    })
}

#[test]
fn each_link_has_a_length_of_its_own() {
    let us = Duration::from_micros;
    let settings = NetworkSettings { latency_max_us: 60, latency_spread_us: 1_000, ..NetworkSettings::default() };
    let mut lengths = Vec::new();
    for seed in 0..10 {
        for way in ways(seed, settings.clone()) {
            let (least, most) = (*way.iter().min().unwrap(), *way.iter().max().unwrap());
            assert!(least >= us(50) && most < us(1_065) && most - least < us(15), "{least:?} to {most:?}");
            lengths.push(least);
        }
    }
    lengths.sort();
    assert!(lengths[0] < us(350) && lengths[19] > us(750), "{lengths:?}");
}

#[test]
fn a_few_writes_take_much_longer() {
    let us = Duration::from_micros;
    let settings =
        NetworkSettings { latency_max_us: 100, slow_per_mille: 10, slow_max_us: 20_000, ..NetworkSettings::default() };
    let all: Vec<Duration> = (0..5).flat_map(|seed| ways(seed, settings.clone())).flatten().collect();
    let slow = all.iter().filter(|way| **way > us(105)).count();
    // One in a hundred of twenty thousand.
    assert!((120..280).contains(&slow), "{slow}");
    let longest = *all.iter().max().unwrap();
    assert!(longest > us(15_000) && longest < us(20_010), "{longest:?}");
}
