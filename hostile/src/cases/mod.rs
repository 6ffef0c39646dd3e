//! All cases.

mod closing;
mod crowds;
pub(crate) mod fuse;
pub(crate) mod killed;
mod meanwhile;
mod on_master;
mod on_master_bends;
mod on_slave;
mod overruns;
mod rings;
mod slow;

use crate::case::Case;
use crate::target::Role;

/// All cases, in both roles.
pub fn all() -> Vec<Case> {
    let on_slave = on_slave::cases().into_iter();
    let on_slave = on_slave.map(|case| case.in_role(Role::Slave));
    let on_master = on_master::cases().into_iter();
    on_master.chain(on_slave).chain(overruns::cases()).collect()
}

/// Cases in an order that follows from the seed, without an end.
pub fn random(cases: &[Case], seed: u64) -> impl Iterator<Item = &Case> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    })
    .map_while(|number| cases.get((number % cases.len().max(1) as u64) as usize))
}
