//! Which kinds of fault a seed has: each is off in half of the seeds (Groce et al. 2012), so that faults do not always hide one
//! another, and so that too many of them do not keep the job from getting anywhere.

use rand_chacha::ChaCha8Rng;

use crate::seed::Draw;

/// Each knob is drawn once a seed.
pub(super) struct Swarm {
    pub tasks: bool,
    pub task_managers: bool,
    pub job_manager: bool,
    pub power: bool,
    pub late_restart: bool,
    pub replace: bool,
    pub redeploy: bool,
    pub pause: bool,
    pub stalls: bool,
    pub recovery: bool,
    pub partitions: bool,
    pub cuts: bool,
    pub slow_links: bool,
    pub resets: bool,
    pub silence: bool,
    pub lost_messages: bool,
    pub late_messages: bool,
    pub repeated_messages: bool,
    pub disk_errors: bool,
    pub no_space: bool,
    pub after_effect: bool,
    pub disk_stalls: bool,
    pub full_disk: bool,
    pub clocks: bool,
}

impl Swarm {
    pub fn draw(random: &mut ChaCha8Rng) -> Self {
        let mut on = || random.chance(50);
        Self {
            tasks: on(),
            task_managers: on(),
            job_manager: on(),
            power: on(),
            late_restart: on(),
            replace: on(),
            redeploy: on(),
            pause: on(),
            stalls: on(),
            recovery: on(),
            partitions: on(),
            cuts: on(),
            slow_links: on(),
            resets: on(),
            silence: on(),
            lost_messages: on(),
            late_messages: on(),
            repeated_messages: on(),
            disk_errors: on(),
            no_space: on(),
            after_effect: on(),
            disk_stalls: on(),
            full_disk: on(),
            clocks: on(),
        }
    }
}
